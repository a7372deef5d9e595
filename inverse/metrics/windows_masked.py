"""MS-SSIM, VIF and SCC where pixels have no value: every window that holds one is left out, at every scale.

With nothing left out they are torchmetrics' numbers, whose choices (windows, borders, constants) they follow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inverse.metrics.windows import SSIM_WINDOW, unspoilt

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ms_ssim", "scc", "vif"]

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales (Wang, Simoncelli and Bovik 2003)."""


def _gaussian(size: int, sigma: float) -> Tensor:
    """(size,) float64, sum 1."""
    import torch

    axis = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    line = torch.exp(-axis.square() / (2 * sigma**2))
    return line / line.sum()


def _filtered(image: Tensor, line: Tensor) -> Tensor:
    """(N, 1, H, W) by a separable filter, windows inside the image; one axis at a time, which takes least memory."""
    from torch.nn.functional import conv2d

    return conv2d(conv2d(image, line[None, None, :, None]), line[None, None, None])


def _moments(one: Tensor, other: Tensor, line: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Windowed means, variances (at least 0) and covariance of (N, 1, H, W) images."""
    mean, mean_other = _filtered(one, line), _filtered(other, line)
    var = (_filtered(one.square(), line) - mean.square()).clamp(min=0)
    var_other = (_filtered(other.square(), line) - mean_other.square()).clamp(min=0)
    return mean, mean_other, var, var_other, _filtered(one * other, line) - mean * mean_other


def _planes(image: Tensor, inside: Tensor) -> Tensor:
    """(C, H, W) as (C, 1, H, W) float64, zero where nothing is known."""
    return (image.double() * inside)[:, None]


def _each(prediction: Tensor, truth: Tensor, valid: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Prediction, truth and what is inside, (C, 1, H, W), of each image."""
    parts = []
    for one, other, known in zip(prediction, truth, valid, strict=True):
        inside = known.bool().expand_as(other)
        parts.append((_planes(one, inside), _planes(other, inside), inside[:, None]))
    return parts


def ms_ssim(prediction: Tensor, truth: Tensor, *, data_range: float, valid: Tensor) -> Tensor:
    """Multi-scale structural similarity: ``prod_j cs_j^w_j``, at the coarsest scale SSIM itself.

    Args:
        prediction: (B, C, H, W).
        truth: (B, C, H, W).
        data_range: The range, in the images' units.
        valid: (B, 1 or C, H, W) bool.

    Returns:
        (B,); NaN where no window of a scale is without a pixel left out.
    """
    import torch
    from torch.nn.functional import avg_pool2d, max_pool2d, pad

    kernel, edge = _gaussian(SSIM_WINDOW, 1.5), [SSIM_WINDOW // 2] * 4
    low, high = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    found = []
    for one, other, inside in _each(prediction, truth, valid):
        value = torch.ones((), dtype=torch.float64)
        for scale, weight in enumerate(WEIGHTS):
            if scale:
                one, other = avg_pool2d(one, 2), avg_pool2d(other, 2)
                inside = max_pool2d((~inside).float(), 2) == 0
            last = scale == len(WEIGHTS) - 1
            sides = (pad(part, edge, mode="reflect") if last else part for part in (one, other, inside.double()))
            left, right, known = sides
            mean, mean_other, var, var_other, cov = _moments(left, right, kernel)
            similar = (2 * cov + high) / (var + var_other + high)
            if last:
                similar = similar * (2 * mean * mean_other + low) / (mean.square() + mean_other.square() + low)
            value = value * similar[unspoilt(known > 0, SSIM_WINDOW)].mean().relu() ** weight
        found.append(value)
    return torch.stack(found).float()


def vif(prediction: Tensor, truth: Tensor, *, valid: Tensor, noise: float) -> Tensor:
    """Visual information fidelity, pixel version: information of the prediction about the scene over that of the truth.

    Args:
        prediction: (B, C, H, W), values up to 255.
        truth: (B, C, H, W), the same.
        valid: (B, 1 or C, H, W) bool.
        noise: Variance of the visual noise.

    Returns:
        (B,), mean over channels; NaN where a channel has no window.
    """
    import torch

    tiny, found = 1e-10, []
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
        found.append((told / known).mean())
    return torch.stack(found).float()


def scc(prediction: Tensor, truth: Tensor, *, valid: Tensor, window: int) -> Tensor:
    """Mean correlation of the Laplacians in windows; 0 where one of them is flat.

    Args:
        prediction: (B, C, H, W).
        truth: (B, C, H, W).
        valid: (B, 1 or C, H, W) bool.
        window: Its side; beyond the borders the Laplacians are 0.

    Returns:
        (B,).
    """
    import torch
    from torch.nn.functional import conv2d, pad

    laplacian = torch.full((1, 1, 3, 3), -1.0, dtype=torch.float64)
    laplacian[..., 1, 1] = 8
    box = torch.full((window,), 1 / window, dtype=torch.float64)
    sides = [window // 2, (window - 1) // 2] * 2
    found = []
    for one, other, inside in _each(prediction, truth, valid):
        edges = [2 * conv2d(pad(part, [1] * 4, mode="replicate"), laplacian) for part in (one, other)]
        sharp = unspoilt(pad(inside.float(), [1] * 4, mode="replicate") > 0, 3)
        blank = [pad(part * sharp, sides) for part in edges]
        _, _, var, var_other, cov = _moments(blank[0], blank[1], box)
        scale = (var * var_other).sqrt()
        value = torch.where(scale > 0, cov / scale.clamp(min=torch.finfo(scale.dtype).tiny), torch.zeros_like(cov))
        found.append(value[unspoilt(pad(sharp.float(), sides, value=1.0) > 0, window)].mean())
    return torch.stack(found).float()
