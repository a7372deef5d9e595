r"""Noise levels by other rules than :func:`inverse.operators.noise.estimate_sigma`, for measurements of images (B = 1).

* `wavelet_sigma`: median absolute value of the finest diagonal Daubechies-2 coefficients over 0.6745 (Donoho & Johnstone 1994).
  It takes fine texture for noise.
* `background_sigma`: spread within blocks of 8 x 8 pixels among the tenth with the smallest mean: the dark part of a scan or a micrograph.
* `mean_and_variance`: noise whose variance is :math:`g m + s^2` at a mean m. Blocks of 8 x 8 are sorted by mean into bins; in each the 10 % quantile of the power of
  third differences, corrected for white noise, is the variance there; the line is fitted with :math:`g, s^2 \ge 0` by iteratively reweighted least squares
  (Foi et al. 2008, IEEE TIP 17:1737, in spirit).
* `smallest_step`: the smallest distance of two values that occur.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor
from torch.nn.functional import conv2d

__all__ = ["background_rayleigh", "background_sigma", "mean_and_variance", "smallest_step", "wavelet_sigma"]

_BLOCK = 8
_ROUNDING = 1e-6
_QUIET = 0.7600  # root of the 10 % quantile of the blocks' power for white noise of level 1, by simulation (standard error 0.0008)
_BINS = 16
_LEAST = 24
_HIGH = (-0.12940952255126, -0.22414386804201, 0.83651630373781, -0.48296291314453)


def wavelet_sigma(y: Tensor, seen: Tensor) -> float:
    """Level of white noise.

    Args:
        y: (1, C, h, w).
        seen: (1, 1 or C, h, w), 1 where observed.

    Returns:
        In the units of ``y``; NaN with fewer than 30 coefficients.
    """
    line = torch.tensor(_HIGH, dtype=y.dtype, device=y.device)
    filters = torch.outer(line, line)[None, None]
    detail = conv2d(y[0][:, None], filters, stride=2)
    whole = conv2d(seen.expand_as(y)[0][:, None], torch.ones_like(filters), stride=2) > 15.5
    values = detail[whole].abs()
    if len(values) < 30:
        return math.nan
    level = float(values.median()) / 0.6744897501960817
    return level if level > _ROUNDING * float(y.abs().max()) else 0.0


def _blocks(planes: Tensor) -> Tensor:
    """(C, h, w) to (C h' w', 64), cropped to whole blocks."""
    return planes.unfold(1, _BLOCK, _BLOCK).unfold(2, _BLOCK, _BLOCK).reshape(-1, _BLOCK**2)


def _by_brightness(y: Tensor, seen: Tensor) -> Tensor | None:
    """Fully observed blocks (n, 64), float64, the darkest first; None if there are fewer than 10."""
    blocks, whole = _blocks(y[0]), _blocks(seen.expand_as(y)[0]).amin(1) > 0
    blocks = blocks[whole].double()
    return blocks[blocks.mean(1).argsort()] if len(blocks) >= 10 else None


def background_sigma(y: Tensor, seen: Tensor) -> float:
    """Level of white noise in the darkest part; arguments as `wavelet_sigma`, NaN with fewer than 10 blocks."""
    blocks = _by_brightness(y, seen)
    return math.nan if blocks is None else math.sqrt(float(blocks[: max(5, len(blocks) // 10)].var(1).median()))


def background_rayleigh(y: Tensor, seen: Tensor) -> float:
    """Level of both parts of complex noise from its magnitude in the background.

    Args:
        y: (1, C, h, w), magnitudes.
        seen: As in `wavelet_sigma`.

    Returns:
        ``sqrt(mean(y^2) / 2)`` over the darkest tenth of the blocks and all others whose mean is within 4 standard deviations of that level's;
        NaN where they are not Rayleigh distributed (mean over spread 1.91, within 15 %).
    """
    blocks = _by_brightness(y, seen)
    if blocks is None:
        return math.nan
    means, few = blocks.mean(1), max(5, len(blocks) // 10)
    level, dark = 0.0, blocks[:few]
    for _ in range(10):
        level = math.sqrt(float(dark.square().mean()) / 2)
        within = means <= level * (1.2533 + 4 * 0.6551 / _BLOCK)
        dark = blocks[: max(few, int(within.sum()))]
    ratio = float(dark.mean() / dark.std().clamp_min(1e-30))
    return level if abs(ratio / 1.913 - 1) < 0.15 else math.nan


def mean_and_variance(y: Tensor, seen: Tensor) -> tuple[float, float]:
    """Slope and intercept of the noise variance over the mean; arguments as `wavelet_sigma`.

    Returns:
        ``g`` and ``s^2``, at least 0; NaN both with fewer than 48 blocks.
    """
    detail = (y.diff(n=3, dim=-1).diff(n=3, dim=-2) / 20).square()[0]
    inside = tuple(size - 3 for size in y.shape[-2:])
    if min(inside) < _BLOCK:
        return math.nan, math.nan
    planes = y[0][:, 1 : 1 + inside[0], 1 : 1 + inside[1]]
    whole = seen.expand_as(y)[0].unfold(1, 4, 1).unfold(2, 4, 1).amin((-2, -1))
    good = _blocks(whole).amin(1) > 0
    power, mean = _blocks(detail)[good].double().mean(1), _blocks(planes)[good].double().mean(1)
    power = torch.where(power > (_ROUNDING * float(y.abs().max())) ** 2, power, 0.0)
    bins = min(_BINS, len(power) // _LEAST)
    if bins < 2:
        return math.nan, math.nan
    groups = mean.argsort().tensor_split(bins)
    level = np.array([float(mean[group].mean()) for group in groups]).clip(0)
    variance = np.array([float(power[group].quantile(0.1)) for group in groups]) / _QUIET**2
    weight = np.ones(bins)
    design = np.stack([level, np.ones(bins)], 1)
    scale = max(float(np.median(variance)), 1e-30)
    for _ in range(20):
        found, _ = nnls(design * weight[:, None] / scale, variance * weight / scale)
        fitted = np.maximum(design @ found, 1e-6 * scale)
        # relative errors; a bin of texture, far above the line, counts little
        weight = 1 / fitted / np.maximum(1, np.abs(variance / fitted - 1) / 0.3)
        weight /= weight.max()
    return float(found[0]), float(found[1])


def smallest_step(y: Tensor, seen: Tensor) -> float:
    """Smallest distance of two observed values, NaN if there is one alone; arguments as `wavelet_sigma`."""
    values = y[seen.expand_as(y) > 0].double().unique()  # type: ignore[no-untyped-call]
    gaps = values.diff()
    gaps = gaps[gaps > 1e-6 * max(float(values.abs().max()), 1e-30)]
    return float(gaps.min()) if len(gaps) else math.nan
