r"""Stationary Gaussian fields, and mixtures of them, learned from images: closed-form denoiser, Jacobian and draws.

The covariance between pixels is given by the channels' autocovariances :math:`r_{ab}(d)`, even along both axes and zero
from ``L`` pixels on, so its spectrum

.. math:: S_{ab}(f) = \sum_{d_1, d_2 = 0}^{L - 1} m_{d_1} m_{d_2}\, r_{ab}(d) \cos(2 \pi f_1 d_1) \cos(2 \pi f_2 d_2),
    \qquad m_0 = 1,\ m_d = 2,

is known at every frequency: an image of any size is served. On H x W pixels it is taken at
:math:`f = (k_1 / 2H, k_2 / 2W)`, the frequencies of the DCT-II, which makes :math:`\Sigma = T^T S T` the covariance
of a field that goes on mirrored beyond its frame (Martucci 1994): nothing wraps around, and away from the frame, by
``L`` at most, the covariance is :math:`r(d)`. At the frame itself an image's own variance adds to that of its mirror
image (:math:`r(0) + r(2 i + 1)` along an axis): the prior is wider there. Each frequency's C x C matrix keeps the
correlation of the channels. One component is the Gaussian prior; with several, of responsibilities
:math:`p_k \propto w_k N(x; \mu, \Sigma_k + \sigma^2)` and
:math:`D_k = \mu + \Sigma_k (\Sigma_k + \sigma^2)^{-1} (x - \mu)`,

.. math:: D = \sum_k p_k D_k, \qquad J = \sum_k p_k \Sigma_k (\Sigma_k + \sigma^2)^{-1}
    + \frac{1}{\sigma^2} \sum_k p_k (D_k - D)(D_k - D)^T.

Exact. Cost: one DCT pair, and K of them for a mixture; no network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from inverse.errors import PriorError
from inverse.priors.card import Card
from inverse.priors.models.closed_form import Gaussian, Weighted

__all__ = ["FieldPrior", "spectrum"]

KEPT_SIZES = 4  # of images whose Gaussians are kept


def spectrum(autocovariance: Tensor, height: int, width: int) -> Tensor:
    """``S`` (C, C, H, W) at the frequencies of a DCT-II, from the autocovariance at lags from 0 (C, C, L, L)."""

    def cosines(size: int) -> Tensor:
        lags = torch.arange(autocovariance.shape[-1], dtype=autocovariance.dtype, device=autocovariance.device)
        steps = torch.arange(size, dtype=lags.dtype, device=lags.device)
        matrix = 2 * torch.cos(math.pi / size * steps[:, None] * lags)
        matrix[:, 0] = 1
        return matrix

    return cosines(height) @ autocovariance @ cosines(width).T


@dataclass(frozen=True)
class FieldPrior:
    """A stationary Gaussian field, or a mixture of such."""

    card: Card
    mean: Tensor  # (C, 1, 1)
    weights: Tensor  # (K,), positive, sum 1
    autocovariance: Tensor  # (K, C, C, L, L), data units squared, of non-negative spectrum
    _sizes: dict[tuple[int, int, str], Weighted] = field(default_factory=dict, repr=False, compare=False)

    def closed_form(self, shape: Sequence[int], *, device: torch.device | str = "cpu") -> Weighted:
        """Its components on an image of ``shape`` (C, H, W), float64.

        Raises:
            PriorError: other channels, or not an image.
        """
        if len(shape) != 3 or shape[0] != len(self.mean):
            size = " x ".join(str(n) for n in shape)
            raise PriorError(f"prior '{self.card.name}' is of images with {len(self.mean)} channels, this is {size}")
        key = (int(shape[1]), int(shape[2]), str(device))
        if key not in self._sizes:
            while len(self._sizes) >= KEPT_SIZES:
                self._sizes.pop(next(iter(self._sizes)))
            self._sizes[key] = self._on(*key)
        return self._sizes[key]

    def _on(self, height: int, width: int, device: str) -> Weighted:
        mean = self.mean.to(device=device, dtype=torch.float64)
        parts = []
        for each in self.autocovariance.to(device=device, dtype=torch.float64):
            matrices = spectrum(each, height, width)
            if len(matrices) == 1:
                values, rotation = matrices[0], None
            else:
                eigenvalues, vectors = torch.linalg.eigh(matrices.permute(2, 3, 0, 1))
                values, rotation = eigenvalues.permute(2, 0, 1), vectors.permute(2, 3, 0, 1).contiguous()
            # sums of cosines in single precision end a little below 0 where the spectrum is small
            parts.append(Gaussian(mean, values.clamp_min(1e-7 * float(values.mean())).contiguous(), "dct", rotation))
        return Weighted(self.weights.to(device=device, dtype=torch.float64).log(), parts)

    def _posterior(self, x: Tensor, sigma: Tensor | float) -> tuple[Tensor, list[Tensor], list[Gaussian], Tensor]:
        """Responsibilities (B, K), the components' means, the components, and ``sigma^2`` with trailing axes."""
        weighted = self.closed_form(x.shape[1:], device=x.device)
        parts = list(weighted.parts)
        power = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).square().reshape(-1, 1, 1, 1)
        means, logs = [], []
        for part in parts:
            values, mean = part.values.to(x), part.mean.to(x)
            z = part.coordinates(x - mean)
            means.append(mean + part.image(z * (values / (values + power))))
            if len(parts) > 1:
                total = values.double() + power.double()
                logs.append(-0.5 * (z.double().square() / total + total.log()).flatten(1).sum(1))
        if len(means) == 1:
            return x.new_ones(len(x), 1), means, parts, power
        p = torch.softmax(torch.stack(logs, 1) + weighted.log_weights, 1).to(x.dtype)
        return p, means, parts, power

    def __call__(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Posterior mean ``E[x0 | x]``: ``x`` (B, C, H, W), ``sigma`` a scalar or (B,)."""
        p, means, _, _ = self._posterior(x, sigma)
        return means[0] if len(means) == 1 else torch.einsum("bk,kbchw->bchw", p, torch.stack(means))

    def jacobian(self, x: Tensor, v: Tensor, sigma: Tensor | float) -> Tensor:
        """``J(x, sigma) v``; ``J`` is symmetric. ``x`` and ``v`` (B, C, H, W)."""
        p, means, parts, power = self._posterior(x, sigma)
        filtered = torch.stack([part.apply(v, part.values.to(v) / (part.values.to(v) + power)) for part in parts])
        offsets = torch.stack(means) - torch.einsum("bk,kbchw->bchw", p, torch.stack(means))
        along = torch.einsum("kbchw,bchw->bk", offsets, v)
        spread = torch.einsum("bk,bk,kbchw->bchw", p, along, offsets) / power
        return torch.einsum("bk,kbchw->bchw", p, filtered) + spread

    def sample(self, noise: Tensor, uniform: Tensor) -> Tensor:
        """Turn unit noise (B, C, H, W) and uniform numbers (B,) into draws of the prior."""
        weighted = self.closed_form(noise.shape[1:], device=noise.device)
        edges = weighted.log_weights.exp().cumsum(0)
        index = torch.searchsorted(edges, uniform.to(edges)).clamp_max(len(edges) - 1)
        chosen = [weighted.parts[k] for k in index]
        return torch.cat([part.mean.to(noise) + part.draw(n[None]) for part, n in zip(chosen, noise, strict=True)])
