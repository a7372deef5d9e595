r"""Blur: :math:`y = k * x + n`, one kernel for all channels, by its behaviour at the frame.

* ``reflect``: the image goes on mirrored at the half-sample (``scipy.ndimage``'s ``reflect``); ``y`` is the size of
  ``x``. For kernels that are even along both axes, `ReflectBlur`: :math:`A = C^T \mathrm{diag}(\lambda) C`, :math:`C`
  the orthonormal DCT-II and :math:`\lambda_k = \sum_j w_j \cos(\pi k_1 j_1 / H) \cos(\pi k_2 j_2 / W)`. For others,
  `MirrorBlur`: mirrored padding and valid convolution.
* ``circular``: the image wraps around, `CircularBlur`:
  :math:`A = F^* \mathrm{diag}(\lambda) F = P\, H \mathrm{diag}(|\lambda|) H` with
  :math:`P = F^* \mathrm{diag}(\lambda / |\lambda|) F` and :math:`H` the Hartley transform: real and orthonormal, which
  the half-spectrum of deepinv's ``BlurFFT`` is not.
* ``free``: `FreeBlur`, valid convolution of an unknown that goes on beyond the frame by the kernel's reach. Nothing is
  assumed there, so a real photograph does not ring at its borders.

Adjoints are exact (padding is folded back). Convolutions are FFTs of 5-smooth sizes: their cost does not grow with the
kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from pydantic import BaseModel
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn.functional import pad

from inverse.errors import InputError
from inverse.io.tiling import Window
from inverse.numerics.transforms import (
    dct2,
    dct2_solve,
    dct_squared,
    fold,
    full_from_half,
    half_from_full,
    hartley2,
    hartley_squared,
    idct2,
    mirror,
)
from inverse.operators.base import Linear, Spectral
from inverse.operators.blur import kernels as psf
from inverse.operators.blur.kernels import Kernel, file_kernel, gaussian_kernel, is_even, line_kernel
from inverse.operators.blur.optics import numbers
from inverse.operators.blur.spec import (
    Airy,
    AnisotropicBlur,
    BornWolf,
    Defocus,
    GaussianBlur,
    GibsonLanni,
    KernelBlur,
    MotionBlur,
)
from inverse.operators.local import Local

__all__ = ["CircularBlur", "FreeBlur", "MirrorBlur", "ReflectBlur", "blur", "convolution", "kernel_of", "locate"]


class ReflectBlur(Spectral):
    """Blur by an even kernel of an image mirrored at the half-sample; diagonal in the orthonormal DCT-II.

    Args:
        kernel: Weights (h, w), odd sizes, even along both axes.
        shape: Shape (C, H, W) of one unknown.
        dtype: Of the spectrum.

    Attributes:
        mask: Absolute eigenvalues (1, 1, H, W).
        sign: Their signs; part of ``U``.
    """

    sign: Tensor
    basis_name = "dct"

    def __init__(self, kernel: Kernel, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> None:
        cosines = [
            np.cos(np.pi * np.outer(np.arange(size), np.arange(count) - count // 2) / size)
            for size, count in zip(shape[-2:], kernel.shape, strict=True)
        ]
        values = torch.from_numpy(cosines[0] @ kernel @ cosines[1].T)[None, None]
        super().__init__(values.abs().to(dtype), shape=shape, noise_model=noise_model)
        self.register_buffer("sign", torch.where(values < 0, -1.0, 1.0).to(dtype))

    def V_adjoint(self, x: Tensor) -> Tensor:
        """DCT-II of (B, C, H, W)."""
        return dct2(x)

    def V(self, coordinates: Tensor) -> Tensor:
        """Inverse DCT-II."""
        return idct2(coordinates)

    def U(self, coordinates: Tensor) -> Tensor:
        """Inverse DCT-II of the signed coordinates."""
        return idct2(self.sign * coordinates)

    def U_adjoint(self, y: Tensor) -> Tensor:
        """Signed DCT-II."""
        return self.sign * dct2(y)

    def basis_squared(self, spectrum: Tensor) -> Tensor:
        """Diagonal of ``V diag(spectrum) V^T``, (B, C, H, W)."""
        return dct_squared(spectrum)


class CircularBlur(Spectral):
    """Blur of an image that wraps around; any kernel; diagonal in the orthonormal Hartley transform.

    Args:
        kernel: Weights (h, w), origin at ``size // 2``; a kernel beyond the image's size wraps around too.
        shape: Shape (C, H, W) of one unknown.
        dtype: Of the spectrum.

    Attributes:
        mask: Absolute values of the transfer function (1, 1, H, W).
        phase: Its phase factors, half-spectrum (1, 1, H, W // 2 + 1, 2) as real and imaginary part; part of ``U``.
    """

    phase: Tensor
    basis_name = "hartley"

    def __init__(self, kernel: Kernel, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> None:
        height, width = shape[-2:]
        wrapped = np.zeros((height, width))
        rows, columns = ((np.arange(n) - n // 2) % size for n, size in zip(kernel.shape, (height, width), strict=True))
        np.add.at(wrapped, (rows[:, None], columns[None, :]), kernel)
        transfer = torch.fft.rfft2(torch.from_numpy(wrapped))[None, None]
        size = transfer.abs()
        phase = torch.where(size > 0, transfer / torch.where(size > 0, size, 1.0), 1.0)
        super().__init__(
            full_from_half(torch.complex(size, 0 * size), width).to(dtype), shape=shape, noise_model=noise_model
        )
        self.register_buffer("phase", torch.view_as_real(phase).to(dtype))

    def _turn(self, like: Tensor) -> Tensor:
        return torch.view_as_complex(self.phase.to(like.dtype))

    def V_adjoint(self, x: Tensor) -> Tensor:
        """Hartley transform of (B, C, H, W)."""
        return hartley2(x)

    def V(self, coordinates: Tensor) -> Tensor:
        """Hartley transform, its own inverse."""
        return hartley2(coordinates)

    def U(self, coordinates: Tensor) -> Tensor:
        """Hartley transform, then the kernel's phase."""
        half = half_from_full(coordinates) * self._turn(coordinates)
        y: Tensor = torch.fft.irfft2(half, s=coordinates.shape[-2:], norm="ortho")
        return y

    def U_adjoint(self, y: Tensor) -> Tensor:
        """The inverse of ``U``."""
        return full_from_half(torch.fft.rfft2(y, norm="ortho") * self._turn(y).conj(), y.shape[-1])

    def basis_squared(self, spectrum: Tensor) -> Tensor:
        """Diagonal of ``V diag(spectrum) V^T``, (B, C, H, W)."""
        return hartley_squared(spectrum)


def _gram_power(kernel: Kernel, frame: tuple[int, int]) -> Kernel:
    """``|K|^2`` on a frame (h, w): at the DCT-II's frequencies for an even kernel, else at those of the half DFT."""
    if is_even(kernel):
        rows, columns = (
            np.cos(np.pi * np.outer(np.arange(size), np.arange(count) - count // 2) / size)
            for size, count in zip(frame, kernel.shape, strict=True)
        )
        return (rows @ kernel @ columns.T) ** 2
    rows, columns = (
        np.exp(-2j * np.pi * np.outer(np.arange(size), np.arange(count)) / size)
        for size, count in zip((frame[0], frame[1]), kernel.shape, strict=True)
    )
    return np.abs(rows @ kernel @ columns[: frame[1] // 2 + 1].T) ** 2


class FreeBlur(Linear):
    """Valid convolution: the unknown goes on beyond the measurement by the kernel's reach on each side.

    Args:
        kernel: Weights (h, w), origin at ``size // 2``.
        shape: Shape (C, H, W) of one unknown; the measurement is (C, H - h + 1, W - w + 1).
        dtype: Of the transfer function.

    Attributes:
        kernel: As given.
        output_crop: (top, left, height, width), the measurement's frame in the unknown.
        transfer: Half-spectrum of the kernel on the FFT's grid (1, 1, F, G, 2) as real and imaginary part.
        gram: Squared modulus of the kernel's spectrum on the measurement's frame: in the DCT-II (h, w) for an even
            kernel, else in the half DFT (h, w // 2 + 1).

    Raises:
        InputError: a kernel that is larger than the unknown.
    """

    transfer: Tensor
    gram: Tensor

    def __init__(self, kernel: Kernel, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> None:
        super().__init__(shape=shape, noise_model=noise_model)
        (rows, columns), (height, width) = kernel.shape, shape[-2:]
        if rows > height or columns > width:
            raise InputError(
                f"a kernel of {columns} x {rows} pixels on an unknown of {width} x {height}", "use a smaller kernel"
            )
        self._kernel_size, self._size = (rows, columns), (height, width)
        self.kernel = kernel
        self._grid = (next_fast_len(height, real=True), next_fast_len(width, real=True))
        self.output_crop = (rows - 1 - rows // 2, columns - 1 - columns // 2, height - rows + 1, width - columns + 1)
        transfer = torch.fft.rfft2(torch.from_numpy(kernel), s=self._grid)[None, None]
        self.register_buffer("transfer", torch.view_as_real(transfer).to(dtype))
        self.register_buffer("gram", torch.from_numpy(_gram_power(kernel, self.output_crop[2:])).to(dtype))

    def _spectrum(self, like: Tensor) -> Tensor:
        return torch.view_as_complex(self.transfer.to(like.dtype))

    def _convolve(self, x: Tensor, spectrum: Tensor) -> Tensor:
        y: Tensor = torch.fft.irfft2(torch.fft.rfft2(x, s=self._grid) * spectrum, s=self._grid)
        return y

    def A(self, x: Tensor, **kwargs: Any) -> Tensor:
        """Blur (B, C, H, W) to (B, C, H - h + 1, W - w + 1)."""
        (rows, columns), (height, width) = self._kernel_size, self._size
        return self._convolve(x, self._spectrum(x))[..., rows - 1 : height, columns - 1 : width]

    def A_adjoint(self, y: Tensor, **kwargs: Any) -> Tensor:
        """Transpose of ``A``."""
        (rows, columns), (height, width) = self._kernel_size, self._size
        placed = pad(y, (columns - 1, 0, rows - 1, 0))
        return self._convolve(placed, self._spectrum(y).conj())[..., :height, :width]

    def precondition_gram(self, alpha: Tensor, beta: Tensor) -> Callable[[Tensor], Tensor]:
        """The map ``(alpha + beta B)^-1``, ``B`` near ``A A^T``.

        B is the kernel's autocorrelation on a frame without a border, mirrored (DCT-II) if the kernel is even, else
        periodic. Measured at 160 x 160 for a diagonal motion of 15 pixels: 25 iterations, 52 without.

        Args:
            alpha: At least 0, each item's own (B,) or one (), of the precision of a measurement.
            beta: As alpha.

        Returns:
            Maps a measurement (B, C, h, w), symmetric and positive definite.
        """
        power = self.gram.to(alpha.dtype)
        scaling = (alpha.reshape(-1, 1, 1, 1) + beta.reshape(-1, 1, 1, 1) * power).clamp_min(1e-30)
        scaling = torch.maximum(scaling, 1e-7 * scaling.amax((-2, -1), keepdim=True))
        size = self.output_crop[2:]
        if power.shape[-1] == size[-1]:
            return partial(dct2_solve, eigenvalues=scaling)
        return lambda r: torch.fft.irfft2(torch.fft.rfft2(r) / scaling, s=size)

    def stored_kernel(self) -> Tensor:
        """The kernel (h, w) in float64, as the transfer function holds it."""
        rows, columns = self._kernel_size
        spectrum = torch.view_as_complex(self.transfer.double())[0, 0]
        kernel: Tensor = torch.fft.irfft2(spectrum, s=self._grid)[:rows, :columns]
        return kernel

    def local(self) -> Local:
        """The measurement lacks the kernel's reach on each side."""
        rows, columns = self._kernel_size
        return Local(self.img_size, margin=(rows - 1, columns - 1), diagonal=False)

    def cut(self, window: Window) -> FreeBlur:
        """The same kernel on a window."""
        shape = (self.img_size[0], *window.size)
        return FreeBlur(self.kernel, shape=shape, noise_model=self.noise_model, dtype=self.transfer.dtype)


class MirrorBlur(Linear):
    """Blur by any kernel of an image mirrored at the half-sample: padding, then valid convolution.

    Args:
        kernel: Weights (h, w), origin at ``size // 2``.
        shape: Shape (C, H, W) of one unknown.
        dtype: Of the transfer function.

    Raises:
        InputError: a kernel that reaches further than the image's size beyond its border.
    """

    def __init__(self, kernel: Kernel, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> None:
        super().__init__(shape=shape, noise_model=noise_model)
        (rows, columns), (height, width) = kernel.shape, shape[-2:]
        if rows // 2 > height or columns // 2 > width:
            raise InputError(
                f"a kernel of {columns} x {rows} pixels on an image of {width} x {height}", "use a smaller kernel"
            )
        self.margins = (columns - 1 - columns // 2, columns // 2, rows - 1 - rows // 2, rows // 2)
        padded = (shape[0], height + rows - 1, width + columns - 1)
        self.valid = FreeBlur(kernel, shape=padded, noise_model=noise_model, dtype=dtype)

    def A(self, x: Tensor, **kwargs: Any) -> Tensor:
        """Blur (B, C, H, W)."""
        return self.valid.A(mirror(x, self.margins))

    def A_adjoint(self, y: Tensor, **kwargs: Any) -> Tensor:
        """Transpose of ``A``."""
        return fold(self.valid.A_adjoint(y), self.margins)

    def stored_kernel(self) -> Tensor:
        """As `FreeBlur.stored_kernel`."""
        return self.valid.stored_kernel()


def blur(
    kernel: Kernel, boundary: str, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype
) -> Linear | Spectral:
    """The physics for a kernel and a boundary: ``reflect``, ``circular`` or ``free``."""
    kinds: dict[str, Any] = {"circular": CircularBlur, "free": FreeBlur}
    kinds["reflect"] = ReflectBlur if is_even(kernel) else MirrorBlur
    return cast("Linear | Spectral", kinds[boundary](kernel, shape=shape, noise_model=noise_model, dtype=dtype))


def _microscope(params: Airy | BornWolf | GibsonLanni) -> Kernel:
    nm, optics = 1000.0, numbers(params)
    aperture = optics["numerical_aperture"]
    path = psf.born_wolf(numerical_aperture=aperture, index=1.0, defocus=0.0)
    if isinstance(params, BornWolf):
        path = psf.born_wolf(numerical_aperture=aperture, index=params.index, defocus=nm * params.defocus)
    elif isinstance(params, GibsonLanni):
        path = psf.gibson_lanni(
            numerical_aperture=aperture,
            immersion=params.immersion,
            specimen=params.specimen,
            depth=nm * params.depth,
            defocus=nm * params.defocus,
        )
    return psf.microscope_kernel(path, **optics, extent=params.extent)


_KERNELS: dict[type[BaseModel], Callable[[Any], Kernel]] = {
    GaussianBlur: lambda params: gaussian_kernel(params.sigma),
    MotionBlur: lambda params: line_kernel(params.length, params.angle),
    KernelBlur: lambda params: file_kernel(params.file),
    AnisotropicBlur: lambda params: psf.tilted_gaussian_kernel(params.sigma_x, params.sigma_y, params.angle),
    Defocus: lambda params: psf.defocus_kernel(params.radius),
    Airy: _microscope,
    BornWolf: _microscope,
    GibsonLanni: _microscope,
}


def kernel_of(params: BaseModel) -> Kernel:
    """The kernel of a blur's parameters, sum 1, origin at ``size // 2``."""
    return _KERNELS[type(params)](params)


def convolution(params: Any, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> Linear | Spectral:
    """The blur that the parameters describe."""
    return blur(kernel_of(params), params.boundary, shape=shape, noise_model=noise_model, dtype=dtype)


def locate(params: Any, shape: tuple[int, ...]) -> tuple[Any, tuple[int, ...]]:
    """The unknown of a measurement of some shape: extended by the kernel where the boundary is free."""
    if params.boundary != "free":
        return params, shape
    rows, columns = kernel_of(params).shape
    return params, (*shape[:-2], shape[-2] + rows - 1, shape[-1] + columns - 1)
