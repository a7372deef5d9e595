r"""DDNM+: the range of the operator from the measurement, its null space from the prior.

Wang et al. 2023, "Zero-shot image restoration using denoising diffusion null-space model", ICLR, section 3.3.

.. math::
    \hat x = D + \Lambda A^+ (y - A D), \qquad
    x' = \hat x + \Phi^{1/2} (\sqrt{1 - \eta^2}\, e + \eta z), \quad e = (x - D) / \sigma

with :math:`\Lambda` so small that the measurement's noise fits in the next state, and :math:`\Phi` what is then missing
to :math:`\sigma'^2 I`:

* ``form="paper"``, decomposable physics: :math:`\Lambda_i = \min(1, s_i \sigma' / \sigma_y)` in the singular basis,
  :math:`\Phi_i = \sigma'^2 - \Lambda_i^2 \sigma_y^2 / s_i^2`: as much of the measurement as the noise allows, in every
  step again, so a direction that the operator weakens gets no fresh noise at all and follows the measurement's.
* ``form="filter"``, any linear operator, composed and stacked ones included, which upstream refuses: the Wiener
  filter :math:`\Lambda A^+ \to K = \sigma'^2 A^T (\sigma'^2 A A^T + \sigma_y^2)^{-1}`, and
  :math:`\Phi = \sigma'^2 I - \sigma_y^2 K K^T`. Closed form in a singular basis, where with :math:`t` the eigenvalue of
  ``K A`` it is :math:`\sigma'^2 (1 - t (1 - t))`; else drawn exactly by
  :math:`\sigma' z_1 + K (\sigma' A (z_2 - z_1) + \sigma_y z_3)`, whose variance is
  :math:`\sigma'^2 ((1 - t)^2 + t^2 + t (1 - t))`: the same. Two solves by conjugate gradients in one, no
  pseudo-inverse, so noisy deblurring works.

Deviations: no time travel; the measurement's noise level is each item's own. Cost: 1 F a step, and the solve's A and
    A^T.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from inverse.numerics.linalg import expand, scale
from inverse.numerics.rng import Rng
from inverse.operators.observation import Observation
from inverse.sampling.denoiser import Denoise
from inverse.sampling.loop import Context, Move, Sampler
from inverse.sampling.samplers.coupling import measurement_noise

__all__ = ["DDNM", "ddnm"]


@dataclass(frozen=True)
class DDNM(Sampler):
    """DDNM+ as a method."""

    form: str  # how much of the measurement a step takes: ``filter`` or ``paper``
    eta: float  # share of fresh noise

    def step(
        self,
        denoise: Denoise,
        x: Tensor,
        sigma: float,
        sigma_next: float,
        observation: Observation,
        rng: Rng,
        index: int,
        memory: Any,
    ) -> Move:
        """One network evaluation, one projection."""
        mean = denoise.estimate(x, sigma).mean
        if sigma_next == 0:
            return Move(mean, mean)
        noise = math.sqrt(1 - self.eta**2) / sigma * (x - mean)
        noise = noise + self.eta * rng.normal(x, step=index, stream="kernel")
        if observation.spectral:
            return self._spectral(mean, noise, sigma_next, observation)
        noise = sigma_next * noise
        other = sigma_next * rng.normal(x, step=index, stream="kernel", draw=1)
        unit = measurement_noise(observation, rng, step=index, stream="measurement")
        inside = observation.A(other - noise) + scale(unit, observation.sigma)
        variance = torch.full_like(observation.sigma, sigma_next**2)
        right = observation.residual(mean) + inside
        return Move(mean + noise + observation.gain(lambda: right, variance, x=mean), mean)

    def _spectral(self, mean: Tensor, noise: Tensor, sigma_next: float, observation: Observation) -> Move:
        physics = observation.physics
        s, d = physics.mask, physics.V_adjoint(mean)
        inverse = torch.where(s != 0, 1.0 / torch.where(s != 0, s, 1.0), 0.0)
        level = expand(observation.sigma, d) * inverse.abs()
        ratio = sigma_next / level.clamp_min(1e-30)
        trust = ratio.clamp_max(1.0) if self.form == "paper" else 1.0 / (1.0 + ratio.clamp_min(1e-15) ** -2)
        trust = torch.where(s != 0, trust, 0.0)
        moved = d + trust * (inverse * observation.projected() - d)
        fresh = (sigma_next**2 - (trust * level) ** 2).clamp_min(0.0).sqrt()
        return Move(physics.V(moved + fresh * physics.V_adjoint(noise)).to(mean.dtype), mean)


def ddnm(context: Context, *, form: str, eta: float) -> DDNM:
    """Compose DDNM+."""
    del context
    return DDNM(form, eta)
