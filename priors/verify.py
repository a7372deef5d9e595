r"""The check of a prior: whether its file is what its card says, and what it opens to a denoiser.

Two evaluations on a smooth ramp with noise. With much noise the answer is near the mean: the law of total variance
gives :math:`E|D - m|^2 \le v` for the variance ``v`` of the images. With little it is near its input:
:math:`E|D(x) - x|^2 \le \sigma^2`. Both bounds are taken three times as wide. Two percent of the noise is added to
the first, because a network that predicts the noise answers with its error times the noise level; one percent of the
images' standard deviation to the second, for the network's precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from inverse.errors import PriorError
from inverse.priors.card import Card
from inverse.priors.catalogue import find
from inverse.priors.header import digest
from inverse.priors.open import open_prior, open_tensors
from inverse.priors.weights import read_tensors

__all__ = ["Verified", "denoises", "verify"]


@dataclass(frozen=True)
class Verified:
    """A prior that is in order; distances are over the images' standard deviation."""

    name: str
    where: str  # it was found
    sha256: str | None  # of its weights, where it has any
    tensors: int  # how many
    numbers: int  # how many values they hold
    far: float  # of the answer from the mean, at the largest noise
    near: float  # of the answer from the input, at the smallest noise


def verify(name: str) -> Verified:
    """Check a prior by name or file: size, hash, header, shapes, finite values, and that it denoises.

    Raises:
        PriorError: What is wrong first.
    """
    found = find(name)
    card = found.card
    if found.where == "remote":
        raise PriorError(f"prior '{card.name}' is not on this machine", f"get it: inverse prior add {card.name}")
    tensors = {}
    if found.weights is None:
        prior = open_prior(name)
    else:
        tensors = read_tensors(found.weights, sha256=card.sha256, bytes=card.bytes)
        prior = open_tensors(card, tensors)
    far, near = denoises(prior, card)
    sha256 = card.sha256 or (digest(found.weights) if found.weights else None)
    numbers = sum(value.numel() for value in tensors.values())
    return Verified(card.name, found.where, sha256, len(tensors), numbers, far, near)


@torch.no_grad()
def denoises(prior: Any, card: Card) -> tuple[float, float]:
    """``far`` and ``near`` of `Verified`, for a prior that is what its card says.

    Raises:
        PriorError: It does not run, or an answer is farther off than a denoiser's.
    """
    size = -(-max(card.minimum_size, 32) // card.stride) * card.stride
    std = card.data_var**0.5
    noise = torch.randn(
        1, card.channels or 1, size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float32
    )
    image = card.mean + std * torch.linspace(-1.0, 1.0, size, dtype=torch.float32).expand_as(noise)

    def rms(x: torch.Tensor) -> float:
        return float(x.square().mean().sqrt() / std)

    noisy = image + card.sigma_max * noise, image + card.sigma_min * noise
    try:
        answers = prior(noisy[0], card.sigma_max), prior(noisy[1], card.sigma_min)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise PriorError(f"prior '{card.name}' opens but does not run: {' '.join(str(error).split())[:160]}") from error
    far, near = rms(answers[0] - card.mean), rms(answers[1] - noisy[1])
    bound = 3.0 + 0.02 * card.sigma_max / std
    if not far <= bound:
        raise PriorError(
            f"prior '{card.name}': at noise {card.sigma_max:g} its answer is {far:.3g} standard deviations from its "
            f"mean; allowed: {bound:.3g}",
            "its range, mean, data_var or noise range on the card is not that of the weights",
        )
    if not near <= 3.0 * card.sigma_min / std + 0.01:
        raise PriorError(
            f"prior '{card.name}': at noise {card.sigma_min:g} it changes its input by {near * std:.3g}; "
            "allowed: three times the noise",
            "its range, noise range or parametrisation on the card is not that of the weights",
        )
    return far, near
