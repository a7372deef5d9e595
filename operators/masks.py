r"""Missing pixels: :math:`y = m \odot (x + n)`, 1 = observed.

The mask is (1, 1, H, W), or (B, 1, H, W) with one for each item; ``y`` keeps the grid of ``x`` and is zero where unobserved. Diagonal in
pixels: :math:`U = V = I`, the singular values are the mask. deepinv's ``Inpainting``, with an exact diagonal for the engine, a fast
``clone``, and a random pattern that is a pure function of its seed and size (numpy Philox), on every machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from deepinv.physics import Inpainting, LinearPhysics
from torch import Tensor

from inverse.errors import InputError
from inverse.operators.base import Cloned, Linear
from inverse.operators.catalog_basic import BoxMask, FileMask, RandomMask
from inverse.operators.files import load_plane
from inverse.operators.matrix import Denoise

__all__ = ["Mask", "box_mask", "file_mask", "random_mask", "restricted"]


class Mask(Cloned, Inpainting):
    """Observed and missing pixels.

    Args:
        mask: (1, 1, H, W) or (B, 1, H, W), 1 = observed, 0 = missing.
        shape: Shape (C, H, W) of one unknown.
        noise_model: deepinv noise model.

    Attributes:
        mask: As given.
    """

    mask: Tensor

    def __init__(self, mask: Tensor, *, shape: tuple[int, ...], noise_model: Any) -> None:
        super().__init__(img_size=shape, mask=mask, noise_model=noise_model)

    def observed_count(self, y: Tensor) -> Tensor:
        """Number of observed values of each item (B,)."""
        return self.mask.expand(y.shape).flatten(1).sum(1)

    def basis_squared(self, spectrum: Tensor) -> Tensor:
        """Diagonal of ``diag(spectrum)``: itself."""
        return spectrum


class Restricted(Linear):
    r"""An operator of whose measurement only a part was observed: :math:`m \odot A x`.

    Args:
        physics: A linear physics.
        mask: Broadcasts against its measurement, 1 = observed.
        shape: Shape (C, H, W) of one unknown.
    """

    mask: Tensor

    def __init__(self, physics: LinearPhysics, mask: Tensor, *, shape: tuple[int, ...]) -> None:
        super().__init__(shape=shape, noise_model=physics.noise_model)
        self.whole = physics
        self.register_buffer("mask", mask)
        self.output_crop = getattr(physics, "output_crop", None)
        if hasattr(physics, "precondition_gram"):
            self.precondition_gram = self._precondition_gram

    def A(self, x: Tensor, **_: Any) -> Tensor:
        """(B, C, H, W) to what was observed, zero elsewhere."""
        image: Tensor = self.whole.A(x)
        return image * self.mask

    def A_adjoint(self, y: Tensor, **_: Any) -> Tensor:
        """The adjoint."""
        image: Tensor = self.whole.A_adjoint(y * self.mask)
        return image

    def _precondition_gram(self, r: Tensor, power: Tensor, variance: Tensor) -> Tensor:
        found: Tensor = self.whole.precondition_gram(r, power, variance)
        return found * self.mask


def restricted(physics: Any, valid: Tensor, shape: tuple[int, ...]) -> Any:
    """A physics of whose measurement only the valid part was observed.

    Args:
        physics: The physics of the whole measurement.
        valid: (1, 1 or C, h, w), 1 where the measurement holds a value.
        shape: (C, H, W) of the unknown.

    Returns:
        ``physics`` where all of it is valid, or where it was built with what is (``knows_valid``); a mask for a mask or for noise alone,
        so that they stay diagonal; else the product.

    Raises:
        InputError: nothing is valid, or the operator is not linear.
    """
    if bool((valid == 1).all()) or getattr(physics, "knows_valid", False):
        return physics
    if not bool((valid == 1).any()):
        raise InputError("no pixel of the measurement holds a value", "is the file's nodata value right?")
    if isinstance(physics, Mask):
        return Mask(physics.mask * valid, shape=shape, noise_model=physics.noise_model)
    if isinstance(physics, Denoise):
        return Mask(valid, shape=shape, noise_model=physics.noise_model)
    if not isinstance(physics, LinearPhysics):
        raise InputError(
            "the measurement has pixels without a value, and the operator is not linear", "fill them first"
        )
    return Restricted(physics, valid, shape=shape)


def random_mask(params: RandomMask, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> Mask:
    """Each pixel missing with probability ``params.missing``, the same ones in all channels."""
    uniform = np.random.Generator(np.random.Philox(key=params.seed)).random(shape[-2:])
    return _mask(uniform >= params.missing, shape, noise_model, dtype)


def box_mask(params: BoxMask, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> Mask:
    """A missing rectangle: rows ``top`` to ``bottom - 1``, columns ``left`` to ``right - 1``.

    Raises:
        InputError: a rectangle that is empty, or not inside the image.
    """
    top, left, bottom, right = params.box
    height, width = shape[-2:]
    if not (top < bottom <= height and left < right <= width):
        raise InputError(
            f"box {list(params.box)} in an image of {height} rows and {width} columns",
            "allowed: [top, left, bottom, right] with top < bottom <= rows and left < right <= columns",
        )
    observed = np.ones((height, width), dtype=bool)
    observed[top:bottom, left:right] = False
    return _mask(observed, shape, noise_model, dtype)


def file_mask(params: FileMask, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> Mask:
    """Observed where an image file is at least half of full scale (any channel), or where a .npy array is not zero.

    Raises:
        InputError: a file that cannot be read, or of another size.
    """
    array, exact = load_plane(params.file, reduce=np.max)
    if array.shape != shape[-2:]:
        rows, columns = array.shape
        raise InputError(
            f"{Path(params.file).name}: a mask of {columns} x {rows} pixels for an image of {shape[-1]} x {shape[-2]}",
            "make them the same size",
        )
    full = 1.0 if array.dtype.kind in "fb" else float(np.iinfo(array.dtype).max)
    observed = array != 0 if exact else array >= full / 2
    if not observed.any():
        raise InputError(f"{Path(params.file).name}: the mask marks no pixel as observed", "bright (255) = observed")
    return _mask(observed, shape, noise_model, dtype)


def _mask(
    observed: np.ndarray[Any, np.dtype[np.bool_]], shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype
) -> Mask:
    return Mask(torch.from_numpy(observed)[None, None].to(dtype), shape=shape, noise_model=noise_model)
