r"""Gaussian noise models, and the noise level of a measurement.

`estimate_sigma` is for white noise of one level in all channels, with measurements of images:

* two channels and more: eigenvalues of the covariance of all 5 x 5 x C neighbourhoods. Images fill few of those
  dimensions (colours go together), noise all of them: the largest eigenvalues are dropped until the mean of the rest is
  not above their median, and is :math:`\sigma^2` (Chen, Zhu & Heng 2015, ICCV, here with colour neighbourhoods);
* one channel: root mean square of third differences in blocks of 16 x 16, of which the 5 % quantile, corrected for
  white noise: flat parts of the image;
* neighbourhoods must be observed in full: smaller ones (3 x 3, 1 x 3) are used where a mask leaves too few.

Measured on the 37 photographs of ``photo/`` (at most 320 x 320 pixels) at a true level of 0.02, mean, median (worst)
relative error:

=====================  =====================  ======================
measurement            three channels         one channel
=====================  =====================  ======================
clean                  +6 %, +1 % (+88 %)     +15 %, +8 % (+67 %)
blurred, sigma 2       0 %, 0 % (-2 %)        0 %, 0 % (3 %)
motion, 15 pixels      0 %, 0 % (1 %)         +2 %, +1 % (+8 %)
downsampled by 4       +6 %, +5 % (+56 %)     +76 %, +61 % (+271 %)
70 % missing           +7 %, +1 % (+89 %)     +51 %, +39 % (+201 %)
quarter missing (box)  +5 %, 0 % (+92 %)      +16 %, +9 % (+64 %)
=====================  =====================  ======================

At 0.1 all are within 10 % in the mean, at 0.005 clean colour images have +46 % (median +9 %). The Daubechies wavelet
MAD has +46 % (worst +162 %) on clean colour images at 0.02. JPEG files of quality 90 and below keep a fraction of their
noise, in luminance only: the estimate is too low (0.005 to 0.011 for 0.02); give the level.

Noise levels by other rules than :func:`inverse.operators.noise.models.estimate_sigma`, for measurements of images (B =
1).

* `wavelet_sigma`: median absolute value of the finest diagonal Daubechies-2 coefficients over 0.6745 (Donoho &
  Johnstone 1994). It takes fine texture for noise.
* `background_sigma`: spread within blocks of 8 x 8 pixels among the tenth with the smallest mean: the dark part of a
  scan or a micrograph.
* `mean_and_variance`: noise whose variance is :math:`g m + s^2` at a mean m. Blocks of 8 x 8 are sorted by mean into
  bins; in each the 10 % quantile of the power of third differences, corrected for white noise, is the variance there;
  the line is fitted with :math:`g, s^2 \ge 0` by iteratively reweighted least squares (Foi et al. 2008, IEEE TIP
  17:1737, in spirit).
* `smallest_step`: the smallest distance of two values that occur.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from deepinv.physics import GaussianNoise
from deepinv.physics.noise import NoiseModel
from scipy.optimize import nnls
from torch import Tensor
from torch.nn.functional import conv2d

from inverse.errors import RecipeError, did_you_mean

__all__ = [
    "background_rayleigh",
    "background_sigma",
    "estimate_sigma",
    "mean_and_variance",
    "noise_model",
    "smallest_step",
    "wavelet_sigma",
]

_WINDOWS = 100_000
_SUSPICIOUS = 3.0
_FLAT_BLOCKS = 0.8403  # of white noise of level 1, by simulation (standard error 0.001)
_QUARTILE = 0.31863936396437514  # of the absolute value of a standard normal number
_ALLOWED = "allowed: a number >= 0 in data units, {kind: gaussian, sigma: 0.02}, or a deepinv noise model"


def noise_model(noise: Any = None, *, dtype: torch.dtype = torch.float32) -> Any:
    """A deepinv noise model.

    Args:
        noise: Standard deviation in data units (a number, or (B,) for each item its own), a mapping
            ``{kind: gaussian, sigma: 0.02}``, a deepinv noise model (copied), or None for 0.
        dtype: Of ``sigma``.

    Returns:
        ``GaussianNoise`` with ``sigma`` () or (B,); a given noise model as it is. Nothing is drawn.

    Raises:
        RecipeError: a level that is negative or not finite, or another kind.
    """
    if isinstance(noise, NoiseModel):
        return copy.deepcopy(noise) if noise.rng is None else noise
    if isinstance(noise, Mapping):
        fields = dict(noise)
        kind = fields.pop("kind", "gaussian")
        if kind != "gaussian":
            raise RecipeError(f"unknown noise '{kind}'", "allowed: gaussian")
        noise = fields.pop("sigma", 0.0)
        if fields:
            name = next(iter(fields))
            raise RecipeError(f"noise 'gaussian' has no parameter '{name}'", did_you_mean(str(name), ["sigma"]))
    if isinstance(noise, str | bool):
        hint = "estimate it first: inverse.operators.noise.models.estimate_sigma(y)" if noise == "auto" else _ALLOWED
        raise RecipeError(f"noise level {noise!r}", hint)
    try:
        sigma = torch.as_tensor(0.0 if noise is None else noise, dtype=torch.float64).detach().clone()
    except (TypeError, ValueError, RuntimeError):
        raise RecipeError(f"noise level of type {type(noise).__name__}", _ALLOWED) from None
    if sigma.ndim > 1 or sigma.numel() == 0:
        raise RecipeError(
            f"noise levels of shape {tuple(sigma.shape)}", "allowed: one level, or one for each item (B,)"
        )
    worst = float(sigma.min()) if bool(torch.isfinite(sigma).all()) else math.nan
    if not worst >= 0:
        raise RecipeError(f"noise level {sigma.tolist()}", _ALLOWED)
    return GaussianNoise(sigma=sigma.to(dtype))


@torch.no_grad()
def estimate_sigma(y: Tensor, mask: Tensor | None = None) -> Tensor:
    """Standard deviation of white Gaussian noise in each item of a measurement.

    Args:
        y: Measurements (B, C, H, W), or (B, m) in an order in which neighbours are alike.
        mask: 1 where observed, else 0; broadcasts against ``y``. None: all of it.

    Returns:
        (B,) in the units and dtype of ``y``; 0 for a flat measurement, NaN where too few neighbours are observed.
    """
    images = y[:, None, None] if y.ndim == 2 else y
    seen = (
        torch.ones_like(images[:, :1])
        if mask is None
        else mask.expand(y.shape).reshape(images.shape).amin(1, keepdim=True)
    )
    return torch.stack([_item(image, one[0] > 0) for image, one in zip(images, seen, strict=True)]).to(y.dtype)


def _item(image: Tensor, seen: Tensor) -> Tensor:
    """The level in one (C, H, W) image, () float64; ``seen`` (H, W) is True where it was observed."""
    if bool((image == image[:1]).all()):
        image = image[:1]
    flat = _flat_blocks(image, seen)
    joint = _smallest_eigenvalues(image, seen) if image.shape[0] > 1 else None
    if joint is not None and flat is not None:
        # Where channels share their noise (subsampled chroma, interpolated colours) the joint estimate hardly sees it.
        shared = bool(flat > _SUSPICIOUS * joint) and _is_noise(image.mean(0), seen)
        return flat if shared else joint
    first = joint if joint is not None else flat
    return first if first is not None else _second_differences(image, seen)


def _windows(image: Tensor, seen: Tensor, rows: int, columns: int) -> Tensor:
    """Fully observed neighbourhoods (n, C rows columns), n at most about ``_WINDOWS``, evenly spread."""
    height, width = seen.shape
    if height < rows or width < columns:
        return image.new_zeros(0, image.shape[0] * rows * columns)
    step = max(1, math.ceil(math.sqrt(height * width / _WINDOWS)))
    whole = seen.unfold(0, rows, step).unfold(1, columns, step).flatten(2).all(2)
    patches = image.unfold(1, rows, step).unfold(2, columns, step).permute(1, 2, 0, 3, 4)
    return patches[whole].flatten(1)


def _smallest_eigenvalues(image: Tensor, seen: Tensor) -> Tensor | None:
    """None where there are too few neighbourhoods for their covariance."""
    for shapes in ([(5, 5)], [(3, 3)], [(1, 3), (3, 1)]):
        windows = [_windows(image, seen, *shape) for shape in shapes]
        if all(len(patches) >= 20 * patches.shape[1] for patches in windows):
            break
    else:
        return None
    spectra = []
    for patches in windows:
        centred = patches - patches.mean(0)
        spectra.append(torch.linalg.eigvalsh((centred.T @ centred / len(centred)).double()))
    values = torch.stack(spectra).mean(0).clamp_min(0.0)
    kept = next(n for n in range(len(values), 0, -1) if values[:n].mean() <= values[:n].median() or n == 1)
    return values[:kept].mean().sqrt()


def _flat_blocks(image: Tensor, seen: Tensor) -> Tensor | None:
    """None where fewer than 20 blocks are observed."""
    detail = _observed_blocks(image.diff(n=3, dim=-1).diff(n=3, dim=-2) / 20, seen)
    power = detail.square().mean(2).flatten()
    return power.quantile(0.05).sqrt() / _FLAT_BLOCKS if len(power) >= 20 else None


def _observed_blocks(detail: Tensor, seen: Tensor) -> Tensor:
    """Blocks of 16 x 16 (C, n, 256) of third differences (C, H - 3, W - 3) that were observed in full, float64."""
    size = 16
    rows, columns = (side // size for side in detail.shape[-2:])
    if min(rows, columns) < 1:
        return detail.new_zeros(len(detail), 0, size * size).double()
    inside = (..., slice(rows * size), slice(columns * size))
    whole = seen.unfold(0, 4, 1).unfold(1, 4, 1).flatten(2).all(2)[inside]
    blocks = detail[inside].reshape(-1, rows, size, columns, size).transpose(2, 3).flatten(3).flatten(1, 2).double()
    return blocks[:, whole.reshape(rows, size, columns, size).transpose(1, 2).flatten(2).all(2).flatten()]


def _is_noise(plane: Tensor, seen: Tensor) -> bool:
    """Whether the flattest blocks of a plane (H, W) hold noise rather than texture: Gaussian values, a flat spectrum.

    Kurtosis of third differences, and their power against that of first differences. Of the clean photographs among 37
    (whole, cropped, downsampled) whose texture looked like noise 5 % still do; of those with noise of 0.02 in their
    luminance alone 93 % are found.
    """
    third = _observed_blocks(plane[None].diff(n=3, dim=-1).diff(n=3, dim=-2) / 20, seen)[0]
    first = _observed_blocks((plane[None].diff(dim=-1).diff(dim=-2) / 2)[..., 1:-1, 1:-1], seen)[0]
    power = third.square().mean(1)
    flattest = power.argsort()[: max(3, len(power) // 20)]
    third, first = third[flattest].square(), first[flattest].square()
    kurtosis = (third.square().mean(1) / third.mean(1).square().clamp_min(1e-300)).mean()
    return bool(kurtosis < 3.5) and bool(first.mean() < 1.5**2 * third.mean())


def _second_differences(image: Tensor, seen: Tensor) -> Tensor:
    lines = [_windows(plane[None], seen, *shape) for plane in image for shape in ((1, 3), (3, 1))]
    values = torch.cat(lines).double()
    if len(values) < 30:
        return torch.tensor(math.nan, dtype=torch.float64, device=image.device)
    second = (values[:, 0] - 2 * values[:, 1] + values[:, 2]).abs() / math.sqrt(6)
    return second.quantile(0.25) / _QUARTILE


_BLOCK = 8
_ROUNDING = 1e-6
#: Root of the 10 % quantile of the blocks' power for white noise of level 1, by simulation (standard error 0.0008).
_QUIET = 0.7600
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
        ``sqrt(mean(y^2) / 2)`` over the darkest tenth of the blocks and all others whose mean is within 4 standard
        deviations of that level's; NaN where they are not Rayleigh distributed (mean over spread 1.91, within 15 %).
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
        line, _ = nnls(design * weight[:, None] / scale, variance * weight / scale)
        fitted = np.maximum(design @ line, 1e-6 * scale)
        # relative errors; a bin of texture, far above the line, counts little
        weight = 1 / fitted / np.maximum(1, np.abs(variance / fitted - 1) / 0.3)
        weight /= weight.max()
    return float(line[0]), float(line[1])


def smallest_step(y: Tensor, seen: Tensor) -> float:
    """Smallest distance of two observed values, NaN if there is one alone; arguments as `wavelet_sigma`."""
    values = y[seen.expand_as(y) > 0].double().unique()  # type: ignore[no-untyped-call]
    gaps = values.diff()
    gaps = gaps[gaps > 1e-6 * max(float(values.abs().max()), 1e-30)]
    return float(gaps.min()) if len(gaps) else math.nan
