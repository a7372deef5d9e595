"""Pixels without a value: which get one, and which stay without.

A scene's border (the tilted frame of a satellite pass) is nodata that nobody wants invented; a gap inside it is. The
rule, for every recipe:

* an operator that does not fill gaps writes nodata back wherever the input had it;
* an operator that fills gaps (``fill: gaps``) fills what lies inside the footprint: gaps that are at most ``2 REACH``
  pixels wide between observed pixels (morphological closing; Landsat 7's SLC-off gaps are up to 14 wide and open into
  the border) and holes that observed pixels enclose;
* ``fill: all`` fills the border too, and so does a mask at random, whose hole is what has no value in the file
  (`inverse.operators.image.holes`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from inverse.errors import InputError

__all__ = ["REACH", "Fill", "closed", "filled_by", "footprint", "held", "marked", "still_valid", "unobserved"]

REACH = 10
Fill = Literal["none", "gaps", "all"]


def footprint(valid: npt.NDArray[np.bool_], *, reach: int = REACH) -> npt.NDArray[np.bool_]:
    """The scene without its gaps, (H, W): valid pixels, what they enclose, and narrow gaps between them.

    ``reach`` is half the width in pixels of the widest gap that may open into the border.
    """
    return np.asarray(ndimage.binary_fill_holes(closed(valid, reach=reach)))


def closed(valid: npt.NDArray[np.bool_], *, reach: int = REACH) -> npt.NDArray[np.bool_]:
    """Valid pixels and narrow gaps between them; arguments as `footprint`.

    A pixel's answer depends on ``2 reach`` pixels around it.
    """
    padded = np.pad(valid, reach, mode="edge")
    # distances to the nearest observed pixel, then to the nearest out of reach: a closing by a disc of any radius
    near = ndimage.distance_transform_edt(~padded) <= reach if padded.any() else padded
    if near.all():  # there is nothing to measure a distance to
        return np.ones_like(valid)
    inner = (slice(reach, -reach), slice(reach, -reach))
    deep = ndimage.distance_transform_edt(np.pad(near, reach, constant_values=True))[inner] > reach
    return np.asarray(deep[inner] | valid)


def filled_by(operator: Mapping[str, Any]) -> Fill:
    """What an operator of a recipe fills: its ``fill``; of a chain the most any link does."""
    order = ("none", "gaps", "all")
    links = (operator, *operator.get("operators", ()))
    fills = (str(link.get("fill", "all" if link.get("kind") == "random-mask" else "none")) for link in links)
    return cast("Fill", max(fills, key=order.index))


def still_valid(
    valid: npt.NDArray[np.bool_] | None, *, fill: Fill = "none", size: tuple[int, int] | None = None
) -> npt.NDArray[np.bool_] | None:
    """``Picture.valid`` of a restored picture of that size, by the measured one's and what the operator fills.

    (H, W) or (H, W, C), as ``valid``; None where every pixel has a value.
    """
    if valid is None or fill == "all":
        return None
    kept = valid
    if fill == "gaps":
        bands = valid[..., None] if valid.ndim == 2 else valid
        kept = np.stack([footprint(band) for band in np.moveaxis(bands, -1, 0)], -1).reshape(valid.shape)
    if size is not None and size != valid.shape[:2]:
        rows, columns = (np.arange(new) * old // new for new, old in zip(size, valid.shape[:2], strict=True))
        kept = kept[rows[:, None], columns[None, :]]
    return None if kept.all() else np.ascontiguousarray(kept)


def unobserved(
    array: npt.NDArray[Any], valid: npt.NDArray[np.bool_], *, source: str, empty: bool = False
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None, tuple[str, ...]]:
    """The pixels (H, W, C) of a file, zero where a float is NaN, infinite or no value; ``Picture.valid``; notes of it.

    ``valid`` is False where the file says that there is no value.

    Raises:
        InputError: there is no value at all, and ``empty`` does not allow it.
    """
    notes: tuple[str, ...] = ()
    if array.dtype.kind == "f":
        finite = np.isfinite(array)
        strays = int((valid & ~finite).sum())
        notes = (f"{strays} NaN or infinite values taken as unobserved",) if strays else ()
        valid = valid & finite
        array = np.where(valid, array, np.zeros((), array.dtype))
    if not empty and not valid.any():
        raise InputError(f"{source}: no pixel has a value: all are nodata or NaN", "check the file's nodata value")
    if (valid == valid[..., :1]).all():
        valid = valid[..., 0]
    return array, None if valid.all() else np.ascontiguousarray(valid), notes


def held(value: float, dtype: np.dtype[Any]) -> bool:
    """Whether a type has a value, up to the rounding of floats."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return not math.isfinite(value) or bool(np.isfinite(np.asarray(float(value)).astype(dtype)))
    if not math.isfinite(value) or int(value) != value:
        return False
    return dtype.kind in "ui" and int(np.iinfo(dtype).min) <= int(value) <= int(np.iinfo(dtype).max)


def marked(array: npt.NDArray[Any], valid: npt.NDArray[np.bool_], nodata: float | None) -> npt.NDArray[Any]:
    """(H, W, C) with nodata where there is no value, and only there.

    Without a nodata value that the type has, floats get NaN and integers stay.
    """
    valid = np.broadcast_to(valid if valid.ndim == 3 else valid[..., None], array.shape)
    if nodata is None or not held(nodata, array.dtype):
        return np.where(valid, array, np.nan).astype(array.dtype) if array.dtype.kind == "f" else array
    value = np.asarray(nodata).astype(array.dtype)
    taken = valid & (array == value)
    if taken.any():
        floats = array.dtype.kind == "f"
        if floats:
            other = np.nextafter(value, np.asarray(np.inf, array.dtype))
        else:
            step = 1 if value < np.iinfo(array.dtype).max else -1
            other = array.dtype.type(int(value) + step)
        array = np.where(taken, other, array).astype(array.dtype)
    return np.where(valid, array, value)
