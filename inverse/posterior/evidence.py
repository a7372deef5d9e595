r"""What a result says of itself where nobody knows the truth: is its residual noise, what of it came from the prior?

If samples are draws of the posterior of the right model, a sample and its measurement are distributed as a truth and
its measurement are. So :math:`z = (y - A x_s) / \sigma_y` of a *sample* is white noise of variance 1, exactly; that of
the mean is smaller, by what the data determine. Two numbers follow:

* the misfit, :math:`\lVert z \rVert^2 / m`, tells a wrong noise level or a sampler that does not fit
  (`inverse.posterior.posterior`);
* the whiteness, :math:`\frac{1}{L} \sum_l N_l \hat\rho_l^2`, with :math:`\hat\rho_l` the autocorrelation of z at lag l
  over :math:`N_l` pairs of observed values (Box & Pierce 1970, "Distribution of residual autocorrelations", JASA 65, on
  a grid): about 1 for noise, :math:`\chi^2_L / L`. It tells a wrong operator: a blur of another width, a shifted mask,
  a coil map that is off. The variance is divided out, so that a wrong level alone does not enter.

`inverse.posterior.words` says when a value is large.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from inverse.operators.noise.clipped import unclipped_mean, unclipped_square
from inverse.operators.noise.jpeg_physics import JpegMeasured, JpegMeasuredNonlinear
from inverse.operators.observation import Observation, observed
from inverse.posterior.posterior import Posterior

__all__ = [
    "Changes",
    "Lags",
    "Whiteness",
    "averaged",
    "invented_region",
    "of_samples",
    "residual_map",
    "standardised",
    "whiteness",
]

#: Smallest variance that noise beside a limit is taken to have, of 1: far beyond it, it is a ratio of two tiny numbers.
NARROWEST = 0.05
#: Lags looked at, in grid points along each axis.
REACH = 2
#: Pairs below which a lag says nothing.
PAIRS = 64
#: Side of the squares that a region consists of: pixels missing at random are none, however many touch.
SOLID = 7

#: The statistic, the autocorrelation of largest size with its sign, and the number of lags.
Whiteness = tuple[float, float, int]


class Changes:
    """How much the estimate of each entry of a batch moves from one noise level to the next: whether a run has settled.

    The particles of a sample are one entry.
    """

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._last: Tensor | None = None
        self._changes: list[Tensor] = []

    def note(self, mean: Tensor) -> None:
        """Take note of the estimate at a level, (B, C, *S)."""
        estimate = mean.detach().reshape(self._entries, -1)
        if self._last is not None:
            self._changes.append((estimate - self._last).square().mean(1).sqrt())
        self._last = estimate

    @property
    def said(self) -> dict[str, Tensor]:
        """``convergence``: rms change (B, steps - 1) in data units; empty for a single step."""
        return {"convergence": torch.stack(self._changes, 1)} if self._changes else {}


def standardised(observation: Observation, x: Tensor) -> tuple[Tensor, Tensor] | None:
    """Residual of unknowns (B, C, *S) in units of the noise, and which of its entries were measured.

    Beside clipped values, in units of the noise that did not clip a value there, and without its mean.

    Both are (B, ...) real, a complex entry as two along a last-but-two axis; None for stacked measurements and without
    noise.
    """
    y, physics = observation.y, observation.physics
    if not isinstance(y, Tensor) or bool((observation.sigma == 0).any()):
        return None
    image, bounds = physics.A(x), getattr(physics, "bounds", None)
    z = (y - image) / observation.sigma.reshape(-1, *[1] * (y.ndim - 1))
    if isinstance(bounds, Tensor):
        mean, square = (told(image, y, bounds, observation.sigma) for told in (unclipped_mean, unclipped_square))
        z = (z - mean) / (square - mean**2).clamp_min(NARROWEST).sqrt()
    weight = torch.ones_like(z.real if z.is_complex() else z)
    for mask in (observed(physics, y), getattr(physics, "measured_mask", None)):
        weight = weight if mask is None else weight * mask
    if z.is_complex():
        axis = 1 if z.ndim < 4 else z.ndim - 2
        z = torch.stack([z.real, z.imag], axis)
        weight = torch.stack([weight, weight], axis)
    return z * weight, weight


def _lags(axes: int) -> Iterator[tuple[int, ...]]:
    """One of every pair of opposite lags."""
    if axes == 1:
        yield from ((step,) for step in range(1, REACH + 1))
        return
    for down in range(REACH + 1):
        for across in range(-REACH, REACH + 1):
            if down > 0 or across > 0:
                yield down, across


def _shifted(value: Tensor, lag: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The part of ``value`` that has a partner at ``lag`` along the last axes, and the partners."""
    first, second = value, value
    for offset, step in enumerate(reversed(lag)):
        axis, size = value.ndim - 1 - offset, value.shape[value.ndim - 1 - offset]
        length = max(size - abs(step), 0)
        first = first.narrow(axis, max(-step, 0) if length else 0, length)
        second = second.narrow(axis, max(step, 0) if length else 0, length)
    return first, second


