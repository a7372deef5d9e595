r"""Blur kernels, float64, sum 1: from files, Gaussians, lines, and point spread functions by their physics.

The origin of a kernel with n samples is at ``n // 2``, as in ``scipy.ndimage.convolve``. Point spread functions have
odd sizes and their origin in the middle; each pixel is the mean over its area.

* Anisotropic Gaussian: :math:`\exp(-\tfrac12 r^T \Sigma^{-1} r)`,
  :math:`\Sigma = R(\theta)\,\mathrm{diag}(\sigma_x^2, \sigma_y^2)\,R(\theta)^T`, at pixel centres.
* Defocus (geometric optics): a disc of constant brightness; a pixel's weight is the area of the disc inside it.
* Microscopes (incoherent, scalar diffraction): with :math:`k = 2\pi/\lambda` and the pupil's radius :math:`\rho` in
  units of the numerical aperture,

  .. math:: h(r) = \Big| 2 \int_0^1 J_0(k\,\mathrm{NA}\,r \rho)\, e^{i k W(\rho)} \rho \, d\rho \Big|^2 .

  In focus, :math:`W = 0`, this is Airy's :math:`(2 J_1(v)/v)^2`, :math:`v = k\,\mathrm{NA}\,r`. Born & Wolf (Principles
  of Optics, 8.8), paraxial, at distance z from focus in a medium of index n:
  :math:`W = -\mathrm{NA}^2 z \rho^2 / (2 n)`. Gibson & Lanni (1992, JOSA A 9:154), a particle at depth d in a specimen
  of index :math:`n_s`, under a coverslip as the objective was designed for, immersion :math:`n_i`, stage z away from
  where the particle is in paraxial focus:
  :math:`W = d\,[g(n_s) - n_s] - (n_i / n_s)\,d\,[g(n_i) - n_i] + z\,[g(n_i) - n_i]` with
  :math:`g(n) = \sqrt{n^2 - \mathrm{NA}^2 \rho^2}`.

The integral is by 400 Gauss-Legendre nodes. Kernels of microscopes end at ``extent`` Airy radii
:math:`0.61 \lambda / \mathrm{NA}`; the light cut off there (in focus 5 % at 4) is put back by the scaling to sum 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import j0

from inverse.errors import InputError
from inverse.operators.arrays import load_plane

__all__ = [
    "airy_radius",
    "born_wolf",
    "defocus_kernel",
    "file_kernel",
    "gaussian_kernel",
    "gibson_lanni",
    "is_even",
    "line_kernel",
    "microscope_kernel",
    "tilted_gaussian_kernel",
]

Kernel = NDArray[np.float64]


def gaussian_kernel(sigma: float) -> Kernel:
    r"""A Gaussian :math:`k \propto \exp(-r^2 / (2 \sigma^2))`, cut off at ``int(4 sigma + 0.5)`` pixels on each axis.

    As ``scipy.ndimage.gaussian_filter`` does.

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
        An array of odd size, symmetric about its origin. Along a row an odd length gives a box of as many equal
        weights.
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


_FINE = 5
_NODES = 400


def tilted_gaussian_kernel(sigma_x: float, sigma_y: float, angle: float) -> Kernel:
    """An anisotropic Gaussian.

    Args:
        sigma_x: Standard deviation along its first axis, in pixels.
        sigma_y: Along its second axis.
        angle: From the rows to its first axis in degrees, counter-clockwise as displayed.

    Returns:
        (2 a + 1, 2 b + 1), cut off at 4 standard deviations along rows and columns.
    """
    turn = math.radians(angle)
    # rows count downwards: the first axis is (-sin, cos) in (row, column)
    first, second = np.array([-math.sin(turn), math.cos(turn)]), np.array([math.cos(turn), math.sin(turn)])
    covariance = sigma_x**2 * np.outer(first, first) + sigma_y**2 * np.outer(second, second)
    reach = [int(4 * math.sqrt(value) + 0.5) for value in np.diag(covariance)]
    rows, columns = np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij")
    inverse = np.linalg.inv(covariance)
    power = inverse[0, 0] * rows**2 + 2 * inverse[0, 1] * rows * columns + inverse[1, 1] * columns**2
    kernel: Kernel = np.exp(-0.5 * power)
    return _even(kernel / kernel.sum(), straight=angle % 90 == 0)


