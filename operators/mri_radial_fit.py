r"""Non-Cartesian MRI operators fitted to raw data: trajectory, noise, coil maps and scale from the measurement itself.

The trajectory is the file's. A Cartesian file is resampled along the trajectory of the parameters instead, the images of its coils through the same
operator: a simulation from real data, and said. Noise is whitened as for Cartesian data. Coil maps are ESPIRiT's of a Cartesian centre, 24 x 24
samples, solved for by least squares from the samples within its square; the scale is that of its image. Noise level: 1/sqrt(2) after
whitening, else from the outermost 5 % of the samples.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inverse.errors import InputError
from inverse.linalg import conjugate_gradients
from inverse.operators.catalog_mri import MriRadial
from inverse.operators.coils import compression, espirit
from inverse.operators.measured import Fitted, Measurement
from inverse.operators.mri import coil_maps, fourier, to_complex, to_pair
from inverse.operators.mri_fit import BRIGHT, CALIBRATION, VIRTUAL, hann, whitened
from inverse.operators.mri_radial import NonCartesian, trajectory

__all__ = ["fit_radial"]


_OUTER = 0.05
_ITERATIONS = 20


def fit_radial(params: MriRadial, measurement: Measurement) -> Fitted:
    """The operator of one slice of samples (1, coils, n), or of Cartesian k-space (1, coils, H, W).

    Raises:
        InputError: samples without a trajectory or an image size, or a centre too sparse for coil maps.
    """
    y, points, size, said = _samples(params, measurement)
    y, white = whitened(y, measurement.facts.get("noise"))
    kept = params.compress or VIRTUAL
    if params.maps is None and y.shape[1] > kept:
        said.append(f"{y.shape[1]} coils compressed to {kept}")
        y = torch.einsum("ab,zb...->za...", compression(y[0], kept), y)
    side = CALIBRATION if params.calibration == "auto" else params.calibration
    block = _centre(y, points, size, side)
    maps = coil_maps(params, size, y.real.dtype) if params.maps is not None else None
    if maps is not None and maps.shape[1] != y.shape[1]:
        raise InputError(f"coil maps of {maps.shape[1]} coils for k-space of {y.shape[1]}", "give one map a coil")
    if maps is None and y.shape[1] > 1:
        maps = espirit(block, size, kernel=params.kernel)[0][None].to(y)
        said.append(f"coil maps by ESPIRiT from the central {side} x {side} samples, solved for from the trajectory")
    low = torch.zeros(y.shape[1], *size, dtype=block.dtype)
    top, left = (n // 2 - side // 2 for n in size)
    low[:, top : top + side, left : left + side] = block * hann(side, side)
    images = fourier(low, inverse=True)
    image = images[0] if maps is None else (maps[0].conj() * images).sum(0)
    if maps is not None and params.maps is None:
        maps = maps * torch.exp(1j * torch.angle(image))
    scale = BRIGHT / float(image.abs().flatten().quantile(0.99))
    if white is not None:
        sigma = math.sqrt(0.5)
        said.append("noise whitened with the file's noise scan")
    else:
        reach = np.hypot(points[:, 0], points[:, 1])
        outer = torch.from_numpy(reach >= np.quantile(reach, 1 - _OUTER))
        sigma = math.sqrt(float(y[0][:, outer].abs().square().median()) / (2 * math.log(2)))
        said.append(f"noise level from the outermost {_OUTER:.0%} of the samples of k-space")
    shape = (2, *size)

    def made(noise_model: Any) -> NonCartesian:
        return NonCartesian(points, maps, shape=shape, noise_model=noise_model)

    return Fitted(y * scale, shape, made, sigma * scale, tuple(said), scale)


def _samples(params: MriRadial, measurement: Measurement) -> tuple[Tensor, NDArray[Any], tuple[int, int], list[str]]:
    y, stated = measurement.y, measurement.facts.get("trajectory")
    if not y.is_complex() or y.ndim not in (3, 4):
        raise InputError(
            f"operator 'mri-radial' needs complex samples (coils, n), given {tuple(y.shape[1:])} of {str(y.dtype)[6:]}",
            "give a raw-data file with a trajectory",
        )
    if y.ndim == 4:
        size = (int(y.shape[2]), int(y.shape[3]))
        points = trajectory(params, size)
        whole = NonCartesian(points, None, shape=(2, *size), noise_model=None)
        images = fourier(y, inverse=True)[0][:, None]
        samples = whole.A(to_pair(images))[:, 0][None]
        nyquist = len(points) / (size[0] * size[1])
        return (
            samples,
            points,
            size,
            [
                f"Cartesian k-space resampled along {params.spokes} {params.trajectory} arms ({nyquist:.0%} as many samples)"
            ],
        )
    known = params.image or measurement.facts.get("shape")
    if known is None or (stated is None and params.image is None):
        missing = "a trajectory" if stated is None else "an image size"
        raise InputError(f"samples without {missing}", "give the image's size: -s operator.image=[256,256]")
    size = (int(known[0]), int(known[1]))
    points = np.asarray(stated if stated is not None else trajectory(params, size), np.float64)
    if points.shape != (y.shape[2], 2) or not np.isfinite(points).all() or np.abs(points).max() > 0.5:
        raise InputError(
            f"a trajectory of shape {points.shape} for {y.shape[2]} samples",
            "allowed: (n, 2), cycles per pixel within 0.5",
        )
    return y, points, size, []


def _centre(y: Tensor, points: NDArray[Any], size: tuple[int, int], side: int) -> Tensor:
    """Cartesian k-space (coils, side, side) of the middle, by least squares."""
    if side > min(size):
        raise InputError(f"calibration of {side} samples in an image of {size[0]} x {size[1]}", "give fewer")
    scaled = points * np.array(size) / side
    inside = np.abs(scaled).max(1) < 0.5
    if inside.sum() < side**2:
        raise InputError(
            f"the centre of k-space has {int(inside.sum())} samples for {side} x {side}: too few for coil maps",
            "give fewer: -s operator.calibration=16, or maps: -s operator.maps=maps.npy",
        )
    small = NonCartesian(scaled[inside], None, shape=(2, side, side), noise_model=None)
    data = y[0][:, None, torch.from_numpy(inside)] * 1.0
    # one sample a coil and an image: the coils are the batch
    solved = conjugate_gradients(small.A_adjoint_A, small.A_adjoint(data), tolerance=1e-4, iterations=_ITERATIONS)
    # orthonormal on the small grid to orthonormal on the whole: the same samples of k-space
    return fourier(to_complex(solved)[:, 0])
