r"""A colour prior on grey images and on images of other band counts.

**Grey.** The unknown stays one channel, so every statistic of the posterior counts it once. Grey noise of level
:math:`s` is the mean of independent noise of level :math:`\sqrt 3 s` in three channels, so

.. math:: D_{grey}(x, s) = \mathrm{mean}_c\, D_{rgb}(x \otimes 1, \sqrt 3 s).

Replicating the measurement instead tells the network a noise level :math:`\sqrt 3` too low for what averaging leaves:
on Lenna its answer is 2.8 dB worse at s = 0.05 and 6.7 dB worse at s = 0.2. Cost: one network evaluation, as in colour.

**Bands** are taken three at a time, in their order, and each group is denoised by itself; what is left over is grey:

.. math:: D(x, s) = [D_{rgb}(x_{1:3}, s), D_{rgb}(x_{4:6}, s), \dots, D_{grey}(x_n, s)]

The groups are independent under this prior: what one band says of another group's is not used. Cost: an evaluation a
group, all in one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from inverse.priors.card import Card
from inverse.priors.models.closed_form import Weighted, closed_form

__all__ = ["BandPrior", "GreyPrior"]


@dataclass(frozen=True)
class GreyPrior:
    """A denoiser of grey images made from one of colour images."""

    colour: Any  # ``D(x, sigma)`` for (B, C, H, W), with a card

    @property
    def card(self) -> Card:
        """The colour prior's card, for one channel: its noise levels shrink by the square root of its channels."""
        card: Card = self.colour.card
        root = (card.channels or 1) ** 0.5
        return card.model_copy(
            update={
                "channels": 1,
                "sigma_min": card.sigma_min / root,
                "sigma_max": card.sigma_max / root,
                "sigma_start": None if card.sigma_start is None else card.sigma_start / root,
            }
        )

    def __call__(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Posterior mean ``E[x0 | x]``: ``x`` (B, 1, H, W), ``sigma`` a scalar or (B,), data units."""
        channels: int = self.colour.card.channels
        level = torch.as_tensor(sigma, dtype=x.dtype, device=x.device) * channels**0.5
        grey: Tensor = self.colour(x.expand(-1, channels, -1, -1), level).mean(1, keepdim=True)
        return grey

    def closed_form(self, shape: Sequence[int], *, device: torch.device | str = "cpu") -> Weighted:
        """The laws of the mean of the channels of the colour prior's Gaussians."""
        inner = closed_form(self.colour, (int(self.colour.card.channels), *shape[1:]), device=device)
        return replace(inner, parts=[part.grey() for part in inner.parts])


@dataclass(frozen=True)
class BandPrior:
    """A denoiser of images of any number of bands made from one of colour images."""

    colour: Any  # ``D(x, sigma)`` for (B, 3, H, W), with a card
    bands: int

    @property
    def evaluations(self) -> int:
        """Network evaluations of one image: its groups."""
        return self.bands // 3 + self.bands % 3

    @property
    def card(self) -> Card:
        """The colour prior's card for so many bands; where one is left over, its noise levels hold for a grey image."""
        card: Card = self.colour.card
        root = 3**0.5 if self.bands % 3 else 1.0
        return card.model_copy(
            update={
                "channels": self.bands,
                "sigma_max": card.sigma_max / root,
                "sigma_start": None if card.sigma_start is None else card.sigma_start / root,
            }
        )

    def __call__(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Posterior mean ``E[x0 | x]``: ``x`` (B, bands, H, W), ``sigma`` a scalar or (B,), data units."""
        batch, whole = len(x), self.bands // 3 * 3
        level = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).expand(batch)
        groups = x[:, :whole].reshape(-1, 3, *x.shape[2:])
        single = x[:, whole:].reshape(-1, 1, *x.shape[2:]).expand(-1, 3, -1, -1)
        levels = [level.repeat_interleave(self.bands // 3), 3**0.5 * level.repeat_interleave(self.bands % 3)]
        answer = self.colour(torch.cat([groups, single]), torch.cat(levels))
        colour, grey = answer[: len(groups)], answer[len(groups) :].mean(1, keepdim=True)
        return torch.cat([colour.reshape(batch, whole, *x.shape[2:]), grey.reshape(batch, -1, *x.shape[2:])], dim=1)
