r"""Non-Cartesian MRI: :math:`y_c(k) = (HW)^{-1/2} \sum_q S_c(q)\, x(q)\, e^{-2\pi i k \cdot q} + n`.

Positions ``q`` are pixels from the centre (``size // 2``), ``k`` (n, 2) cycles per pixel, rows then columns, in [-0.5,
0.5). The sums are non-uniform fast Fourier transforms (Barnett, Magland & af Klinteberg 2019, SIAM J. Sci. Comput.
41:C479; ``finufft``, extra ``nufft``), the adjoint the same transform backwards: exact to rounding, the sums themselves
to 1e-6 (float32) or 1e-12. They run on the CPU, and autograd goes through both. Solves are on the unknown.

Trajectories: ``radial``, spokes through the centre a golden angle (111.246 degrees) apart (Winkelmann et al. 2007);
``spiral``, Archimedean arms.

Non-Cartesian MRI operators fitted to raw data: trajectory, noise, coil maps and scale from the measurement itself.

The trajectory is the file's. A Cartesian file is resampled along the trajectory of the parameters instead, the images
of its coils through the same operator: a simulation from real data, and said. Noise is whitened as for Cartesian data.
Coil maps are ESPIRiT's of a Cartesian centre, 24 x 24 samples, solved for by least squares from the samples within its
square; the scale is that of its image. Noise level: 1/sqrt(2) after whitening, else from the outermost 5 % of the
samples.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inverse.errors import InputError, RecipeError, UsageError
from inverse.numerics.linalg import conjugate_gradients
from inverse.operators.base import Linear
from inverse.operators.measurement import Fitted, Measurement
from inverse.operators.mri.cartesian import coil_maps, fourier, to_complex, to_pair
from inverse.operators.mri.cartesian_fit import (
    BRIGHT,
    CALIBRATION,
    VIRTUAL,
    hann,
    in_file_units,
    mixed,
    of_whitened,
    whitened,
)
from inverse.operators.mri.coils import compression, espirit
from inverse.operators.mri.spec import MriRadial

__all__ = ["NonCartesian", "fit_radial", "locate", "radial", "result", "trajectory"]

_GOLDEN = math.pi * (math.sqrt(5) - 1) / 2
_ACCURACY = {torch.float32: 1e-6, torch.float64: 1e-12}


def trajectory(params: MriRadial, size: tuple[int, int]) -> NDArray[np.float64]:
    """(spokes * samples, 2) in cycles per pixel."""
    count = params.samples or 2 * max(size)
    arms = _GOLDEN * np.arange(params.spokes)[:, None]
    if params.trajectory == "radial":
        radius = (np.arange(count) - count // 2) / count
        angle = arms + np.zeros(count)
    else:
        radius = np.arange(count) / (2 * count)
        angle = arms + 2 * math.pi * params.turns * np.arange(count) / count
    points = np.stack([radius * np.sin(angle), radius * np.cos(angle)], -1)
    return points.reshape(-1, 2)


def _finufft() -> Any:
    try:
        finufft = importlib.import_module("finufft")
    except ImportError:
        raise UsageError(
            "non-Cartesian MRI needs the package finufft, which is not installed",
            "pip install 'inverse-imaging[nufft]'",
        ) from None
    return finufft


class _Transform(torch.autograd.Function):
    """Images (B, coils, H, W) at the points, or back; each is the other's transpose."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, points: NDArray[np.float64], size: tuple[int, int], adjoint: bool) -> Tensor:
        ctx.rest = points, size, adjoint
        return _transformed(values, points, size, adjoint=adjoint)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        points, size, adjoint = ctx.rest
        back: Tensor = _Transform.apply(gradients[0], points, size, not adjoint)
        return back, None, None, None


