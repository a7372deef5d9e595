"""What a Zarr store says beside its pixels, read as plain JSON before anything is opened.

Refused: arrays of objects, codecs that unpickle or are unknown, shapes far beyond what is stored.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from inverse.errors import InputError
from inverse.io.axes import MOST_CHANNELS, has_channels
from inverse.io.bounds import bounded

__all__ = ["AGAIN", "Kept", "chosen", "kept", "located"]

AGAIN = "copy or export the store again"
CODECS = frozenset(
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
LARGEST = 2**20
MOST = 1000
CHANNEL = ("band", "bands", "c", "channel", "channels")
"""Names of an axis of channels: of xarray, and of OME-Zarr."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What is known of an array, and survives its restoration.

    Attributes:
        path: Of the array in the store.
        version: 2 or 3.
        shape: As stored.
        dtype: Of its values.
        chunks: Sizes of its chunks.
        attributes: Of each group above, and of the array.
        names: Of its axes; None where they have none.
        order: The stored axes in the order in which they are read: slices, rows, columns, channels.
        channels: Whether the last of these is channels.
        fill: Of chunks that are not stored.
        missing: The value of pixels without one.
        size: Height and width.
    """

    path: str
    version: Literal[2, 3]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...]
    attributes: Mapping[str, Mapping[str, Any]]
    names: tuple[str | None, ...] | None
    order: tuple[int, ...]
    channels: bool
    fill: Any
    missing: float | None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        last = len(self.order) - bool(self.channels)
        return self.shape[self.order[last - 2]], self.shape[self.order[last - 1]]


def read_json(path: Path, source: str) -> dict[str, Any]:
    """A document of a store.

    Raises:
        InputError: it is large, broken, or no mapping.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"{source}: {path.name} is larger than {LARGEST} bytes", AGAIN)
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:100]
        raise InputError(f"{source}: broken Zarr: {path.name}: {reason}", AGAIN) from error
    if not isinstance(found, dict):
        raise InputError(f"{source}: broken Zarr: {path.name} is no mapping", AGAIN)
    return found


def _metadata(folder: Path, source: str) -> dict[str, Any] | None:
    """An array's metadata; None where the folder is none."""
    if (folder / ".zarray").is_file():
        return read_json(folder / ".zarray", source)
    if (folder / "zarr.json").is_file():
        found = read_json(folder / "zarr.json", source)
        return found if found.get("node_type") == "array" else None
    return None


def _attributes(folder: Path, source: str) -> dict[str, Any]:
    if (folder / "zarr.json").is_file():
        found = read_json(folder / "zarr.json", source).get("attributes", {})
    else:
        found = read_json(folder / ".zattrs", source) if (folder / ".zattrs").is_file() else {}
    return found if isinstance(found, dict) else {}


def _arrays(root: Path, source: str) -> dict[str, int]:
    """Paths of the arrays below a folder, and how many axes they have; chunk folders left out."""
    found: dict[str, int] = {}
    left = [root]
    while left and len(found) < MOST:
        folder = left.pop()
        metadata = _metadata(folder, source)
        if metadata is not None:
            shape = metadata.get("shape")
            name = folder.relative_to(root).as_posix()
            found["" if name == "." else name] = len(shape) if isinstance(shape, list) else 2
        else:
            left += sorted((part for part in folder.iterdir() if part.is_dir() and not part.is_symlink()), reverse=True)
    return found


def chosen(root: Path, inner: str | None, source: str) -> str:
    """Path of the array in a store that is meant: the one that is named, the first level of a pyramid, or the only one of two axes or more.

    Raises:
        InputError: there is none, or several and none is named.
    """
    depths = _arrays(root, source)
    names = list(depths)
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
    images = [name for name, depth in depths.items() if depth > 1]
    if len(images) == 1 or len(names) == 1:
        return (images or names)[0]
    shown = ", ".join(names[:8])
    raise InputError(
        f"{source}: holds {len(names)} arrays{f': {shown}' if names else ''}",
        f"name one: STORE.zarr::/{names[0] if names else 'PATH'}",
    )


def located(root: Path, name: str) -> tuple[Path, ...]:
    """Folders of the groups above an array, its own last."""
    parts = name.split("/") if name else []
    return tuple(root.joinpath(*parts[:depth]) for depth in range(len(parts) + 1))


