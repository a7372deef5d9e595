"""Pairs of prediction and truth as files or arrays store them, which pixels count, and what else belongs to an item.

Values are brought to common units by these rules, and every row says which applied:

* a data range is given: values are compared as stored;
* a run folder says which values of the file are 0 and 1 (``data.scale``): both are mapped by that;
* a prediction of floats of which more than a twentieth lie outside [-1, 2] is in other units than such a truth: metrics
  that need a range are refused until one is given;
* 8 and 16 bit unsigned integers are fractions of their full scale, range 1;
* of fastMRI reconstructions the range is the largest value of the truth's volume, as their evaluation has it;
* other floats are compared as stored, range 1, if the truth looks like it (within [-1, 2], largest value 0.1 or more);
  else, and for other integers, metrics that need a range are refused until one is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inverse.errors import InputError, UsageError
from inverse.io.content import Span

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Comparand", "FilePairs", "Pair", "Pairing", "Scaled", "batch_of", "pairs_of_arrays", "scaled"]

FULL_SCALE = (np.dtype(np.uint8), np.dtype(np.uint16))
PLAUSIBLE = (-1.0, 2.0)
FAINT = 0.1
#: How many times larger one of two images must be to be of other units.
APART = 50
#: Share of a prediction's values that may be outside `PLAUSIBLE`.
STRAYS = 0.05


@dataclass(frozen=True, eq=False)
class Comparand:
    """An image as its file stores it."""

    values: NDArray[Any]  # (C, H, W), any type
    valid: NDArray[np.bool_] | None = None  # (1 or C, H, W), False where the file holds no value; None: everywhere

    @property
    def size(self) -> str:
        """``512 x 480 x 3``: height, width, channels."""
        return " x ".join(str(n) for n in (*self.values.shape[-2:], *self.values.shape[:-2]))


@dataclass(frozen=True, eq=False, kw_only=True)
class Pair:
    """An item to evaluate: its prediction and its truth."""

    item: str
    prediction: Comparand
    truth: Comparand
    peak: float  # largest value of the truth's file, over all its slices
    span: Span | None = None  # the files' values that are 0 and 1, where a run folder says so
    white: float | None = None  # the data range in those units, where a run folder says so
    magnitude: bool = False  # the truth is a fastMRI reconstruction, whose range is its peak
    mask: NDArray[np.bool_] | None = None  # (1 or C, H, W), False where pixels are left out
    ms: Comparand | None = None  # the multispectral image of low resolution, as the prediction is stored
    pan: Comparand | None = None  # the panchromatic image, likewise
    samples: Callable[[], Tensor] | None = None  # gives (K, C, H, W) in the units of `span`

    def check(self) -> None:
        """Raise `InputError` unless the sizes agree; the message names both."""
        if self.prediction.values.shape != self.truth.values.shape:
            raise InputError(
                f"{self.item}: sizes differ, prediction {self.prediction.size}, truth {self.truth.size}",
                "evaluate compares images of one size and number of channels",
            )
        if self.mask is not None and self.mask.shape[-2:] != self.truth.values.shape[-2:]:
            rows, columns = self.mask.shape[-2:]
            raise InputError(f"{self.item}: sizes differ, mask {rows} x {columns}, truth {self.truth.size}")

    def valid(self) -> NDArray[np.bool_] | None:
        """Which pixels count, (1 or C, H, W); None where all do."""
        masks = [mask for mask in (self.prediction.valid, self.truth.valid, self.mask) if mask is not None]
        if not masks:
            return None
        valid = reduce(np.logical_and, masks)
        return None if valid.all() else valid


@dataclass(frozen=True)
class FilePairs:
    """The images of one file, which are read together."""

    name: str
    load: Callable[[], list[Pair]]


@dataclass(frozen=True)
class Pairing:
    """Predictions and truths that fit each other, and those that fit nothing."""

    groups: tuple[FilePairs, ...]  # in the order of the predictions
    predictions: tuple[str, ...] = ()  # those without a truth
    truths: tuple[str, ...] = ()  # those without a prediction
    ratio: float | None = None  # scale factor of a run's operator, if it has one
    no_samples: str = "only a run folder has them"  # why there are no samples to score; "" where there are


@dataclass(frozen=True, eq=False)
class Scaled:
    """A pair in common units."""

    prediction: NDArray[Any]  # (C, H, W)
    truth: NDArray[Any]  # (C, H, W)
    data_range: float | None  # white minus black; None where nobody knows
    words: str  # what the range is, for the definitions
    unit: Callable[[NDArray[Any]], NDArray[Any]]  # maps another image of the item to the same units

    def width(self, item: str) -> float:
        """The data range.

        Raises:
            InputError: It is not known.
        """
        if self.data_range is None:
            hint = "give white minus black in these values, such as --data-range 255, or --data-range max"
            raise InputError(f"{item}: {self.words}", hint)
        return self.data_range


def scaled(pair: Pair, data_range: float | str | None) -> Scaled:
    """Both images in common units, float64 unless both are stored alike and stay as they are.

    `data_range` is white minus black in stored units, ``max`` (the largest value of the truth's file), or None: by the
    file's type.

    Raises:
        InputError: A range is given, and the values of both are of other units.
    """
    one, other = pair.prediction.values, pair.truth.values
    if data_range is not None and pair.white is None:
        _require_alike(pair)
    if isinstance(data_range, int | float):
        return Scaled(one, other, float(data_range), f"{data_range:g}", _same)
    if data_range == "max" or (pair.magnitude and pair.white is None):
        return Scaled(one, other, pair.peak, f"{pair.peak:g} (largest value of the truth)", _same)
    if pair.span is not None:
        low, high = (np.asarray(end, np.float64).reshape(-1, 1, 1) for end in pair.span)

        def mapped(values: NDArray[Any]) -> NDArray[Any]:
            return (values - low) / (high - low)

        return Scaled(mapped(one), mapped(other), pair.white or 1.0, _words(pair.white or 1.0, pair.span), mapped)
    kinds = {one.dtype, other.dtype}
    if all(kind in FULL_SCALE or kind.kind == "f" for kind in kinds):
        whole = " and ".join(sorted(f"{kind} / {np.iinfo(kind).max}" for kind in kinds if kind in FULL_SCALE))
        known = other.dtype in FULL_SCALE or _plausible(other, pair.valid())
        if pair.white is None and known and _elsewhere(one, pair.valid()):
            low_, high_ = float(one.min()), float(one.max())
            kind = f"{other.dtype}" if other.dtype in FULL_SCALE else "of 0 to 1"
            words = f"the prediction's values go from {low_:g} to {high_:g}, the truth is {kind}"
            return Scaled(one, other, None, words, _same)
        if known or pair.white is not None:
            white = 1.0 if pair.white is None else pair.white
            return Scaled(_unit(one), _unit(other), white, f"{white:g}{f' ({whole})' if whole else ''}", _unit)
        low_, high_ = float(other.min()), float(other.max())
        return Scaled(_unit(one), _unit(other), None, f"the truth's values go from {low_:g} to {high_:g}", _unit)
    names = " and ".join(sorted(str(kind) for kind in kinds))
    return Scaled(one, other, None, f"numbers of type {names} have no defined range", _same)


def _require_alike(pair: Pair) -> None:
    """Refuse images one of which is more than `APART` times as large as the other, a prediction of zeros aside."""
    valid, largest = pair.valid(), []
    for values in (pair.prediction.values, pair.truth.values):
        inside = values if valid is None else values[np.broadcast_to(valid, values.shape)]
        largest.append(float(np.abs(inside).max(initial=0)))
    given, known = largest
    if given > APART * max(pair.peak, known) > 0 or known > APART * given > 0:
        raise InputError(
            f"{pair.item}: the prediction's values reach {given:g}, the truth's {known:g}: they are of other units",
            "store both alike; without --data-range integers are fractions of white",
        )


def _same(values: NDArray[Any]) -> NDArray[Any]:
    return values


def _unit(values: NDArray[Any]) -> NDArray[Any]:
    """Integers as fractions of their full scale, rounded to float32 as a run sees them; floats as they are."""
    if values.dtype in FULL_SCALE:
        return values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max)
    return values


def _plausible(values: NDArray[Any], valid: NDArray[np.bool_] | None) -> bool:
    inside = values if valid is None else values[np.broadcast_to(valid, values.shape)]
    low, high = PLAUSIBLE
    return inside.size == 0 or bool(inside.min() >= low and FAINT <= inside.max() <= high)


def _elsewhere(values: NDArray[Any], valid: NDArray[np.bool_] | None) -> bool:
    """Whether floats have other units than 0 for black and 1 for white: a few may be far outside, as noise is."""
    inside = values if valid is None else values[np.broadcast_to(valid, values.shape)]
    low, high = PLAUSIBLE
    return values.dtype.kind == "f" and inside.size > 0 and float(((inside < low) | (inside > high)).mean()) > STRAYS


def _words(white: float, span: Span) -> str:
    low, high = span
    if isinstance(low, tuple) or isinstance(high, tuple):
        return f"{white:g} (each band scaled as in the run)"
    return f"{white:g} (stored {low:g} to {high:g})"


def batch_of(value: Any) -> NDArray[Any]:
    """An array (H, W), (H, W, C) or (B, H, W, C), or a tensor (C, H, W) or (B, C, H, W), as (B, C, H, W).

    Raises:
        UsageError: Another number of axes.
    """
    import torch

    if isinstance(value, torch.Tensor):
        array, first = value.detach().cpu().numpy(), True
    else:
        array, first = np.asarray(value), False
    if array.ndim not in ((3, 4) if first else (2, 3, 4)):
        raise UsageError(
            f"an {'tensor' if first else 'array'} of shape {array.shape} is no image",
            "allowed: arrays (H, W), (H, W, C), (B, H, W, C); tensors (C, H, W), (B, C, H, W)",
        )
    if not first:
        array = np.moveaxis(array[..., None] if array.ndim == 2 else array, -1, 0 if array.ndim <= 3 else 1)
    return array[None] if array.ndim == 3 else array


def pairs_of_arrays(
    prediction: Any, truth: Any, beside: Mapping[str, Any], samples: Any = None, items: Sequence[str] | None = None
) -> Pairing:
    """Pair the images of two batches in their order.

    Raises:
        InputError: Not as many of each.
        UsageError: No image.
    """
    one, other = batch_of(prediction), batch_of(truth)
    if len(one) != len(other):
        raise InputError(f"{len(one)} predictions, {len(other)} truths", "give as many of each")
    names = [str(index) for index in range(len(one))] if items is None else [str(item) for item in items]
    if len(names) != len(one):
        raise InputError(f"{len(names)} items, {len(one)} images", "give as many of each")
    further = {role: batch_of(value) for role, value in beside.items()}
    for role, values in further.items():
        if len(values) not in (1, len(one)):
            raise InputError(f"{len(one)} images, {role} {len(values)}", "give one, or as many")
    if samples is not None and tuple(samples.shape[1:]) != other.shape:
        raise InputError(
            f"samples of shape {tuple(samples.shape)}", f"expected (K, {', '.join(map(str, other.shape))})"
        )

    def group(index: int) -> FilePairs:
        images = {role: values[index if len(values) > 1 else 0] for role, values in further.items()}
        draws = None if samples is None else (lambda: samples[:, index].detach().cpu())
        return FilePairs(names[index], lambda: [_pair(names[index], one[index], other[index], images, draws)])

    return Pairing(
        tuple(group(index) for index in range(len(one))), no_samples="give samples=" if samples is None else ""
    )


def _pair(
    name: str,
    prediction: NDArray[Any],
    truth: NDArray[Any],
    beside: Mapping[str, NDArray[Any]],
    samples: Callable[[], Tensor] | None,
) -> Pair:
    mask = beside.get("mask")
    return Pair(
        item=name,
        prediction=Comparand(prediction),
        truth=Comparand(truth),
        peak=float(truth.max()),
        mask=None if mask is None else (mask != 0).all(0, keepdims=True),
        ms=Comparand(beside["ms"]) if "ms" in beside else None,
        pan=Comparand(beside["pan"]) if "pan" in beside else None,
        samples=samples,
    )