class Lags:
    """The sums of the module's statistic, taken over an image or over parts of it."""

    def __init__(self) -> None:
        self._sums: dict[tuple[int, ...], list[float]] = {}
        self._square = self._count = 0.0

    def add(self, z: Tensor, weight: Tensor) -> Lags:
        """Take note of a residual (C, *S) or (N,) in units of the noise; 0, of weight 0, where nothing was measured."""
        z, weight = z.double(), weight.double()
        self._square += float(z.square().sum())
        self._count += float(weight.sum())
        for lag in _lags(2 if z.ndim > 2 else 1):
            (a, b), (seen, partner) = _shifted(z, lag), _shifted(weight, lag)
            total = self._sums.setdefault(lag, [0.0, 0.0])
            total[0] += float((a * b).sum())
            total[1] += float((seen * partner).sum())
        return self

    def told(self) -> Whiteness | None:
        """The statistic, the largest autocorrelation, the number of lags; None where too few pairs were measured."""
        variance = max(self._square / max(self._count, 1.0), 1e-30)
        lags = [(product / (pairs * variance), pairs) for product, pairs in self._sums.values() if pairs >= PAIRS]
        if not lags:
            return None
        value = sum(pairs * rho**2 for rho, pairs in lags) / len(lags)
        return value, max((rho for rho, _ in lags), key=abs), len(lags)


def whiteness(z: Tensor, weight: Tensor) -> Whiteness | None:
    """The statistic of the module for one item; arguments as of `Lags.add`, result as of `Lags.told`."""
    return Lags().add(z, weight).told()


def of_samples(post: Posterior) -> dict[str, float]:
    """``whiteness`` and ``correlation`` (of largest size) of an item's samples, averaged; empty where unknown."""
    pairs = [standardised(post.observation, sample) for sample in post.states]
    return averaged([whiteness(pair[0][0], pair[1][0]) for pair in pairs if pair is not None])


def averaged(each: Sequence[Whiteness | None]) -> dict[str, float]:
    """What `of_samples` returns, from what was told of each sample."""
    values = [told for told in each if told is not None]
    if not values:
        return {}
    return {
        "whiteness": sum(value for value, _, _ in values) / len(values),
        "correlation": sum(rho for _, rho, _ in values) / len(values),
    }


def residual_map(post: Posterior) -> Tensor | None:
    """Residual of the mean in units of the noise on the measurement's grid (C, h, w), of raw data (1, h, w).

    Of raw data it is the root mean square over coils; None where there is no such picture, as of the coefficients of a
    JPEG file.
    """
    if isinstance(post.observation.physics, JpegMeasured | JpegMeasuredNonlinear):
        return None
    pair = standardised(post.observation, post.whole_mean)
    if pair is None or not isinstance(post.observation.y, Tensor) or post.observation.y.ndim < 4:
        return None
    z = pair[0][0]
    if post.observation.y.is_complex():
        return z.square().flatten(0, -3).mean(0, keepdim=True).mul(2).sqrt().float()
    return z.float() if z.ndim == 3 else None


def invented_region(share: NDArray[np.floating[Any]]) -> str:
    """A sentence on the largest region that the prior determines more than the data do, by data shares (C, H, W).

    Nothing where there is no such region, or where it is all of the image.
    """
    averaged = share.mean(0)
    if averaged.ndim != 2:
        return ""
    solid = ndimage.binary_opening(averaged < 0.5, np.ones((SOLID, SOLID)))
    places, count = ndimage.label(solid)
    if not count:
        return ""
    sizes = ndimage.sum_labels(solid, places, range(1, count + 1))
    largest = int(sizes.argmax()) + 1
    size = int(sizes[largest - 1])
    if size > 0.9 * averaged.size:
        return ""
    rows, columns = ndimage.find_objects(places)[largest - 1]
    part = 100 * (1 - float(averaged[places == largest].mean()))
    return (
        f"{part:.0f} % of the region at row {rows.start}, column {columns.start} "
        f"({columns.stop - columns.start} x {rows.stop - rows.start} pixels, "
        f"{100 * size / averaged.size:.0f} % of the image) comes from the prior"
    )
