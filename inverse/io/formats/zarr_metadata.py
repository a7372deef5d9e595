"""Metadata of a Zarr store, read as plain JSON before anything is opened.

Refused: arrays of objects, codecs that unpickle or are unknown, shapes far beyond what is stored.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from inverse.errors import InputError
from inverse.io.axes import MOST_CHANNELS, has_channels
from inverse.io.limits import bounded, reason
from inverse.io.nodata import held

__all__ = ["AGAIN", "ArrayInfo", "array_info", "chosen", "located", "reading"]

AGAIN = "copy or export the store again"
_CODECS = (
    "bytes transpose crc32c sharding_indexed blosc zstd gzip zlib lz4 bz2 lzma shuffle bitshuffle delta "
    "fixedscaleoffset crc32 adler32 fletcher32"
)
CODECS = frozenset(_CODECS.split())
LARGEST = 2**20
MOST = 1000
#: Axes that an image and its slices have at most; of arrays of more, those of one entry are left out.
MOST_AXES = 4
#: Names of an axis of channels: of xarray, and of OME-Zarr.
CHANNEL = ("band", "bands", "c", "channel", "channels")
ROWS = ("y", "lat", "latitude", "row", "rows", "northing")
COLUMNS = ("x", "lon", "longitude", "column", "col", "columns", "easting")
#: What JSON has no numbers for.
NAMED = ("NaN", "Infinity", "-Infinity")


@dataclass(frozen=True, kw_only=True)
class ArrayInfo:
    """What is known of an array, and survives its restoration."""

    path: str  # in the store
    version: Literal[2, 3]
    shape: tuple[int, ...]  # as stored
    dtype: np.dtype[Any]
    chunks: tuple[int, ...]
    attributes: Mapping[str, Mapping[str, Any]]  # of each group above, and of the array
    names: tuple[str | None, ...] | None  # of its axes; None where they have none
    order: tuple[int, ...]  # the stored axes in the order in which they are read: slices, rows, columns, channels
    channels: bool  # whether the last of these is channels
    fill: Any  # of chunks that are not stored; as JSON has it until the array is opened
    missing: float | None  # the value of pixels without one

    @property
    def dropped(self) -> tuple[int, ...]:
        """The stored axes of one entry that are left out where there are more than an image and its slices need."""
        return tuple(axis for axis in range(len(self.shape)) if axis not in self.order)

    @property
    def stored(self) -> tuple[int, ...]:
        """All stored axes, the dropped ones first: what is read has the others."""
        return (*self.dropped, *self.order)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        last = len(self.order) - bool(self.channels)
        return self.shape[self.order[last - 2]], self.shape[self.order[last - 1]]

    @property
    def named(self) -> tuple[str | None, ...] | None:
        """Names of the axes in the order in which they are read."""
        return None if self.names is None else tuple(self.names[axis] for axis in self.order)


@contextmanager
def reading(source: str) -> Iterator[None]:
    """Whatever a damaged store raises is an `InputError`."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:  # zarr's codecs raise what they like on damaged chunks
        raise InputError(f"{source}: broken Zarr: {reason(error)}", AGAIN) from error


def _document(path: Path, source: str) -> dict[str, Any]:
    """A JSON document of a store; raises `InputError` where it is large, broken, or no mapping."""
    try:
        if path.is_symlink():
            raise InputError(f"{source}: {path.name} is a link to another file, which is never opened", AGAIN)
        if path.stat().st_size > LARGEST:
            raise InputError(f"{source}: {path.name} is larger than {LARGEST} bytes", AGAIN)
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{source}: broken Zarr: {path.name}: {reason(error, 100)}", AGAIN) from error
    if not isinstance(document, dict):
        raise InputError(f"{source}: broken Zarr: {path.name} is no mapping", AGAIN)
    return document


def _metadata(folder: Path, source: str) -> dict[str, Any] | None:
    """An array's metadata; None where the folder is none."""
    if (folder / ".zarray").is_file():
        return _document(folder / ".zarray", source)
    if (folder / "zarr.json").is_file():
        document = _document(folder / "zarr.json", source)
        return document if document.get("node_type") == "array" else None
    return None


def _attributes(folder: Path, source: str) -> dict[str, Any]:
    if (folder / "zarr.json").is_file():
        attributes = _document(folder / "zarr.json", source).get("attributes", {})
    else:
        attributes = _document(folder / ".zattrs", source) if (folder / ".zattrs").is_file() else {}
    return attributes if isinstance(attributes, dict) else {}


