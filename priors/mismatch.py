r"""The mismatch of a prior and data: channels and range on its card, and what it takes for noise on the way of a run.

A denoiser leaves :math:`\lVert x - D(x, \sigma) \rVert / (\sigma \sqrt d)`, the norm of its score in units of the
noise, of a state :math:`x = x_0 + \sigma n`: below 1 on images like those of its training, whose card holds the span.
Where the measurement holds an image the prior does not know, the state is pulled towards what the prior takes for
noise, and the residual is above that span. It is read off the evaluations that a run makes anyway: none is added. The
largest ratio of residual to the card's upper end, over the levels of a run, is its *surprise*; above 1 + `SLACK` it
is said.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from inverse.priors.card import Card

__all__ = ["SLACK", "Surprise", "foreign", "upper"]

#: How far above the card's span a residual may be: the states of a guided sampler are not exactly image plus noise.
SLACK = 0.2


def upper(card: Card, sigma: float) -> float | None:
    """Upper end of the residual at a noise level in data units, between the card's levels; None beyond them."""
    level = sigma * card.gain
    rows = sorted((float(key), span[1]) for key, span in card.residual.items())
    for (low, first), (high, second) in pairwise(rows):
        if low <= level <= high:
            share = math.log(level / low) / math.log(high / low)
            return first + share * (second - first)
    return None


class Surprise:
    """The largest residual of each state of a batch over the card's, so far; a card without a span says nothing."""

    def __init__(self, card: Card) -> None:
        self._card = card
        self.values: Tensor | None = None

    def note(self, x: Tensor, mean: Tensor, sigma: float) -> None:
        """Take note of a denoised state: ``x`` and ``mean`` (B, C, *S)."""
        top = upper(self._card, sigma) if self._card.residual else None
        if top is None:
            return
        ratio = (x - mean).flatten(1).square().mean(1).sqrt() / (sigma * top)
        if self.values is not None and self.values.shape == ratio.shape:
            ratio = ratio.maximum(self.values)
        self.values = ratio


def foreign(card: Card, *, channels: int, low: float, high: float, outside: float) -> str:
    """What is foreign to a prior in an image of values from `low` to `high`, in one sentence; empty where nothing is.

    `outside` is the fraction of the values clearly outside the prior's range.
    """
    trained = card.images or f"images of {card.channels} channels"
    first, last = card.data_range
    other_channels = card.channels is not None and channels not in (card.channels, 1)
    if not other_channels and outside <= 0.01:
        return ""
    bands = "" if channels == card.channels else "one band, " if channels == 1 else f"{channels} bands, "
    text = (
        f"this prior was trained on {trained} in [{first:g}, {last:g}]; these data are {bands}{low:.3g} to {high:.3g}"
    )
    if outside > 0.01:
        return f"{text}: {100 * outside:.0f} % of the values are outside, set data.range"
    return f"{text}: denoised band group by band group"
