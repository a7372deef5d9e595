r"""Noise of values that were clipped: its level, and what is left of it in values that were not.

Of :math:`z \sim N(0, 1)`, a value ``a`` above the lower limit and ``b`` below the upper one (in noise levels):

* clipped to the limits it has the variance of a censored normal number (Tobin 1958);
* where it was not clipped :math:`E[z^2] = 1 - (a \phi(a) + b \phi(b)) / (\Phi(b) - \Phi(-a))`: less than 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from inverse.operators.noise.models import estimate_sigma

__all__ = ["estimate_clipped_sigma", "unclipped_mean", "unclipped_square"]

#: Side of the means, distances in levels, how many pixels are enough and their share, iterations.
_AROUND, _MARGINS, _ENOUGH, _SHARE, _ROUNDS = 7, (2.0, 1.5, 1.0, 0.5), 2000, 0.05, 8
#: Levels from a limit beyond which nothing changes, and those beyond it past which the ratio of two tiny numbers is.
_FAR, _BEYOND = 8.0, -5.0


def estimate_clipped_sigma(y: Tensor, bounds: Tensor, valid: Tensor | None = None) -> float:
    """As `estimate_sigma`, of an image whose noisy values were clipped.

    Values that were not clipped have less noise than there is near a limit. So pixels are chosen by the mean around
    them, as far from the limits as there are enough, and the level is divided by what clipping leaves of it there.

    Args:
        y: (1, C, H, W).
        bounds: 1 where clipped from above, -1 from below, else 0, of its shape.
        valid: 1 where there is a value, broadcasts against ``y``; None: everywhere.

    Returns:
        The level; NaN where too few neighbours were observed.
    """
    seen = torch.ones_like(y, dtype=torch.bool) if valid is None else (valid > 0).expand(y.shape)
    level = float(estimate_sigma(y, mask=(seen & (bounds == 0)).to(y))[0])
    if not level > 0:
        return level
    low = float(y[bounds < 0].max()) if bool((bounds < 0).any()) else -math.inf
    high = float(y[bounds > 0].min()) if bool((bounds > 0).any()) else math.inf
    around = avg_pool2d(y.double(), _AROUND, 1, _AROUND // 2, count_include_pad=False)
    for margin in _MARGINS:
        inside = torch.minimum(around - low, high - around) > margin * level
        whole = (inside & seen).all(1, keepdim=True)
        if int(whole.sum()) >= max(_ENOUGH, _SHARE * whole.numel()):
            break
    else:
        return level
    raw = float(estimate_sigma(y, mask=whole.to(y))[0])
    for _ in range(_ROUNDS if raw > 0 else 0):
        ends = [((gap / level).clamp(max=8.0))[whole.expand_as(gap)] for gap in (around - low, high - around)]
        level = raw / math.sqrt(float(_variance(*ends).mean()))
    return level


def _variance(below: Tensor, above: Tensor) -> Tensor:
    """Variance of a standard normal number that is clipped so far below and above its mean."""
    tails = [torch.special.ndtr(-end) for end in (below, above)]
    heights = [torch.exp(-0.5 * end**2) / math.sqrt(2 * math.pi) for end in (below, above)]
    mean = above * tails[1] - below * tails[0] + heights[0] - heights[1]
    square = below**2 * tails[0] + above**2 * tails[1] + 1 - tails[0] - tails[1]
    variance: Tensor = square - below * heights[0] - above * heights[1] - mean**2
    return variance


def unclipped_square(image: Tensor, y: Tensor, bounds: Tensor, sigma: Tensor) -> Tensor:
    """Expected square of the noise, in units of its variance, of values that were not clipped.

    Args:
        image: (B, C, H, W), what was measured without its noise.
        y: (B, C, H, W); its limits are its values where it was clipped.
        bounds: 1 where clipped from above, -1 from below; others are neither. Broadcasts against ``y``.
        sigma: (B,).

    Returns:
        (B, C, H, W), at most 1; 1 far from the limits.
    """
    below, above, inside = _room(image, y, bounds, sigma)
    lost = sum(end * torch.exp(-0.5 * end**2) / math.sqrt(2 * math.pi) for end in (below, above))
    left: Tensor = 1 - lost / inside
    return left.clamp(0.0, 1.0).to(y)


def unclipped_mean(image: Tensor, y: Tensor, bounds: Tensor, sigma: Tensor) -> Tensor:
    """Expected noise, in units of its level, of values that were not clipped; as `unclipped_square`."""
    below, above, inside = _room(image, y, bounds, sigma)
    heights = [torch.exp(-0.5 * end**2) / math.sqrt(2 * math.pi) for end in (below, above)]
    mean: Tensor = (heights[0] - heights[1]) / inside
    return mean.to(y)


def _room(image: Tensor, y: Tensor, bounds: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Noise levels from an image down and up to the limits, and the share of noise that stays within them."""
    level = sigma.double().reshape(-1, 1, 1, 1)
    low = torch.where(bounds == -1, y, -math.inf).amax((2, 3), keepdim=True).double()
    high = torch.where(bounds == 1, y, math.inf).amin((2, 3), keepdim=True).double()
    below, above = ((gap / level).clamp(_BEYOND, _FAR) for gap in (image.double() - low, high - image.double()))
    inside = torch.special.ndtr(above) - torch.special.ndtr(-below)
    return below, above, inside.clamp_min(1e-12)
