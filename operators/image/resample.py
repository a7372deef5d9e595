r"""Downsampling by a whole factor f: low-pass filter, then every f-th sample, along each axis.

.. math::
    y_i = \sum_j w_j\, x_{f i + j}, \qquad w_j \propto h(j - (f - 1) / 2), \quad \sum_j w_j = 1

so an output sample is centred at :math:`f i + (f - 1)/2` input pixels: areas coincide (deepinv's ``Downsampling`` is
shifted by a pixel or more).

* ``area``: the mean of f x f pixels. Where both sides are multiples of f, `BlockMean`: with :math:`q` the constant unit
  vector of a block, the Householder reflection :math:`Q = I - 2 v v^T / v^T v`, :math:`v = e_0 - q`, is an orthonormal
  basis of each block with :math:`Q e_0 = q`; singular value 1/f at the first pixel of each block, 0 elsewhere.
* ``gaussian``: standard deviation (f - 1) / 2 (as scikit-image's ``rescale``), cut off at 4 of them.
* ``bicubic``: Keys' cubic with a = -0.5, stretched by f (as Pillow's and MATLAB's antialiased ``resize``).
* ``kernel``: any 2-D convolution kernel on the unknown's grid, `KernelDownsample`. Its sides n have n - f even: only
  then is its middle that of the area; another would shift the image by half a pixel.

Beyond the frame the image is mirrored at the half-sample. A side n that is not a multiple gives ceil(n / f) samples.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, conv_transpose2d, interpolate

from inverse.errors import InputError, RecipeError
from inverse.io.tiling import Window
from inverse.numerics.transforms import fold, mirror
from inverse.operators.base import Linear, Spectral
from inverse.operators.blur.kernels import file_kernel
from inverse.operators.image.spec import Downsample
from inverse.operators.local import Local

__all__ = ["BlockMean", "DownsamplePhysics", "KernelDownsample", "downsample", "locate", "weights"]


class BlockMean(Spectral):
    """Mean of blocks of f x f pixels.

    Args:
        factor: f, at least 2.
        shape: Shape (C, H, W) of one unknown, H and W multiples of f; the measurement is (C, H / f, W / f).
        dtype: Of the singular values.

    Attributes:
        mask: (1, 1, H, W), 1 / f at the first pixel of each block, else 0.
    """

    picks = coarse = True

    def __init__(self, factor: int, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> None:
        mask = torch.zeros(1, 1, *shape[-2:], dtype=dtype)
        mask[..., ::factor, ::factor] = 1 / factor
        super().__init__(mask, shape=shape, noise_model=noise_model)
        self.factor = factor

    def V_adjoint(self, x: Tensor) -> Tensor:
        """Householder reflection of each block of (B, C, H, W); its own inverse."""
        f = self.factor
        excess = (x[..., ::f, ::f] - f * avg_pool2d(x, f)) / (1 - 1 / f)
        moved = x + interpolate(excess, scale_factor=f, mode="nearest") / f
        return moved - sparse_grid(excess, f)

    def V(self, coordinates: Tensor) -> Tensor:
        """The same reflection."""
        return self.V_adjoint(coordinates)

    def U(self, coordinates: Tensor) -> Tensor:
        """The first coordinate of each block."""
        return coordinates[..., :: self.factor, :: self.factor]

    def U_adjoint(self, y: Tensor) -> Tensor:
        """``y`` as the first coordinate of each block, zero elsewhere."""
        return sparse_grid(y, self.factor)

    def basis_squared(self, spectrum: Tensor) -> Tensor:
        """Diagonal of ``V diag(spectrum) V^T``, (B, C, H, W)."""
        f = self.factor
        first = spectrum[..., ::f, ::f]
        total = f * f * avg_pool2d(spectrum, f)
        squared = (1 / (f * (f - 1))) ** 2
        common = first / f**2 + squared * (total - first)
        kept = (1 - 1 / (f * (f - 1))) ** 2 - squared
        moved = interpolate(common, scale_factor=f, mode="nearest") + kept * spectrum
        return moved + sparse_grid(total / f**2 - common - kept * first, f)

    def local(self) -> Local:
        """Block by block."""
        return Local(self.img_size, factor=self.factor)

    def cut(self, window: Window) -> BlockMean:
        """The means in a window."""
        shape = (self.img_size[0], *window.size)
        return BlockMean(self.factor, shape=shape, noise_model=self.noise_model, dtype=self.mask.dtype)


def sparse_grid(blocks: Tensor, factor: int) -> Tensor:
    """Values (B, C, h, w) at every ``factor``-th pixel, zeros between, (B, C, h factor, w factor)."""
    batch, channels, rows, columns = blocks.shape
    grid = torch.nn.functional.pad(blocks[..., :, None, :, None], (0, factor - 1, 0, 0, 0, factor - 1))
    return grid.reshape(batch, channels, rows * factor, columns * factor)


class Decimated(Linear, ABC):
    """A filter laid on a mirrored image at every f-th pixel.

    Attributes:
        factor: f.
        margins: Pixels of mirror image on the left, right, top and bottom.
    """

    factor: int
    margins: tuple[int, int, int, int]
    #: Whether the measurement's frequencies are the unknown's lowest, nearly unchanged.
    coarse = False

    @abstractmethod
    def on(self, shape: tuple[int, ...]) -> Decimated:
        """The same operator on images (C, H, W) of another size."""

    def local(self) -> Local:
        """Where the sides are multiples of f: the filter reaches over a window's edge.

        Raises:
            RecipeError: they are not.
        """
        shape, f = self.img_size, self.factor
        if any(side % f for side in shape[1:]):
            raise RecipeError(f"{shape[-1]} x {shape[-2]} pixels are no multiple of {f}: no coupled tiles", "crop it")
        return Local(shape, factor=f, diagonal=False, reach=-(-max(self.margins) // f))

    def cut(self, window: Window) -> Decimated:
        """The same operator on a window."""
        return self.on((self.img_size[0], *window.size))


class DownsamplePhysics(Decimated):
    """Separable filter and decimation, mirrored at the frame.

    Args:
        line: Weights (n,) of the filter along each axis, n even if and only if f is, centred at (f - 1) / 2.
        factor: f.
        shape: Shape (C, H, W) of one unknown; the measurement is (C, ceil(H / f), ceil(W / f)).
        dtype: Of the weights.

    Raises:
        InputError: a filter that reaches further than the image's size beyond its border.
    """

    line: Tensor
    coarse = True

    def __init__(
        self, line: NDArray[np.float64], factor: int, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype
    ) -> None:
        super().__init__(shape=shape, noise_model=noise_model)
        before = (len(line) - factor) // 2
        height, width = shape[-2:]
        below, right = (factor * (math.ceil(n / factor) - 1) + len(line) - before - n for n in (height, width))
        if max(before, below) > height or max(before, right) > width:
            raise InputError(
                f"downsampling {width} x {height} pixels by {factor} with a filter of {len(line)} pixels",
                "use a larger image, a smaller factor, or filter: area",
            )
        self.factor, self.margins = factor, (before, right, before, below)
        self._exact = line
        self.register_buffer("line", torch.from_numpy(line).to(dtype))

    def on(self, shape: tuple[int, ...]) -> DownsamplePhysics:
        """The same operator on images (C, H, W) of another size."""
        settings: dict[str, Any] = {"noise_model": self.noise_model, "dtype": self.line.dtype}
        return DownsamplePhysics(self._exact, self.factor, shape=shape, **settings)

    def A(self, x: Tensor, **kwargs: Any) -> Tensor:
        """Filter and decimate (B, C, H, W)."""
        f, line = self.factor, self.line.to(x.dtype)
        planes = mirror(x, self.margins).flatten(0, 1)[:, None]
        planes = conv2d(conv2d(planes, line[None, None, :, None], stride=(f, 1)), line[None, None, None], stride=(1, f))
        return planes.reshape(*x.shape[:2], *planes.shape[-2:])

    def A_adjoint(self, y: Tensor, **kwargs: Any) -> Tensor:
        """Transpose of ``A``."""
        f, line = self.factor, self.line.to(y.dtype)
        planes = conv_transpose2d(y.flatten(0, 1)[:, None], line[None, None, None], stride=(1, f))
        planes = conv_transpose2d(planes, line[None, None, :, None], stride=(f, 1))
        return fold(planes.reshape(*y.shape[:2], *planes.shape[-2:]), self.margins)


class KernelDownsample(Decimated):
    """Convolution with a kernel and decimation, mirrored at the frame.

    Args:
        kernel: Weights (h, w), h - f and w - f even; convolved, so turned by half a turn before it is laid on the
            image.
        factor: f.
        shape: Shape (C, H, W) of one unknown; the measurement is (C, ceil(H / f), ceil(W / f)).
        dtype: Of the weights.

    Raises:
        InputError: a kernel of other sides, or one that reaches further than the image's size beyond its border.
    """

    kernel: Tensor

    def __init__(
        self, kernel: NDArray[np.float64], factor: int, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype
    ) -> None:
        super().__init__(shape=shape, noise_model=noise_model)
        (rows, columns), (height, width) = kernel.shape, shape[-2:]
        if min(kernel.shape) < factor or (rows - factor) % 2 or (columns - factor) % 2:
            raise InputError(
                f"a kernel of {columns} x {rows} pixels for downsampling by {factor}",
                f"allowed: sides {factor}, {factor + 2}, {factor + 4}, ..., so that its middle is that of {factor} x "
                f"{factor} pixels",
            )
        top, left = (rows - factor) // 2, (columns - factor) // 2
        below = factor * (math.ceil(height / factor) - 1) + rows - top - height
        right = factor * (math.ceil(width / factor) - 1) + columns - left - width
        if max(top, below) > height or max(left, right) > width:
            raise InputError(
                f"a kernel of {columns} x {rows} pixels on an image of {width} x {height}", "use a smaller kernel"
            )
        self.factor, self.margins = factor, (left, right, top, below)
        self._exact = kernel
        self.register_buffer("kernel", torch.from_numpy(np.ascontiguousarray(kernel[::-1, ::-1]))[None, None].to(dtype))

    def on(self, shape: tuple[int, ...]) -> KernelDownsample:
        """The same operator on images (C, H, W) of another size."""
        settings: dict[str, Any] = {"noise_model": self.noise_model, "dtype": self.kernel.dtype}
        return KernelDownsample(self._exact, self.factor, shape=shape, **settings)

    def A(self, x: Tensor, **kwargs: Any) -> Tensor:
        """Filter and decimate (B, C, H, W)."""
        planes = mirror(x, self.margins).flatten(0, 1)[:, None]
        planes = conv2d(planes, self.kernel.to(x.dtype), stride=self.factor)
        return planes.reshape(*x.shape[:2], *planes.shape[-2:])

    def A_adjoint(self, y: Tensor, **kwargs: Any) -> Tensor:
        """Transpose of ``A``."""
        planes = conv_transpose2d(y.flatten(0, 1)[:, None], self.kernel.to(y.dtype), stride=self.factor)
        return fold(planes.reshape(*y.shape[:2], *planes.shape[-2:]), self.margins)


def weights(name: str, factor: int) -> NDArray[np.float64]:
    """Weights of a filter along one axis, sum 1, centred at (factor - 1) / 2.

    Args:
        name: ``area``, ``gaussian`` or ``bicubic``.
        factor: f.

    Returns:
        (n,), n - f even; the first weight belongs to input pixel ``f i - (n - f) / 2``.
    """
    if name == "area":
        return np.full(factor, 1 / factor)
    sigma = (factor - 1) / 2
    reach = math.ceil(4 * sigma if name == "gaussian" else 2 * factor)
    count = 2 * reach + factor % 2
    t = np.arange(count) - (count - 1) / 2
    if name == "gaussian":
        line = np.exp(-0.5 * (t / sigma) ** 2)
    else:
        u = np.abs(t) / factor
        near, far = (1.5 * u - 2.5) * u * u + 1, ((-0.5 * u + 2.5) * u - 4) * u + 2
        line = np.where(u < 1, near, np.where(u < 2, far, 0.0))
    return np.asarray(line / line.sum())


def downsample(
    params: Downsample, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype
) -> BlockMean | DownsamplePhysics | KernelDownsample:
    """`BlockMean` for area filters on whole blocks, `KernelDownsample` for a kernel file, else `DownsamplePhysics`.

    Raises:
        InputError: a kernel file that cannot be read or does not fit.
    """
    f = params.factor
    if params.file is not None:
        return KernelDownsample(file_kernel(params.file), f, shape=shape, noise_model=noise_model, dtype=dtype)
    if params.filter == "area" and shape[-1] % f == 0 and shape[-2] % f == 0:
        return BlockMean(f, shape=shape, noise_model=noise_model, dtype=dtype)
    return DownsamplePhysics(weights(params.filter, f), f, shape=shape, noise_model=noise_model, dtype=dtype)


def locate(params: Downsample, shape: tuple[int, ...]) -> tuple[Downsample, tuple[int, ...]]:
    """The unknown of a measurement: ``factor`` times its size."""
    return params, (*shape[:-2], shape[-2] * params.factor, shape[-1] * params.factor)
