r"""SAR speckle: intensity :math:`I = R\, s`, :math:`s \sim \Gamma(L, 1/L)` with L looks; amplitude is its root.

The gamma has mean 1 and variance 1/L.
With q = 1 for a file of intensities, 1/2 for amplitudes, the unknown is :math:`x = R^q`, the clean image in the file's
own units.

``domain: linear``: :math:`I^q / m = x + n` with mean 0 and variance :math:`c^2 x^2`,

.. math:: m = E\, s^q = \frac{\Gamma(L + q)}{\Gamma(L)\, L^q}, \qquad c^2 = E\, s^{2q} / m^2 - 1

The variance is that of a pilot estimate p of x, with which every row is divided to one noise level: diagonal, so for
every linear method. What p knows of the noise makes a bias. With weights :math:`p^{-2}` an estimate that averages by H
(rows of sum 1) from a pilot that averages by K is off by

.. math:: E\, \hat x / x - 1 = 2 c^2 \left( (H K H^T)_{ii} - K_{ii} \right)

to first order: a pixel's own share in its pilot makes the image darker, its neighbours' share lighter (Lee's filter,
with its large share of the pixel itself, 4 to 7 % darker). Both are equal where K does not change over the reach of H.
So p is the mean of 15 x 15 pixels, and where that of the 7 x 7 without the pixel itself differs by more than two
standard deviations of speckle, it is shrunk towards that one. Taken as Gaussian, and the pilot as known: at one look
intensities are exponential (skewness 2), amplitudes Rayleigh (0.63), at four 1 and 0.25.

What the weights and an approximate sampler still move is the level of all of the image, of which the measurement says
more than any prior: its sum over N pixels is known to :math:`c / \sqrt N` (0.8 % of 128 x 128 pixels at one look),
since :math:`E\, I^q / m = x`. Each sample is scaled to that sum (`Levelled`).

A file whose values were stretched (``data.scale``) has its zero elsewhere: I is counted from there, x in data units.

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

__all__ = ["FLOOR", "LogImage", "fitted", "log_moments", "moments", "pilot", "speckle"]

FLOOR = 0.01
_NEAR, _WIDE = 7, 15
#: Standard deviations by which the near mean has to differ from the wide one.
_SURE = 2.0
#: Share of values below 0 from which they are no amplitudes or intensities; fewer are left by the removal of thermal
#: noise, and unobserved.
_NEGATIVE = 0.01
#: How many times less than by speckle neighbours may differ: texture only adds to it.
_CALM = 3.0
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


class Levelled:
    """What speckle leaves as it is: the sum of the signal over all that was observed.

    Args:
        signal: The measurement over the mean of the speckle, counted from ``zero`` (1, C, H, W).
        seen: 1 = observed, of the same shape.
        zero: The data units that stand for no signal (1, C or 1, 1, 1).
    """

    def __init__(self, signal: Tensor, seen: Tensor, zero: Tensor) -> None:
        self._seen, self._zero = seen, zero
        self._total = (signal * seen).sum((-2, -1), keepdim=True)

    def __call__(self, states: Tensor) -> Tensor:
        """Samples (K, 1, C, H, W), each scaled to the sum that was measured."""
        signal = states - self._zero
        total = (signal * self._seen).sum((-2, -1), keepdim=True)
        return self._zero + torch.where(total > 0, self._total / total, 1.0) * signal


class Speckled(Attenuation):
    """Speckle's rows divided to one level; arguments as `Attenuation`, and what its samples are levelled by."""

    knows_valid = True

    def __init__(self, weights: Tensor, *, shape: tuple[int, ...], noise_model: Any, levelled: Levelled) -> None:
        super().__init__(weights, shape=shape, noise_model=noise_model)
        self.levelled = levelled


