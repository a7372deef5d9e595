"""Coordinates beside an image in a Zarr store, which follow its grid: of axes, ``spatial_ref``, OME-Zarr's scales."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr

from inverse.errors import InputError
from inverse.io.content import Array
from inverse.io.formats.tiff_axes import nanometres
from inverse.io.formats.zarr_metadata import ArrayInfo, array_info, located, reading

__all__ = ["SideArray", "attributes_of", "optics_of", "side_arrays"]

LONGEST = 2**20


@dataclass(frozen=True, eq=False)
class SideArray:
    """An array of one or no axis in the group of an image."""

    info: ArrayInfo
    values: Array

    @property
    def _attributes(self) -> Mapping[str, Any]:
        return self.info.attributes[self.info.path]

    def scaled(self, image: ArrayInfo, size: tuple[int, int]) -> SideArray | None:
        """That of its ``image`` in another height and width over the same extent; None where it cannot be told."""
        if size == image.size:
            return self
        if self.values.ndim == 0:
            others = {key: value for key, value in self._attributes.items() if key != "GeoTransform"}
            return replace(self, info=replace(self.info, attributes={self.info.path: others}))
        names = image.named
        if names is None or self.info.names is None:
            return self if len(self.values) not in image.size else None
        rows = len(names) - image.channels - 2
        for old, new, name in zip(image.size, size, names[rows:], strict=False):
            if self.info.names == (name,):
                return self._resampled(old, new)
        return self

    def _resampled(self, old: int, new: int) -> SideArray | None:
        """Coordinates of pixels' centres; None where they are not evenly spaced."""
        values = self.values
        if len(values) != old or old < 2 or values.dtype.kind not in "fiu":
            return None
        exact = values.astype(np.float64)
        step = (exact[-1] - exact[0]) / (old - 1)
        if np.abs(exact - exact[0] - step * np.arange(old)).max() > 1e-3 * abs(step):
            return None
        made = exact[0] + step * ((np.arange(new) + 0.5) * old / new - 0.5)
        return replace(self, values=made.astype(values.dtype if values.dtype.kind == "f" else np.float64))

    def write(self, folder: Path, version: Literal[2, 3]) -> None:
        """Write it into a group."""
        array = zarr.create_array(
            folder / self.info.path.rpartition("/")[-1],
            shape=self.values.shape,
            dtype=self.values.dtype,
            zarr_format=version,
            fill_value=self.info.fill,
            dimension_names=self.info.names if version == 3 else None,
            attributes=dict(self._attributes),
        )
        array[...] = self.values


def side_arrays(root: Path, image: ArrayInfo, source: str) -> tuple[SideArray, ...]:
    """The arrays of numbers of one or no axis in an image's group.

    Raises:
        InputError: one is damaged.
    """
    if not image.path:
        return ()
    group, arrays = located(root, image.path)[-2], []
    above = image.path.rpartition("/")[0]
    for path in sorted(group.iterdir()):
        name = f"{above}/{path.name}" if above else path.name
        if name == image.path or not any((path / mark).is_file() for mark in (".zarray", "zarr.json")):
            continue
        try:
            info = array_info(root, name, source)
        except InputError:
            continue  # a group, or of something else than numbers
        if len(info.shape) > 1 or max(info.shape, default=1) > LONGEST:
            continue
        try:
            with reading(f"{source}::/{name}"):
                array = zarr.open_array(path, mode="r")
                arrays.append(SideArray(replace(info, fill=array.fill_value), np.asarray(array[...])))
        except InputError:
            if info.dtype.kind in "biufc":
                raise
    return tuple(arrays)


def attributes_of(image: ArrayInfo, size: tuple[int, int], *, fits: bool = True) -> dict[str, dict[str, Any]]:
    """Attributes of the groups and the array of an image of another height and width; OME-Zarr's pixel sizes follow.

    ``fits``: the result has the image's axes; of others OME-Zarr's ``multiscales`` says nothing.
    """
    attributes = {key: dict(value) for key, value in image.attributes.items()}
    if not fits:
        for level in attributes.values():
            level.pop("multiscales", None)
            if isinstance(level.get("ome"), dict):
                level["ome"] = {key: value for key, value in level["ome"].items() if key != "multiscales"}
        return attributes
    if size == image.size:
        return attributes
    ratios = dict.fromkeys(range(len(image.shape)), 1.0)
    rows = len(image.order) - image.channels - 2
    for axis, old, new in zip(image.order[rows:], image.size, size, strict=False):
        ratios[axis] = old / new
    for level in attributes.values():
        ome = level.get("ome")
        for holder in (level, ome if isinstance(ome, dict) else {}):
            if isinstance(holder.get("multiscales"), list):
                holder["multiscales"] = [_rescaled(scales, ratios) for scales in holder["multiscales"]]
    return attributes


def optics_of(image: ArrayInfo) -> dict[str, Any]:
    """The pixel size of an image of OME-Zarr as the fact ``optics`` of its measurement, where it has a unit."""
    rows = len(image.order) - image.channels - 2
    for level in image.attributes.values():
        ome = level.get("ome", level)
        try:
            scales = ome["multiscales"][0]
            moves = (
                *scales["datasets"][0].get("coordinateTransformations", ()),
                *scales.get("coordinateTransformations", ()),
            )
            steps = [move["scale"] for move in moves if move.get("type") == "scale"]
            sides = [
                nanometres(math.prod(float(step[axis]) for step in steps), scales["axes"][axis].get("unit"))
                for axis in image.order[rows : rows + 2]
            ]
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            continue
        if steps and all(sides):
            return {"optics": {"pixel": tuple(sides)}}
    return {}


def _rescaled(scales: Any, ratios: Mapping[int, float]) -> Any:
    """``multiscales`` of pixels of another size."""
    if not isinstance(scales, dict) or not isinstance(scales.get("datasets"), list):
        return scales
    made = []
    for dataset in scales["datasets"]:
        moves = dataset.get("coordinateTransformations") if isinstance(dataset, dict) else None
        if isinstance(moves, list):
            dataset = {**dataset, "coordinateTransformations": _finer(moves, ratios)}
        made.append(dataset)
    return {**scales, "datasets": made}


def _finer(moves: list[Any], ratios: Mapping[int, float]) -> list[Any]:
    """Transformations of pixels of another size over the same extent.

    The first scale changes, and translations after it, which place the first pixel's centre.
    """
    made: list[Any] = []
    shift: list[float] | None = None
    for move in moves:
        kind = move.get("type") if isinstance(move, dict) else None
        values = move.get(kind) if kind in ("scale", "translation") else None
        fits = isinstance(values, list) and len(values) == len(ratios)
        if not isinstance(values, list) or not fits or not all(isinstance(value, int | float) for value in values):
            made.append(move)
            continue
        if kind == "scale" and shift is None:
            scaled = [value * ratios[axis] for axis, value in enumerate(values)]
            shift = [(new - old) / 2 for new, old in zip(scaled, values, strict=True)]
            move = {**move, "scale": scaled}
        elif kind == "scale" and shift is not None:
            shift = [value * offset for value, offset in zip(values, shift, strict=True)]
        elif shift is not None:
            move = {**move, "translation": [value + offset for value, offset in zip(values, shift, strict=True)]}
            shift = [0.0] * len(values)
        made.append(move)
    return made
