"""The parts that protocols share (settings, scores, borders, pixels without a value), and the default protocol.

The default protocol is the metrics of `inverse.metrics.registry`, an image at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from skimage import metrics as compare

from inverse.errors import InputError
from inverse.evaluation.pairs import Comparand, Pair, scaled
from inverse.metrics.registry import RATIO, Metric, measure, measure_samples, metric

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Image", "Mask", "ProtocolSettings", "Scores", "blanked", "by_default", "cropped", "row_of", "windowed_ssim"]

Image = NDArray[Any]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class ProtocolSettings:
    """Settings of a comparison."""

    data_range: float | str | None = None  # white minus black in stored units, max, or None: by the file's type
    crop: int = 0  # pixels of the border that are left out
    scale: float | None = None  # scale factor: the ratio of ERGAS, and the border that sr-y leaves out


@dataclass(frozen=True)
class Scores:
    """The metrics of one item."""

    values: Mapping[str, float]  # by metric; NaN where it has none
    definitions: Mapping[str, str]  # what exactly each one is here
    notes: tuple[str, ...] = ()  # why some have no value, and how many pixels were left out
    images: tuple[Tensor, Tensor] | None = None  # prediction and truth (C, H, W) in [0, 1] for metrics of sets


def cropped(pair: Pair, border: int) -> Pair:
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


def _left_out(valid: Mask | None, *, windows: bool = False) -> str:
    """For a definition: how much was left out."""
    if valid is None:
        return ""
    share = 100 * (1 - float(valid.mean()))
    return f", {share:.3g} % of the pixels left out" + (" and every window that holds one" if windows else "")


def windowed_ssim(truth: Image, prediction: Image, white: float, valid: Mask | None, **window: Any) -> float:
    """scikit-image's SSIM of (C, H, W) arrays; NaN where no window fits, or all hold a pixel that was left out."""
    size = 11 if window else 7
    if min(truth.shape[-2:]) < size:
        return float("nan")
    value, whole = compare.structural_similarity(
        truth, prediction, data_range=white, channel_axis=0, full=True, **window
    )
    if valid is None:
        return float(value)
    import torch

    from inverse.metrics.windows import unspoilt

    edge = size // 2
    inside = unspoilt(torch.from_numpy(np.require(valid, None, ["C", "W"])), size).numpy()
    kept = whole[:, edge:-edge, edge:-edge][np.broadcast_to(inside, (len(whole), *inside.shape[-2:]))]
    return float(kept.mean()) if kept.size else float("nan")


def blanked(pair: Pair, one: Image, other: Image) -> tuple[Image, Image, Mask | None, Image, Image]:
    """Both images, zero where nothing counts; what counts; and both as flat arrays of what counts."""
    valid = pair.valid()
    if valid is None:
        return one, other, None, one, other
    inside = np.broadcast_to(valid, other.shape)
    return np.where(inside, one, 0), np.where(inside, other, 0), valid, one[inside], other[inside]


def row_of(names: Sequence[str], values: Mapping[str, float], texts: Mapping[str, str], valid: Mask | None) -> Scores:
    """A row of a published protocol: what was left out enters the definitions, what has no value is noted."""
    definitions = {name: texts[name] + _left_out(valid, windows=name == "ssim") for name in names}
    notes = [
        f"{name} has no value: the image or what is left of it is too small" for name in names if np.isnan(values[name])
    ]
    return Scores({name: values[name] for name in names}, definitions, tuple(notes))


def by_default(pairs: Sequence[Pair], names: Sequence[str], settings: ProtocolSettings) -> Scores:
    """The metrics of one image, its samples and its sources; of metrics of sets the image itself."""
    import torch

    pair = cropped(pairs[0], settings.crop)
    units = scaled(pair, settings.data_range)
    known = [metric(name) for name in names]
    white = units.width(pair.item) if any(one.ranged or one.kind == "set" for one in known) else units.data_range
    prediction, truth = (torch.from_numpy(_floats(values)) for values in (units.prediction, units.truth))
    mask = pair.valid()
    valid = None if mask is None else torch.from_numpy(np.require(mask, None, ["C", "W"]))
    ratio = RATIO if settings.scale is None else settings.scale
    images = [one.name for one in known if one.kind == "image"]
    values = measure(prediction, truth, images, data_range=white or 1.0, item=pair.item, valid=valid, ratio=ratio)
    notes = [one.unfit(tuple(truth.shape), masked=valid is not None) for one in known]
    drawn = [one.name for one in known if one.kind == "samples"]
    if drawn and pair.samples is not None:
        draws = pair.samples()
        values |= measure_samples(draws, truth, drawn, valid=valid)
        notes.append("one sample: no crps, energy or coverage90" if len(draws) < 2 else "")
    for one in known:
        if one.kind == "source":
            values[one.name] = float("nan")
            if not one.unfit(tuple(truth.shape), masked=valid is not None):
                values[one.name] = _of_source(one, pair, prediction, units.unit)
    sets = white is not None and any(one.kind == "set" and not one.unfit(tuple(truth.shape)) for one in known)
    unit = ((prediction / white).clamp(0, 1), (truth / white).clamp(0, 1)) if white is not None and sets else None
    border = f", crop={settings.crop}" if settings.crop else ""
    return Scores(
        {name: values[name] for name in names if name in values},
        {
            one.name: one.define(units.words if units.data_range is not None else "unknown", ratio=settings.scale)
            + border
            + _left_out(mask, windows=one.windowed)
            for one in known
        },
        tuple(note for note in dict.fromkeys(notes) if note),
        unit,
    )


def _floats(values: Image) -> Image:
    kind = np.float32 if values.dtype in (np.float32, np.float16, np.uint8, np.uint16) else np.float64
    return np.require(values, kind, ["C", "W"])


def _of_source(metric: Metric, pair: Pair, prediction: Tensor, unit: Callable[[Image], Image]) -> float:
    """D_lambda or QNR.

    Raises:
        InputError: The multispectral or the panchromatic image does not fit.
    """
    import torch

    assert pair.ms is not None
    sources = {"ms": pair.ms} | ({} if pair.pan is None else {"pan": pair.pan})
    images = {role: torch.from_numpy(_floats(unit(image.values))) for role, image in sources.items()}
    low, pan = images["ms"], images.get("pan")
    height, width = prediction.shape[-2:]
    fits = low.shape[0] == prediction.shape[0] and height % low.shape[-2] == 0 and width % low.shape[-1] == 0
    if not fits or (pan is not None and tuple(pan.shape) != (1, height, width)):
        sizes = ", ".join(f"{role} {image.size}" for role, image in {"prediction": pair.prediction, **sources}.items())
        raise InputError(
            f"{pair.item}: sizes do not fit: {sizes}",
            "ms has the prediction's bands and a whole fraction of its size, pan one band and its size",
        )
    return float(metric.compute(prediction[None], ms=low[None], pan=None if pan is None else pan[None])[0])
