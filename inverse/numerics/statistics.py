"""Bootstrap intervals of a mean over images.

The bias-corrected and accelerated bootstrap (Efron, JASA 1987) of `scipy.stats.bootstrap`, with a fixed seed: the same
values give the same interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["mean_interval"]

RESAMPLES = 4000


def mean_interval(values: Sequence[float], *, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Interval of the mean of a population of which `values` is a sample.

    Args:
        values: One an image; those that are not finite are left out.
        level: Content of the interval.
        seed: Of the resampling; the global random state is not touched.

    Returns:
        Lower and upper end, NaN for fewer than two values; both the value itself where all are equal.
    """
    import numpy as np
    from scipy.stats import bootstrap

    array = np.asarray(values, dtype=float)
    array = array[np.isfinite(array)]
    if array.size < 2:
        return math.nan, math.nan
    if np.ptp(array) <= 1e-12 * float(np.abs(array).max()):
        return float(array.min()), float(array.max())
    found = bootstrap(
        (array,),
        np.mean,
        confidence_level=level,
        n_resamples=RESAMPLES,
        batch=max(1, 1_000_000 // array.size),
        vectorized=True,
        method="BCa",
        rng=np.random.default_rng(seed),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