def kept(root: Path, name: str, source: str, *, whole: bool = True) -> Kept:
    """What is known of an array.

    Args:
        root: The store.
        name: Path of the array in it.
        source: What messages call it.
        whole: Whether all of it will be in memory; else one chunk.

    Raises:
        InputError: it is broken, or refused.
    """
    *above, folder = located(root, name)
    found = _metadata(folder, source)
    assert found is not None
    dtype, chunks = _safe(found, folder, source, whole=whole)
    attributes = {path.relative_to(root).as_posix(): _one_level(_attributes(path, source)) for path in above}
    own = _attributes(folder, source)
    version: Literal[2, 3] = 3 if found.get("zarr_format") == 3 else 2
    shape, names = tuple(found["shape"]), _names(found, own, attributes)
    if names is not None and len(names) != len(shape):
        names = None
    order, channels = _order(shape, names)
    return Kept(
        path=name,
        version=version,
        shape=shape,
        dtype=dtype,
        chunks=chunks,
        attributes={("" if key == "." else key): value for key, value in attributes.items()} | {name: own},
        names=names,
        order=order,
        channels=channels,
        fill=_fill(found, dtype),
        missing=_missing(found, own, version),
    )


def _names(
    found: Mapping[str, Any], own: Mapping[str, Any], above: Mapping[str, Mapping[str, Any]]
) -> tuple[str | None, ...] | None:
    """Names of the axes: the array's, xarray's, or those of OME-Zarr."""
    names = found.get("dimension_names") or own.get("_ARRAY_DIMENSIONS")
    for group in above.values() if names is None else ():
        scales = group.get("ome", group)
        try:
            names = [axis["name"] if isinstance(axis, dict) else axis for axis in scales["multiscales"][0]["axes"]]
        except (KeyError, IndexError, TypeError):
            continue
    if not isinstance(names, list) or not all(one is None or isinstance(one, str) for one in names):
        return None
    return tuple(names)


def _order(shape: tuple[int, ...], names: tuple[str | None, ...] | None) -> tuple[tuple[int, ...], bool]:
    """The axes as they are read, and whether the last of them is channels: a named axis of channels is, one of more than `MOST_CHANNELS` is slices."""
    axes = tuple(range(len(shape)))
    if names is None or None in names:
        return axes, has_channels(shape)
    named = [axis for axis, name in enumerate(names) if str(name).lower() in CHANNEL]
    if not named or len(shape) < 3:
        return axes, False
    rest = tuple(axis for axis in axes if axis != named[0])
    few = shape[named[0]] <= MOST_CHANNELS
    return ((*rest, named[0]) if few else (named[0], *rest)), few


def _fill(found: Mapping[str, Any], dtype: np.dtype[Any]) -> Any:
    """``fill_value``, of which JSON writes NaN and infinities as text."""
    value = found.get("fill_value")
    return float(value) if dtype.kind == "f" and value in ("NaN", "Infinity", "-Infinity") else value


def _missing(found: Mapping[str, Any], own: Mapping[str, Any], version: int) -> float | None:
    """The value of pixels without one: ``_FillValue`` of the CF conventions, which xarray keeps as ``fill_value`` in version 2."""
    value = own.get("_FillValue", own.get("missing_value"))
    if value is None and version == 2 and "_ARRAY_DIMENSIONS" in own:
        value = found.get("fill_value")
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _safe(found: Mapping[str, Any], folder: Path, source: str, *, whole: bool) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Type and chunks of an array that may be opened."""
    name = found.get("dtype", found.get("data_type"))
    if not isinstance(name, str) or "O" in name or name in ("string", "bytes"):
        raise InputError(f"{source}: the array is of {name}, expected numbers", "save a plain array")
    for codec in _codecs(found):
        if codec not in CODECS:
            raise InputError(f"{source}: the chunks need the codec '{codec}', which is not used here", AGAIN)
    shape = found.get("shape")
    chunks = found.get("chunks", found.get("chunk_grid", {}).get("configuration", {}).get("chunk_shape"))
    stored = 0
    for place, _, names in os.walk(folder):
        stored += sum(os.path.getsize(os.path.join(place, one)) for one in names)
    try:
        dtype = np.dtype(name)
    except TypeError as error:
        raise InputError(f"{source}: the array is of {name}, expected numbers", "save a plain array") from error
    for sizes in (shape, chunks):
        if not isinstance(sizes, list) or not all(isinstance(size, int) for size in sizes):
            raise InputError(f"{source}: broken Zarr: sizes {str(sizes)[:60]}", AGAIN)
        bounded(sizes, dtype.itemsize, stored, source=source, whole=whole or sizes is chunks)
    assert isinstance(chunks, list)
    parts = [codec.get("configuration", {}) for codec in found.get("codecs", ()) if isinstance(codec, dict)]
    inner = next((part["chunk_shape"] for part in parts if "chunk_shape" in part), chunks)  # of a shard
    return dtype, tuple(inner)


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