def pilot(y: Tensor, variation: float, seen: Tensor) -> Tensor:
    """The image without its speckle as far as weights need it: a wide mean, a near one where that differs for sure.

    Args:
        y: (B, C, H, W), noise of mean 1.
        variation: Its coefficient of variation.
        seen: Of the shape of ``y``, 1 = observed.

    Returns:
        (B, C, H, W); 0 where nothing near was observed.
    """

    def total(values: Tensor, side: int) -> Tensor:
        pooled: Tensor = avg_pool2d(pad(values, (side // 2,) * 4), side, stride=1)
        return side**2 * pooled

    wide = total(y * seen, _WIDE) / total(seen, _WIDE).clamp_min(0.5)
    others = total(seen, _NEAR) - seen
    near = (total(y * seen, _NEAR) - y * seen) / others.clamp_min(0.5)
    by_chance = (variation * wide).square() / others.clamp_min(1.0)
    share = (1 - _SURE**2 * by_chance / (near - wide).square().clamp_min(torch.finfo(y.dtype).tiny)).clamp_min(0)
    return torch.where(others > 0.5, wide + share * (near - wide), wide)


class LogImage(Cloned, Physics):
    """``A(x) = log(x - zero)``, below ``floor`` above zero the tangent there.

    Args:
        floor: Above 0, in data units.
        mask: Broadcasts against x, 1 = observed; None: all of it.
        zero: The data units that stand for no signal, broadcasts against x; None: 0.

    Attributes:
        mask: As given, or (1, 1, 1, 1).
    """

    mask: Tensor
    zero: Tensor
    knows_valid = True

    def __init__(
        self, floor: float, *, noise_model: Any, mask: Tensor | None = None, zero: Tensor | None = None
    ) -> None:
        super().__init__(noise_model=noise_model)
        self.floor = floor
        self.register_buffer("mask", torch.ones(1, 1, 1, 1, dtype=torch.float32) if mask is None else mask)
        self.register_buffer("zero", torch.zeros(1, 1, 1, 1, dtype=torch.float32) if zero is None else zero)

    def A(self, x: Tensor, **kwargs: Any) -> Tensor:
        """Element by element, (B, C, H, W)."""
        signal = x - self.zero.to(x.dtype)
        above = signal.clamp_min(self.floor)
        below = (signal - self.floor).clamp_max(0.0) / self.floor
        return (above.log() + below) * self.mask.to(x.dtype)


def speckle(params: Speckle, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> LogImage | Attenuation:
    """The logarithm, or for the linear domain the identity: without a measurement there is no pilot."""
    if params.domain == "log":
        return LogImage(FLOOR, noise_model=noise_model)
    return Attenuation(torch.ones(1, 1, 1, 1, dtype=dtype), shape=shape, noise_model=noise_model)


def fitted(params: Speckle, measurement: Measurement) -> Fitted:
    """The measurement with speckle of one level: its rows divided by the pilot's, or its logarithm without bias.

    Raises:
        InputError: no pixel above 0, or values that are no amplitudes or intensities.
    """
    y, shape = measurement.y, tuple(measurement.y.shape[1:])
    zero = torch.as_tensor(measurement.facts.get("zero", 0.0)).to(y).reshape(1, -1, 1, 1)
    signal = y - zero
    valid = torch.ones_like(y) if measurement.valid is None else measurement.valid.expand(y.shape)
    seen = (signal > 0).to(y) * valid
    _require_signals(params, signal, valid, seen)
    if params.domain == "log":
        mean, level = log_moments(params.looks, params.quantity)
        logs = torch.where(seen > 0, signal.clamp_min(torch.finfo(y.dtype).tiny).log() - mean, 0.0)
        said = (
            f"{params.looks:g} looks: speckle of standard deviation {level:.3g} in the logarithm, bias "
            f"{mean:.3g} removed"
        )
        levelled = Levelled(signal / moments(params.looks, params.quantity)[0], seen, zero)

        def logarithm(noise_model: Any) -> LogImage:
            physics = LogImage(FLOOR, noise_model=noise_model, mask=seen, zero=zero)
            physics.levelled = levelled
            return physics

        return Fitted(logs, shape, logarithm, sigma=level, said=(said,))
    mean, variation = moments(params.looks, params.quantity)
    image = signal / mean
    level_map = variation * pilot(image, variation, seen)
    level_map = level_map.clamp_min(0.05 * float(level_map[seen > 0].median()))
    sigma = float(level_map[seen > 0].median())
    weights = seen * sigma / level_map
    said = f"{params.looks:g} looks: speckle of {variation:.1%} of the local mean, mean {mean:.3g} removed"

    def build(noise_model: Any) -> Speckled:
        return Speckled(weights, shape=shape, noise_model=noise_model, levelled=Levelled(image, seen, zero))

    return Fitted(weights * (image + zero), shape, build, sigma=sigma, said=(said,))


def _require_signals(params: Speckle, signal: Tensor, valid: Tensor, seen: Tensor) -> None:
    """Refuse what cannot be speckle of so many looks: negative values, and values that hardly vary."""
    linear = "give linear values: 10 ** (decibels / 10) of an intensity, 10 ** (decibels / 20) of an amplitude"
    negative = float(((signal < 0) * valid).sum() / valid.sum().clamp_min(1))
    if negative > _NEGATIVE:
        raise InputError(
            f"{100 * negative:.0f} % of the values are negative, which no {params.quantity} is: decibels?", linear
        )
    if not bool(seen.any()):
        raise InputError("no pixel has a signal above 0", linear)
    expected, found = moments(params.looks, params.quantity)[1], _variation(signal, seen)
    if found is not None and found < expected / _CALM:
        raise InputError(
            f"neighbours differ by {found:.1%}, speckle of {params.looks:g} looks by {expected:.0%}: decibels, or "
            "filtered before?",
            f"{linear}; or say how many looks: -s operator.looks=...",
        )


def _variation(signal: Tensor, seen: Tensor) -> float | None:
    """Median coefficient of variation within windows of 7 x 7 that were observed; None where there is none."""
    if min(signal.shape[-2:]) < _NEAR:
        return None
    whole = avg_pool2d(seen, _NEAR, stride=_NEAR) > 1 - 1e-6
    if not bool(whole.any()):
        return None
    mean = avg_pool2d(signal.double(), _NEAR, stride=_NEAR)
    deviation = (avg_pool2d(signal.double().square(), _NEAR, stride=_NEAR) - mean.square()).clamp_min(0).sqrt()
    return float((deviation / mean)[whole].median())
