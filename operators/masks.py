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
from deepinv.physics import Inpainting
from torch import Tensor

from inverse.errors import InputError
from inverse.operators.base import Cloned
from inverse.operators.catalog_basic import BoxMask, FileMask, RandomMask
from inverse.operators.files import load_plane

__all__ = ["Mask", "box_mask", "file_mask", "random_mask"]


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
