r"""The measures of a denoiser: PSNR, the calibration of its own variance, and the span of its residual.

* **PSNR** of :math:`D(x_0 + \sigma n, \sigma)`, not clipped; of complex images, that of the magnitude, the noise
  being of level :math:`\sigma` in each part.
* **Calibration**: by Tweedie's second formula (Efron 2011) the variance of what is left is
  :math:`\mathrm{Cov}[x_0 | x] = \sigma^2 J`. Measured :math:`\lVert D - x_0 \rVert^2` over predicted
  :math:`\sigma^2 \mathrm{tr} J` (Rademacher probes, Hutchinson 1990) is 1 for a denoiser whose Jacobian can be taken
  for a covariance, as every guidance of higher order does.
* **Residual**: :math:`\lVert x - D \rVert / (\sigma \sqrt d)`, the norm of the score in units of noise. It is below 1
  on images like those of the training, and above where the image has what the prior takes for noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from inverse.priors.training.corpus import Corpus
from inverse.priors.training.draws import generator

__all__ = ["LEVELS", "calibration", "denoising_psnr", "magnitude", "residual_span", "squares"]

#: Noise levels of denoising tables, in 8-bit units.
LEVELS = (15.0, 25.0, 50.0)


def squares(corpus: Corpus, side: int = 256) -> list[Tensor]:
    """Each image, or its centre of ``side`` pixels, (1, C, h, w), data units; magnitudes as complex of phase 0."""
    rows = []
    for i in range(len(corpus.images)):
        value = corpus.value(i)
        top, left = (max(0, (n - side) // 2) for n in value.shape[-2:])
        value = value[None, :, top : top + side, left : left + side]
        if corpus.complex and value.shape[1] == 1:
            value = torch.cat([value, torch.zeros_like(value)], dim=1)
        rows.append(value)
    return rows


def magnitude(value: Tensor) -> Tensor:
    """(B, 2, H, W) parts to (B, 1, H, W)."""
    return value.square().sum(1, keepdim=True).sqrt()


def _noisy(image: Tensor, level: float, index: int) -> Tensor:
    noise = torch.randn(image.shape, generator=generator(round(1e4 * level), index), dtype=torch.float32)
    return image + level * noise


@torch.no_grad()
def denoising_psnr(
    denoiser: Any,
    images: Sequence[Tensor],
    *,
    levels: Sequence[float] = LEVELS,
    complex: bool = False,  # noqa: A002
) -> dict[str, float]:
    """Mean PSNR in dB (peak 1) of images (1, C, H, W) on [0, 1], of complex ones that of the magnitude.

    Noise levels are in 8-bit units.
    """
    scores = {}
    for level in levels:
        total = 0.0
        for i, clean in enumerate(images):
            estimate = denoiser(_noisy(clean, level / 255, i), level / 255).float()
            error = magnitude(estimate) - magnitude(clean) if complex else estimate - clean
            total += float(-10.0 * error.square().mean().log10())
        scores[f"{level:g}"] = round(total / len(images), 3)
    return scores


def calibration(
    denoiser: Any, images: Sequence[Tensor], *, levels: Sequence[float], probes: int = 1
) -> dict[str, tuple[float, float]]:
    """Measured over predicted variance of what is left, and its jackknife error over images, by 8-bit noise level."""
    ratios = {}
    for level in levels:
        sigma = level / 255
        rows = torch.tensor(
            [_left(denoiser, clean, sigma, i, probes) for i, clean in enumerate(images)], dtype=torch.float64
        )
        total, count = rows.sum(0), len(rows)
        ratio = float(total[0] / total[1])
        without = (total[0] - rows[:, 0]) / (total[1] - rows[:, 1])
        error = float("nan")
        if count > 1:
            error = float(((count - 1) / count * (without - without.mean()).square().sum()).sqrt())
        ratios[f"{level:g}"] = (round(ratio, 3), round(error, 3))
    return ratios


def _left(denoiser: Any, clean: Tensor, sigma: float, index: int, probes: int) -> tuple[float, float]:
    """Measured and predicted mean square of what a denoiser leaves of one image."""
    x = _noisy(clean, sigma, index).requires_grad_()
    with torch.enable_grad():
        estimate = denoiser(x, sigma)
    rng, trace = generator(7, index), 0.0
    for _ in range(probes):
        probe = torch.randint(0, 2, x.shape, generator=rng).to(x.dtype) * 2 - 1
        (product,) = torch.autograd.grad(estimate, x, probe, retain_graph=True)
        trace += float((probe * product).mean()) / probes
    return float((estimate.detach() - clean).square().mean()), sigma**2 * trace


@torch.no_grad()
def residual_span(
    denoiser: Any, images: Sequence[Tensor], *, levels: Sequence[float]
) -> dict[str, tuple[float, float]]:
    """Smallest and largest residual over the noise among images, by noise level in 8-bit units."""
    spans = {}
    for level in levels:
        ratios = []
        for i, clean in enumerate(images):
            x = _noisy(clean, level / 255, i)
            ratios.append(float((x - denoiser(x, level / 255)).square().mean().sqrt()) * 255 / level)
        spans[f"{level:g}"] = (round(min(ratios), 3), round(max(ratios), 3))
    return spans
