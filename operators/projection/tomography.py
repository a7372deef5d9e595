r"""Tomography: :math:`y_{s,a} = \int x` along the ray at detector position s in direction a.

By deepinv's ``Radon``: rotation by bilinear interpolation, then column sums. Lengths are in units of the image's longer
side L, so ``y`` is of the size of ``x``; the image is in the middle of a square of side L, zero around it, and the
detector holds the square's diagonal.

Adjoints of deepinv's own ``Tomography``, measured at 64 x 64 with 30 angles as
:math:`|\langle Ax, v \rangle - \langle x, A^T v \rangle| / |Ax| |v|`: 2e-3 by its interpolated back-projection, 1e-9
via backpropagation, its default, which keeps shape, device and dtype of its last call and is not differentiable. Here
it is the vector-Jacobian product of the projection, computed anew in each call; both ways are differentiable. Cost of
an adjoint: two projections.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from deepinv.physics.functional import Radon
from torch import Tensor
from torch.nn.functional import pad

from inverse.errors import InputError
from inverse.operators.base import Linear
from inverse.operators.projection.spec import Tomography

__all__ = ["TomographyPhysics", "locate", "result", "tomography"]


class _Backprojection(torch.autograd.Function):
    """The transpose of a projection, differentiable in the sinogram: its derivative is the projection."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, physics: TomographyPhysics) -> Tensor:
        ctx.physics = physics
        with torch.enable_grad():
            x = y.new_zeros(y.shape[0], *physics.img_size).requires_grad_(True)
            (image,) = torch.autograd.grad(physics.A(x), x, y)
        return image

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.physics.A(gradient), None


class TomographyPhysics(Linear):
    """Parallel-beam projections.

    Args:
        angles: Directions in degrees (A,).
        shape: Shape (C, H, W) of one unknown; the measurement is (C, ceil(sqrt(2) L), A), L the longer side.
        dtype: Precision of the projection.
    """

    def __init__(self, angles: Tensor, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> None:
        super().__init__(shape=shape, noise_model=noise_model)
        height, width = shape[-2:]
        self.side, self.dtype = max(height, width), dtype
        top, left = (self.side - height) // 2, (self.side - width) // 2
        self.margins = (left, self.side - width - left, top, self.side - height - top)
        self.radon = Radon(self.side, angles.to(dtype), circle=False, parallel_computation=False, dtype=dtype)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        moved = super()._apply(fn, recurse)
        if "radon" in self._modules:
            self.dtype = self.radon.dtype = self.radon.all_grids.dtype  # deepinv's Radon keeps that of its beginning
        return moved

    def A(self, x: Tensor, **kwargs: Any) -> Tensor:
        """Project (B, C, H, W) to (B, C, detectors, angles)."""
        sinogram: Tensor = self.radon(pad(x, self.margins).to(self.dtype)) / self.side
        return sinogram.to(x.dtype)

    def A_adjoint(self, y: Tensor, **kwargs: Any) -> Tensor:
        """Transpose of ``A``."""
        image: Tensor = _Backprojection.apply(y, self)
        return image


def tomography(
    params: Tomography, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype
) -> TomographyPhysics:
    """Directions evenly over 180 degrees, the first along the columns."""
    angles = torch.arange(params.angles, dtype=torch.float64) * (180 / params.angles)
    return TomographyPhysics(angles, shape=shape, noise_model=noise_model, dtype=dtype)


def locate(params: Tomography, shape: tuple[int, ...]) -> tuple[Tomography, tuple[int, ...]]:
    """The unknown of a sinogram (C, detectors, angles).

    Raises:
        InputError: another number of angles than the parameters', or of detectors than the size's.
    """
    return params, result(params, shape)


def result(params: Tomography, shape: tuple[int, ...]) -> tuple[int, ...]:
    """(C, H, W) from (C, detectors, angles)."""
    channels, detectors, angles = shape
    if angles != params.angles:
        raise InputError(f"a sinogram of {angles} columns for {params.angles} angles", f"-s operator.angles={angles}")
    size = params.size or (math.floor(detectors / math.sqrt(2)),) * 2
    if params.size is not None and math.ceil(math.sqrt(2) * max(size)) != detectors:
        needed = math.ceil(math.sqrt(2) * max(size))
        raise InputError(
            f"a sinogram of {detectors} rows for an unknown of {size[1]} x {size[0]}", f"allowed: {needed} rows"
        )
    return channels, *size
