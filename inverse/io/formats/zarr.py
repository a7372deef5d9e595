"""Zarr (versions 2 and 3) through the zarr package, extra ``zarr``.

A folder that is one item, ``SCENE.zarr`` or ``SCENE.zarr::/0``.

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
from inverse.io.formats.zarr_coordinates import Beside, attributes_of, beside
from inverse.io.formats.zarr_metadata import Kept, chosen, kept, located, reading
from inverse.io.nodata import held, marked, still_valid, unobserved
from inverse.storage.files import part_path

__all__ = ["Reader", "decode", "float_map", "in_blocks", "open_windows", "open_writer", "store"]

PACKED = ("_FillValue", "missing_value", "scale_factor", "add_offset", "valid_min", "valid_max", "valid_range")
"""Attributes that say how values are stored, which those of a map are not."""
LARGEST_CHUNK = 2**29
SIDE = 512
"""Of the chunks of a result that has other axes than what was read."""


class Reader:
    """An array of a store, read whole or by windows.

    Args:
        path: The store.
        source: What messages call it.
        inner: Path of the array, where there are several.
        whole: Whether all of it will be in memory.

    Raises:
        InputError: Broken metadata, objects, unknown codecs, absurd sizes; or several arrays and none is named.
    """

    def __init__(self, path: Path, *, source: str, inner: str | None, whole: bool = False) -> None:
        self.source = source
        with reading(source):
            name = chosen(path, inner, source)
            known = kept(path, name, source, whole=whole)
            self._array = zarr.open_array(located(path, name)[-1], mode="r")
            self.kept = replace(known, fill=self._array.fill_value)
            self._beside = beside(path, self.kept, source)
        shape = self.kept.shape
        if not whole and (not fits(shape, self.kept.dtype) or len(shape) != 2 + self.kept.channels):
            raise InputError(f"{source}: an array of shape {shape} is not one image", "name one: STORE.zarr::/PATH")
        chunk = int(np.prod(self.kept.chunks)) * self.kept.dtype.itemsize
        if not whole and chunk > LARGEST_CHUNK:
            raise InputError(
                f"{source}: a window needs whole chunks, and one is {chunk / 2**20:.0f} MB",
                "store it in smaller chunks",
            )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.kept.size

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.kept.shape[self.kept.order[-1]] if self.kept.channels else 1

    def content(self) -> Picture | Volume:
        """All of it."""
        return self._arranged((...,))

    def picture(self, top: int, left: int, height: int, width: int, *, empty: bool = False) -> Picture:
        """A window, which may hold no value at all where ``empty`` says so."""
        axes = self.kept.order
        place: list[slice] = [slice(None)] * len(axes)
        place[axes[0]], place[axes[1]] = slice(top, top + height), slice(left, left + width)
        found = self._arranged(tuple(place), empty=empty)
        assert isinstance(found, Picture)
        return found

    def _arranged(self, place: tuple[Any, ...], *, empty: bool = False) -> Picture | Volume:
        with reading(self.source):
            values = np.asarray(self._array[place])
        values = values.transpose(self.kept.order)
        found = arranged(
            values,
            format="zarr",
            source=self.source,
            extra={"zarr": self.kept, "beside": self._beside},
            channels=self.kept.channels,
        )
        return self._observed(found, empty=empty)

    def _observed(self, found: Picture | Volume, *, empty: bool) -> Picture | Volume:
        """What was read, and which pixels of it, or of each of its slices, have a value."""
        missing = self.kept.missing
        pictures = found.slices if isinstance(found, Volume) else (found,)
        shape = pictures[0].array.shape
        if pictures[0].array.size == 0 or (missing is None and pictures[0].array.dtype.kind != "f"):
            return found
        planes = np.concatenate([one.array.reshape(*shape[:2], -1) for one in pictures])
        valid = np.ones(planes.shape, bool) if missing is None else planes != missing
        planes, known, notes = unobserved(planes, valid, source=self.source, empty=empty)
        made = []
        for one, place in zip(pictures, range(0, len(planes), shape[0]), strict=True):
            own = None if known is None else known[place : place + shape[0]]
            array = np.ascontiguousarray(planes[place : place + shape[0]].reshape(shape))
            made.append(replace(one, array=array, valid=None if own is None or own.all() else own))
        notes = (*found.notes, *notes)
        if isinstance(found, Volume):
            return replace(found, slices=tuple(made), notes=notes)
        return replace(made[0], notes=notes)


def decode(path: Path, *, source: str, inner: str | None) -> Picture | Volume:
    """An array of a store as a `Picture` or a `Volume`.

    Raises:
        InputError: As `Reader`.
    """
    return Reader(path, source=source, inner=inner, whole=True).content()


def float_map(values: Array, like: Picture) -> Picture:
    """A map (H, W) or (H, W, C) as a float32 picture of the kind of `like`, which may have another size.

    Without a value it is NaN.
    """
    extra = {**like.extra, "zarr": _unpacked(like.extra["zarr"])}
    valid = like.valid if like.size == values.shape[:2] else None
    valid = _of_channels(valid, 1 if values.ndim == 2 else values.shape[-1])
    return Picture(array=np.ascontiguousarray(values, np.float32), format="zarr", valid=valid, extra=extra)


def _unpacked(own: Kept) -> Kept:
    """That of a map: floats that are stored as they are."""
    attributes = {key: value for key, value in own.attributes[own.path].items() if key not in PACKED}
    fill = float("nan") if own.missing is not None else 0.0 if own.fill is None else float(own.fill)
    return replace(own, attributes={**own.attributes, own.path: attributes}, missing=None, fill=fill)


def _of_channels(valid: Array | None, channels: int) -> Array | None:
    """Which pixels have a value, of a picture that may have another number of channels."""
    same = valid is None or valid.ndim == 2 or valid.shape[-1] == channels
    return valid if same or valid is None else np.asarray(valid.any(-1))


def store(
    path: str | os.PathLike[str], found: Picture | Volume, provenance: Mapping[str, str], *, overwrite: bool
) -> None:
    """Write a store with one array: a new folder beside the target, renamed when it is complete.

    Raises:
        OutputError: The target exists or cannot be written; only a Zarr store is ever replaced.
    """
    own = found.extra["zarr"]
    if (found if isinstance(found, Picture) else found.slices[0]).array.dtype.kind == "f" and own.dtype.kind != "f":
        found = replace(found, extra={**found.extra, "zarr": _unpacked(own)})
    values = flattened(_marked(found))
    size = found.size
    with _placed(path, overwrite=overwrite) as part:
        order = _order(found, values.ndim)
        array = _made(part, found, values.transpose(np.argsort(order)).shape, values.dtype, size, provenance)
        array[...] = values.transpose(np.argsort(order))


def open_windows(path: Path, *, source: str, inner: str | None, stack: ExitStack) -> Reader:
    """A store as `inverse.io.windows.open_windows` has it; there is nothing to close."""
    return Reader(path, source=source, inner=inner)


def in_blocks(like: Picture, *, size: tuple[int, int], side: int) -> Picture:
    """As `inverse.io.windows.in_blocks`: chunks are kept where they are not larger than ``side``."""
    own: Kept = like.extra["zarr"]
    chunks, rows = list(own.chunks), len(own.order) - own.channels - 2
    for axis in own.order[rows : rows + 2]:
        chunks[axis] = min(chunks[axis], side)
    return replace(like, extra={**like.extra, "zarr": replace(own, chunks=tuple(chunks))})


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
        whole = np.array([*size, *planes.shape[2:]])[np.argsort(order)]
        array = _made(part, like, tuple(int(side) for side in whole), planes.dtype, size, provenance)

        def put(top: int, left: int, picture: Picture) -> None:
            height, width = picture.size
            place: list[slice] = [slice(None)] * len(order)
            place[order[0]], place[order[1]] = slice(top, top + height), slice(left, left + width)
            values = flattened(replace(_marked_picture(picture, picture.extra["zarr"].missing), extra=like.extra))
            array[tuple(place)] = values.transpose(np.argsort(order))

        yield put


def _order(found: Picture | Volume, axes: int) -> tuple[int, ...]:
    """The axes of what is written in the order in which they are read, where it has those that were read."""
    order: tuple[int, ...] = found.extra["zarr"].order
    return order if len(order) == axes else tuple(range(axes))


def _marked(found: Picture | Volume) -> Picture | Volume:
    missing: float | None = found.extra["zarr"].missing
    if isinstance(found, Picture):
        return _marked_picture(found, missing)
    return replace(found, slices=tuple(_marked_picture(one, missing) for one in found.slices))


def _marked_picture(picture: Picture, missing: float | None) -> Picture:
    known = _of_channels(still_valid(picture.valid, size=picture.size), picture.channels)
    if known is None and missing is None:
        return picture
    planes = picture.array.reshape(*picture.size, -1)
    valid = np.ones(picture.size, bool) if known is None else known
    return replace(picture, array=marked(planes, valid, missing).reshape(picture.array.shape))


@contextmanager
def _placed(path: str | os.PathLike[str], *, overwrite: bool) -> Iterator[Path]:
    """A folder to write a store to, which takes its place when it is complete."""
    target = Path(path)
    if os.path.lexists(target) and not (overwrite and _is_ours(target)):
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


def _is_ours(target: Path) -> bool:
    return target.is_dir() and any((target / name).is_file() for name in ("zarr.json", ".zarray", ".zgroup"))


def _made(
    root: Path,
    found: Picture | Volume,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    size: tuple[int, int],
    provenance: Mapping[str, str],
) -> Any:
    """The array, empty, and what is beside it."""
    own: Kept = found.extra["zarr"]
    aside: tuple[Beside, ...] = found.extra["beside"]
    *above, folder = located(root, own.path)
    same, channels = len(shape) == len(own.shape), _has_channels(found)
    names, attributes = own.names if same else _names(own, shape, channels), attributes_of(own, size, fits=same)
    for name, path in zip(("/".join(own.path.split("/")[:depth]) for depth in range(len(above))), above, strict=True):
        zarr.open_group(path, mode="a", zarr_format=own.version).attrs.update(attributes[name])
    rows, last = len(shape) - 2 - channels, shape[len(shape) - channels :]
    chunks = own.chunks if same else (*(1,) * rows, SIDE, SIDE, *last)
    image = own.order[rows : rows + 2]
    changed = {(name,) for axis, name in enumerate(names or ()) if same and shape[axis] != own.shape[axis]}
    changed -= {(own.names[axis],) for axis in image if own.names is not None}
    for one in aside:
        scaled = None if one.kept.names in changed else one.scaled(own, size)
        if scaled is not None:
            scaled.write(folder.parent, own.version)
    if not same and "_ARRAY_DIMENSIONS" in attributes[own.path]:
        del attributes[own.path]["_ARRAY_DIMENSIONS"]
        if names is not None:
            attributes[own.path]["_ARRAY_DIMENSIONS"] = list(names)
    return zarr.create_array(
        folder,
        shape=shape,
        dtype=dtype,
        chunks=tuple(max(1, min(chunk, side)) for chunk, side in zip(chunks, shape, strict=True)),
        zarr_format=own.version,
        fill_value=None if own.fill is None else dtype.type(own.fill if held(own.fill, dtype) else 0),
        dimension_names=names if own.version == 3 else None,
        attributes={**attributes[own.path], **provenance},
    )


def _has_channels(found: Picture | Volume) -> bool:
    image = found.array if isinstance(found, Picture) else found.slices[0].array
    return image.ndim == 3 or bool(found.extra["channel_axis"])


def _names(own: Kept, shape: tuple[int, ...], channels: bool) -> tuple[str | None, ...] | None:
    """Names of axes that are not those that were read: with channels behind them, or none."""
    if own.named is None or own.channels or not channels or len(shape) != len(own.shape) + 1:
        return None
    return None if "channel" in own.named else (*own.named, "channel")
