"""What protocols share: how to compare, a row of results, borders, pixels without a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inverse.comparands import Comparand, Comparison
from inverse.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Image", "Mask", "Row", "Settings", "blanked", "cropped", "left_out", "row_of", "windowed_ssim"]

Image = NDArray[Any]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Settings:
    """How to compare.

    Attributes:
        data_range: White minus black in stored units, ``max``, or None: by the file's type.
        crop: Pixels of the border that are left out.
        scale: Scale factor: the ratio of ERGAS, and the border that ``sr-y`` leaves out.
    """

    data_range: float | str | None = None
    crop: int = 0
    scale: float | None = None


@dataclass(frozen=True)
class Row:
    """The metrics of one item.

    Attributes:
        values: By metric; NaN where it has none.
        definitions: What exactly each one is here.
        notes: Why some have no value, and how many pixels were left out.
        images: Prediction and truth (C, H, W) in [0, 1] for metrics of sets.
    """

    values: Mapping[str, float]
    definitions: Mapping[str, str]
    notes: tuple[str, ...] = ()
    images: tuple[Tensor, Tensor] | None = None


def cropped(pair: Comparison, border: int) -> Comparison:
    """Without a border of so many pixels; what lies on another grid is scaled to it.

    Raises:
        InputError: Nothing would be left.
    """
    if border == 0:
        return pair
    height, width = pair.truth.values.shape[-2:]
    if min(height, width) <= 2 * border:
        raise InputError(f"{pair.item}: {pair.truth.size}, nothing is left inside a border of {border}", "crop less")

    def cut(array: Any) -> Any:
        rows, columns = (border * n // full for n, full in zip(array.shape[-2:], (height, width), strict=True))
        return array[..., rows : array.shape[-2] - rows, columns : array.shape[-1] - columns]

    def inner(image: Comparand | None) -> Any:
        return image and Comparand(cut(image.values), None if image.valid is None else cut(image.valid))

    draw = pair.samples
    return replace(
        pair,
        prediction=inner(pair.prediction),
        truth=inner(pair.truth),
        mask=None if pair.mask is None else cut(pair.mask),
        ms=inner(pair.ms),
        pan=inner(pair.pan),
        samples=None if draw is None else lambda: cut(draw()),
    )


def left_out(valid: Mask | None, *, windows: bool = False) -> str:
    """For a definition: how much was left out."""
    if valid is None:
        return ""
    share = 100 * (1 - float(valid.mean()))
    return f", {share:.3g} % of the pixels left out" + (" and every window that holds one" if windows else "")


def windowed_ssim(
    truth: Image, prediction: Image, white: float, valid: Mask | None, **window: Any
) -> tuple[float, int]:
    """scikit-image's SSIM of (C, H, W) arrays, and how many windows count; NaN where the window does not fit."""
    from skimage.metrics import structural_similarity

    size = 11 if window else 7
    if min(truth.shape[-2:]) < size:
        return float("nan"), 0
    value, whole = structural_similarity(truth, prediction, data_range=white, channel_axis=0, full=True, **window)
    if valid is None:
        return float(value), 1
    import torch

    from inverse.metrics_windows import unspoilt

    edge = size // 2
    inside = unspoilt(torch.from_numpy(np.require(valid, None, ["C", "W"])), size).numpy()
    kept = whole[:, edge:-edge, edge:-edge][np.broadcast_to(inside, (len(whole), *inside.shape[-2:]))]
    return (float(kept.mean()) if kept.size else float("nan")), int(kept.size)


def blanked(pair: Comparison, one: Image, other: Image) -> tuple[Image, Image, Mask | None, Image, Image]:
    """Both images, zero where nothing counts; what counts; and both as flat arrays of what counts."""
    valid = pair.valid()
    if valid is None:
        return one, other, None, one, other
    inside = np.broadcast_to(valid, other.shape)
    return np.where(inside, one, 0), np.where(inside, other, 0), valid, one[inside], other[inside]


def row_of(names: Sequence[str], values: Mapping[str, float], texts: Mapping[str, str], valid: Mask | None) -> Row:
    """A row of a published protocol: what was left out enters the definitions, what has no value is noted."""
    definitions = {name: texts[name] + left_out(valid, windows=name == "ssim") for name in names}
    notes = [
        f"{name} has no value: the image or what is left of it is too small" for name in names if np.isnan(values[name])
    ]
    return Row({name: values[name] for name in names}, definitions, tuple(notes))
