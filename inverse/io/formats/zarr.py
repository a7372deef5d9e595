"""Zarr (versions 2 and 3) through zarr, extra ``zarr``: a folder is one item, ``SCENE.zarr`` or ``SCENE.zarr::/0``.

A group with OME-Zarr ``multiscales`` is its first level; the result has that level alone. Axes that are named
(``dimension_names``, xarray's ``_ARRAY_DIMENSIONS``, OME-Zarr) are taken by their names, others as `inverse.io.axes`
says. Pixels without a value are NaN, infinite, or ``_FillValue``.

Kept: the array's path, version, dtype, chunk sizes, names of axes, fill value, attributes of the groups above and its
own, and arrays of one or no axis beside it (coordinates, ``spatial_ref``); written with zstd. Where the result has
another size, coordinates and OME-Zarr's scales follow. Provenance is an attribute of the array.
`inverse.io.formats.zarr_metadata` says what is refused.

Whole scenes need not be in memory: :mod:`inverse.io.windows`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from inverse.errors import InputError, OutputError
from inverse.io.axes import arranged, fits, flattened
from inverse.io.content import Array, Picture, Volume
from inverse.io.formats.zarr_coordinates import SideArray, attributes_of, optics_of, side_arrays
from inverse.io.formats.zarr_metadata import ArrayInfo, array_info, chosen, located, reading
from inverse.io.nodata import held, marked, still_valid, unobserved
from inverse.storage.files import part_path
from inverse.storage.paths import is_store

__all__ = ["Reader", "decode", "float_map", "in_blocks", "open_windows", "open_writer", "store"]

#: Attributes of stored values that those of a deviation do not have: it has their scale, but never their offset.
PACKED = ("_FillValue", "missing_value", "add_offset", "valid_min", "valid_max", "valid_range")
LARGEST_CHUNK = 2**29
#: Of the chunks of a result that has other axes than what was read.
SIDE = 512


class Reader:
    """An array of a store, by its path ``inner`` where there are several; read whole, into memory, or by windows.

    Raises:
        InputError: Broken metadata, objects, unknown codecs, absurd sizes; or several arrays and none is named.
    """

    def __init__(self, path: Path, *, source: str, inner: str | None, whole: bool = False) -> None:
        self.source = source
        with reading(source):
            name = chosen(path, inner, source)
            info = array_info(path, name, source, whole=whole)
            self._array = zarr.open_array(located(path, name)[-1], mode="r")
            self.info = replace(info, fill=self._array.fill_value)
            self._side_arrays = side_arrays(path, self.info, source)
        shape = self.info.shape
        images = tuple(shape[axis] for axis in self.info.order)
        if not whole and (not fits(images, self.info.dtype) or len(images) != 2 + self.info.channels):
            raise InputError(f"{source}: an array of shape {shape} is not one image", "name one: STORE.zarr::/PATH")
        chunk = int(np.prod(self.info.chunks)) * self.info.dtype.itemsize
        if not whole and chunk > LARGEST_CHUNK:
            said = f"{source}: a window needs whole chunks, and one is {chunk / 2**20:.0f} MB"
            raise InputError(said, "store it in smaller chunks")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.info.size

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.info.shape[self.info.order[-1]] if self.info.channels else 1

    def content(self) -> Picture | Volume:
        """All of it."""
        return self._arranged((...,))

    def picture(self, top: int, left: int, height: int, width: int, *, empty: bool = False) -> Picture:
        """A window, which may hold no value at all where ``empty`` says so."""
        axes = self.info.order
        place: list[slice] = [slice(None)] * len(self.info.shape)
        place[axes[0]], place[axes[1]] = slice(top, top + height), slice(left, left + width)
        picture = self._arranged(tuple(place), empty=empty)
        assert isinstance(picture, Picture)
        return picture

    def _arranged(self, place: tuple[Any, ...], *, empty: bool = False) -> Picture | Volume:
        with reading(self.source):
            values = np.asarray(self._array[place]).transpose(self.info.stored)
        content = arranged(
            values.reshape(values.shape[len(self.info.dropped) :]),
            format="zarr",
            source=self.source,
            extra={"zarr": self.info, "beside": self._side_arrays, **optics_of(self.info)},
            channels=self.info.channels,
        )
        return self._observed(content, empty=empty)

    def _observed(self, content: Picture | Volume, *, empty: bool) -> Picture | Volume:
        """What was read, and which pixels of it, or of each of its slices, have a value."""
        missing = self.info.missing
        pictures = content.slices if isinstance(content, Volume) else (content,)
        shape = pictures[0].array.shape
        if pictures[0].array.size == 0 or (missing is None and pictures[0].array.dtype.kind != "f"):
            return content
        planes = np.concatenate([picture.array.reshape(*shape[:2], -1) for picture in pictures])
        valid = np.ones(planes.shape, bool) if missing is None else planes != missing
        planes, observed, notes = unobserved(planes, valid, source=self.source, empty=empty)
        made = []
        for picture, top in zip(pictures, range(0, len(planes), shape[0]), strict=True):
            mask = None if observed is None else observed[top : top + shape[0]]
            array = np.ascontiguousarray(planes[top : top + shape[0]].reshape(shape))
            made.append(replace(picture, array=array, valid=None if mask is None or mask.all() else mask))
        notes = (*content.notes, *notes)
        if isinstance(content, Volume):
            return replace(content, slices=tuple(made), notes=notes)
        return replace(made[0], notes=notes)


def decode(path: Path, *, source: str, inner: str | None) -> Picture | Volume:
    """An array of a store as a `Picture` or a `Volume`.

    Raises:
        InputError: As `Reader`.
    """
    return Reader(path, source=source, inner=inner, whole=True).content()


def float_map(values: Array, like: Picture) -> Picture:
    """A map (H, W) or (H, W, C) as a float32 picture of the kind of `like`, of any size; NaN where it has no value."""
    extra = {**like.extra, "zarr": _unpacked(like.extra["zarr"])}
    valid = like.valid if like.size == values.shape[:2] else None
    valid = _of_channels(valid, 1 if values.ndim == 2 else values.shape[-1])
    return Picture(array=np.ascontiguousarray(values, np.float32), format="zarr", valid=valid, extra=extra)


def _unpacked(info: ArrayInfo, *, offset: bool = False) -> ArrayInfo:
    """The array of a map, floats that are stored as they are; with an ``offset`` they are values."""
    own = info.attributes[info.path]
    attributes = {key: value for key, value in own.items() if key not in PACKED or (offset and key == "add_offset")}
    fill = float("nan") if info.missing is not None else 0.0 if info.fill is None else float(info.fill)
    return replace(info, attributes={**info.attributes, info.path: attributes}, missing=None, fill=fill)


def _of_channels(valid: Array | None, channels: int) -> Array | None:
    """Which pixels have a value, of a picture that may have another number of channels."""
    same = valid is None or valid.ndim == 2 or valid.shape[-1] == channels
    return valid if same or valid is None else np.asarray(valid.any(-1))


def store(
    path: str | os.PathLike[str], content: Picture | Volume, provenance: Mapping[str, str], *, overwrite: bool
) -> None:
    """Write a store with one array: a new folder beside the target, renamed when it is complete.

    Raises:
        OutputError: The target exists or cannot be written; only a Zarr store is ever replaced.
    """
    info: ArrayInfo = content.extra["zarr"]
    if _image(content).dtype.kind == "f" and info.dtype.kind != "f":
        content = replace(content, extra={**content.extra, "zarr": _unpacked(info, offset=True)})
    values = _stored(content, flattened(_marked(content)))
    with _placed(path, overwrite=overwrite) as part:
        array = _made(part, content, values.shape, values.dtype, content.size, provenance)
        array[...] = values


def open_windows(path: Path, *, source: str, inner: str | None, stack: ExitStack) -> Reader:
    """A store as `inverse.io.windows.open_windows` has it; there is nothing to close."""
    return Reader(path, source=source, inner=inner)


def in_blocks(like: Picture, *, size: tuple[int, int], side: int) -> Picture:
    """As `inverse.io.windows.in_blocks`: chunks are kept where they are not larger than ``side``."""
    info: ArrayInfo = like.extra["zarr"]
    chunks, rows = list(info.chunks), len(info.order) - info.channels - 2
    for axis in info.order[rows : rows + 2]:
        chunks[axis] = min(chunks[axis], side)
    return replace(like, extra={**like.extra, "zarr": replace(info, chunks=tuple(chunks))})


@contextmanager
def open_writer(
    path: str | os.PathLike[str],
    like: Picture,
    *,
    size: tuple[int, int],
    provenance: Mapping[str, str],
    overwrite: bool,
) -> Iterator[Callable[[int, int, Picture], None]]:
    """As `inverse.io.windows.open_writer`."""
    with _placed(path, overwrite=overwrite) as part:
        planes = flattened(like)
        order = _order(like, planes.ndim)
        whole = _stored(like, np.broadcast_to(np.zeros((), planes.dtype), (*size, *planes.shape[2:]))).shape
        array = _made(part, like, whole, planes.dtype, size, provenance)

        def put(top: int, left: int, picture: Picture) -> None:
            height, width = picture.size
            place: list[slice] = [slice(None)] * len(whole)
            place[order[0]], place[order[1]] = slice(top, top + height), slice(left, left + width)
            values = flattened(replace(_marked_picture(picture, picture.extra["zarr"].missing), extra=like.extra))
            array[tuple(place)] = _stored(like, values)

        yield put


def _image(content: Picture | Volume) -> Array:
    return content.array if isinstance(content, Picture) else content.slices[0].array


def _order(content: Picture | Volume, axes: int) -> tuple[int, ...]:
    """The axes of what is written in the order in which they are read, where it has those that were read."""
    order: tuple[int, ...] = content.extra["zarr"].order
    return order if len(order) == axes else tuple(range(axes))


def _stored(content: Picture | Volume, values: Array) -> Array:
    """What is written, its axes in the file's order, with those of one entry that were left out."""
    info: ArrayInfo = content.extra["zarr"]
    if values.ndim != len(info.order):
        return values
    whole = values.reshape(*(1,) * len(info.dropped), *values.shape)
    return whole.transpose(np.argsort(info.stored))


