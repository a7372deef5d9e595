"""Metrics of several bands: SAM, ERGAS, RASE, and without a truth D_lambda and QNR.

* SAM: Yuhas, Goetz and Boardman 1992, the angle between two spectra, in radians.
* ERGAS: Wald, Fusion of Earth Data 2000: ``100 / ratio sqrt(mean_b (rmse_b / mean_b)^2)``.
* RASE: Choi, IEEE Trans. Geoscience and Remote Sensing 2006: ``100 / mean sqrt(mean_b rmse_b^2)``, of the whole image,
  as defined there. torchmetrics' is of sliding windows, and divides the windowed mean by the window's area once too
  often, 64 times too much; it is not used.
* D_lambda and QNR: Alparone et al., Photogrammetric Engineering and Remote Sensing 2008: a fused image against the
  multispectral and the panchromatic image it was made of.

UQI is torchmetrics', in float64 (`inverse.metrics.windows.uqi`): differences of UQI are small. A pixel counts where all
of its bands have a value.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from scipy.ndimage import uniform_filter
from torch import Tensor
from torch.nn.functional import interpolate
from torchmetrics.functional.image import error_relative_global_dimensionless_synthesis, spectral_angle_mapper

from inverse.metrics.registry import RATIO
from inverse.metrics.windows import uqi

__all__ = ["d_lambda", "ergas", "qnr", "rase", "sam"]


def _spectra(prediction: Tensor, truth: Tensor, valid: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
    """The compared spectra of each image, (1, C, 1, n) float64, both."""
    for index in range(truth.shape[0]):
        image, true = prediction[index].double().flatten(1), truth[index].double().flatten(1)
        if valid is not None:
            inside = valid[index].bool().all(0).flatten()
            image, true = image[:, inside], true[:, inside]
        yield image[None, :, None], true[None, :, None]


def sam(prediction: Tensor, truth: Tensor, *, data_range: float = 1.0, valid: Tensor | None = None) -> Tensor:
    """Mean spectral angle of each image (B, C, H, W), radians; pixels that are 0 in all bands have none: left out.

    ``valid`` (B, 1 or C, H, W) bool is False where a pixel is left out; None: none is. NaN where nothing is left, or
    for a single band. ``data_range`` is unused: angles have no unit.
    """
    if truth.shape[1] < 2:
        return truth.new_full((truth.shape[0],), float("nan"))
    spectra = _spectra(prediction, truth, valid)
    return torch.stack([spectral_angle_mapper(p, t, reduction="none").nanmean() for p, t in spectra]).float()


def ergas(
    prediction: Tensor, truth: Tensor, *, data_range: float = 1.0, valid: Tensor | None = None, ratio: float = RATIO
) -> Tensor:
    """Error over all bands of each image, relative to their means; arguments as those of `sam`.

    ``ratio`` is the pixel size of the low over that of the high resolution; ``data_range`` is unused.
    """
    compute = error_relative_global_dimensionless_synthesis
    errors = [compute(p, t, ratio=ratio, reduction="none") for p, t in _spectra(prediction, truth, valid)]
    return torch.cat(errors).float()


def rase(prediction: Tensor, truth: Tensor, *, data_range: float = 1.0, valid: Tensor | None = None) -> Tensor:
    """Relative average spectral error of each image, per cent; arguments as those of `sam`."""
    errors = [100 / t.mean() * (p - t).square().mean().sqrt() for p, t in _spectra(prediction, truth, valid)]
    return torch.stack(errors).float()


def d_lambda(prediction: Tensor, *, ms: Tensor, pan: Tensor | None = None) -> Tensor:
    """Spectral distortion of each fused image: mean over pairs of bands of how much their UQI changed.

    ``prediction`` is (B, C, H, W) with C >= 2, ``ms`` (B, C, h, w) the multispectral image of low resolution.
    """
    bands = prediction.shape[1]
    pairs = [(first, second) for first in range(bands) for second in range(first)]
    changes = [_alike(prediction, i, prediction, j) - _alike(ms, i, ms, j) for i, j in pairs]
    return torch.stack(changes).abs().mean(0)


def qnr(prediction: Tensor, *, ms: Tensor, pan: Tensor) -> Tensor:
    """Quality with no reference of each fused image: ``(1 - D_lambda) (1 - D_s)``.

    ``D_s`` is the mean over bands of how much their UQI with the panchromatic image changed, which at low resolution is
    its 7 x 7 mean, resampled bilinearly. ``pan`` is the panchromatic image, (B, 1, H, W); the rest as `d_lambda`, and h
    divides H.
    """
    blurred = torch.from_numpy(uniform_filter(pan.double().numpy(), (1, 1, 7, 7), mode="reflect"))
    low = interpolate(blurred, size=ms.shape[-2:], mode="bilinear", align_corners=False)
    changes = [_alike(ms, i, low, 0) - _alike(prediction, i, pan, 0) for i in range(prediction.shape[1])]
    spatial = torch.stack(changes).abs().mean(0)
    return (1 - d_lambda(prediction, ms=ms)) * (1 - spatial)


def _alike(one: Tensor, band: int, other: Tensor, second: int) -> Tensor:
    """UQI between a band of each, (B,)."""
    return uqi(one[:, band : band + 1], other[:, second : second + 1])
