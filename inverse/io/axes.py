"""Which axes of an array are rows, columns and channels, where its container does not say.

* 2 axes: (H, W).
* 3 or 4 axes whose last has at most 16 entries and fewer than each of the two before it: that one is channels,
  (H, W, C) or (S, H, W, C).
* of more axes those of one entry are left out, and come back on writing;
* else slices in front: (S, H, W), or (A, B, H, W) with the slices of B running fastest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from inverse.errors import InputError
from inverse.io.content import SAID, Array, Picture, Volume, slices_of, stack

__all__ = ["MOST_CHANNELS", "arranged", "fits", "flattened", "has_channels"]

MOST_CHANNELS = 16


def fits(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Whether an array could be an image or a stack of them: 2 to 4 axes of real numbers, any others of one entry."""
    count = len(shape) if len(shape) <= 4 else sum(size != 1 for size in shape)
    return 2 <= count <= 4 and dtype.names is None and dtype.subdtype is None and dtype.kind in "uifb"


def has_channels(shape: tuple[int, ...]) -> bool:
    """Whether the last axis is taken as channels."""
    return len(shape) > 2 and shape[-1] <= MOST_CHANNELS and shape[-1] < min(shape[-3:-1])


def arranged(
    array: Array,
    *,
    format: str,  # noqa: A002
    source: str,
    extra: Mapping[str, Any],
    channels: bool | None = None,
) -> Picture | Volume:
    """An array of 2 to 4 axes as a `Picture`, or as a `Volume` where it has slices.

    ``channels`` says whether the last axis is channels; None: by the sizes.

    Raises:
        InputError: Complex or no numbers, an empty array, or another number of axes.
    """
    if array.dtype.kind == "c":
        raise InputError(
            f"{source}: the array is {array.dtype}, an image must be real",
            "save the magnitude; raw k-space is read from fastMRI, ISMRMRD and cfl files",
        )
    if not fits(array.shape[-4:] if channels is not None else array.shape, array.dtype):
        raise InputError(
            f"{source}: an array of {array.dtype} and shape {array.shape} is no image",
            "allowed: (H, W), (H, W, C), (S, H, W), (S, H, W, C) of numbers",
        )
    if array.size == 0:
        raise InputError(f"{source}: the image is empty: shape {array.shape}")
    notes: tuple[str, ...] = ()
    if array.dtype == bool:
        array, notes = array.astype(np.uint8) * np.uint8(255), ("boolean, converted to 8 bit",)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    ones = tuple(axis for axis, size in enumerate(array.shape) if size == 1)
    ones = ones if channels is None and array.ndim > 4 else ()
    array = array.squeeze(ones) if ones else array
    shape = array.shape
    channels = has_channels(shape) if channels is None else channels
    front = len(shape) - 2 - channels
    kept = {**extra, "front": shape[:front], "channel_axis": channels} | ({"ones": ones} if ones else {})
    if channels:
        notes = (*notes, f"the last of the axes {shape} taken as {shape[-1]} channels")
    if front == 0:
        return Picture(array=np.ascontiguousarray(array), format=format, extra=kept, notes=notes, source=source)
    slices = array.reshape(-1, *shape[front:])
    return Volume(
        slices=slices_of(slices, format=format, source=source),
        format=format,
        extra=kept,
        notes=(*notes, f"the axes {shape} taken as {len(slices)} slices", SAID),
        source=source,
    )


def flattened(content: Picture | Volume) -> Array:
    """The array with the axes that it came in; height and width may have changed."""
    single = isinstance(content, Picture)
    values = content.array if isinstance(content, Picture) else stack(content)
    front = tuple(content.extra["front"])
    if content.extra["channel_axis"] and values.ndim == 3 - single:
        values = values[..., None]
    if single:
        return _with_ones(content, values)
    if math.prod(front) != len(values):
        front = (len(values),)
    return _with_ones(content, values.reshape(*front, *values.shape[1:]))


def _with_ones(content: Picture | Volume, values: Array) -> Array:
    """With the axes of one entry that were left out."""
    ones = content.extra.get("ones", ())
    return np.expand_dims(values, ones) if ones else values
