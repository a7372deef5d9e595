"""The transfer curve between the values a file stores and the values an operator acts on.

``srgb``: as stored. ``linear``: files hold sRGB-encoded values (IEC 61966-2-1), the unknown and the measurement are in
linear light, where a lens blurs and a sensor averages. The curve is continued oddly below 0, and by its power law above
1, so that noise keeps its sign and nothing is clipped or NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inverse.io.content import Picture, Span, from_unit, to_unit

__all__ = ["decode", "encode", "from_data", "to_data"]

Image = NDArray[np.float32]


def decode(values: Image) -> Image:
    """sRGB-encoded to linear light, on [0, 1] and past both ends."""
    size = np.abs(values)
    curve = np.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4)
    return np.copysign(curve, values).astype(np.float32)


def encode(values: Image) -> Image:
    """Linear light to sRGB-encoded: the inverse of :func:`decode`."""
    size = np.abs(values)
    curve = np.where(size <= 0.0031308, 12.92 * size, 1.055 * np.maximum(size, 1e-8) ** (1 / 2.4) - 0.055)
    return np.copysign(curve, values).astype(np.float32)


def to_data(picture: Picture, transfer: str, span: Span | None = None) -> Image:
    """A picture as (C, H, W) float32 in data units."""
    values: Image = to_unit(picture, span)
    return decode(values) if transfer == "linear" else values


def from_data(array: Image, *, like: Picture, transfer: str, span: Span | None = None) -> tuple[Picture, float]:
    """Data units (C, H, W) as a picture of the format of ``like``, and the fraction of values that was clipped."""
    return from_unit(encode(array) if transfer == "linear" else array, like=like, span=span)
