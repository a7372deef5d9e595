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

#: Share of the noise's power on a flat image that a denoiser may leave.
LEFT = 0.5


def infer_card(prior: Callable[[Tensor, Tensor], Tensor], like: Tensor, counter: Counter) -> tuple[Card, Tensor]:
    """Card and mean (1, C, *S) of a bare denoiser of images like ``like`` (1, C, *S).

    Raises:
        PriorError: its covariance at a large noise level is not finite and positive.
    """
    denoise, rng = Denoise(prior, counter), Rng(0, ("",), (0,))
    product = _product(denoise, like)
    level, bounded = 1e2, False
    for _ in range(4):
        level *= 10 if level == 1e2 else 100
        centre = denoise.estimate(torch.zeros_like(like), level).mean

        def covariance(v: Tensor, centre: Tensor = centre, level: float = level) -> Tensor:
            return level**2 * product(centre, level, v)

        start = rng.normal(like, step=0, stream="power")
        largest = float(largest_eigenvalue(covariance, start))
        bounded = not largest > 1e-3 * level**2
        if bounded:
            break
    probes = [rng.signs(like, step=0, stream="probe", draw=i) for i in range(8)]
    variance = float(torch.stack([inner(z, covariance(z)) for z in probes]).mean()) / like.numel()
    point = largest == 0 and variance == 0
    if (not bounded or point) and bool(torch.isfinite(centre).all()):
        return _assumed(denoise, like, rng)
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


def _product(denoise: Denoise, like: Tensor) -> Callable[[Tensor, float, Tensor], Tensor]:
    """The prior's Jacobian at a state and a level, times a vector: by autograd, else by a difference along it.

    At these levels a denoiser is close to linear, so the difference is taken over a distance of the level's size.
    """

    def by_autograd(centre: Tensor, level: float, v: Tensor) -> Tensor:
        return denoise.estimate(centre, level, grad=True).vjp(v)

    def by_difference(centre: Tensor, level: float, v: Tensor) -> Tensor:
        size = float(v.abs().amax())
        if not 0 < size < float("inf"):
            return torch.zeros_like(v)
        reach = level / size
        ahead, behind = (denoise.estimate(centre + sign * reach * v, level).mean for sign in (1, -1))
        return (ahead - behind) / (2 * reach)

    try:
        denoise.estimate(torch.zeros_like(like), 1.0, grad=True)
    except PriorError as error:
        if "differentiated" not in error.message:
            raise
        return by_difference
    return by_autograd


def _assumed(denoise: Denoise, like: Tensor, rng: Rng) -> tuple[Card, Tensor]:
    """The card of a denoiser whose images have no bounds (total variation, a median filter) or are a single one.

    They are taken to be in [0, 1].

    Raises:
        PriorError: It is no denoiser: the noise that is put on a flat image is there again.
    """
    flat = torch.full_like(like, 0.5)
    noise = rng.normal(like, step=0, stream="check")
    left = []
    for level in (0.05, 0.2):
        answer = denoise.estimate(flat + level * noise, level).mean
        left.append(float((answer - answer.mean()).square().mean() / (level * noise).square().mean()))
    if not min(left) < LEFT:
        raise PriorError(
            f"the prior does not denoise: of the noise on a flat image it leaves {100 * min(left):.0f} % of the power",
            "allowed: D(x, sigma) = E[x0 | x0 + sigma n = x]; or give it a card: an attribute 'card'",
        )
    card = Card(
        name="callable",
        title="A denoiser without a card, of images in [0, 1]",
        kind="callable",
        licence="the caller's",
        mean=0.5,
        data_var=0.0625,
        sigma_min=1e-3,
        sigma_max=1.0,
    )
    return card, flat
