r"""Blur kernels, float64, sum 1. The origin of a kernel with n samples is at ``n // 2``, as in ``scipy.ndimage.convolve``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inverse.errors import InputError
from inverse.operators.files import load_plane

__all__ = ["file_kernel", "gaussian_kernel", "is_even", "line_kernel"]

Kernel = NDArray[np.float64]


def gaussian_kernel(sigma: float) -> Kernel:
    r""":math:`k \propto \exp(-r^2 / (2 \sigma^2))`, cut off at ``int(4 sigma + 0.5)`` pixels along each axis (as ``scipy.ndimage.gaussian_filter``).

    Args:
        sigma: Standard deviation in pixels.

    Returns:
        (2 r + 1, 2 r + 1).
    """
    radius = int(4 * sigma + 0.5)
    line = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    line /= line.sum()
    return np.outer(line, line)


def line_kernel(length: float, angle: float) -> Kernel:
    """A straight path of constant speed: a pixel's weight is the length of the path inside it.

    Args:
        length: Of the path, in pixels; the path is centred on the origin.
        angle: In degrees, counter-clockwise as displayed (rows count downwards); 0 is along a row.

    Returns:
        An array of odd size, symmetric about its origin. Along a row an odd length gives a box of as many equal weights.
    """
    direction = np.array([-math.sin(math.radians(angle)), math.cos(math.radians(angle))])
    direction[np.abs(direction) < 1e-12] = 0.0
    cuts = [np.array([-length / 2, length / 2])]
    for slope in direction[direction != 0]:
        reach = math.ceil(length / 2)
        crossing = (np.arange(-reach, reach) + 0.5) / slope
        cuts.append(crossing[np.abs(crossing) < length / 2])
    cut = np.sort(np.concatenate(cuts))
    pixels = np.rint((cut[1:] + cut[:-1])[:, None] / 2 * direction).astype(int)
    radius = np.abs(pixels).max(0)
    kernel = np.zeros(2 * radius + 1)
    np.add.at(kernel, tuple((pixels + radius).T), np.diff(cut) / length)
    return (kernel + kernel[::-1, ::-1]) / 2


def file_kernel(path: str) -> Kernel:
    """A kernel from a 2-D .npy array or an image (mean of its channels), divided by its sum.

    Raises:
        InputError: a file that cannot be read, or a kernel whose sum is not positive.
    """
    plane, _ = load_plane(path, reduce=np.mean)
    kernel: NDArray[Any] = plane.astype(np.float64)
    total = float(kernel.sum())
    if not total > 1e-12 * float(np.abs(kernel).sum()):
        raise InputError(
            f"{Path(path).name}: the kernel sums to {total:g}, allowed: more than 0", "a blur keeps brightness"
        )
    return kernel / total


def is_even(kernel: Kernel) -> bool:
    """Whether a kernel is symmetric about its origin along each axis, to 1e-9 of its largest weight."""
    if kernel.shape[0] % 2 == 0 or kernel.shape[1] % 2 == 0:
        return False
    limit = 1e-9 * np.abs(kernel).max()
    return all(bool(np.abs(kernel - np.flip(kernel, axis)).max() <= limit) for axis in (0, 1))
