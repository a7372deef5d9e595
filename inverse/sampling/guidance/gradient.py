r"""DPS: the gradient of the data misfit, through the network (Chung et al. 2023, "Diffusion posterior sampling", ICLR).

With :math:`r = y - A D(x, \sigma)` and :math:`g = J^T A^T r`:

* ``form="paper"``: after a DDPM step, :math:`x' \leftarrow x' - \zeta \nabla_{x_t} \lVert y - A D \rVert` (algorithm
  1; plain norm, VP state on [-1, 1] data). In this package's state it is
  :math:`-(\zeta / \gamma) \sqrt{(1 + \gamma^2\sigma^2)(1 + \gamma^2\sigma'^2)}\, \nabla_x \lVert r \rVert`, with
  :math:`\gamma` the model units in one data unit; written as a posterior denoiser, so that any kernel runs it. The
  noise level never enters.
* ``form="consistent"``: :math:`\hat x = D + \sigma^2 g / \sigma_{eff}^2`,
  :math:`\sigma_{eff}^2 = \sigma_y^2 + s_{max}^2 r_\sigma^2` with :math:`r_\sigma^2 = \sigma^2 c / (\sigma^2 + c)`: the
  type I guidance with the scalar bound :math:`A C A^T \le s_{max}^2 r_\sigma^2`. No tuned constant; the correction does
  not overshoot the measurement (:func:`inverse.sampling.guidance.covariance.bounded`).

Deviations from the paper's code: the norm is each item's own (upstream's couples the batch), and nothing is clamped.
Cost: 1 F, 1 V, 1 A (consistent: 2), 1 A^T a step.
"""

from __future__ import annotations

import math

from torch import Tensor

from inverse.errors import RecipeError
from inverse.numerics.linalg import expand, norm, scale
from inverse.operators.observation import Observation
from inverse.sampling.denoiser import Denoise
from inverse.sampling.guidance.covariance import bounded, prior_variance
from inverse.sampling.kernels import kernel as reverse_kernel
from inverse.sampling.loop import Context, GuidedMethod

__all__ = ["dps"]


def dps(context: Context, *, form: str, zeta: float, kernel: str, eta: float) -> GuidedMethod:
    """Compose DPS for a prior and an operator.

    Raises:
        RecipeError: the paper's form, which is made for one kernel, with another.
    """
    if form == "paper" and kernel != "ddim":
        raise RecipeError(f"dps in its paper form with kernel '{kernel}'", "allowed: kernel ddim, or form consistent")

    def consistent(denoise: Denoise, x: Tensor, sigma: float, sigma_next: float, observation: Observation) -> Tensor:
        estimate = denoise.estimate(x, sigma, grad=True)
        variance = prior_variance(sigma, context.data_var)
        weight = sigma**2 / (observation.sigma**2 + observation.s_max**2 * variance)
        residual = observation.residual(estimate.mean)
        pull = observation.pull(estimate.mean, residual)
        return bounded(observation, estimate.mean, estimate.vjp(pull) * expand(weight, x), residual)

    def paper(denoise: Denoise, x: Tensor, sigma: float, sigma_next: float, observation: Observation) -> Tensor:
        estimate = denoise.estimate(x, sigma, grad=True)
        residual = observation.residual(estimate.mean)
        size = norm(residual)
        direction = estimate.vjp(observation.pull(estimate.mean, scale(residual, 1.0 / size.clamp_min(1e-12))))
        gain = context.gain
        vp = math.sqrt((1 + (gain * sigma) ** 2) * (1 + (gain * sigma_next) ** 2))
        share = 1 - (1 - eta**2 * (1 - sigma_next**2 / sigma**2)) ** 0.5 * sigma_next / sigma
        moved: Tensor = estimate.mean + direction * (zeta * vp / gain / share)
        return moved

    return GuidedMethod(paper if form == "paper" else consistent, reverse_kernel(kernel, eta=eta))