def _depths(root: Path, source: str) -> dict[str, int]:
    """Paths of the arrays below a folder, and how many axes they have; chunk folders left out."""
    depths: dict[str, int] = {}
    folders = [root]
    while folders and len(depths) < MOST:
        folder = folders.pop()
        metadata = _metadata(folder, source)
        if metadata is not None:
            shape = metadata.get("shape")
            name = folder.relative_to(root).as_posix()
            depths["" if name == "." else name] = len(shape) if isinstance(shape, list) else 2
        else:
            below = (path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
            folders += sorted(below, reverse=True)
    return depths


def chosen(root: Path, inner: str | None, source: str) -> str:
    """Path of the array that is meant: the one named, a pyramid's first level, or the only one of two axes or more.

    Raises:
        InputError: there is none, or several and none is named.
    """
    depths = _depths(root, source)
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


def array_info(root: Path, name: str, source: str, *, whole: bool = True) -> ArrayInfo:
    """What is known of the array at a path in a store; ``whole``: all of it will be in memory, else one chunk.

    Raises:
        InputError: it is broken, refused, or not there.
    """
    with reading(source):
        *above, folder = located(root, name)
        metadata = _metadata(folder, source)
        if metadata is None:
            raise InputError(f"{source}: no array '{name}' in the store")
        dtype, chunks = _safe(metadata, folder, source, whole=whole)
        attributes = {path.relative_to(root).as_posix(): _one_level(_attributes(path, source)) for path in above}
        own = _attributes(folder, source)
        version: Literal[2, 3] = 3 if metadata.get("zarr_format") == 3 else 2
        shape, names = tuple(metadata["shape"]), _names(metadata, own, attributes)
        if names is not None and len(names) != len(shape):
            names = None
        order, channels = _order(shape, names)
        if len(shape) > MOST_AXES:
            image = order[-3:] if channels else order[-2:]
            order = tuple(axis for axis in order if shape[axis] != 1 or axis in image)
            if channels and shape[order[-1]] == 1:
                order, channels = order[:-1], False
        return ArrayInfo(
            path=name,
            version=version,
            shape=shape,
            dtype=dtype,
            chunks=chunks,
            attributes={("" if key == "." else key): value for key, value in attributes.items()} | {name: own},
            names=names,
            order=order,
            channels=channels,
            fill=metadata.get("fill_value"),
            missing=_missing(metadata, own, version, dtype, source) if len(shape) > 1 else None,
        )


def _names(
    metadata: Mapping[str, Any], own: Mapping[str, Any], above: Mapping[str, Mapping[str, Any]]
) -> tuple[str | None, ...] | None:
    """Names of the axes: the array's, xarray's, or those of OME-Zarr."""
    names = metadata.get("dimension_names") or own.get("_ARRAY_DIMENSIONS")
    if names is not None and not isinstance(names, list):
        raise ValueError(f"names of axes {str(names)[:60]}")
    for group in above.values() if names is None else ():
        scales = group.get("ome", group)
        try:
            names = [axis["name"] if isinstance(axis, dict) else axis for axis in scales["multiscales"][0]["axes"]]
        except (KeyError, IndexError, TypeError):
            continue
    if not isinstance(names, list) or not all(isinstance(name, str | None) for name in names):
        return None
    return tuple(names)


def _order(shape: tuple[int, ...], names: tuple[str | None, ...] | None) -> tuple[tuple[int, ...], bool]:
    """The axes as they are read, and whether the last of them is channels.

    Rows, columns and channels are taken by their names, wherever they are; a named axis of more than `MOST_CHANNELS`
    channels, and any other, is slices.
    """
    axes = tuple(range(len(shape)))
    if names is None or None in names:
        return axes, has_channels(shape)
    lower = [str(name).lower() for name in names]
    image = [next((lower.index(name) for name in usual if name in lower), None) for usual in (ROWS, COLUMNS)]
    if None in image:
        image = []
    named = next((axis for axis, name in enumerate(lower) if name in CHANNEL), None) if len(shape) > 2 else None
    few = named is not None and shape[named] <= MOST_CHANNELS
    first = (named,) if named is not None and not few and not image else ()
    last = (*image, *((named,) if few else ()))
    rest = (axis for axis in axes if axis not in (*first, *last))
    return tuple(axis for axis in (*first, *rest, *last) if axis is not None), few


def _missing(
    metadata: Mapping[str, Any], own: Mapping[str, Any], version: int, dtype: np.dtype[Any], source: str
) -> float | None:
    """The value of pixels without one: ``_FillValue`` of the CF conventions; None too where the type does not have it.

    xarray keeps it as ``fill_value`` in version 2, and writes that of floats in version 3 as the base64 of a double.
    """
    value = own.get("_FillValue", own.get("missing_value"))
    if value is None and version == 2 and "_ARRAY_DIMENSIONS" in own:
        value = metadata.get("fill_value")
    if value is None or dtype.kind not in "uif":
        return None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    try:
        if isinstance(value, str) and dtype.kind == "f":
            value = float(value) if value in NAMED else struct.unpack("<d", base64.b64decode(value, validate=True))[0]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError
        missing = float(value)
    except (TypeError, ValueError, OverflowError, struct.error, binascii.Error) as error:
        raise InputError(f"{source}: the missing value {str(value)[:60]!r} is no number", AGAIN) from error
    if not held(value, dtype):
        return None
    return missing if dtype.kind == "f" else int(value)


def _safe(
    metadata: Mapping[str, Any], folder: Path, source: str, *, whole: bool
) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Type and chunks of an array that may be opened."""
    name = metadata.get("dtype", metadata.get("data_type"))
    if not isinstance(name, str) or "O" in name or name in ("string", "bytes"):
        raise InputError(f"{source}: the array is of {name}, expected numbers", "save a plain array")
    for codec in _codecs(metadata):
        if codec not in CODECS:
            raise InputError(f"{source}: the chunks need the codec '{codec}', which is not used here", AGAIN)
    shape: Any = metadata.get("shape")
    chunks = metadata.get("chunks", _inside(metadata.get("chunk_grid"), "chunk_shape"))
    stored = _bytes_in(folder, source)
    try:
        dtype = np.dtype(name)
    except TypeError as error:
        raise InputError(f"{source}: the array is of {name}, expected numbers", "save a plain array") from error
    for sizes in (shape, chunks):
        if not isinstance(sizes, list) or not all(isinstance(size, int) for size in sizes):
            raise InputError(f"{source}: broken Zarr: sizes {str(sizes)[:60]}", AGAIN)
        bounded(sizes, dtype.itemsize, stored, source=source, whole=whole or sizes is chunks)
    shards = (_inside(codec, "chunk_shape") for codec in metadata.get("codecs") or ())
    inner: Any = next((sizes for sizes in shards if sizes is not None), chunks)
    if len(inner) != len(shape) or not all(isinstance(size, int) and size > 0 for size in inner):
        raise ValueError(f"chunks {str(inner)[:60]}")
    return dtype, tuple(inner)


def _bytes_in(folder: Path, source: str) -> int:
    """Bytes of all files of an array.

    Raises:
        InputError: one of them is a link.
    """
    count = 0
    for place, folders, files in os.walk(folder):
        for part in (*folders, *files):
            path = os.path.join(place, part)
            if os.path.islink(path):
                raise InputError(
                    f"{source}: '{os.path.relpath(path, folder)}' is a link to another file, which is never opened",
                    "copy the store with what its links lead to: cp -rL",
                )
        count += sum(os.path.getsize(os.path.join(place, part)) for part in files)
    return count


def _inside(part: Any, key: str) -> Any:
    """An entry of the ``configuration`` of a codec or a grid; None where there is none."""
    if not isinstance(part, dict):
        return None
    configuration = part.get("configuration", {})
    if not isinstance(configuration, dict):
        raise ValueError(f"configuration {str(configuration)[:60]}")
    return configuration.get(key)


def _codecs(metadata: Mapping[str, Any]) -> list[str]:
    """The names of all codecs that a metadata document mentions, at any depth."""
    names: list[str] = []
    for key in ("codecs", "filters"):
        if not isinstance(metadata.get(key), list | None):
            raise ValueError(f"{key} {str(metadata[key])[:60]}")
    for codec in metadata.get("codecs") or ():
        if not isinstance(codec, str | dict):
            raise ValueError(f"codec {str(codec)[:60]}")
        name = codec if isinstance(codec, str) else codec.get("name", "?")
        names.append(str(name).removeprefix("numcodecs."))
        for key in ("codecs", "index_codecs"):
            names += _codecs({"codecs": _inside(codec, key)})
    for codec in [metadata.get("compressor"), *(metadata.get("filters") or [])]:
        if codec is not None:
            names.append(str(codec.get("id", "?") if isinstance(codec, dict) else codec))
    return names


def _one_level(attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes of a group, of whose resolution levels only the first is named."""
    first = dict(attributes)
    if isinstance(first.get("ome"), dict):
        first["ome"] = _one_level(first["ome"])
    scales = first.get("multiscales")
    scale = scales[0] if isinstance(scales, list) and scales else None
    if isinstance(scale, dict) and isinstance(scale.get("datasets"), list):
        first["multiscales"] = [{**scale, "datasets": scale["datasets"][:1]}]
    return first
