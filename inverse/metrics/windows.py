"""Metrics of sliding windows: SSIM, MS-SSIM, UQI, VIF, SCC.

torchmetrics computes them. Where pixels have no value, every window that holds one is left out of the mean, at every
scale: of SSIM and UQI torchmetrics gives the map, of the others the formula stands here again (``masked_...``). With
nothing left out these give torchmetrics' numbers, whose choices (windows, borders, constants) they follow.

* SSIM: Wang, Bovik, Sheikh and Simoncelli, IEEE Trans. Image Processing 2004.
* MS-SSIM: Wang, Simoncelli and Bovik, Asilomar 2003.
* UQI: Wang and Bovik, IEEE Signal Processing Letters 2002; here with SSIM's Gaussian window, as torchmetrics has it.
* VIF: the pixel version of Sheikh and Bovik, IEEE Trans. Image Processing 2006. Its noise variance of 2 is of values up
  to 255, to which the images are brought.
* SCC: Zhou, Civco and Silander, Int. J. Remote Sensing 1998: correlation of Laplacians.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d, pad
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    spatial_correlation_coefficient,
    structural_similarity_index_measure,
    universal_image_quality_index,
    visual_information_fidelity,
)

from inverse.metrics.registry import MS_SSIM_SIDE, SCC_WINDOW, SSIM_WINDOW, VIF_SIDE

__all__ = ["masked_ms_ssim", "masked_scc", "masked_vif", "ms_ssim", "scc", "ssim", "unspoilt", "uqi", "vif"]

VISUAL_NOISE = 2.0
#: Rows of UQI at a time.
STRIP = 64
#: Exponents of the five scales of MS-SSIM.
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def unspoilt(valid: Tensor, size: int) -> Tensor:
    """Which windows hold no pixel without a value: (..., H, W) bool to (..., H - size + 1, W - size + 1)."""
    return max_pool2d((~valid).float(), size, stride=1) == 0


def _blank(image: Tensor, valid: Tensor) -> Tensor:
    return image.where(valid, image.new_zeros(()))


def _mean(values: Tensor, inside: Tensor) -> Tensor:
    """Mean of each image over what is inside, (B,); NaN where nothing is."""
    inside = inside.expand_as(values)
    total = values.where(inside, values.new_zeros(())).flatten(1).sum(1)
    return (total / inside.flatten(1).sum(1)).float()


def ssim(prediction: Tensor, truth: Tensor, *, data_range: float = 1.0, valid: Tensor | None = None) -> Tensor:
    """Structural similarity of each image (B, C, H, W), averaged over channels, (B,).

    ``valid`` (B, 1 or C, H, W) bool is False where a pixel is left out; None: none is. NaN where the image is smaller
    than the window, or no window is without a pixel left out.
    """
    if min(truth.shape[-2:]) < SSIM_WINDOW:
        return truth.new_full((truth.shape[0],), float("nan"))
    if valid is not None:
        prediction, truth = _blank(prediction, valid), _blank(truth, valid)
    output = structural_similarity_index_measure(
        prediction.float(),
        truth.float(),
        sigma=1.5,
        data_range=data_range,
        reduction="none",
        return_full_image=valid is not None,
    )
    if valid is None:
        values: Tensor = output
        return values.reshape(-1)
    edge = SSIM_WINDOW // 2
    inside = unspoilt(pad(valid.float(), [edge] * 4, mode="reflect") > 0, SSIM_WINDOW)
    return _mean(output[1], inside)


def ms_ssim(prediction: Tensor, truth: Tensor, *, data_range: float = 1.0, valid: Tensor | None = None) -> Tensor:
    """Multi-scale structural similarity of each image; arguments as those of `ssim`, NaN below `MS_SSIM_SIDE`."""
    if min(truth.shape[-2:]) < MS_SSIM_SIDE:
        return truth.new_full((truth.shape[0],), float("nan"))
    if valid is not None:
        return masked_ms_ssim(prediction, truth, data_range=data_range, valid=valid)
    values: Tensor = multiscale_structural_similarity_index_measure(
        prediction.float(), truth.float(), sigma=1.5, data_range=data_range, reduction="none"
    )
    return values.reshape(-1)


def uqi(prediction: Tensor, truth: Tensor, *, data_range: float = 1.0, valid: Tensor | None = None) -> Tensor:
    """Universal quality index of each image; arguments as those of `ssim`.

    It divides variances, so it is computed in float64, and in strips of rows, because float64 convolutions take memory.
    """
    if min(truth.shape[-2:]) < SSIM_WINDOW:
        return truth.new_full((truth.shape[0],), float("nan"))
    if valid is not None:
        prediction, truth = _blank(prediction, valid), _blank(truth, valid)
    strips = []
    for first in range(0, truth.shape[-2] - SSIM_WINDOW + 1, STRIP):
        rows = slice(first, first + STRIP + SSIM_WINDOW - 1)
        images = (image[..., rows, :].double() for image in (prediction, truth))
        strips.append(universal_image_quality_index(*images, reduction="none"))
    quality = torch.cat(strips, -2)
    return quality.flatten(1).mean(1).float() if valid is None else _mean(quality, unspoilt(valid, SSIM_WINDOW))


def vif(prediction: Tensor, truth: Tensor, *, data_range: float = 1.0, valid: Tensor | None = None) -> Tensor:
    """Visual information fidelity, mean over channels; arguments as those of `ssim`; NaN below `VIF_SIDE` pixels."""
    if min(truth.shape[-2:]) < VIF_SIDE:
        return truth.new_full((truth.shape[0],), float("nan"))
    if valid is not None:
        images = (image.double() * (255 / data_range) for image in (prediction, truth))
        return masked_vif(*images, valid=valid, noise=VISUAL_NOISE)
    images = (image.float() * (255 / data_range) for image in (prediction, truth))
    values: Tensor = visual_information_fidelity(*images, sigma_n_sq=VISUAL_NOISE, reduction="none")
    return values.reshape(-1)


def scc(prediction: Tensor, truth: Tensor, *, data_range: float = 1.0, valid: Tensor | None = None) -> Tensor:
    """Spatial correlation coefficient of each image, mean over windows and channels; arguments as those of `ssim`."""
    if min(truth.shape[-2:]) < SCC_WINDOW:
        return truth.new_full((truth.shape[0],), float("nan"))
    if valid is not None:
        return masked_scc(prediction, truth, valid=valid, window=SCC_WINDOW)
    values: Tensor = spatial_correlation_coefficient(
        prediction.float(), truth.float(), window_size=SCC_WINDOW, reduction="none"
    )
    return values.reshape(-1)


def _gaussian(size: int, sigma: float) -> Tensor:
    """(size,) float64, sum 1."""
    axis = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    line = torch.exp(-axis.square() / (2 * sigma**2))
    return line / line.sum()


def _filtered(image: Tensor, line: Tensor) -> Tensor:
    """(N, 1, H, W) by a separable filter, windows inside the image; one axis at a time, which takes least memory."""
    return conv2d(conv2d(image, line[None, None, :, None]), line[None, None, None])


def _moments(one: Tensor, other: Tensor, line: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Windowed means, variances (at least 0) and covariance of (N, 1, H, W) images."""
    mean, mean_other = _filtered(one, line), _filtered(other, line)
    var = (_filtered(one.square(), line) - mean.square()).clamp(min=0)
    var_other = (_filtered(other.square(), line) - mean_other.square()).clamp(min=0)
    return mean, mean_other, var, var_other, _filtered(one * other, line) - mean * mean_other


