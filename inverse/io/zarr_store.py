"""Zarr (versions 2 and 3) through the zarr package, extra ``zarr``: a folder that is one item, ``SCENE.zarr`` or ``SCENE.zarr::/0``.

A group with OME-Zarr ``multiscales`` is its first level; the result has that level alone. Axes that are named (``dimension_names``, xarray's
``_ARRAY_DIMENSIONS``, OME-Zarr) are taken by their names, others as `inverse.io.axes` says. Pixels without a value are NaN, infinite, or ``_FillValue``.

Kept: the array's path, version, dtype, chunk sizes, names of axes, fill value, attributes of the groups above and its own, and arrays of one or no axis beside
it (coordinates, ``spatial_ref``); written with zstd. Where the result has another size, coordinates and OME-Zarr's scales follow. Provenance is an attribute of the
array. `inverse.io.zarr_meta` says what is refused.

Whole scenes need not be in memory: :mod:`inverse.io.windows`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from inverse.errors import InputError, OutputError
from inverse.io.atomic import part_path
from inverse.io.axes import arranged, fits, flattened
from inverse.io.nodata import marked, unobserved
from inverse.io.picture import Array, Picture
from inverse.io.volume import Volume
from inverse.io.zarr_beside import Beside, attributes_of, beside
from inverse.io.zarr_meta import AGAIN, Kept, chosen, kept, located

__all__ = ["Reader", "decode", "float_map", "store", "writer"]

PACKED = ("_FillValue", "missing_value", "scale_factor", "add_offset", "valid_min", "valid_max", "valid_range")
"""Attributes that say how values are stored, which those of a map are not."""
LARGEST_CHUNK = 2**29


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
        name = chosen(path, inner, source)
        self.source, self.kept = source, kept(path, name, source, whole=whole)
        with _reading(source):
            self._array = zarr.open_array(located(path, name)[-1], mode="r")
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
        with _reading(self.source):
            values = np.asarray(self._array[place])
        values = values.transpose(self.kept.order)
        found = arranged(
            values,
            format="zarr",
            source=self.source,
            extra={"zarr": self.kept, "beside": self._beside},
            channels=self.kept.channels,
        )
        return found if isinstance(found, Volume) else self._observed(found, empty=empty)

    def _observed(self, picture: Picture, *, empty: bool) -> Picture:
        missing = self.kept.missing
        if picture.array.size == 0 or (missing is None and picture.array.dtype.kind != "f"):
            return picture
        planes = picture.array.reshape(*picture.size, -1)
        valid = np.ones(planes.shape, bool) if missing is None else planes != missing
        planes, known, notes = unobserved(planes, valid, source=self.source, empty=empty)
        array = np.ascontiguousarray(planes.reshape(picture.array.shape))
        return replace(picture, array=array, valid=known, notes=(*picture.notes, *notes))


@contextmanager
def _reading(source: str) -> Iterator[None]:
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:  # zarr's codecs raise what they like on damaged chunks
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{source}: broken Zarr: {reason}", AGAIN) from error


def decode(path: Path, *, source: str, inner: str | None) -> Picture | Volume:
    """An array of a store as a `Picture` or a `Volume`.

    Raises:
        InputError: As `Reader`.
    """
    return Reader(path, source=source, inner=inner, whole=True).content()


def float_map(values: Array, like: Picture) -> Picture:
    """A map (H, W) or (H, W, C) as a float32 picture of the kind of `like`, which may have another size; without a value it is NaN."""
    extra, own = dict(like.extra), like.extra["zarr"]
    attributes = {key: value for key, value in own.attributes[own.path].items() if key not in PACKED}
    fill = own.fill if own.missing is None else float("nan")
    extra["zarr"] = replace(
        own, attributes={**own.attributes, own.path: attributes}, missing=None, fill=0 if fill is None else fill
    )
    valid = like.valid if like.size == values.shape[:2] else None
    if valid is not None and valid.ndim == 3 and valid.shape[-1] != (1 if values.ndim == 2 else values.shape[-1]):
        valid = np.asarray(valid.any(-1))
    return Picture(array=np.ascontiguousarray(values, np.float32), format="zarr", valid=valid, extra=extra)


def store(
    path: str | os.PathLike[str], found: Picture | Volume, provenance: Mapping[str, str], *, overwrite: bool
) -> None:
    """Write a store with one array: a new folder beside the target, renamed when it is complete.

    Raises:
        OutputError: The target exists or cannot be written; only a Zarr store is ever replaced.
    """
    values = flattened(_marked(found) if isinstance(found, Picture) else found)
    size = found.size
    with _placed(path, overwrite=overwrite) as part:
        order = _order(found, values.ndim)
        array = _made(part, found, values.transpose(np.argsort(order)).shape, values.dtype, size, provenance)
        array[...] = values.transpose(np.argsort(order))


@contextmanager
def writer(
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
            values = flattened(replace(_marked(picture), extra=like.extra))
            array[tuple(place)] = values.transpose(np.argsort(order))

        yield put


def _order(found: Picture | Volume, axes: int) -> tuple[int, ...]:
    """The axes of what is written in the order in which they are read, where it has those that were read."""
    order: tuple[int, ...] = found.extra["zarr"].order
    return order if len(order) == axes else tuple(range(axes))


def _marked(picture: Picture) -> Picture:
    missing: float | None = picture.extra["zarr"].missing
    if picture.valid is None and missing is None:
        return picture
    planes = picture.array.reshape(*picture.size, -1)
    valid = np.ones(picture.size, bool) if picture.valid is None else picture.valid
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
        yield part
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
    attributes = attributes_of(own, size)
    for name, path in zip(("/".join(own.path.split("/")[:depth]) for depth in range(len(above))), above, strict=True):
        zarr.open_group(path, mode="a", zarr_format=own.version).attrs.update(attributes[name])
    same = len(shape) == len(own.shape)
    chunks = own.chunks if same else shape
    for one in aside:
        if (scaled := one.scaled(own, size)) is not None:
            scaled.write(folder.parent, own.version)
    return zarr.create_array(
        folder,
        shape=shape,
        dtype=dtype,
        chunks=tuple(max(1, min(chunk, side)) for chunk, side in zip(chunks, shape, strict=True)),
        zarr_format=own.version,
        fill_value=own.fill,
        dimension_names=own.names if same and own.version == 3 else None,
        attributes={**attributes[own.path], **provenance},
    )
