r"""Where sampling starts, and through which noise levels it goes.

The start is ``m + sigma_max n``, with ``m`` what the posterior denoiser answers as the noise level grows without bound:
there the prior is its mean and covariance alone, so :math:`m = \mu + C A^T (A C A^T + \sigma_y^2)^{-1} (y - A \mu)`
with :math:`C = c I`: closed form for decomposable physics, no network evaluation; :math:`\mu` for a nonlinear operator.
Where pixels are missing and the card says that the images' spectrum falls, an independent prior would leave a hole of
the prior's mean: at a few tenths of the data's range the noise does not hide a wrong mean of a large area, and the
network believes it. There ``m`` is the smooth interpolation of a pyramid (pull-push, Gortler et al. 1996, section
3.4), each level the prior of the next finer one: within 1 dB of the posterior mean under a :math:`1/k^2` spectrum, at
the cost of two resamplings.

The noise levels go from the first to zero, in ratios of one size (``log``), or (``karras``) as
:math:`\sigma_i = (\sigma_{max}^{1/\rho} + i/(N-1) (\sigma_{min}^{1/\rho} - \sigma_{max}^{1/\rho}))^\rho`,
:math:`\rho = 7` (Karras et al. 2022, equation 5). Both end with 0, so ``N`` levels are ``N`` evaluations.
"""

from __future__ import annotations

import torch
from deepinv.physics import Inpainting
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from inverse.errors import RecipeError
from inverse.numerics.linalg import expand
from inverse.operators.observation import Observation, observed
from inverse.priors.card import Card

__all__ = ["COARSE", "initial_mean", "interpolated", "noise_levels"]

COARSE = 0.03  # weight of the coarser level against a pixel that was observed without noise


def initial_mean(observation: Observation, prior_mean: Tensor, card: Card) -> Tensor:
    """Start of each item (B, C, *S), data units."""
    centre = observation.empty() + prior_mean
    if not observation.linear:
        return centre
    mask = observed(observation.physics, observation.y) if isinstance(observation.y, Tensor) else None
    holes = mask is not None and isinstance(observation.physics, Inpainting) and bool((mask == 0).any())
    if card.spectrum_exponent is None or not holes or mask is None or centre.ndim != 4:
        variance = torch.full_like(observation.sigma, card.data_var)
        return centre + observation.gain(lambda: observation.residual(centre), variance, x=centre)
    coarse = expand(COARSE + observation.sigma**2 / card.data_var, centre)
    weight = mask.to(centre).expand_as(centre)
    return centre + interpolated(weight * (observation.y - centre), weight, coarse)


def interpolated(value: Tensor, weight: Tensor, coarse: Tensor) -> Tensor:
    """Smooth image from weighted values (B, C, H, W), zero where nothing was observed at all."""
    height, width = value.shape[-2:]
    if max(height, width) <= 2:
        total = weight.sum((-2, -1), keepdim=True)
        mean: Tensor = value.sum((-2, -1), keepdim=True) / torch.where(total > 0, total, 1.0)
        return mean.expand_as(value)
    odd = (0, width % 2, 0, height % 2)
    below = interpolated(avg_pool2d(pad(value, odd), 2), avg_pool2d(pad(weight, odd), 2), coarse)
    above = interpolate(below, scale_factor=2, mode="bilinear", align_corners=False)[..., :height, :width]
    return (value + coarse * above) / (weight + coarse)


def noise_levels(kind: str, *, sigma_max: float, sigma_min: float, steps: int) -> tuple[float, ...]:
    """``steps`` decreasing levels from ``sigma_max`` to ``sigma_min``, then 0; data units.

    Raises:
        RecipeError: the two ends are not in order.
    """
    if not 0 < sigma_min <= sigma_max:
        raise RecipeError(
            f"noise levels from sigma_max = {sigma_max:g} to sigma_min = {sigma_min:g}",
            "allowed: 0 < sigma_min <= sigma_max",
        )
    if steps == 1:
        return (sigma_max, 0.0)
    rho = 7.0
    if kind == "karras":
        first, last = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
        inner = [(first + i / (steps - 1) * (last - first)) ** rho for i in range(steps)]
    else:
        inner = [sigma_max * (sigma_min / sigma_max) ** (i / (steps - 1)) for i in range(steps)]
    return (*inner, 0.0)
