"""Zarr (versions 2 and 3) through the zarr package, extra ``zarr``: a folder that is one item, ``SCENE.zarr`` or ``SCENE.zarr::/0``.

A group with OME-Zarr ``multiscales`` is its first level; the result has that level alone. The axes are taken as `inverse.io.axes` says.
Kept: the array's path, version, dtype, chunk sizes, attributes of the groups above and its own; written with zstd. Provenance is an attribute of the
array. Metadata are read as plain JSON before anything is opened: arrays of objects, codecs that unpickle or are unknown, and shapes far beyond what is
stored are refused.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from inverse.errors import InputError, OutputError
from inverse.io.atomic import part_path
from inverse.io.axes import arranged, flattened
from inverse.io.bounds import bounded
from inverse.io.picture import Picture
from inverse.io.volume import Volume

__all__ = ["decode", "store"]

_AGAIN = "copy or export the store again"
_CODECS = frozenset(
    [
        "bytes",
        "transpose",
        "crc32c",
        "sharding_indexed",
        "blosc",
        "zstd",
        "gzip",
        "zlib",
        "lz4",
        "bz2",
        "lzma",
        "shuffle",
        "bitshuffle",
        "delta",
        "fixedscaleoffset",
        "crc32",
        "adler32",
        "fletcher32",
    ]
)
_LARGEST = 2**20
_MOST = 1000


def _json(path: Path, source: str) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{source}: {path.name} is larger than {_LARGEST} bytes", _AGAIN)
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:100]
        raise InputError(f"{source}: broken Zarr: {path.name}: {reason}", _AGAIN) from error
    if not isinstance(found, dict):
        raise InputError(f"{source}: broken Zarr: {path.name} is no mapping", _AGAIN)
    return found


def _metadata(folder: Path, source: str) -> dict[str, Any] | None:
    """An array's metadata; None where the folder is none."""
    if (folder / ".zarray").is_file():
        return _json(folder / ".zarray", source)
    if (folder / "zarr.json").is_file():
        found = _json(folder / "zarr.json", source)
        return found if found.get("node_type") == "array" else None
    return None


def _attributes(folder: Path, source: str) -> dict[str, Any]:
    if (folder / "zarr.json").is_file():
        found = _json(folder / "zarr.json", source).get("attributes", {})
    else:
        found = _json(folder / ".zattrs", source) if (folder / ".zattrs").is_file() else {}
    return found if isinstance(found, dict) else {}


def _arrays(root: Path, source: str) -> list[str]:
    """Paths of the arrays below a folder, chunk folders left out."""
    found: list[str] = []
    left = [root]
    while left and len(found) < _MOST:
        folder = left.pop()
        if _metadata(folder, source) is not None:
            found.append(folder.relative_to(root).as_posix())
        else:
            left += sorted((part for part in folder.iterdir() if part.is_dir() and not part.is_symlink()), reverse=True)
    return ["" if name == "." else name for name in found]


def _chosen(root: Path, inner: str | None, source: str) -> str:
    names = _arrays(root, source)
    if inner is not None:
        name = inner.strip("/")
        if name in names:
            return name
        raise InputError(f"{source}: no array '{inner}' in the store", f"it holds {', '.join(names[:8]) or 'none'}")
    scales = _attributes(root, source)
    scales = scales["ome"] if isinstance(scales.get("ome"), dict) else scales
    try:
        first = str(scales["multiscales"][0]["datasets"][0]["path"]).strip("/")
    except (KeyError, IndexError, TypeError):
        first = ""
    if first in names:
        return first
    if len(names) == 1:
        return names[0]
    shown = ", ".join(names[:8])
    raise InputError(
        f"{source}: holds {len(names)} arrays{f': {shown}' if names else ''}",
        f"name one: STORE.zarr::/{names[0] if names else 'PATH'}",
    )


def _safe(found: Mapping[str, Any], folder: Path, source: str) -> None:
    dtype = found.get("dtype", found.get("data_type"))
    if not isinstance(dtype, str) or "O" in dtype or dtype in ("string", "bytes"):
        raise InputError(f"{source}: the array is of {dtype}, expected numbers", "save a plain array")
    for codec in _codecs(found):
        if codec not in _CODECS:
            raise InputError(f"{source}: the chunks need the codec '{codec}', which is not used here", _AGAIN)
    shape = found.get("shape")
    chunks = found.get("chunks", found.get("chunk_grid", {}).get("configuration", {}).get("chunk_shape"))
    stored = 0
    for place, _, names in os.walk(folder):
        stored += sum(os.path.getsize(os.path.join(place, name)) for name in names)
    try:
        itemsize = np.dtype(dtype).itemsize
    except TypeError as error:
        raise InputError(f"{source}: the array is of {dtype}, expected numbers", "save a plain array") from error
    for sizes in (shape, chunks):
        if not isinstance(sizes, list) or not all(isinstance(size, int) for size in sizes):
            raise InputError(f"{source}: broken Zarr: sizes {str(sizes)[:60]}", _AGAIN)
        bounded(sizes, itemsize, stored, source=source)


