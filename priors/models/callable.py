"""Any callable as a prior: other data units are laid over it, and a network in it is computed elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inverse.errors import PriorError, UsageError
from inverse.priors.card import Card
from inverse.priors.models.closed_form import Weighted, closed_form

__all__ = ["CallablePrior", "Denoiser", "computed", "is_network", "ranged", "with_range"]

#: ``D(x, sigma) = E[x0 | x0 + sigma n = x]``: ``x`` (B, C, *S), ``sigma`` (B,).
Denoiser = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class CallablePrior:
    """Any denoiser, with another data range laid over it."""

    denoiser: Denoiser  # ``D(x, sigma)`` in its own units
    card: Card | None  # in data units; None where it has none
    scale: float = 1.0  # the denoiser's units in one data unit
    offset: float = 0.0  # data value at which they are 0

    def __call__(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Posterior mean in data units: ``decode(D(encode(x), scale * sigma))``."""
        level = torch.as_tensor(sigma, dtype=x.dtype, device=x.device) * self.scale
        try:
            answer: Any = self.denoiser((x - self.offset) * self.scale, level)
        except TypeError as error:
            if _takes_two(self.denoiser):
                raise
            raise PriorError(
                "the prior takes other arguments than images and a noise level",
                "allowed: D(x, sigma) = E[x0 | x0 + sigma n = x]",
            ) from error
        if not isinstance(answer, Tensor):
            if not isinstance(answer, np.ndarray) or answer.dtype.kind != "f":
                return answer  # type: ignore[no-any-return]  # the caller says what is wrong with it
            answer = torch.from_numpy(np.ascontiguousarray(answer)).to(x.device)
        mean: Tensor = answer / self.scale + self.offset
        return mean

    def compute(self, *, dtype: torch.dtype, device: torch.device | str) -> CallablePrior:
        """The same prior with its network, where it is one, in another precision or on another device."""
        if not is_network(self.denoiser):
            return self
        return replace(self, denoiser=computed(self.denoiser, dtype=dtype, device=device))

    def closed_form(self, shape: Sequence[int], *, device: torch.device | str = "cpu") -> Weighted:
        """The Gaussians of the denoiser, in data units."""
        inner = closed_form(self.denoiser, shape, device=device)
        return replace(inner, parts=[part.scaled(self.scale, self.offset) for part in inner.parts])


def _takes_two(denoiser: Any) -> bool:
    """Whether a callable can be given two arguments, as far as can be told."""
    try:
        signature(denoiser.forward if isinstance(denoiser, torch.nn.Module) else denoiser).bind(0, 0)
    except TypeError:
        return False
    except ValueError:  # of C, without a signature
        return True
    return True


def is_network(prior: Any) -> bool:
    """Whether a prior is a network, which can be computed in another precision and elsewhere."""
    return is_network(prior.denoiser) if isinstance(prior, CallablePrior) else callable(getattr(prior, "compute", None))


def computed(prior: Any, *, dtype: torch.dtype, device: torch.device | str) -> Any:
    """A prior, a network in the precision and on the device asked for."""
    return prior.compute(dtype=dtype, device=device) if is_network(prior) else prior


def ranged(card: Card, data_range: tuple[float, float] | None) -> Card:
    """The card of the same prior for data on another range; None leaves it as it is.

    Raises:
        UsageError: the range's end is not above its start.
    """
    if data_range is None or tuple(data_range) == card.data_range:
        return card
    (low, high), (old_low, old_high) = data_range, card.data_range
    if not high > low:
        raise UsageError(f"data range [{low:g}, {high:g}]", "allowed: [low, high] with low < high")
    ratio = (high - low) / (old_high - old_low)
    return card.model_copy(
        update={
            "data_range": (float(low), float(high)),
            "mean": low + (card.mean - old_low) * ratio,
            "data_var": card.data_var * ratio**2,
            "sigma_min": card.sigma_min * ratio,
            "sigma_max": card.sigma_max * ratio,
            "sigma_start": None if card.sigma_start is None else card.sigma_start * ratio,
        }
    )


def with_range(denoiser: Denoiser, data_range: tuple[float, float] | None) -> Any:
    """A denoiser in units where `data_range` stands for its card's range, (0, 1) without a card; None: as it is.

    Raises:
        UsageError: the range's end is not above its start.
    """
    card = getattr(denoiser, "card", None)
    own = card.data_range if card is not None else (0.0, 1.0)
    if data_range is None or tuple(data_range) == tuple(own):
        return denoiser if card is not None else CallablePrior(denoiser, None)
    (low, high), (own_low, own_high) = data_range, own
    if not high > low:
        raise UsageError(f"data range [{low:g}, {high:g}]", "allowed: [low, high] with low < high")
    scale = (own_high - own_low) / (high - low)
    return CallablePrior(denoiser, ranged(card, data_range) if card else None, scale, low - own_low / scale)
