r"""A card for a prior that has none: scale and noise range read off the denoiser itself.

At a noise level far above the data, :math:`\sigma^2 J` is the prior's covariance (Tweedie) and ``D`` its mean. Its
largest eigenvalue comes from power iteration, its trace from keyed Rademacher probes;
:math:`\sigma_{max} = 10 \sqrt{\lambda_{max}}`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from inverse.errors import PriorError
from inverse.numerics.linalg import inner, largest_eigenvalue
from inverse.numerics.rng import Rng
from inverse.operators.observation import Counter
from inverse.priors.card import Card
from inverse.sampling.denoiser import Denoise

__all__ = ["infer_card"]


def infer_card(prior: Callable[[Tensor, Tensor], Tensor], like: Tensor, counter: Counter) -> tuple[Card, Tensor]:
    """Card and mean (1, C, *S) of a bare denoiser of images like ``like`` (1, C, *S).

    Raises:
        PriorError: its covariance at a large noise level is not finite and positive.
    """
    denoise, rng = Denoise(prior, counter), Rng(0, ("",), (0,))
    level = 1e3
    for _ in range(4):
        centre = denoise.estimate(torch.zeros_like(like), level).mean

        def covariance(v: Tensor, centre: Tensor = centre, level: float = level) -> Tensor:
            return level**2 * denoise.estimate(centre, level, grad=True).vjp(v)

        start = rng.normal(like, step=0, stream="power")
        largest = float(largest_eigenvalue(covariance, start))
        if not largest > 1e-3 * level**2:
            break
        level *= 100
    probes = [rng.signs(like, step=0, stream="probe", draw=i) for i in range(8)]
    variance = float(torch.stack([inner(z, covariance(z)) for z in probes]).mean()) / like.numel()
    if not (0 < variance < float("inf") and 0 < largest < float("inf")):
        raise PriorError(
            f"the prior's covariance at sigma = {level:g} has largest eigenvalue {largest:g} and mean {variance:g}",
            "give it a card: an attribute 'card' of type inverse.priors.card.Card",
        )
    card = Card(
        name="callable",
        title="A denoiser without a card",
        kind="callable",
        licence="the caller's",
        mean=float(centre.mean()),
        data_var=variance,
        sigma_min=1e-6 * largest**0.5,
        sigma_max=10 * largest**0.5,
    )
    return card, centre
