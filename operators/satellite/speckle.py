r"""SAR speckle: intensity :math:`I = R\, s`, :math:`s \sim \Gamma(L, 1/L)` with L looks; amplitude is its root.

The gamma has mean 1 and variance 1/L.
With q = 1 for a file of intensities, 1/2 for amplitudes, the unknown is :math:`x = R^q`, the clean image in the file's
own units.

``domain: linear``: :math:`I^q / m = x + n` with mean 0 and variance :math:`c^2 x^2`,

.. math:: m = E\, s^q = \frac{\Gamma(L + q)}{\Gamma(L)\, L^q}, \qquad c^2 = E\, s^{2q} / m^2 - 1

The variance is that of a pilot estimate of x (Lee 1980, IEEE TPAMI 2:165, 7 x 7), with which every row is divided to
one noise level: diagonal, so for every linear method. Taken as Gaussian, and the pilot as known: at one look
intensities are exponential (skewness 2), amplitudes Rayleigh (0.63), at four 1 and 0.25.

``domain: log``: multiplicative noise is additive in the logarithm,

.. math::
    \log I = \log R + \log s, \qquad E \log s = \psi(L) - \ln L, \quad \mathrm{Var} \log s = \psi_1(L)

(Oliver & Quegan 2004, section 4). The measurement is :math:`y = q \log I - q (\psi(L) - \ln L)`, :math:`A(x) = \log x`,
noise of standard deviation :math:`q \sqrt{\psi_1(L)}`: no pilot, and x needs no exponential afterwards, so it has no
bias from one. Below ``floor`` the logarithm goes on as its tangent, so that A is smooth and increasing for every x.
Nonlinear: for `daps`, `dps`, `mpgd`, `pnp-dm`, `red-diff`. The log-gamma is taken as Gaussian of its two moments; its
skewness is -1.14 for one look, -0.53 for 4, -0.26 for 16 (:math:`\psi_2(L)/\psi_1(L)^{3/2}`): dark outliers are
likelier than assumed.

Pixels without a signal (0 and below) are unobserved. Neighbouring speckle is taken as independent: decimate products
that are oversampled.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from deepinv.physics import Physics
from scipy.special import digamma, gammaln, polygamma
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from inverse.errors import InputError
from inverse.operators.base import Cloned
from inverse.operators.measurement import Fitted, Measurement
from inverse.operators.satellite.radiometry import Attenuation
from inverse.operators.satellite.spec import Speckle

__all__ = ["FLOOR", "LogImage", "fitted", "lee", "log_moments", "moments", "speckle"]

FLOOR = 0.01
_PILOT = 7
_SHARE = {"intensity": 1.0, "amplitude": 0.5}


def log_moments(looks: float, quantity: str) -> tuple[float, float]:
    """Mean and standard deviation of the logarithm of speckle.

    Args:
        looks: L.
        quantity: ``amplitude`` or ``intensity``.
    """
    share = _SHARE[quantity]
    return share * float(digamma(looks) - math.log(looks)), share * math.sqrt(float(polygamma(1, looks)))


def moments(looks: float, quantity: str) -> tuple[float, float]:
    """Mean of speckle and its coefficient of variation; arguments as `log_moments`."""
    share = _SHARE[quantity]

    def raw(order: float) -> float:
        return math.exp(float(gammaln(looks + order) - gammaln(looks)) - order * math.log(looks))

    mean = raw(share)
    return mean, math.sqrt(raw(2 * share) / mean**2 - 1)


def lee(y: Tensor, variation: float, seen: Tensor) -> Tensor:
    """Lee's filter: local linear estimate of least mean square error under multiplicative noise.

    Args:
        y: (B, C, H, W), noise of mean 1.
        variation: Its coefficient of variation.
        seen: Of the shape of ``y``, 1 = observed.

    Returns:
        (B, C, H, W).
    """

    def average(values: Tensor) -> Tensor:
        edge = _PILOT // 2
        pooled: Tensor = avg_pool2d(pad(values, (edge,) * 4), _PILOT, stride=1)
        return pooled

    share = average(seen).clamp_min(1 / _PILOT**2)
    mean = average(y * seen) / share
    variance = (average(y.square() * seen) / share - mean.square()).clamp_min(0)
    signal = ((variance - (variation * mean).square()) / (1 + variation**2)).clamp_min(0)
    weight = signal / variance.clamp_min(torch.finfo(y.dtype).tiny)
    return mean + weight * (y - mean)


class LogImage(Cloned, Physics):
    """``A(x) = log x``, below ``floor`` the tangent there.

    Args:
        floor: Above 0, in data units.
        mask: Broadcasts against x, 1 = observed; None: all of it.

    Attributes:
        mask: As given, or (1, 1, 1, 1).
    """

    mask: Tensor
    knows_valid = True

    def __init__(self, floor: float, *, noise_model: Any, mask: Tensor | None = None) -> None:
        super().__init__(noise_model=noise_model)
        self.floor = floor
        self.register_buffer("mask", torch.ones(1, 1, 1, 1) if mask is None else mask)

    def A(self, x: Tensor, **kwargs: Any) -> Tensor:
        """Element by element, (B, C, H, W)."""
        above = x.clamp_min(self.floor)
        below = (x - self.floor).clamp_max(0.0) / self.floor
        return (above.log() + below) * self.mask.to(x.dtype)


def speckle(params: Speckle, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> LogImage | Attenuation:
    """The logarithm, or for the linear domain the identity: without a measurement there is no pilot."""
    if params.domain == "log":
        return LogImage(FLOOR, noise_model=noise_model)
    return Attenuation(torch.ones(1, 1, 1, 1, dtype=dtype), shape=shape, noise_model=noise_model)


def fitted(params: Speckle, measurement: Measurement) -> Fitted:
    """The measurement with speckle of one level: its rows divided by the pilot's, or its logarithm without bias.

    Raises:
        InputError: no pixel above 0.
    """
    y, shape = measurement.y, tuple(measurement.y.shape[1:])
    seen = (y > 0).to(y) if measurement.valid is None else (y > 0).to(y) * measurement.valid
    if not bool(seen.any()):
        raise InputError("no pixel has a signal above 0", "decibels? Give amplitudes or intensities")
    if params.domain == "log":
        mean, level = log_moments(params.looks, params.quantity)
        logs = torch.where(seen > 0, y.clamp_min(torch.finfo(y.dtype).tiny).log() - mean, 0.0)
        said = (
            f"{params.looks:g} looks: speckle of standard deviation {level:.3g} in the logarithm, bias "
            f"{mean:.3g} removed"
        )
        return Fitted(
            logs, shape, lambda noise: LogImage(FLOOR, noise_model=noise, mask=seen), sigma=level, said=(said,)
        )
    mean, variation = moments(params.looks, params.quantity)
    image = y / mean
    level_map = variation * lee(image, variation, seen)
    level_map = level_map.clamp_min(0.05 * float(level_map[seen > 0].median()))
    sigma = float(level_map[seen > 0].median())
    weights = seen * sigma / level_map
    said = f"{params.looks:g} looks: speckle of {variation:.1%} of a Lee filter's image, mean {mean:.3g} removed"

    def build(noise_model: Any) -> Attenuation:
        return Attenuation(weights, shape=shape, noise_model=noise_model)

    return Fitted(weights * image, shape, build, sigma=sigma, said=(said,))
