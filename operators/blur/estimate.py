r"""The width of a blur, from the blurred image alone: marginal likelihood under a Gaussian prior.

The scene is a stationary Gaussian field of power-law spectrum, :math:`S(f) = a |f|^{-\gamma}`, as photographs and
aerial scenes are to first order (Field 1987, JOSA A 4:2379; Ruderman 1994), the blur multiplies it by
:math:`|K_\theta(f)|^2`, and white noise adds :math:`n`. The scene is integrated out, which leaves the spectrum of the
measurement, and its likelihood in Whittle's approximation (1953):

.. math::
    -\log p(y | \theta, a, \gamma, n) = \sum_f w_f \left( \log M_f + P_f / M_f \right), \qquad
    M_f = |K_\theta(f)|^2 a |f|^{-\gamma} + n,

with :math:`P` the periodogram of the mean over the channels in a Hann window, averaged over cells of 1/96 cycles a
pixel; :math:`a, \gamma, n` are found with :math:`\theta`, :math:`\gamma` under its spread over photographs, 2.35 +-
0.55. Where :math:`|K|` has zeros (a line, a disc) they are filled by a small :math:`\varepsilon / (1 + (L f)^2)`:
neither a window nor a hand is perfect.

A JPEG file does not hold all frequencies: where its coefficients were rounded to zero there is nothing to be seen of a
scene, and where they were not, rounding adds noise of known spectrum. Frequencies at which what was lost could be more
than a half of what is left are not used, and the noise is added to :math:`M_f`
(`inverse.operators.noise.jpeg.resolved`).

The stated uncertainty is that of a model that is only roughly right (White 1982, Econometrica 50:1): slopes of the
likelihood in rings and sectors of frequencies, and other maxima that are nearly as likely. ``benchmarks/blind.py``
measures errors against it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy.optimize import minimize
from scipy.special import j1
from torch import Tensor

from inverse.errors import InputError
from inverse.operators.measurement import Estimated, Measurement
from inverse.operators.noise.jpeg import jpeg_file, resolved
from inverse.operators.noise.jpeg_fit import slopes_of

__all__ = ["AUTO", "Blind", "estimate_blur", "estimate_blurs", "on_finer_grid"]

Array = NDArray[np.float64]

AUTO = "auto"
SIDE = 96
EXPONENT, SPREAD = 2.35, 0.55
#: Neighbouring clusters pull the same way: errors are so much larger than without that, measured on a quarter of the
#: photographs.
WIDER = 2.0

#: Standard deviation of a Gaussian kernel, pixels, below which there is no blur.
LEAST_WIDTH = 0.3
FILL, FILL_SPREAD = -3.5, 1.0
SMALLEST = 64

#: Of a JPEG file: rings a cycle a pixel in which power is averaged, how much of it may be lost, and cells at least.
RINGS = 48
DETERMINED = 0.5
LEAST = 40


@dataclass(frozen=True)
class Blind:
    """An estimated blur.

    Attributes:
        values: Parameters by name: ``sigma``; ``radius``; or ``length`` and ``angle``.
        errors: Their standard deviations.
        loss: Negative logarithm of the likelihood, a frequency; kinds of blur compare by it.
    """

    values: Mapping[str, float]
    errors: Mapping[str, float]
    loss: float = math.nan

    def __str__(self) -> str:
        """In words."""
        units = {"angle": "degrees"}
        return ", ".join(
            f"{name} {value:.3g} +- {self.errors[name]:.2g} {units.get(name, 'pixels')}"
            for name, value in self.values.items()
        )


@dataclass(frozen=True)
class _Spectrum:
    rows: Array
    columns: Array
    power: Array
    weight: Array
    floor: Array  # power of known noise

    @property
    def radius(self) -> Array:
        return np.hypot(self.rows, self.columns)


def _spectrum(measurement: Measurement) -> _Spectrum:
    """Cells of the upper half plane, of frequencies from 4 periods across the image to half a cycle a pixel.

    Of a JPEG file: of its luma, at the frequencies that it determines.
    """
    file = jpeg_file(measurement.facts, measurement.y)
    y = measurement.y[0].detach().double()
    image = (y.mean(0) if file is None else file.luma(y)).cpu().numpy()
    at = _cells(image)
    if file is None:
        return at
    rows, columns = file.stored_frequencies(at.rows, at.columns)
    pixels = measurement.facts["pixels"].double()
    unit = float(slopes_of(measurement.y, pixels).mean())
    lost, made = (power / unit**2 for power in resolved(file, file.stored(pixels), rows, columns))
    ring = np.round(at.radius * RINGS).astype(int)
    mean = np.bincount(ring, at.power * at.weight) / np.maximum(np.bincount(ring, at.weight), 1e-30)
    kept = lost < DETERMINED * mean[ring]
    if kept.sum() < LEAST:
        raise InputError("too coarse a JPEG file to estimate a blur from", "give it, for example -s operator.sigma=1.5")
    return _Spectrum(at.rows[kept], at.columns[kept], at.power[kept], at.weight[kept], made[kept])


def _cells(image: Array) -> _Spectrum:
    height, width = image.shape
    window = np.outer(np.hanning(height), np.hanning(width))
    window /= math.sqrt(float(np.mean(window**2)))
    centred = image - float((image * window**2).sum() / (window**2).sum())
    power = np.abs(np.fft.fft2(centred * window)) ** 2 / image.size
    rows, columns = np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij")
    radius = np.hypot(rows, columns)
    kept = (columns >= 0) & (radius < 0.5) & (radius > 4 / min(height, width))
    cell = np.floor((rows[kept] + 0.5) * SIDE).astype(int) * SIDE + np.floor(columns[kept] * SIDE).astype(int)
    count = np.bincount(cell)
    full = count > 0

    def mean(values: Array) -> Array:
        means: Array = np.bincount(cell, values[kept])[full] / count[full]
        return means

    weight = count[full].astype(float)
    return _Spectrum(mean(rows), mean(columns), mean(power), weight, np.zeros_like(weight))


Transfer = Callable[[_Spectrum, Sequence[float], float], Array]


def _gaussian(at: _Spectrum, theta: Sequence[float], fill: float) -> Array:
    power: Array = np.exp(-((2 * math.pi * theta[0] * at.radius) ** 2))
    return power


def _line(at: _Spectrum, theta: Sequence[float], fill: float) -> Array:
    length, angle = theta
    along = length * (at.columns * math.cos(angle) - at.rows * math.sin(angle))
    return np.sinc(along) ** 2 + fill / (1 + along**2)


def _disc(at: _Spectrum, theta: Sequence[float], fill: float) -> Array:
    argument = 2 * math.pi * theta[0] * at.radius
    power: Array = (2 * j1(argument) / argument) ** 2 + fill / (1 + (theta[0] * at.radius) ** 2)
    return power


_WIDTHS = [(width,) for width in (0.3, 0.7, 1.2, 2.0, 3.2, 5.0, 8.0)]
_LINES = [(length, math.radians(angle)) for length in (2, 3, 5, 8, 12, 17, 24, 33) for angle in np.arange(0, 180, 7.5)]

_KINDS: dict[str, tuple[Transfer, tuple[str, ...], list[Any]]] = {
    "gaussian-blur": (_gaussian, ("sigma",), _WIDTHS),
    "defocus": (_disc, ("radius",), [(2 * width[0],) for width in _WIDTHS]),
    "motion-blur": (_line, ("length", "angle"), _LINES),
}


def estimate_blur(measurement: Measurement | Tensor, kind: str, known: Mapping[str, float] | None = None) -> Blind:
    """The parameters of a blur of a kind.

    Args:
        measurement: The blurred image as it was read, or (C, H, W), any range.
        kind: ``gaussian-blur``, ``defocus`` or ``motion-blur``.
        known: Parameters that are not to be estimated; the angle in degrees.

    Returns:
        All parameters of the kind; those that were known without an error of their own (0).

    Raises:
        InputError: an image that is too small or flat.
    """
    return estimate_blurs(measurement, (kind,), known)[0]


def estimate_blurs(
    measurement: Measurement | Tensor, kinds: Sequence[str], known: Mapping[str, float] | None = None
) -> list[Blind]:
    """As `estimate_blur`, for each of several kinds."""
    if isinstance(measurement, Tensor):
        measurement = Measurement(measurement[None])
    y = measurement.y
    if min(y.shape[-2:]) < SMALLEST or float(y.std()) == 0:
        raise InputError(
            f"the blur of an image of {y.shape[-1]} x {y.shape[-2]} pixels cannot be estimated",
            f"give its width, or an image of {SMALLEST} pixels and more that is not flat",
        )
    at = _spectrum(measurement)
    return [_fitted(at, kind, known) for kind in kinds]


def _fitted(at: _Spectrum, kind: str, known: Mapping[str, float] | None) -> Blind:
    """The blur of a kind that explains a spectrum best."""
    transfer, names, starts = _KINDS[kind]
    fixed = {name: math.radians(value) if name == "angle" else value for name, value in (known or {}).items()}
    free = [index for index, name in enumerate(names) if name not in fixed]
    log_radius = np.log(at.radius)
    level = float(np.log(np.median(at.power * at.radius**EXPONENT)))
    first = [level, EXPONENT, float(np.log(np.percentile(at.power, 5))), FILL]

    def theta_of(values: Sequence[float] | Array) -> list[float]:
        estimates = iter(values)
        return [next(estimates) if index in free else fixed[name] for index, name in enumerate(names)]

    def model_of(values: Array) -> Array:
        scale, exponent, noise, fill = values[:4]
        theta = theta_of(values[4:])
        with np.errstate(over="ignore", invalid="ignore"):
            scene = np.exp(scale - exponent * log_radius)
            model: Array = transfer(at, theta, math.exp(min(fill, 0.0))) * scene + math.exp(min(noise, 50.0)) + at.floor
        return model

    def terms(values: Array) -> Array:
        """What each cell adds to the loss."""
        model = model_of(values)
        with np.errstate(over="ignore", invalid="ignore"):
            added: Array = at.weight * (np.log(model) + at.power / model)
        return added

    def prior(values: Array) -> float:
        return 0.5 * float(((values[1] - EXPONENT) / SPREAD) ** 2 + ((values[3] - FILL) / FILL_SPREAD) ** 2)

    def loss(values: Array) -> float:
        fit = float(terms(values).sum())
        return fit + prior(values) if math.isfinite(fit) else 1e300

    def climb(start: Sequence[float]) -> Any:
        begin = np.array([*first, *start], dtype=float)
        return minimize(loss, begin, method="Nelder-Mead", options={"maxiter": 2500, "fatol": 1e-3, "xatol": 1e-4})

    coarse = {tuple(start[index] for index in free) for start in starts}
    ranked = sorted(coarse, key=lambda start: loss(np.array([*first, *start])))
    optima = [climb(start) for start in ranked[:6]]
    best = min(optima, key=lambda optimum: float(optimum.fun))
    if names[free[0]] == "length":  # a line of a half or a third of the length has every zero of the whole one
        optima += [climb([factor * best.x[4], *best.x[5:]]) for factor in (1 / 3, 0.5, 2.0, 3.0)]
        best = min(optima, key=lambda optimum: float(optimum.fun))
    covariance, dispersion = _uncertainty(terms, loss, best.x, _clusters(at))
    errors = np.sqrt(np.diag(covariance)[4:])
    values, spread = {}, dict.fromkeys(names, 0.0)
    for index, name in enumerate(names):
        value = theta_of(best.x[4:])[index]
        values[name] = math.degrees(value) % 180 if name == "angle" else abs(value)
    for place, index in enumerate(free):
        # other maxima that are nearly as likely
        rivals = np.array(
            [(_apart(other.x[4 + place], best.x[4 + place], names[index]), other.fun - best.fun) for other in optima]
        )
        weight = np.exp(-rivals[:, 1] / dispersion)
        error = math.sqrt(errors[place] ** 2 + float((weight * rivals[:, 0] ** 2).sum() / weight.sum()))
        spread[names[index]] = math.degrees(error) if names[index] == "angle" else error
    return Blind(values, spread, float(best.fun) / float(at.weight.sum()))


def _apart(one: float, other: float, name: str) -> float:
    """Distance of two values of a parameter; a direction is the same after half a turn."""
    if name == "angle":
        return (one - other + math.pi / 2) % math.pi - math.pi / 2
    return abs(one) - abs(other)


def _clusters(at: _Spectrum) -> NDArray[np.int64]:
    """Rings of a third of an octave in sectors of 30 degrees: a scene departs from the power law in all of one."""
    ring = np.floor(3 * np.log2(at.radius / at.radius.min())).astype(np.int64)
    sector = np.floor(6 * (np.arctan2(at.rows, at.columns) / math.pi + 0.5)).astype(np.int64).clip(0, 5)
    clusters: NDArray[np.int64] = ring * 6 + sector
    return clusters


def _uncertainty(
    terms: Callable[[Array], Array], loss: Callable[[Array], float], at: Array, clusters: NDArray[np.int64]
) -> tuple[Array, float]:
    r"""Covariance :math:`H^{-1} J H^{-1}` at a minimum (White 1982), and how much larger it is than :math:`H^{-1}`.

    :math:`H` is the curvature of the loss, :math:`J` the sum of the squared slopes of the clusters: what the model does
    not explain enters by how it pulls.
    """
    step = np.maximum(1e-3, 1e-3 * np.abs(at))
    size = len(at)
    slopes, curvature = np.zeros((clusters.max() + 1, size)), np.zeros((size, size))
    for i in range(size):
        moved = np.eye(size)[i] * step[i]
        slope = (terms(at + moved) - terms(at - moved)) / (2 * step[i])
        slopes[:, i] = np.bincount(clusters, slope, minlength=len(slopes))
        for j in range(i + 1):
            other = np.eye(size)[j] * step[j]
            crossed = (
                loss(at + moved + other)
                - loss(at + moved - other)
                - loss(at - moved + other)
                + loss(at - moved - other)
            )
            curvature[i, j] = curvature[j, i] = crossed / (4 * step[i] * step[j])
    values, vectors = np.linalg.eigh(curvature)
    inverse = (vectors / np.maximum(values, 1e-3)) @ vectors.T
    robust: Array = inverse @ (slopes.T @ slopes) @ inverse
    robust *= WIDER**2
    return robust, max(1.0, float(np.trace(robust[4:, 4:]) / np.trace(inverse[4:, 4:])))


def fill_in(params: BaseModel, measurement: Measurement) -> Estimated:
    """The parameters of a blur with those that are ``auto`` estimated.

    Args:
        params: Of ``gaussian-blur``, ``defocus`` or ``motion-blur``.
        measurement: What was read.

    Raises:
        InputError: No motion was found: a line shorter than a pixel is none.
    """
    values = params.model_dump()
    names = _KINDS[values["kind"]][1]
    known = {name: float(values[name]) for name in names if values[name] != AUTO}
    with torch.no_grad():
        blur = estimate_blur(measurement, values["kind"], known)
    if "length" in blur.values and "length" not in known and blur.values["length"] - blur.errors["length"] < 1:
        raise InputError(
            f"no motion found: {blur}, which is less than a pixel within its uncertainty",
            "the picture is not blurred by motion: restore denoise or deblur, or give -s operator.length=...",
        )
    errors = {name: error for name, error in blur.errors.items() if name not in known}
    return Estimated({**values, **blur.values}, f"blur estimated from the image (marginal likelihood): {blur}", errors)


def on_finer_grid(kind: str, found: Estimated, factor: float) -> Estimated:
    """A blur before pixels of ``factor`` x ``factor`` are averaged into one, from what was found in the averages.

    A Gaussian and the averaging add in variance, of the latter :math:`(f^2 - 1) / 12`; other sizes are of the scene.
    """
    if factor == 1:
        return found
    values, errors = dict(found.params), dict(found.errors)
    for name in (name for name in errors if name != "angle"):
        size = factor * float(values[name])
        wide = size
        if kind == "gaussian-blur":
            wide = math.sqrt(max(size**2 - (factor**2 - 1) / 12, LEAST_WIDTH**2))
        errors[name] *= factor * size / wide
        values[name] = wide
    said = ", ".join(f"{name} {values[name]:.3g} +- {errors[name]:.2g}" for name in errors)
    return Estimated(values, f"{found.said}; on the finer grid {said}", errors)
