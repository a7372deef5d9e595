r"""Exact Gaussian-mixture priors: closed-form denoiser and Jacobian.

For :math:`x_0 \sim \sum_k w_k N(m_k, v_k I)` and :math:`x = x_0 + \sigma n`, with responsibilities
:math:`p_k \propto w_k N(x; m_k, (v_k + \sigma^2) I)` and :math:`D_k = m_k + \frac{v_k}{v_k + \sigma^2}(x - m_k)`:

.. math::
    D = \sum_k p_k D_k, \qquad
    J = \sum_k p_k \frac{v_k}{v_k + \sigma^2} I + \frac{1}{\sigma^2} \sum_k p_k (D_k - D)(D_k - D)^T

(the second by Tweedie: :math:`\sigma^2 J` is the mixture's covariance given ``x``). The mixture of ``methods.md`` 2.6
is one of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from inverse.errors import PriorError
from inverse.priors.card import Card
from inverse.priors.models.closed_form import Gaussian, Weighted

__all__ = ["MixturePrior"]


@dataclass(frozen=True)
class MixturePrior:
    """A mixture of isotropic Gaussians in any shape."""

    means: Tensor  # (M, *item shape)
    weights: Tensor  # (M,), positive; normalised here
    variances: Tensor  # (M,), data units squared
    name: str = "mixture"  # name on the card

    def __post_init__(self) -> None:
        count = len(self.means)
        if self.weights.shape != (count,) or self.variances.shape != (count,):
            raise PriorError(
                f"mixture of {count} means, {len(self.weights)} weights and {len(self.variances)} variances"
            )
        if bool((self.weights <= 0).any()) or bool((self.variances <= 0).any()):
            raise PriorError("mixture weights and variances must be above 0")

    @property
    def mean(self) -> Tensor:
        """Mean of the mixture (*item shape)."""
        weights = self.weights / self.weights.sum()
        return torch.einsum("k,k...->...", weights, self.means)

    @property
    def card(self) -> Card:
        """Its card; ``sigma_max`` is 10 times the largest standard deviation of a direction."""
        weights = self.weights / self.weights.sum()
        spread = weights.sqrt()[:, None] * (self.means - self.mean).flatten(1)
        within = float((weights * self.variances).sum())
        largest = float(torch.linalg.eigvalsh(spread @ spread.mT).max()) + within
        return Card(
            name=self.name,
            title="Exact Gaussian mixture",
            kind="mixture",
            licence="Apache-2.0",
            mean=float(self.mean.mean()),
            data_var=float(spread.square().sum(0).mean()) + within,
            sigma_min=1e-6,
            sigma_max=10 * largest**0.5,
        )

    def _responsibilities(self, x: Tensor, sigma: Tensor | float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Responsibilities (B, M) at ``x`` (B, d), ``v`` and ``sigma^2`` over their sum (1 or B, M), means (M, d)."""
        means, variances = self.means.to(x).flatten(1), self.variances.to(x)
        power = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).square().reshape(-1, 1)
        total = variances + power
        distance = x.square().sum(1, keepdim=True) - 2 * x @ means.mT + means.square().sum(1)
        log_p = self.weights.to(x).log() - 0.5 * (distance / total + x.shape[1] * total.log())
        return torch.softmax(log_p, dim=1), variances / total, power / total, means

    def __call__(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Posterior mean ``E[x0 | x]``: ``x`` (B, *item shape), ``sigma`` a scalar or (B,)."""
        # products in double precision: single would lose the distances, and offsets from every mean take B M d values
        flat = x.flatten(1).double()
        p, shrink, rest, means = self._responsibilities(flat, sigma)
        return ((p * rest) @ means + (p * shrink).sum(1, keepdim=True) * flat).to(x.dtype).reshape(x.shape)

    def jacobian(self, x: Tensor, v: Tensor, sigma: Tensor | float) -> Tensor:
        """``J(x, sigma) v``; ``J`` is symmetric. ``x`` and ``v`` (B, *item shape)."""
        flat, direction = x.flatten(1).double(), v.flatten(1).double()
        p, shrink, rest, means = self._responsibilities(flat, sigma)
        power = torch.as_tensor(sigma, dtype=flat.dtype, device=x.device).square().reshape(-1, 1)
        # D_k - D is rest_k (m_k - x) less its mean over k
        along = rest * (direction @ means.mT - (direction * flat).sum(1, keepdim=True))
        weight = p * rest * (along - (p * along).sum(1, keepdim=True)) / power
        spread = weight @ means - weight.sum(1, keepdim=True) * flat
        return ((p * shrink).sum(1, keepdim=True) * direction + spread).to(v.dtype).reshape(v.shape)

    def closed_form(self, shape: Sequence[int], *, device: torch.device | str = "cpu") -> Weighted:
        """Its Gaussians, float64, in the means' own shape."""
        double = partial(torch.as_tensor, dtype=torch.float64, device=device)
        weights = double(self.weights)
        parts = map(Gaussian, double(self.means), double(self.variances))
        return Weighted((weights / weights.sum()).log(), list(parts))

    def sample(self, noise: Tensor, uniform: Tensor) -> Tensor:
        """Turn unit noise (B, *item shape) and uniform numbers (B,) into draws of the prior."""
        edges = (self.weights / self.weights.sum()).cumsum(0)
        index = torch.searchsorted(edges, uniform.to(edges)).clamp_max(len(edges) - 1)
        std = self.variances[index].sqrt().to(noise).reshape(-1, *[1] * (noise.ndim - 1))
        return self.means[index].to(noise) + std * noise