def _each(prediction: Tensor, truth: Tensor, valid: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Prediction and truth, (C, 1, H, W) float64, zero where nothing is known, and what is inside, of each image."""
    for image, true, counts in zip(prediction, truth, valid, strict=True):
        inside = counts.bool().expand_as(true)
        yield (image.double() * inside)[:, None], (true.double() * inside)[:, None], inside[:, None]


def masked_ms_ssim(prediction: Tensor, truth: Tensor, *, data_range: float, valid: Tensor) -> Tensor:
    """Multi-scale structural similarity: ``prod_j cs_j^w_j``, at the coarsest scale SSIM itself.

    Arguments as those of `ssim`; NaN where no window of a scale is without a pixel left out.
    """
    kernel, edge = _gaussian(SSIM_WINDOW, 1.5), [SSIM_WINDOW // 2] * 4
    low, high = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    values = []
    for one, other, inside in _each(prediction, truth, valid):
        value = torch.ones((), dtype=torch.float64)
        for scale, weight in enumerate(WEIGHTS):
            if scale:
                one, other = avg_pool2d(one, 2), avg_pool2d(other, 2)
                inside = max_pool2d((~inside).float(), 2) == 0
            last = scale == len(WEIGHTS) - 1
            planes = one, other, inside.double()
            left, right, counts = (pad(plane, edge, mode="reflect") if last else plane for plane in planes)
            mean, mean_other, var, var_other, cov = _moments(left, right, kernel)
            similar = (2 * cov + high) / (var + var_other + high)
            if last:
                similar = similar * (2 * mean * mean_other + low) / (mean.square() + mean_other.square() + low)
            value = value * similar[unspoilt(counts > 0, SSIM_WINDOW)].mean().relu() ** weight
        values.append(value)
    return torch.stack(values).float()


def masked_vif(prediction: Tensor, truth: Tensor, *, valid: Tensor, noise: float) -> Tensor:
    """Visual information fidelity, pixel version: information of the prediction about the scene over that of the truth.

    Arguments as those of `ssim`, with values up to 255, and the variance of the visual noise. The mean over channels;
    NaN where a channel has no window.
    """
    tiny, values = 1e-10, []
    for one, other, inside in _each(prediction, truth, valid):
        told, known = torch.zeros(len(one), dtype=torch.float64), torch.zeros(len(one), dtype=torch.float64)
        for scale in range(4):
            size = 2 ** (4 - scale) + 1
            kernel = _gaussian(size, size / 5)
            if scale:
                one, other = (_filtered(part, kernel)[..., ::2, ::2] for part in (one, other))
                inside = unspoilt(inside, size)[..., ::2, ::2]
            _, _, var, var_truth, cov = _moments(one, other, kernel)
            gain = cov / (var_truth + tiny)
            rest = var - gain * cov
            flat, dark, against = var_truth < tiny, var < tiny, gain < 0
            rest = torch.where(flat | (against & ~dark), var, rest).where(~dark, torch.zeros_like(rest)).clamp(min=tiny)
            gain = gain.where(~(flat | dark | against), torch.zeros_like(gain))
            var_truth = var_truth.where(~flat, torch.zeros_like(var_truth))
            seen = unspoilt(inside, size)
            told += (torch.log10(1 + gain.square() * var_truth / (rest + noise)) * seen).flatten(1).sum(1)
            known += (torch.log10(1 + var_truth / noise) * seen).flatten(1).sum(1)
        values.append((told / known).mean())
    return torch.stack(values).float()


def masked_scc(prediction: Tensor, truth: Tensor, *, valid: Tensor, window: int) -> Tensor:
    """Mean correlation of the Laplacians in windows of a side, 0 where one of them is flat.

    Arguments as those of `ssim`; beyond the borders the Laplacians are 0.
    """
    laplacian = torch.full((1, 1, 3, 3), -1.0, dtype=torch.float64)
    laplacian[..., 1, 1] = 8
    box = torch.full((window,), 1 / window, dtype=torch.float64)
    sides = [window // 2, (window - 1) // 2] * 2
    values = []
    for one, other, inside in _each(prediction, truth, valid):
        edges = [2 * conv2d(pad(part, [1] * 4, mode="replicate"), laplacian) for part in (one, other)]
        sharp = unspoilt(pad(inside.float(), [1] * 4, mode="replicate") > 0, 3)
        blank = [pad(part * sharp, sides) for part in edges]
        _, _, var, var_other, cov = _moments(blank[0], blank[1], box)
        scale = (var * var_other).sqrt()
        value = torch.where(scale > 0, cov / scale.clamp(min=torch.finfo(scale.dtype).tiny), torch.zeros_like(cov))
        values.append(value[unspoilt(pad(sharp.float(), sides, value=1.0) > 0, window)].mean())
    return torch.stack(values).float()