def _marked(content: Picture | Volume) -> Picture | Volume:
    missing: float | None = content.extra["zarr"].missing
    if isinstance(content, Picture):
        return _marked_picture(content, missing)
    return replace(content, slices=tuple(_marked_picture(picture, missing) for picture in content.slices))


def _marked_picture(picture: Picture, missing: float | None) -> Picture:
    valid = _of_channels(still_valid(picture.valid, size=picture.size), picture.channels)
    if valid is None and missing is None:
        return picture
    planes = picture.array.reshape(*picture.size, -1)
    valid = np.ones(picture.size, bool) if valid is None else valid
    return replace(picture, array=marked(planes, valid, missing).reshape(picture.array.shape))


@contextmanager
def _placed(path: str | os.PathLike[str], *, overwrite: bool) -> Iterator[Path]:
    """A folder to write a store to, which takes its place when it is complete."""
    target = Path(path)
    if os.path.lexists(target) and not (overwrite and is_store(target)):
        raise OutputError(f"{path}: already exists", "choose another name, or give --overwrite")
    part, old = part_path(target), target.with_name(f".{target.name}.old")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(part, ignore_errors=True)
        if os.path.lexists(target):  # else it is all that is left of a write that was killed
            shutil.rmtree(old, ignore_errors=True)
        yield part
        if os.path.lexists(target):
            shutil.rmtree(old, ignore_errors=True)
            target.rename(old)
        part.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        _undone(target, part, old)
        raise OutputError(
            f"{path}: cannot be written: {error.strerror or error}", "is there space, and may you?"
        ) from error
    except BaseException:
        _undone(target, part, old)
        raise