def _codecs(found: Any) -> list[str]:
    """The names of all codecs that a metadata document mentions, at any depth."""
    names: list[str] = []
    if isinstance(found.get("codecs"), list):
        for codec in found["codecs"]:
            name = codec if isinstance(codec, str) else codec.get("name", "?")
            names.append(str(name).removeprefix("numcodecs."))
            inside = {} if isinstance(codec, str) else codec.get("configuration") or {}
            for key in ("codecs", "index_codecs"):
                names += _codecs({"codecs": inside.get(key)})
    for part in [found.get("compressor"), *(found.get("filters") or [])]:
        if part is not None:
            names.append(str(part.get("id", "?") if isinstance(part, dict) else part))
    return names


def decode(path: Path, *, source: str, inner: str | None) -> Picture | Volume:
    """An array of a store as a `Picture` or a `Volume`.

    Raises:
        InputError: Broken metadata, objects, unknown codecs, absurd sizes; or several arrays and none is named.
    """
    name = _chosen(path, inner, source)
    folder = path / name
    found = _metadata(folder, source)
    assert found is not None
    try:
        _safe(found, folder, source)
        array = zarr.open_array(folder, mode="r")
        values = np.asarray(array[...])
    except InputError:
        raise
    except Exception as error:  # zarr's codecs raise what they like on damaged chunks
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{source}: broken Zarr: {reason}", _AGAIN) from error
    parts = name.split("/") if name else []
    above = {"/".join(parts[:depth]): _attributes(path.joinpath(*parts[:depth]), source) for depth in range(len(parts))}
    extra = {
        "path": name,
        "version": 3 if "zarr_format" in found and found["zarr_format"] == 3 else 2,
        "chunks": tuple(array.chunks),
        "attributes": {**{key: _one_level(value) for key, value in above.items()}, name: dict(array.attrs)},
    }
    return arranged(values, format="zarr", source=source, extra=extra)


def _one_level(attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes of a group, of whose resolution levels only the first is named."""
    found = dict(attributes)
    if isinstance(found.get("ome"), dict):
        found["ome"] = _one_level(found["ome"])
    scales = found.get("multiscales")
    if (
        isinstance(scales, list)
        and scales
        and isinstance(scales[0], dict)
        and isinstance(scales[0].get("datasets"), list)
    ):
        found["multiscales"] = [{**scales[0], "datasets": scales[0]["datasets"][:1]}]
    return found


def store(
    path: str | os.PathLike[str], found: Picture | Volume, provenance: Mapping[str, str], *, overwrite: bool
) -> None:
    """Write a store with one array: a new folder beside the target, renamed when it is complete.

    Raises:
        OutputError: The target exists or cannot be written; only a Zarr store is ever replaced.
    """
    target, extra, values = Path(path), found.extra, flattened(found)
    if os.path.lexists(target) and not (overwrite and _is_ours(target)):
        raise OutputError(f"{path}: already exists", "choose another name, or give --overwrite")
    part, old = part_path(target), target.with_name(f".{target.name}.old")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(part, ignore_errors=True)
        _fill(part, values, extra, provenance)
        if os.path.lexists(target):
            shutil.rmtree(old, ignore_errors=True)
            target.rename(old)
        part.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise OutputError(
            f"{path}: cannot be written: {error.strerror or error}", "is there space, and may you?"
        ) from error
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _is_ours(target: Path) -> bool:
    return target.is_dir() and any((target / name).is_file() for name in ("zarr.json", ".zarray", ".zgroup"))


def _fill(root: Path, values: np.ndarray[Any, Any], extra: Mapping[str, Any], provenance: Mapping[str, str]) -> None:
    name, version = extra["path"], extra["version"]
    parts = name.split("/") if name else []
    for depth in range(len(parts)):
        group = zarr.open_group(root.joinpath(*parts[:depth]), mode="a", zarr_format=version)
        group.attrs.update(extra["attributes"]["/".join(parts[:depth])])
    chunks = extra["chunks"] if len(extra["chunks"]) == values.ndim else values.shape
    array = zarr.create_array(
        root / name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=tuple(max(1, min(chunk, size)) for chunk, size in zip(chunks, values.shape, strict=True)),
        zarr_format=version,
        attributes={**extra["attributes"][name], **provenance},
    )
    array[...] = values
