r"""SAR speckle: intensity :math:`I = R\, s`, :math:`s \sim \Gamma(L, 1/L)` with L looks (mean 1, variance 1/L); amplitude is its root.

Multiplicative noise becomes additive in the log domain:

.. math::
    \log I = \log R + \log s, \qquad E \log s = \psi(L) - \ln L, \quad \mathrm{Var} \log s = \psi_1(L)

(Oliver & Quegan 2004, section 4). The measurement is :math:`y = q \log I - q (\psi(L) - \ln L)` with q = 1 for a file of intensities, 1/2 for amplitudes,
whose unknown is :math:`x = R^q`, the clean image in the file's own units: :math:`A(x) = \log x`, noise of mean 0 and standard deviation :math:`q \sqrt{\psi_1(L)}`.
So the result needs no exponential afterwards and has no bias from one: the posterior mean is that of x. Below ``floor`` the logarithm goes on as its tangent,
so that A is smooth and increasing for every x.

The log-gamma is taken as Gaussian of the same two moments. Its skewness is -1.14 for one look, -0.53 for 4, -0.26 for 16
(:math:`\psi_2(L)/\psi_1(L)^{3/2}`): for few looks dark outliers are likelier than assumed, and intervals too narrow on the dark side. Pixels without a signal (0 and
below) are unobserved. Neighbouring speckle is taken as independent: decimate products that are oversampled.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from deepinv.physics import Physics
from scipy.special import digamma, polygamma
from torch import Tensor

from inverse.errors import InputError
from inverse.operators.base import Cloned
from inverse.operators.catalog_remote import Speckle as SpeckleParams
from inverse.operators.measured import Fitted, Measurement

__all__ = ["FLOOR", "LogImage", "fitted", "log_moments", "speckle"]

FLOOR = 0.01
_SHARE = {"intensity": 1.0, "amplitude": 0.5}


def log_moments(looks: float, quantity: str) -> tuple[float, float]:
    """Mean and standard deviation of the logarithm of speckle.

    Args:
        looks: L.
        quantity: ``amplitude`` or ``intensity``.
    """
    share = _SHARE[quantity]
    return share * float(digamma(looks) - math.log(looks)), share * math.sqrt(float(polygamma(1, looks)))


class LogImage(Cloned, Physics):
    """``A(x) = log x``, below ``floor`` the tangent there.

    Args:
        floor: Above 0, in data units.
        noise_model: deepinv noise model.
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


def speckle(params: SpeckleParams, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> LogImage:
    """The logarithm; the noise model is of the log domain (`log_moments`)."""
    del params, shape, dtype
    return LogImage(FLOOR, noise_model=noise_model)


def fitted(params: SpeckleParams, measurement: Measurement) -> Fitted:
    """The logarithm of the measurement without its bias, and the level of its speckle.

    Raises:
        InputError: no pixel above 0.
    """
    y, shape = measurement.y, tuple(measurement.y.shape[1:])
    seen = (y > 0).to(y) if measurement.valid is None else (y > 0).to(y) * measurement.valid
    if not bool(seen.any()):
        raise InputError("no pixel has a signal above 0", "decibels? Give amplitudes or intensities")
    mean, level = log_moments(params.looks, params.quantity)
    logs = torch.where(seen > 0, y.clamp_min(torch.finfo(y.dtype).tiny).log() - mean, 0.0)
    said = (
        f"{params.looks:g} looks: speckle of standard deviation {level:.3g} in the logarithm, bias {mean:.3g} removed",
    )

    def build(noise_model: Any) -> LogImage:
        return LogImage(FLOOR, noise_model=noise_model, mask=seen)

    return Fitted(logs, shape, build, sigma=level, said=said)