def defocus_kernel(radius: float) -> Kernel:
    """A disc: each pixel's weight is the area of the disc inside it (exact along columns, 64 midpoints along rows).

    Args:
        radius: In pixels.
    """
    reach = max(0, math.ceil(radius - 0.5))
    fine = 64
    across = (np.arange((2 * reach + 1) * fine) + 0.5) / fine - reach - 0.5
    half = np.sqrt(np.clip(radius**2 - across**2, 0, None))
    edges = np.arange(-reach, reach + 2) - 0.5
    inside = np.clip(edges[:, None], -half, half)
    kernel: Kernel = np.diff(inside, axis=0).reshape(2 * reach + 1, 2 * reach + 1, fine).mean(2)
    kernel = (kernel + kernel.T) / 2
    return _even(kernel / kernel.sum())


def airy_radius(wavelength: float, numerical_aperture: float) -> float:
    """Radius of the first dark ring, ``0.61 wavelength / NA``, in the unit of the wavelength."""
    return 0.6098 * wavelength / numerical_aperture


def born_wolf(*, numerical_aperture: float, index: float, defocus: float) -> Callable[[Kernel], Kernel]:
    """Path difference over the pupil's radius (0 to 1), in the unit of ``defocus``."""
    return lambda rho: -(numerical_aperture**2) * defocus * rho**2 / (2 * index)


def gibson_lanni(
    *, numerical_aperture: float, immersion: float, specimen: float, depth: float, defocus: float
) -> Callable[[Kernel], Kernel]:
    """Path difference over the pupil's radius (0 to 1), in the unit of ``depth`` and ``defocus``.

    Rays that are evanescent in the specimen arrive in phase with the last that is not.
    """

    def phase(rho: Kernel) -> Kernel:
        def lost(index: float) -> Kernel:
            steep = np.clip(index**2 - (numerical_aperture * rho) ** 2, 0, None)
            return np.sqrt(steep) - index

        moved = defocus - immersion / specimen * depth
        return np.asarray(depth * lost(specimen) + moved * lost(immersion))

    return phase


def microscope_kernel(
    path: Callable[[Kernel], Kernel], *, wavelength: float, numerical_aperture: float, pixel: float, extent: float
) -> Kernel:
    """The pattern of a point in a microscope.

    Args:
        path: Path difference W over the pupil's radius (0 to 1), in nanometres.
        wavelength: Of the light in vacuum, nanometres.
        numerical_aperture: NA.
        pixel: Side of a pixel in the specimen, nanometres.
        extent: Where the kernel ends, in Airy radii.

    Returns:
        (2 r + 1, 2 r + 1), the pattern's mean over each pixel (5 x 5 points), sum 1.
    """
    reach = max(1, math.ceil(extent * airy_radius(wavelength, numerical_aperture) / pixel))
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    rho = (nodes + 1) / 2
    wave = 2 * np.pi / wavelength
    amplitude = weights * rho * np.exp(1j * wave * path(rho))
    radii = np.linspace(0, (reach + 0.5) * math.sqrt(2), 40 * reach + 80)
    profile = np.abs(j0(wave * numerical_aperture * pixel * np.outer(radii, rho)) @ amplitude) ** 2
    points = (np.arange((2 * reach + 1) * _FINE) + 0.5) / _FINE - reach - 0.5
    values: NDArray[np.float64] = np.interp(np.hypot(points[:, None], points[None]), radii, profile)
    kernel = values.reshape(2 * reach + 1, _FINE, 2 * reach + 1, _FINE).mean((1, 3))
    return _even(kernel / kernel.sum())


def _even(kernel: Kernel, *, straight: bool = True) -> Kernel:
    """Rid of rounding errors in its symmetry: about its origin, and along both axes where it stands straight."""
    kernel = (kernel + kernel[::-1, ::-1]) / 2
    return (kernel + kernel[::-1]) / 2 if straight else kernel
