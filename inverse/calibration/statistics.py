r"""Do intervals hold what they say? Statistics of posteriors beside the truth, on arrays.

Everything starts from one number a value: the *level needed*, that of the smallest central interval that holds the
truth (`needed_levels`). Of a calibrated posterior it is uniform on [0, 1], so the coverage of level L is the share of
values that need at most L. Pixels of an image are not independent: every curve is a mean of images, and its uncertainty
a bootstrap that draws images (Davison & Hinkley 1997, section 3.8), never pixels.

* ``stretch``: how many times as wide the 90 % intervals would have to be to hold 90 %; above 1 they are too narrow,
  the posterior is overconfident.
* ``z_std``: standard deviation of the truth's normal scores :math:`\pm\Phi^{-1}((1 + L)/2)`. They are used because
  :math:`(x - \bar s)/s` of K samples is Student's, whose variance :math:`(K - 1)/(K - 3)` does not even exist for 3.
* ``spread_skill``: root mean square error of the mean beside the predicted one, in bins of the standard deviation s.
  The mean of K samples is off by its own error too, so the prediction is :math:`s \sqrt{1 + 1/K}` (Fortin et al. 2014,
  J. Hydrometeorology 15:1708).
* ``chi2``: given y, truth and sample of a calibrated posterior are drawn alike, so
  :math:`E |y - A s|^2 / \sigma^2 = E |y - A x|^2 / \sigma^2 = m` over measurements: 1 a value for each sample, whatever
  the prior. For the mean it is less by what was fitted, :math:`1 - (1 - 1/K)\, \mathrm{tr}(A P A^T) / (\sigma^2 m)`; of
  a white Gaussian prior that trace over :math:`\sigma^2` is the sum of ``data_share``, which is what is taken for the
  expectation of the mean's.
* ``range_null``: error and spread split into what the data determine, R e, and the rest, e - R e
  (`inverse.posterior.posterior`). From a folder, where there is no operator, squares are weighted with ``data_share``
  and its complement: the same for masks, for which R is diagonal; of other operators it tells well measured pixels from
  badly measured ones, not the two spaces.

TARP and ranks are in `inverse.calibration.ranks`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from inverse.errors import InputError
from inverse.numerics.statistics import EMPIRICAL

__all__ = [
    "LEVELS",
    "Curve",
    "Prediction",
    "coverage",
    "needed_levels",
    "normal_scores",
    "range_null",
    "spread_skill",
    "stretch",
    "student_factor",
]

Array = NDArray[np.floating[Any]]
LEVELS = (*(round(0.05 * step, 2) for step in range(1, 20)), 0.99)
RESAMPLES = 2000
WIDEST = 1 - 1e-9
NOTHING = (math.nan, math.nan)


def student_factor(level: float, count: int) -> float:
    """Half width over std of the central interval for one more normal draw after ``count``; 0: both are known."""
    if count == 0:
        return float(stats.norm.ppf((1 + level) / 2))
    return float(stats.t.ppf((1 + level) / 2, count - 1)) * math.sqrt(1 + 1 / count)


@dataclass(frozen=True)
class Prediction:
    """What a posterior says of an image, and what is true."""

    item: str
    truth: Array  # (C, *S), data units
    mean: Array  # posterior mean (C, *S)
    std: Array  # standard deviation (C, *S), as delivered
    count: int  # samples that mean and std are of; 0 where the method knows them
    samples: Array | None = None  # (K, C, *S); None where they were not kept
    #: Levels and half widths over std of recalibrated intervals; None: Student's of ``count``, from 39 on order
    #: statistics.
    table: tuple[Sequence[float], Sequence[float]] | None = None
    share: Array | None = None  # ``data_share`` (C, *S)
    misfit: float = math.nan  # chi^2 / m of the samples; NaN where it is not known
    misfit_mean: float = math.nan  # chi^2 / m of the mean
    measured: int = 0  # m; 0 where it is not known
    determine: Callable[[Array], Array] | None = None  # R, where the operator is at hand

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together."""
        for name in ("mean", "std", "samples", "share"):
            value = getattr(self, name)
            shape = None if value is None else value.shape[1:] if name == "samples" else value.shape
            if shape not in (None, self.truth.shape):
                raise InputError(
                    f"{self.item}: {name} {shape}, truth {self.truth.shape}", "give the truth of that size"
                )

    @property
    def error(self) -> Array:
        """Truth minus mean."""
        return self.truth.astype(np.float64) - self.mean

    def halfwidth(self, level: float) -> Array:
        """Half width of the central interval of a level (C, *S)."""
        if self._empirical:
            assert self.samples is not None
            # order statistics q (K + 1), interpolated (Hyndman & Fan 1996, type 6)
            low, high = np.quantile(self.samples, ((1 - level) / 2, (1 + level) / 2), axis=0, method="weibull")
            return np.asarray((high - low) / 2)
        factor = student_factor(level, self.count) if self.table is None else table_factor(level, *self.table)
        return np.asarray(factor * self.std)

    @property
    def _empirical(self) -> bool:
        return self.table is None and self.samples is not None and self.count >= EMPIRICAL


