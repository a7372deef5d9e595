"""Trajectories of raw k-space that is not on a grid, in the units that are found in files.

Ours are cycles per pixel, rows then columns, in [-0.5, 0.5]. Files hold those, radians per pixel (up to pi), or cycles
per field of view (up to half the matrix: BART's). The largest coordinate tells which.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from inverse.errors import InputError

__all__ = ["in_cycles", "matrix_of", "planar"]

Array = npt.NDArray[Any]
_SLACK = 1.01  # beyond the edge of k-space, by rounding or a gradient's delay


def planar(points: Array, *, source: str) -> Array:
    """Rows and columns (..., 2) of a trajectory (..., 2 or 3).

    Raises:
        InputError: Another number of coordinates, a third one that is not zero, or values that are not finite.
    """
    if points.shape[-1] not in (2, 3):
        raise InputError(f"{source}: a trajectory of {points.shape[-1]} coordinates", "allowed: two, rows then columns")
    if not np.isfinite(points).all():
        raise InputError(f"{source}: the trajectory has NaN or infinite values", "export it again")
    if points.shape[-1] == 3 and points[..., 2].any():
        raise InputError(f"{source}: a three-dimensional trajectory", "allowed: two dimensions, the third coordinate 0")
    return points[..., :2]


def in_cycles(points: Array, sizes: tuple[tuple[int, int], ...], *, source: str) -> tuple[npt.NDArray[np.float32], str]:
    """A trajectory (..., 2) in cycles per pixel, and which units it had.

    Args:
        points: As in the file.
        sizes: Matrices (rows, columns) whose field of view may be its unit, the likeliest first.
        source: The file, for messages.

    Raises:
        InputError: It reaches beyond all of the matrices, or stays at the centre.
    """
    reach = np.abs(points).reshape(-1, 2).max(0)
    largest = float(reach.max())
    if not largest > 0:
        raise InputError(f"{source}: the trajectory stays at the centre of k-space", "export it again")
    if largest <= 0.5 * _SLACK:
        return np.clip(points, -0.5, 0.5).astype(np.float32), "cycles per pixel"
    if largest <= math.pi * _SLACK:
        return np.clip(points / (2 * math.pi), -0.5, 0.5).astype(np.float32), "radians per pixel"
    for size in sizes:
        if (reach <= np.array(size) / 2 * _SLACK).all():
            return np.clip(points / np.array(size), -0.5, 0.5).astype(np.float32), "cycles per field of view"
    said = " or ".join(f"{rows} x {columns}" for rows, columns in sizes) or "an unknown size"
    raise InputError(
        f"{source}: the trajectory reaches {largest:.4g}, beyond k-space of {said}",
        "allowed: cycles per pixel (to 0.5), radians per pixel (to pi), cycles per field of view (to half the matrix)",
    )


def matrix_of(points: Array) -> tuple[int, int] | None:
    """The square matrix that a trajectory (..., 2) in cycles per field of view reaches; None for other units."""
    largest = float(np.abs(points).max())
    if largest <= math.pi * _SLACK:
        return None
    side = 2 * math.ceil(largest - 0.01 * largest)
    return side, side
