r"""Recalibration: a standard deviation that is the error to expect, and intervals that hold what they say.

1. The std. A monotone map :math:`g(s)`, the isotonic regression of :math:`(x - \bar s)^2` on s (root of it; pixels in
   bins of equal count, images of the same weight): ``g(std)`` is the root mean square error of the restored mean
   where the sampler said ``std``. Of few samples s is itself uncertain, which flattens g. Where an operator measures
   some values and leaves others to the prior (gaps, masks, colour filters) there are two maps, by ``data_share``: the
   same s is worth less under a cloud than beside it. And as images differ in how much the data decide (stronger blurs,
   more noise), :math:`g(s)` is times :math:`a (d / (1 - d))^b`, d the mean ``data_share`` of the image: a
   regression of the images' log errors on the log odds of d, b shrunk towards 0 by its standard error. Without it 90 %
   intervals of deblurring held 96 % at a blur of 1 pixel and 82 % at 3.
2. Intervals :math:`\bar s \pm \lambda_L\, g(s)` for each level L, by the scores :math:`|x - \bar s| / g(s)`.
   Three factors for each level, and the file says which is which:

   * ``factors_point``: :math:`\hat R(\lambda) = 1 - L`, R-hat the share of values outside, mean of images. As likely
     to hold a little less than L as a little more.
   * ``factors_guaranteed``: conformal risk control (Angelopoulos et al. 2022, arXiv 2208.02814),
     :math:`\frac{n}{n+1} \hat R(\lambda) + \frac{1}{n+1} \le 1 - L`: of a new exchangeable image at most 1 - L of the
     values are outside, in expectation over images and fits. The correction makes 90 % intervals aim at
     :math:`90 + 90 / n` % (92.4 % at n = 38). None where n < 1/(1 - L) - 1: no finite factor has the guarantee.
   * ``factors_image``: split conformal over images (Vovk et al. 2005; Papadopoulos et al. 2002): with probability 90
     % over a new exchangeable image at least L of its values are inside; the :math:`\lceil 0.9 (n + 1) \rceil`-th
     smallest of the images' own quantiles. None where n < 9.

Applied (``factors``) are the point estimates, or, where the user asks for the guarantee, the guaranteed ones.

The finite-sample statements of 2 hold for a map g that was not fitted to the same images. Here it is, with a dozen
numbers for 10^5 values or more; they are therefore checked on images that neither saw
(`inverse.evaluation.calibration_fit`), and the file has that check.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from inverse.calibration.statistics import LEVELS, Prediction, table_factor, weighted_quantile
from inverse.errors import UsageError

__all__ = ["FEWEST", "Map", "fit", "of_data"]

Array = NDArray[np.floating[Any]]
KNOTS = 24
#: Images without which no map is fitted.
FEWEST = 4
CONFIDENCE = 0.9
#: Share of a value's prior variance that the data remove, from which on the value is theirs.
DIVIDE = 0.5
#: Values of either kind without which an image says nothing of that kind.
PART = 64
SMALLEST = 1e-12
EDGE = 1e-4


@dataclass(frozen=True)
class Map:
    """What recalibrates."""

    raw: tuple[float, ...]  # standard deviations of the sampler (k,), increasing, data units
    calibrated: tuple[float, ...]  # root mean square errors of the mean there (k,), not decreasing
    levels: tuple[float, ...]  # of the intervals (L,)
    factors: tuple[float, ...]  # half widths over calibrated std (L,), as applied; of `fit` the point estimates
    guaranteed: tuple[float | None, ...]  # by conformal risk control; None: too few images
    image: tuple[float | None, ...]  # for each image with probability 90 %; None: too few images
    images: int  # number of those it was fitted to
    prior_raw: tuple[float, ...] = ()  # ``raw`` where ``data_share`` is below `DIVIDE`; empty: one map for all
    prior_calibrated: tuple[float, ...] = ()  # ``calibrated`` there
    power: float = 0.0  # b of the image's factor; 0: all images are alike
    scale: float = 1.0  # a of it
    shares: tuple[float, float] = (0.0, 1.0)  # smallest and largest mean data share of the fit; beyond, they are used

    @property
    def needs_share(self) -> bool:
        """Whether the data share is needed to apply it."""
        return bool(self.prior_raw) or self.power != 0

    def of_image(self, mean_share: float) -> Map:
        """What it is for parts of an image of that mean ``data_share``: the factor of the image is in its scale."""
        odds = _odds(float(np.clip(mean_share, *self.shares)))
        return replace(self, scale=self.scale * odds**self.power, power=0.0)

    def std(self, raw: Array, share: Array | None = None) -> Array:
        """Calibrated standard deviations of an image, of the shape of the raw ones; beyond the knots in proportion.

        ``share`` is the ``data_share`` there, not looked at unless `needs_share`.

        Raises:
            UsageError: The share is needed, and not given.
        """
        given = np.asarray(raw, np.float64)
        std = _through(self.raw, self.calibrated, given)
        if not self.needs_share:
            return self.scale * std
        if share is None:
            raise UsageError("this calibration needs the data share", "keep data_share")
        if self.prior_raw:
            std = np.where(of_data(share), std, _through(self.prior_raw, self.prior_calibrated, given))
        return self.of_image(float(np.mean(share))).scale * std

    def factor(self, level: float) -> float:
        """Half width of a central interval over calibrated std, by ``factors``."""
        return table_factor(level, self.levels, self.factors)

    @property
    def sure(self) -> Map | None:
        """The same with the guaranteed factors, point estimates above them; None without a guaranteed one for 90 %."""
        if self.guaranteed[self.levels.index(0.9)] is None:
            return None
        chosen = [point if own is None else own for point, own in zip(self.factors, self.guaranteed, strict=True)]
        return replace(self, factors=tuple(np.maximum.accumulate(chosen).tolist()))

    def apply(self, prediction: Prediction) -> Prediction:
        """A raw prediction recalibrated."""
        return replace(prediction, std=self.std(prediction.std, prediction.share), table=(self.levels, self.factors))


def of_data(share: Array) -> NDArray[np.bool_]:
    """Which values the data decide rather than the prior."""
    return np.asarray(share) >= DIVIDE


def _odds(share: float) -> float:
    """Of a mean data share, kept off 0 and 1."""
    inside = min(max(share, EDGE), 1 - EDGE)
    return inside / (1 - inside)


def _through(raw: Sequence[float], calibrated: Sequence[float], given: Array) -> Array:
    """One map: log-linear between knots."""
    knots, values = np.asarray(raw), np.asarray(calibrated)
    inside = np.exp(np.interp(np.log(np.maximum(given, SMALLEST)), np.log(knots), np.log(values)))
    above = given * (values[-1] / knots[-1])
    # below the first knot its ratio stays, so that a pixel without spread keeps none
    std = np.where(given > knots[-1], above, np.where(given < knots[0], given * (values[0] / knots[0]), inside))
    return np.asarray(std, np.float64)


def fit(predictions: Sequence[Prediction], levels: Sequence[float] = LEVELS) -> Map:
    """The map, and the factors of intervals of these levels, from `FEWEST` raw predictions or more."""
    tables = _tables(predictions)
    base = _of_images(predictions, Map(*tables[0], (0.5,), (1.0,), (None,), (None,), len(predictions), *tables[1]))
    scores = [
        (np.abs(prediction.error) / np.maximum(base.std(prediction.std, prediction.share), SMALLEST)).ravel()
        for prediction in predictions
    ]
    count = len(scores)
    factors, guaranteed, image = [], [], []
    for level in levels:
        factors.append(weighted_quantile(scores, level))
        strict = 1 - ((count + 1) * (1 - level) - 1) / count
        guaranteed.append(weighted_quantile(scores, strict) if strict <= 1 else None)
        place = math.ceil(CONFIDENCE * (count + 1))
        own = sorted(float(np.quantile(one, level, method="higher")) for one in scores)
        image.append(own[place - 1] if place <= count else None)
    return replace(base, levels=tuple(levels), factors=tuple(factors), guaranteed=tuple(guaranteed), image=tuple(image))


def _of_images(predictions: Sequence[Prediction], base: Map) -> Map:
    """The map with the factor of an image by its mean data share."""
    shares = [float(prediction.share.mean()) for prediction in predictions if prediction.share is not None]
    if len(shares) < max(len(predictions), 2 * FEWEST):
        return base
    scores = [
        prediction.error / np.maximum(base.std(prediction.std, prediction.share), SMALLEST)
        for prediction in predictions
    ]
    square = np.array([np.mean(score**2) for score in scores])
    odds = np.array([math.log(_odds(share)) for share in shares])
    away = odds - odds.mean()
    spread = float(away @ away)
    if spread < EDGE or (square <= 0).any():
        return base
    size = np.log(square) / 2
    slope = float(away @ size) / spread
    rest = size - size.mean() - slope * away
    error = float(rest @ rest) / (len(shares) - 2) / spread
    power = slope * max(0.0, 1 - error / slope**2) if slope else 0.0
    scale = math.sqrt(float(np.mean(square / np.exp(2 * power * odds))))
    return replace(base, power=power, scale=scale, shares=(min(shares), max(shares)))


Knots = tuple[tuple[float, ...], tuple[float, ...]]


def _tables(predictions: Sequence[Prediction]) -> tuple[Knots, Knots]:
    """Knots of the map; of two where `2 * FEWEST` images or more have values of either kind (`of_data`)."""
    values = [(prediction.std.ravel(), prediction.error.ravel() ** 2) for prediction in predictions]
    if any(prediction.share is None for prediction in predictions):
        return _isotonic(values), ((), ())
    parts: tuple[list[tuple[Array, Array]], ...] = [], []
    for prediction, (std, square) in zip(predictions, values, strict=True):
        known = of_data(np.asarray(prediction.share)).ravel()
        for part, chosen in zip(parts, (known, ~known), strict=True):
            if chosen.sum() >= PART:
                part.append((std[chosen], square[chosen]))
    if min(map(len, parts)) < 2 * FEWEST:
        return _isotonic(values), ((), ())
    return _isotonic(parts[0]), _isotonic(parts[1])


def _isotonic(values: Sequence[tuple[Array, Array]]) -> Knots:
    """Knots of the map from each image's std and squared error: mean squares in bins of equal weight, made monotone."""
    std = np.concatenate([own for own, _ in values]).astype(np.float64)
    square = np.concatenate([own for _, own in values])
    weight = np.concatenate([np.full(own.size, 1 / own.size) for own, _ in values])
    order = np.argsort(std, kind="stable")
    std, square, weight = std[order], square[order], weight[order]
    place = np.minimum((np.cumsum(weight) / weight.sum() * KNOTS).astype(int), KNOTS - 1)
    mass = np.bincount(place, weight, KNOTS)
    kept = mass > 0
    x = np.sqrt(np.bincount(place, weight * std**2, KNOTS)[kept] / mass[kept])
    y = np.bincount(place, weight * square, KNOTS)[kept] / mass[kept]
    fitted = np.sqrt(np.maximum(isotonic_regression(y, weights=mass[kept]).x, SMALLEST**2))
    distinct = np.concatenate([[True], np.diff(np.maximum(x, SMALLEST)) > 0])
    return tuple(np.maximum(x, SMALLEST)[distinct].tolist()), tuple(fitted[distinct].tolist())