def _transformed(values: Tensor, points: NDArray[np.float64], size: tuple[int, int], *, adjoint: bool) -> Tensor:
    finufft = _finufft()
    real = values.real.dtype
    flat = np.ascontiguousarray(values.detach().cpu().numpy().reshape(-1, *values.shape[2:]))
    rows, columns = (np.ascontiguousarray(2 * math.pi * points[:, i], _numpy(real)) for i in (0, 1))
    # points are sorted the same way, threads keep to the process's number, so the result does not depend on the batch
    options = {"eps": _ACCURACY[real], "nthreads": torch.get_num_threads()}
    if adjoint:
        images = np.stack([finufft.nufft2d1(rows, columns, plane, size, isign=1, **options) for plane in flat])
    else:
        images = np.stack([finufft.nufft2d2(rows, columns, plane, isign=-1, **options) for plane in flat])
    shaped = images.reshape(*values.shape[:2], *images.shape[1:]) / math.sqrt(math.prod(size))
    return torch.from_numpy(shaped).to(values.device, values.dtype)


def _numpy(dtype: torch.dtype) -> Any:
    return np.float32 if dtype == torch.float32 else np.float64


class NonCartesian(Linear):
    """k-space at any points.

    Args:
        points: (n, 2) in cycles per pixel.
        maps: (1, coils, H, W), complex; None for one coil whose map is 1.
        shape: (2, H, W) of one unknown.
    """

    solve_unknown = True
    maps: Tensor | None
    _spread: Tensor | None

    def __init__(self, points: NDArray[Any], maps: Tensor | None, *, shape: tuple[int, ...], noise_model: Any) -> None:
        super().__init__(shape=shape, noise_model=noise_model)
        _finufft()
        self.points = np.asarray(points, np.float64)
        self.size = (shape[1], shape[2])
        self.register_buffer("_spread", None, persistent=False)
        self.register_buffer("maps", maps)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        moved = super()._apply(fn, recurse)
        if "_spread" in self._buffers:
            self._spread = None  # made again where it is needed, in the precision it then has
        return moved

    def A(self, x: Tensor, **kwargs: Any) -> Tensor:
        """(B, 2, H, W) to (B, coils, n), complex."""
        image = to_complex(x)
        images = image if self.maps is None else self.maps * image
        y: Tensor = _Transform.apply(images, self.points, self.size, False)
        return y

    def A_adjoint(self, y: Tensor, **kwargs: Any) -> Tensor:
        """Transpose of ``A``."""
        images: Tensor = _Transform.apply(y + 0j, self.points, self.size, True)
        return to_pair(images if self.maps is None else (self.maps.conj() * images).sum(1, keepdim=True))

    def A_adjoint_A(self, x: Tensor, **kwargs: Any) -> Tensor:
        """``A^T A x``: of each coil a convolution, on twice the grid (Fessler et al. 2005, IEEE TSP 53:3393)."""
        spread = self._spectrum(x)
        images = []
        for image in to_complex(x)[:, 0]:
            maps = torch.ones_like(image)[None] if self.maps is None else self.maps[0]
            # a coil at a time: it fits the processor's cache
            parts = [coil.conj() * self._convolved(coil * image, spread) for coil in maps]
            images.append(torch.stack(parts).sum(0))
        return to_pair(torch.stack(images)[:, None])

    def _spectrum(self, like: Tensor) -> Tensor:
        """Fourier transform of ``sum_k exp(2 pi i k q) / HW`` over the differences ``q`` of pixels, made once."""
        if self._spread is None or self._spread.dtype != like.dtype or self._spread.device != like.device:
            wide = (2 * self.size[0], 2 * self.size[1])
            ones = torch.ones(1, 1, len(self.points), dtype=torch.complex128)
            kernel = _transformed(ones, self.points, wide, adjoint=True)[0, 0] * math.sqrt(math.prod(wide))
            spectrum = torch.fft.fft2(torch.fft.ifftshift(kernel)).real / math.prod(self.size)
            self._spread = spectrum.to(like)
        return self._spread

    def _convolved(self, image: Tensor, spectrum: Tensor) -> Tensor:
        height, width = self.size
        convolved: Tensor = torch.fft.ifft2(spectrum * torch.fft.fft2(image, s=spectrum.shape))[:height, :width]
        return convolved