def table_factor(level: float, levels: Sequence[float], factors: Sequence[float]) -> float:
    """A factor of recalibrated intervals between the levels of a table; beyond its last it grows as a normal one's."""
    if level > levels[-1]:
        return float(factors[-1] * stats.norm.ppf((1 + level) / 2) / stats.norm.ppf((1 + levels[-1]) / 2))
    return float(np.interp(level, (0.0, *levels), (0.0, *factors)))


def needed_levels(prediction: Prediction) -> Array:
    """Level of the smallest central interval that holds the truth, (n,) in [0, 1]; 1 where none does."""
    if prediction._empirical:
        assert prediction.samples is not None
        return _needed_of_samples(prediction.samples, prediction.truth)
    std = np.maximum(prediction.std, np.finfo(np.float32).tiny).astype(np.float64)
    width = np.abs(prediction.error / std).ravel()
    if prediction.table is not None:
        levels, factors = prediction.table
        inside = np.interp(width, (0.0, *factors), (0.0, *levels))
        tail = 2 * stats.norm.cdf(width / factors[-1] * stats.norm.ppf((1 + levels[-1]) / 2)) - 1
        return np.asarray(np.where(width > factors[-1], tail, inside))
    if prediction.count == 0:
        return np.asarray(2 * stats.norm.cdf(width) - 1)
    scaled = width / math.sqrt(1 + 1 / prediction.count)
    return np.asarray(2 * stats.t.cdf(scaled, prediction.count - 1) - 1)


