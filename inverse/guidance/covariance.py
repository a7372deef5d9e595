r"""Type I guidance with a Gaussian model of :math:`p(x_0 | x)`: PiGDM (Song et al. 2023, "Pseudoinverse-guided diffusion models", ICLR).

.. math::
    \hat x = D + \sigma^2 J^T A^T (r^2 A A^T + \sigma_y^2)^{-1} (y - A D)

* ``covariance="card"``: :math:`r^2 = \sigma^2 c / (\sigma^2 + c)` with ``c`` the prior's variance in data units squared (the paper's
  :math:`\sigma^2 / (1 + \sigma^2)` is this for unit-variance data, and wrong for others).
* ``covariance="residual"``: :math:`r^2 = (\lVert y - A D \rVert^2 - m \sigma_y^2) / \lVert A \rVert_F^2`, each item's own, held between
  0.1 and 1 times :math:`\sigma^2`: how wrong ``D`` is shows in the measurement. Not in the paper; it needs no constant of the prior. The lower end
  is for stability: where the image is rough :math:`\sigma^2 J` is larger than its mean, and below it the correction overshoots
  (at 0.01 speckles appear in single places of an inpainted photograph).

The solve is closed form for decomposable physics, else conjugate gradients. Cost: 1 F, 1 V a step, and the solve's A and A^T.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inverse.context import Context
from inverse.denoise import Denoise
from inverse.linalg import expand, inner
from inverse.observation import Observation
from inverse.samplers.kernels import kernel as reverse_kernel
from inverse.samplers.reverse import GuidedMethod

__all__ = ["pigdm", "prior_variance"]

FLOOR = 0.1


def prior_variance(sigma: float, data_var: float) -> float:
    """Variance of ``x0`` given the noisy state, for a white Gaussian prior of variance ``data_var``."""
    return sigma**2 * data_var / (sigma**2 + data_var)


def pigdm(context: Context, *, covariance: str, data_var: float | None, kernel: str, eta: float) -> GuidedMethod:
    """Compose PiGDM for a prior and an operator."""
    c = context.data_var if data_var is None else data_var

    def guidance(denoise: Denoise, x: Tensor, sigma: float, sigma_next: float, observation: Observation) -> Tensor:
        estimate = denoise.estimate(x, sigma, grad=True)
        variance = torch.full_like(observation.sigma, prior_variance(sigma, c))
        if covariance == "residual":
            residual = observation.residual(estimate.mean)
            excess = inner(residual, residual) - observation.count().to(variance) * observation.sigma**2
            variance = (excess / observation.row_power).clamp(FLOOR * sigma**2, sigma**2)
        pull = observation.gain(lambda: observation.residual(estimate.mean), variance, x=estimate.mean)
        return estimate.mean + estimate.vjp(pull) * expand(sigma**2 / variance, x)

    return GuidedMethod(guidance, reverse_kernel(kernel, eta=eta))