def radial(params: MriRadial, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> NonCartesian:
    """The operator with the trajectory and the coils of its parameters.

    Raises:
        RecipeError: an unknown that is not complex (two channels).
        UsageError: finufft is not installed.
    """
    if shape[0] != 2:
        raise RecipeError(
            f"operator '{params.kind}' with {shape[0]} channels", "allowed: 2, real and imaginary part (prior: mri)"
        )
    size = (shape[1], shape[2])
    maps = coil_maps(params, size, dtype)
    return NonCartesian(trajectory(params, size), maps, shape=shape, noise_model=noise_model)


def locate(params: MriRadial, shape: tuple[int, ...]) -> tuple[MriRadial, tuple[int, ...]]:
    """The unknown of k-space (coils, n): its size is ``params.image``; without maps the coils are simulated ones.

    Raises:
        RecipeError: no size is given.
    """
    if params.image is None:
        raise RecipeError("the image's size is not known from samples alone", "give it: -s operator.image=[256,256]")
    complete = params if params.maps is not None else params.model_copy(update={"coils": shape[0]})
    return complete, (2, *params.image)


def result(params: MriRadial, shape: tuple[int, ...]) -> tuple[int, ...]:
    """(coils, H, W) of the image from samples (coils, n), or from Cartesian k-space that is resampled.

    Raises:
        RecipeError: no size is given.
    """
    return (shape[0], *locate(params, shape)[1][1:]) if len(shape) == 2 else shape


_OUTER = 0.05
_ITERATIONS = 20


def fit_radial(params: MriRadial, measurement: Measurement) -> Fitted:
    """The operator of one slice of samples (1, coils, n), or of Cartesian k-space (1, coils, H, W).

    Raises:
        InputError: samples without a trajectory or an image size, or a centre too sparse for coil maps.
    """
    y, points, size, said = _samples(params, measurement)
    y, white = whitened(y, measurement.facts.get("noise"))
    kept, rows = params.compress or VIRTUAL, None
    if params.maps is None and y.shape[1] > kept:
        said.append(f"{y.shape[1]} coils compressed to {kept}")
        rows = compression(y[0], kept)
        y = torch.einsum("ab,zb...->za...", rows, y)
    side = CALIBRATION if params.calibration == "auto" else params.calibration
    block = _centre(y, points, size, side)
    maps = coil_maps(params, size, y.real.dtype) if params.maps is not None else None
    if maps is not None and maps.shape[1] != y.shape[1]:
        raise InputError(f"coil maps of {maps.shape[1]} coils for k-space of {y.shape[1]}", "give one map a coil")
    maps = maps if maps is None or white is None else of_whitened(maps, white)
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
    level, mixing = 1.0, mixed(white, rows)
    if white is not None and mixing is not None:
        if maps is not None and params.maps is not None:
            image = image / maps[0].abs().square().sum(0).clamp_min(1e-12)
        maps, image, level = in_file_units(maps, image, mixing, own=params.maps is None)
        y = y * level
    scale = BRIGHT / float(image.abs().flatten().quantile(0.99))
    if white is not None:
        sigma = math.sqrt(0.5) * level
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
                *measurement.facts.get("notes", ()),
                f"Cartesian k-space resampled along {params.spokes} {params.trajectory} arms ({nyquist:.0%} as many "
                "samples)",
            ],
        )
    known = params.image or measurement.facts.get("shape")
    if known is None or not min(known) or (stated is None and params.image is None):
        missing = "a trajectory" if stated is None else "an image size"
        raise InputError(f"samples without {missing}", "give the image's size: -s operator.image=[256,256]")
    size = (int(known[0]), int(known[1]))
    points = np.asarray(stated if stated is not None else trajectory(params, size), np.float64)
    if points.shape != (y.shape[2], 2) or not np.isfinite(points).all() or np.abs(points).max() > 0.5:
        raise InputError(
            f"a trajectory of shape {points.shape} for {y.shape[2]} samples",
            "allowed: (n, 2), cycles per pixel within 0.5",
        )
    return y, points, size, list(measurement.facts.get("notes", ()))


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
