r"""DDRM: one rule for each coordinate of the operator's singular basis (Kawar et al. 2022, NeurIPS, equations 7 and 8).

With :math:`\bar x = V^T x`, :math:`\bar y = \Sigma^+ U^T y`, :math:`\sigma_i = \sigma_y / s_i`, :math:`c` the prior's
variance, :math:`D` the denoiser's answer and :math:`z` white pixel noise seen in the basis:

* :math:`s_i = 0` or :math:`\sigma_i > 3 \sqrt c`:
  :math:`\bar x' = \bar D + \sqrt{1 - \eta^2}\,\sigma' (\bar x - \bar D)/\sigma + \eta \sigma' \bar z`
* :math:`\sigma' < \sigma_i`:
  :math:`\bar x' = \bar D + \sqrt{1 - \eta^2}\,\sigma' (\bar y - \bar D)/\sigma_i + \eta \sigma' \bar z`
* :math:`\sigma' \ge \sigma_i`:
  :math:`\bar x' = (1 - \eta_b) \bar D + \eta_b \bar y + \sqrt{\sigma'^2 - \eta_b^2 \sigma_i^2}\, \bar z`

Deviations: noise is drawn in pixels and transformed (a half-spectrum drawn as such has the wrong variance), the
measurement is not written to, and the noise level may differ between items. A coordinate in which the measurement is
far noisier than the prior is wide counts as not measured: the paper's second rule would make the measurement's noise,
the same at every step, the noise of the state, which the denoiser then takes for image (means 1 to 2 standard
deviations off on a blur). Under-dispersed by construction: the variance of ``x0`` given the state is nowhere in it.
Cost: 1 F a step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from inverse.numerics.linalg import expand
from inverse.numerics.rng import Rng
from inverse.operators.observation import Observation
from inverse.sampling.denoiser import Denoise
from inverse.sampling.loop import Context, Move, Sampler

__all__ = ["DDRM", "ddrm"]


#: Standard deviations of a pixel beyond which a coordinate's noise makes it unmeasured; 1 loses the coarse coordinates
#: of an image, which vary more.
WIDE = 3.0


@dataclass(frozen=True)
class DDRM(Sampler):
    """DDRM as a method."""

    eta: float  # share of fresh noise where the measurement is noisier than the state, or absent
    eta_b: float  # weight of the measurement where it is sharper than the state
    data_var: float  # the prior's variance, data units squared

    def schedule(self, levels: tuple[float, ...], *, resolved: float, linear: bool) -> tuple[float, ...]:
        """The levels with the last at half of ``resolved``, spaced as they were (Karras et al. 2022, in sigma^(1/7)).

        Below it every further step pulls the measured coordinates toward the measurement again, and the spread is lost.
        """
        del linear
        first, last = levels[0] ** (1 / 7), levels[-2] ** (1 / 7)
        if len(levels) < 3 or not levels[-2] < resolved / 2 < levels[0]:
            return levels
        low = (resolved / 2) ** (1 / 7)
        shifted = [first + (level ** (1 / 7) - first) * (low - first) / (last - first) for level in levels[:-1]]
        return (*(value**7 for value in shifted), 0.0)

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
        """One network evaluation, one update of every coordinate."""
        mean = denoise.estimate(x, sigma).mean
        if sigma_next == 0:
            return Move(mean, mean)
        physics = observation.physics
        s = physics.mask
        d, state = physics.V_adjoint(mean), physics.V_adjoint(x)
        z = physics.V_adjoint(rng.normal(x, step=index, stream="kernel"))
        seen = s != 0
        inverse = torch.where(seen, 1.0 / torch.where(seen, s, 1.0), 0.0)
        target = inverse * observation.projected()
        level = expand(observation.sigma, d) * inverse.abs()
        keep = math.sqrt(1 - self.eta**2) * sigma_next
        fresh = self.eta * sigma_next * z
        unseen = d + keep / sigma * (state - d) + fresh
        noisy = d + keep * (target - d) / level.clamp_min(1e-30) + fresh
        spread = (sigma_next**2 - (self.eta_b * level) ** 2).clamp_min(0.0).sqrt()
        sharp = (1 - self.eta_b) * d + self.eta_b * target + spread * z
        told = seen & (level <= WIDE * math.sqrt(self.data_var))
        moved = torch.where(told, torch.where(level > sigma_next, noisy, sharp), unseen)
        return Move(physics.V(moved).to(x.dtype), mean)


def ddrm(context: Context, *, eta: float, eta_b: float) -> DDRM:
    """Compose DDRM."""
    return DDRM(eta, eta_b, context.data_var)
