"""Intervals: of a mean over images by the bootstrap, and of a prediction from a few samples.

Of antithetic samples (`inverse.numerics.rng`), ``a`` and ``b`` a pair, the mean is that of the pairs' means, and the
variance of a draw is the mean of ``(a - b)^2 / 4`` plus the variance of the pairs' means: right on average whatever
their correlation. Of one pair alone the second is taken for 0. A last sample without its partner is left out.

The bootstrap is the bias-corrected and accelerated one (Efron, JASA 1987) of `scipy.stats.bootstrap`, with a fixed
seed: the same values give the same interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from inverse.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["EMPIRICAL", "interval_quantile", "mean_interval", "moments", "worth"]

#: Samples from which a quantile is an order statistic: fewer hold no 90 % interval (min to max of 38 is the least).
EMPIRICAL = 39

RESAMPLES = 4000


def mean_interval(values: Sequence[float], *, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Interval of content ``level`` of the mean of a population of which `values` is a sample: lower and upper end.

    Values that are not finite are left out. NaN for fewer than two; both ends the value itself where all are equal.
    """
    array = np.asarray(values, dtype=float)
    array = array[np.isfinite(array)]
    if array.size < 2:
        return math.nan, math.nan
    if np.ptp(array) <= 1e-12 * float(np.abs(array).max()):
        return float(array.min()), float(array.max())
    interval = stats.bootstrap(
        (array,),
        np.mean,
        confidence_level=level,
        n_resamples=RESAMPLES,
        batch=max(1, 1_000_000 // array.size),
        vectorized=True,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def worth(samples: int, *, antithetic: bool) -> int:
    """Independent samples with as many degrees of freedom: of antithetic ones one a pair, and one."""
    return samples // 2 + 1 if antithetic and samples > 1 else samples


def moments(samples: Any, *, antithetic: bool = False) -> tuple[Any, Any]:
    """Mean and variance of a draw, both (...), from two or more samples (K, ...) of torch or numpy."""
    if not antithetic:
        mean = samples.mean(0)
        return mean, ((samples - mean) ** 2).sum(0) / (len(samples) - 1)
    pairs = len(samples) // 2
    first, second = samples[0 : 2 * pairs : 2], samples[1 : 2 * pairs : 2]
    variance = ((first - second) ** 2).mean(0) / 4
    if pairs == 1:
        return (first + second)[0] / 2, variance
    mean, between = moments((first + second) / 2)
    return mean, variance + between


def interval_quantile(samples: Tensor, q: float, *, antithetic: bool = False) -> Tensor:
    """Predictive quantile ``q`` of samples (K, B, C, *S), as `inverse.Posterior.quantile`."""
    if not 0 < q < 1:
        raise UsageError(f"quantile {q:g}", "allowed: a number between 0 and 1")
    count = samples.shape[0]
    if count >= EMPIRICAL:
        # order statistic q (K + 1), interpolated (Hyndman & Fan 1996, type 6): its intervals cover what they say
        place = min(max(q * (count + 1) - 1, 0.0), count - 1.0)
        low, ordered = int(place), samples.sort(0).values
        return ordered[low].lerp(ordered[min(low + 1, count - 1)], place - low)
    if count < 2:
        raise UsageError("a quantile needs at least 2 samples, there is 1", "use samples=4 or more")
    count = worth(count, antithetic=antithetic)
    factor = float(stats.t.ppf(q, count - 1)) * (1 + 1 / count) ** 0.5
    mean, variance = moments(samples, antithetic=antithetic)
    bound: Tensor = mean + factor * variance.sqrt()
    return bound
