r"""Space-variant blur: :math:`y = \sum_k h_k * (w_k \odot x) + n`, kernels :math:`h_k` at the middles of R x S cells.

:math:`w_k` are products of piecewise linear hats between the cells' middles (constant beyond the outermost),
:math:`\sum_k w_k = 1`: between two middles the kernel goes over from one to the other (Nagy & O'Leary 1998, SIAM J.
Sci. Comput. 19:1063; Hirsch et al. 2010, CVPR). The transpose is :math:`A^T y = \sum_k w_k \odot H_k^T y` with the
exact transposes :math:`H_k^T` of :mod:`inverse.operators.blur.blur`. Cost: that of R S blurs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inverse.errors import InputError
from inverse.operators.arrays import load_array
from inverse.operators.base import Linear
from inverse.operators.blur.blur import blur
from inverse.operators.blur.kernels import Kernel
from inverse.operators.blur.spec import VaryingBlur

__all__ = ["VaryingBlurPhysics", "locate", "varying_blur"]

MOST = 64
"""Largest number of kernels."""


class VaryingBlurPhysics(Linear):
    """Blur by a grid of kernels.

    Args:
        kernels: (R, S, h, w), each of sum 1, origin at ``size // 2``.
        boundary: ``reflect``, ``circular`` or ``free``.
        shape: Shape (C, H, W) of one unknown.
        dtype: Of the kernels' spectra and the weights.

    Attributes:
        weights: Partition of unity (1, R S, H, W).
        output_crop: As that of `FreeBlur`, where the boundary is free.
    """

    weights: Tensor

    def __init__(
        self, kernels: Kernel, boundary: str, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype
    ) -> None:
        super().__init__(shape=shape, noise_model=noise_model)
        self.blurs = torch.nn.ModuleList(
            blur(kernel, boundary, shape=shape, noise_model=None, dtype=dtype) for row in kernels for kernel in row
        )
        if boundary == "free":
            self.output_crop = self.blurs[0].output_crop
        rows, columns = (_hats(count, size) for count, size in zip(kernels.shape[:2], shape[-2:], strict=True))
        planes = (rows[:, None, :, None] * columns[None, :, None, :]).reshape(1, -1, *shape[-2:])
        self.register_buffer("weights", torch.from_numpy(planes).to(dtype))

    def _parts(self, like: Tensor) -> Any:
        return zip(self.blurs, self.weights.to(like.dtype).unbind(1), strict=True)

    def A(self, x: Tensor, **kwargs: Any) -> Tensor:
        """Blur (B, C, H, W)."""
        parts = [one.A(weight * x) for one, weight in self._parts(x)]
        return torch.stack(parts).sum(0)

    def A_adjoint(self, y: Tensor, **kwargs: Any) -> Tensor:
        """Transpose of ``A``."""
        parts = [weight * one.A_adjoint(y) for one, weight in self._parts(y)]
        return torch.stack(parts).sum(0)


def _hats(count: int, size: int) -> Kernel:
    """``count`` piecewise linear functions (count, size), 1 at the middle of their cell and 0 at the others', sum 1."""
    middles = (np.arange(count) + 0.5) * size / count - 0.5
    return np.stack([np.interp(np.arange(size), middles, unit) for unit in np.eye(count)])


def _load(path: str) -> Kernel:
    array, name = load_array(path), Path(path).name
    if array.ndim != 4 or array.size == 0 or array.shape[0] * array.shape[1] > MOST:
        raise InputError(
            f"{name}: an array of shape {array.shape}, allowed: (rows, columns, h, w), at most {MOST} kernels",
            "a grid of kernels over the image, saved with numpy.save",
        )
    kernels: Kernel = array.astype(np.float64)
    total = kernels.sum((2, 3), keepdims=True)
    if not bool((total > 1e-12 * np.abs(kernels).sum((2, 3), keepdims=True)).all()):
        raise InputError(f"{name}: a kernel sums to {total.min():g}, allowed: more than 0", "a blur keeps brightness")
    scaled: np.ndarray[tuple[Any, ...], np.dtype[np.float64]] = kernels / total
    return scaled


def varying_blur(
    params: VaryingBlur, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype
) -> VaryingBlurPhysics:
    """The blur of a file of kernels.

    Raises:
        InputError: a file that cannot be read, or is no grid of kernels.
    """
    return VaryingBlurPhysics(_load(params.file), params.boundary, shape=shape, noise_model=noise_model, dtype=dtype)


def locate(params: VaryingBlur, shape: tuple[int, ...]) -> tuple[VaryingBlur, tuple[int, ...]]:
    """The unknown of a measurement of some shape: extended by the kernels where the boundary is free."""
    if params.boundary != "free":
        return params, shape
    rows, columns = _load(params.file).shape[2:]
    return params, (*shape[:-2], shape[-2] + rows - 1, shape[-1] + columns - 1)
