r"""Ranks of the truth among samples: SBC of every value, and TARP of patches and whole images.

* SBC (Talts et al. 2018, arXiv 1804.06788): the rank of the truth among K samples is uniform on 0..K if the samples are
  draws of the posterior. Ends too full: the samples are too close together (overconfident); a slope: they are shifted.
* TARP (Lemos et al. 2023, arXiv 2302.03026): with a reference point r, the rank of the distance of the truth to it
  among those of the samples is uniform, for every choice of r exactly where the posterior is right. Distances are of
  patches of 8 x 8 pixels at keyed places and of the whole image; r has values uniform in the data range, drawn with the
  item's key, and so depends on neither truth nor samples. Deviation: with few samples the share of samples nearer than
  the truth takes few values, so ranks are spread over their cells by a keyed uniform number, which keeps them uniform
  exactly.

The band: bins of one histogram are means of images, so the band comes from how images differ (Student's, 99 %); for
fewer than four images it is binomial, a patch of 16 x 16 pixels counted as one draw.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from inverse.calibration.statistics import LEVELS, Curve, Prediction

__all__ = ["Ranks", "central", "sbc", "tarp"]

Array = NDArray[np.floating[Any]]
BINS = 20
PATCH = 8
PATCHES = 64
FEW = 4
CORRELATED = 256


@dataclass(frozen=True)
class Ranks:
    """A histogram of ranks."""

    counts: Array  # in bins of equal width, from "below all samples" to "above all"
    expected: float  # of each bin
    band: tuple[float, float]  # counts between which a calibrated posterior's are, in 99 % of cases a bin
    leans: bool = False  # whether the mean rank is further from the middle than it would be by chance in 99 % of cases

    @property
    def ends(self) -> float:
        """Counts of the two end bins over what is expected of them: above 1 for overconfident samples."""
        return float((self.counts[0] + self.counts[-1]) / (2 * self.expected))

    @property
    def verdict(self) -> int:
        """-1 where the end bins are too full for the band (overconfident), 1 where too empty, else 0."""
        ends = (self.counts[0] + self.counts[-1]) / 2
        return int(ends < self.band[0]) - int(ends > self.band[1])

    @property
    def tilt(self) -> float:
        """Mean rank, from -1 (truths below all samples) to 1; 0 expected."""
        centres = (np.arange(len(self.counts)) + 0.5) / len(self.counts)
        return float(2 * (self.counts * centres).sum() / self.counts.sum() - 1)


def sbc(predictions: Sequence[Prediction]) -> Ranks | None:
    """Ranks of all values, images of the same weight; None where samples were not kept or their numbers differ."""
    numbers = {0 if prediction.samples is None else len(prediction.samples) for prediction in predictions}
    count = numbers.pop()
    if numbers or count < 2:
        return None
    bins = count + 1 if count < BINS else BINS
    used = bins * ((count + 1) // bins) - 1
    shares, total = [], 0
    for prediction in predictions:
        assert prediction.samples is not None
        rank = (prediction.samples[:used] < prediction.truth).reshape(used, -1).sum(0)
        shares.append(np.bincount(rank * bins // (used + 1), minlength=bins) / rank.size)
        total += rank.size
    each = np.array(shares)
    expected = total / bins
    centres = 2 * (np.arange(bins) + 0.5) / bins - 1
    if len(each) >= FEW:
        error = math.sqrt(float(each.var(0, ddof=1).mean()) / len(each))
        sure = float(stats.t.ppf(0.995, len(each) - 1))
        lean = float((each @ centres).std(ddof=1)) / math.sqrt(len(each))
    else:
        draws = max(1.0, total / (CORRELATED * predictions[0].truth.shape[0]))
        sure = float(stats.norm.ppf(0.995))
        error, lean = math.sqrt((1 / bins) * (1 - 1 / bins) / draws), math.sqrt(1 / (3 * draws))
    width = total * sure * error
    leans = abs(float(each.mean(0) @ centres)) > sure * lean
    return Ranks(each.mean(0) * total, expected, (max(0.0, expected - width), expected + width), leans)


def tarp(
    predictions: Sequence[Prediction],
    *,
    data_range: tuple[float, float],
    levels: Sequence[float] = LEVELS,
    whole: bool = False,
) -> Curve | None:
    """Expected coverage of regions around random reference points with values in ``data_range``; None without samples.

    ``levels`` are the regions' contents; ``whole`` is one region an image instead of one a patch.
    """
    if any(prediction.samples is None or len(prediction.samples) < 2 for prediction in predictions):
        return None
    each = []
    for prediction in predictions:
        assert prediction.samples is not None
        rng = _key(prediction.item, whole)
        deviations = _distances(prediction, rng, data_range, whole)
        nearer = (deviations[1:] < deviations[0]).sum(0)
        level = (nearer + rng.uniform(size=nearer.shape)) / len(deviations)
        each.append([(level <= bound).mean() for bound in levels])
    return Curve.of_images(levels, np.array(each))


def central(curve: Curve) -> tuple[float, float, float]:
    """Share of TARP's regions with the truth between 5 and 95 % credibility (90 % should), and a 99 % interval."""
    low, high = (int(np.argmin(np.abs(curve.levels - level))) for level in (0.05, 0.95))
    each = curve.each[:, high] - curve.each[:, low]
    if np.isin(each, (0.0, 1.0)).all():
        # one region an image: a bootstrap of nothing but ones knows no doubt
        interval = stats.binomtest(int(each.sum()), len(each)).proportion_ci(0.99, method="wilson")
        return float(each.mean()), float(interval.low), float(interval.high)
    return Curve.of_images((0.9,), each[:, None], content=0.99).at(0.9)


def _distances(prediction: Prediction, rng: np.random.Generator, span: tuple[float, float], whole: bool) -> Array:
    """Squared distances to reference points (1 + K, regions), the truth's first."""
    assert prediction.samples is not None
    images = np.concatenate([prediction.truth[None], prediction.samples]).astype(np.float64)
    if whole or prediction.truth.ndim != 3 or min(prediction.truth.shape[1:]) < PATCH:
        reference = rng.uniform(*span, size=images.shape[1:])
        return np.asarray(((images - reference) ** 2).reshape(len(images), -1).sum(1)[:, None])
    height, width = prediction.truth.shape[1:]
    tops, lefts = rng.integers(0, height - PATCH + 1, PATCHES), rng.integers(0, width - PATCH + 1, PATCHES)
    distances = []
    for top, left in zip(tops, lefts, strict=True):
        patch = images[..., top : top + PATCH, left : left + PATCH]
        reference = rng.uniform(*span, size=patch.shape[1:])
        distances.append(((patch - reference) ** 2).reshape(len(images), -1).sum(1))
    return np.stack(distances, 1)


def _key(item: str, whole: bool) -> np.random.Generator:
    digest = hashlib.blake2b(f"tarp\0{item}\0{whole}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest, "<u8").astype(np.uint64)))
