r"""Where sampling starts: ``m + sigma_max n``, with ``m`` what the posterior denoiser answers as the noise level grows without bound.

There the prior is its mean and covariance alone, so :math:`m = \mu + C A^T (A C A^T + \sigma_y^2)^{-1} (y - A \mu)`: no network evaluation.
``C`` is ``c I``, closed form for decomposable physics; but where pixels are missing and the card knows how fast the images' spectrum falls, ``C``
is stationary with power :math:`\propto (1 + k^2)^{-\alpha/2}` in the DCT-II (``k`` in half cycles per image), so that ``m`` is a smooth
interpolation and not a hole of the prior's mean: at a few tenths of the data's range the noise does not hide a wrong mean of a large area, and
the network believes it.
"""

from __future__ import annotations

import torch
from deepinv.physics import Inpainting
from torch import Tensor

from inverse.linalg import Vector, conjugate_gradients, scale
from inverse.observation import Observation, observed
from inverse.priors.card import Card

__all__ = ["initial_mean"]

ITERATIONS = 60


def initial_mean(observation: Observation, prior_mean: Tensor, card: Card) -> Tensor:
    """Start of each item (B, C, *S), data units."""
    centre = observation.empty() + prior_mean
    mask = observed(observation.physics, observation.y) if isinstance(observation.y, Tensor) else None
    holes = mask is not None and isinstance(observation.physics, Inpainting) and bool((mask == 0).any())
    if card.spectrum_exponent is None or not holes or centre.ndim != 4:
        variance = torch.full_like(observation.sigma, card.data_var)
        return centre + observation.gain(lambda: observation.residual(centre), variance, x=centre)
    from inverse.operators.dct import dct2, idct2

    rows, columns = (torch.arange(n, device=centre.device, dtype=centre.dtype) for n in centre.shape[-2:])
    power = (1 + rows[:, None] ** 2 + columns[None, :] ** 2) ** (-card.spectrum_exponent / 2)
    power = power * (card.data_var / power.mean())

    def coloured(x: Tensor) -> Tensor:
        return idct2(dct2(x) * power)

    def gram(v: Vector) -> Vector:
        return scale(v, observation.sigma**2) + observation.A(coloured(observation.AT(v)))

    # so many steps for every item, not a tolerance: a result must not hang on which side of one a rounding error falls
    v = conjugate_gradients(gram, observation.residual(centre), tolerance=1e-6, iterations=ITERATIONS)
    return centre + coloured(observation.AT(v))