def _undone(target: Path, part: Path, old: Path) -> None:
    shutil.rmtree(part, ignore_errors=True)
    if not os.path.lexists(target):
        with suppress(OSError):
            old.rename(target)


def _made(
    root: Path,
    content: Picture | Volume,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    size: tuple[int, int],
    provenance: Mapping[str, str],
) -> Any:
    """The array, empty, and what is beside it."""
    info: ArrayInfo = content.extra["zarr"]
    aside: tuple[SideArray, ...] = content.extra["beside"]
    *above, folder = located(root, info.path)
    same, channels = len(shape) == len(info.shape), _image(content).ndim == 3 or bool(content.extra["channel_axis"])
    names, attributes = info.names if same else _names(info, shape, channels), attributes_of(info, size, fits=same)
    for name, path in zip(("/".join(info.path.split("/")[:depth]) for depth in range(len(above))), above, strict=True):
        zarr.open_group(path, mode="a", zarr_format=info.version).attrs.update(attributes[name])
    rows, last = (len(info.order) if same else len(shape)) - 2 - channels, shape[len(shape) - channels :]
    chunks = info.chunks if same else (*(1,) * rows, SIDE, SIDE, *last)
    image = info.order[rows : rows + 2]
    changed = {(name,) for axis, name in enumerate(names or ()) if same and shape[axis] != info.shape[axis]}
    changed -= {(info.names[axis],) for axis in image if info.names is not None}
    for array in aside:
        scaled = None if array.info.names in changed else array.scaled(info, size)
        if scaled is not None:
            scaled.write(folder.parent, info.version)
    if not same and "_ARRAY_DIMENSIONS" in attributes[info.path]:
        del attributes[info.path]["_ARRAY_DIMENSIONS"]
        if names is not None:
            attributes[info.path]["_ARRAY_DIMENSIONS"] = list(names)
    return zarr.create_array(
        folder,
        shape=shape,
        dtype=dtype,
        chunks=tuple(max(1, min(chunk, side)) for chunk, side in zip(chunks, shape, strict=True)),
        zarr_format=info.version,
        fill_value=None if info.fill is None else dtype.type(info.fill if held(info.fill, dtype) else 0),
        dimension_names=names if info.version == 3 else None,
        attributes={**attributes[info.path], **provenance},
    )


def _names(info: ArrayInfo, shape: tuple[int, ...], channels: bool) -> tuple[str | None, ...] | None:
    """Names of axes that are not those that were read: with channels behind them, or none."""
    if info.named is None or info.channels or not channels or len(shape) != len(info.shape) + 1:
        return None
    return None if "channel" in info.named else (*info.named, "channel")