def _needed_of_samples(samples: Array, truth: Array) -> Array:
    count = len(samples)
    ordered, value = np.sort(samples.reshape(count, -1), axis=0), truth.ravel()
    below = (ordered <= value).sum(0)
    place = np.clip(below, 1, count - 1)
    low, high = (np.take_along_axis(ordered, index[None], 0)[0] for index in (place - 1, place))
    share = (value - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
    needed = np.abs(2 * (place + np.clip(share, 0, 1)) / (count + 1) - 1)
    return np.where((value < ordered[0]) | (value > ordered[-1]), 1.0, needed)


@dataclass(frozen=True)
class Curve:
    """A curve over levels, mean of images."""

    levels: Array  # (L,)
    values: Array  # (L,)
    low: Array  # lower ends of 95 % intervals from the bootstrap over images (L,); NaN for one image
    high: Array  # upper ends
    each: Array  # (N, L), image by image

    def at(self, level: float) -> tuple[float, float, float]:
        """Value, low and high at one of the levels."""
        index = int(np.argmin(np.abs(self.levels - level)))
        return float(self.values[index]), float(self.low[index]), float(self.high[index])

    @classmethod
    def of_images(cls, levels: Sequence[float], each: Array, *, content: float = 0.95) -> Curve:
        """Mean of images (N, L) with bootstrap intervals (percentiles) of a content."""
        low = high = np.full(each.shape[1], np.nan)
        if len(each) > 1:
            low, high = _bootstrap((each,), np.mean, axis=0, confidence_level=content, batch=max(1, 10**7 // each.size))
        return cls(np.asarray(levels, float), each.mean(0), np.asarray(low), np.asarray(high), each)


def _bootstrap(data: tuple[Array, ...], statistic: Callable[..., Any], **options: Any) -> tuple[Any, Any]:
    """Ends of a percentile interval over images, the first axis of the data."""
    options |= {"vectorized": True, "method": "percentile", "n_resamples": RESAMPLES}
    low, high = stats.bootstrap(data, statistic, rng=np.random.default_rng(0), **options).confidence_interval
    return low, high


def coverage(needed: Sequence[Array], levels: Sequence[float] = LEVELS) -> Curve:
    """Share of the truths inside the central intervals of each level, by the `needed_levels` of each image."""
    each = np.array([np.searchsorted(np.sort(one), levels, side="right") / one.size for one in needed])
    return Curve.of_images(levels, each)


def weighted_quantile(values: Sequence[Array], q: float) -> float:
    """Quantile of values pooled over images, each image of the same weight."""
    pooled = np.concatenate(values)
    weights = np.concatenate([np.full(one.size, 1 / one.size) for one in values])
    order = np.argsort(pooled)
    place = np.searchsorted(np.cumsum(weights[order]), q * len(values) * (1 - 1e-12))
    return float(pooled[order][min(int(place), pooled.size - 1)])


def stretch(predictions: Sequence[Prediction], level: float = 0.9) -> float:
    """How many times as wide the intervals of a level would have to be to hold that share of the truths."""
    tiny = np.finfo(np.float32).tiny
    return weighted_quantile(
        [
            (np.abs(prediction.error) / np.maximum(prediction.halfwidth(level), tiny)).ravel()
            for prediction in predictions
        ],
        level,
    )


def normal_scores(prediction: Prediction, needed: Array) -> Array:
    """Truths in standard deviations of a normal distribution, by the predicted intervals (n,)."""
    # beyond all of K samples lies 1 / (K + 1) of a distribution on either side: its middle stands for it
    widest = 1 - 1 / (prediction.count + 1) if prediction._empirical else WIDEST
    return np.asarray(np.sign(prediction.error.ravel()) * stats.norm.ppf((1 + np.minimum(needed, widest)) / 2))


def spread_skill(predictions: Sequence[Prediction], bins: int = 10) -> tuple[Array, Array]:
    """Predicted and actual root mean square error of the mean, in bins of equal count by the former, (bins,) each."""
    spread, error = [], []
    for prediction in predictions:
        unbiased = math.sqrt(1 + 1 / prediction.count) if prediction.count and prediction.table is None else 1.0
        spread.append((unbiased * prediction.std.astype(np.float64)).ravel())
        error.append(prediction.error.ravel())
    predicted, actual = np.concatenate(spread), np.concatenate(error)
    parts = np.array_split(np.argsort(predicted, kind="stable"), min(bins, predicted.size))
    rms = np.array([[np.sqrt(np.mean(each[part] ** 2)) for part in parts] for each in (predicted, actual)])
    return rms[0], rms[1]


def range_null(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Root mean square error and predicted error of the mean, in what the data determine and in the rest.

    Returns:
        Nothing where neither R nor data share is known; else ``kind`` ("operator" or "data share"), and for ``range``
        and ``null`` ``error``, ``spread``, ``ratio`` and its 95 % bootstrap interval over images ``low``, ``high``.
    """
    if all(prediction.determine is not None and prediction.samples is not None for prediction in predictions):
        kind, each = "operator", [_by_operator(prediction) for prediction in predictions]
    elif all(prediction.share is not None for prediction in predictions):
        kind, each = "data share", [_by_share(prediction) for prediction in predictions]
    else:
        return {}
    result: dict[str, Any] = {"kind": kind}
    for name, squares in zip(("range", "null"), np.moveaxis(np.array(each), 1, 0), strict=True):
        error, spread = squares.mean(0)
        ratio = math.sqrt(error / spread) if spread > 0 else math.nan
        low, high = _ratio_interval(squares) if spread > 0 else NOTHING
        rms = {"error": math.sqrt(error), "spread": math.sqrt(spread)}
        result[name] = {**rms, "ratio": ratio, "low": low, "high": high}
    return result


def _ratio_interval(squares: Array) -> tuple[float, float]:
    """Bootstrap interval over images of the root of a ratio of means, from (N, 2); NaN for one image."""
    if len(squares) < 2 or float(np.ptp(squares, axis=0).max()) == 0:
        return NOTHING
    low, high = _bootstrap((squares[:, 0], squares[:, 1]), lambda a, b, axis: a.mean(axis) / b.mean(axis), paired=True)
    return math.sqrt(low), math.sqrt(high)


def _by_operator(prediction: Prediction) -> Array:
    """Mean squares (2, 2): range and null space, error and spread."""
    assert prediction.determine is not None
    assert prediction.samples is not None

    def split(image: Array) -> Array:
        determined = prediction.determine(image)  # type: ignore[misc]
        return np.array([np.mean(determined**2), np.mean((image - determined) ** 2)])

    count = len(prediction.samples)
    deviations = prediction.samples - prediction.samples.mean(0)
    spread = sum(split(deviation) for deviation in deviations) / (count - 1) * (1 + 1 / count)
    return np.stack([split(prediction.error), np.asarray(spread)], 1)


def _by_share(prediction: Prediction) -> Array:
    assert prediction.share is not None
    unbiased = 1 + 1 / prediction.count if prediction.count and prediction.table is None else 1.0
    squares = np.stack([prediction.error**2, unbiased * prediction.std.astype(np.float64) ** 2])
    return np.array(
        [[np.mean(weight * square) for square in squares] for weight in (prediction.share, 1 - prediction.share)]
    )
