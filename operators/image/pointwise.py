r"""Operators that act on each pixel by itself: a factor, and the ends of a sensor's range.

* `Diagonal`: :math:`y = t \odot x + n`; :math:`U = V = I`, singular values :math:`t`. Underexposure (one factor),
  a transmission map (:mod:`inverse.operators.image.haze`).
* `SaturationPhysics`: :math:`y = \min(\max(g x, a), b) + n`, not linear. Its gradient is g inside the range and 0 where
  the value is cut off, so an unknown that is cut off where the measurement is says nothing, and one that is not is
  drawn to the end of the range.
"""

from __future__ import annotations

from typing import Any

import torch
from deepinv.physics import Physics
from torch import Tensor

from inverse.operators.base import Cloned, Spectral
from inverse.operators.image.spec import LowLight, Saturation

__all__ = ["Diagonal", "SaturationPhysics", "low_light", "saturation"]


class Diagonal(Spectral):
    """Each pixel times a factor.

    Args:
        mask: The factors, at least 0, (1, 1 or C, 1 or H, 1 or W).
        shape: Shape (C, H, W) of one unknown.
    """

    picks = True

    def basis_squared(self, spectrum: Tensor) -> Tensor:
        """Diagonal of ``diag(spectrum)``: itself."""
        return spectrum


class SaturationPhysics(Cloned, Physics):
    """Values cut off at the ends of a range.

    Args:
        gain: Factor before.
        low: Smallest value.
        high: Largest value.
        shape: Shape (C, *S) of one unknown.
    """

    def __init__(self, gain: float, low: float, high: float, *, shape: tuple[int, ...], noise_model: Any) -> None:
        super().__init__(noise_model=noise_model)
        self.img_size = shape
        self.gain, self.low, self.high = gain, low, high

    def A(self, x: Tensor, **_: Any) -> Tensor:
        """Scale and cut off (B, C, *S)."""
        return (self.gain * x).clamp(self.low, self.high)


def low_light(params: LowLight, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> Diagonal:
    """The image times the exposure."""
    mask = torch.full((1,) * (len(shape) + 1), params.exposure, dtype=dtype)
    physics = Diagonal(mask, shape=shape, noise_model=noise_model)
    physics.factor_of_all = params.exposure
    return physics


def saturation(
    params: Saturation, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype
) -> SaturationPhysics:
    """The range that the parameters describe."""
    del dtype
    return SaturationPhysics(params.gain, params.low, params.high, shape=shape, noise_model=noise_model)
