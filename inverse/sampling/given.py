"""Arrays of numpy as measurements and images of a physics: tensors inside, numpy out again.

A physics knows the shapes (C, H, W) of its unknown and of what it measures; numpy arrays of images have the channel
last, (H, W), (H, W, C) or (B, H, W, C), and what fits as it stands, (B, C, H, W) or (B, m), is taken as it stands.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inverse.errors import InputError
from inverse.numerics.linalg import Vector

__all__ = ["as_array", "from_array", "measured_shape"]


def measured_shape(physics: Any, shape: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """Shape of one measurement of a physics; None where it cannot be told."""
    known = shape or getattr(physics, "img_size", None)
    if known is None:
        return None
    with torch.no_grad():
        try:
            made = physics.A(torch.zeros(1, *known, dtype=torch.float32))
        except (RuntimeError, TypeError, ValueError, IndexError):
            return None
    return tuple(made.shape[1:]) if isinstance(made, Tensor) else None


def from_array(array: NDArray[Any], shape: tuple[int, ...] | None, what: str) -> Tensor:
    """A batch (B, *shape) of an array of numpy.

    Args:
        array: As the module says.
        shape: Of one image or measurement; None: it is taken as it stands.
        what: What it is, for messages.

    Raises:
        InputError: It is neither way of that shape.
    """
    values = np.ascontiguousarray(array)
    if values.dtype.kind not in "buifc":
        raise InputError(f"{what} of type {values.dtype}", "allowed: floats, integers, complex")
    if values.dtype.kind in "bui":
        values = values.astype(np.float32)
    tensor = torch.from_numpy(values.astype(values.dtype.newbyteorder("=")).copy())
    if shape is None:
        return tensor
    if len(shape) == 3:
        channels, *sides = shape
        last = (*sides, channels)
        if channels == 1 and tuple(tensor.shape) == tuple(sides):
            return tensor[None, None]
        if tuple(tensor.shape[-3:]) == last and tensor.ndim in (3, 4):
            batch = tensor if tensor.ndim == 4 else tensor[None]
            return batch.movedim(-1, 1).contiguous()
    if tuple(tensor.shape[1:]) == tuple(shape):
        return tensor
    if tuple(tensor.shape) == tuple(shape):
        return tensor[None]
    expected = f"(B, {', '.join(map(str, shape))})"
    images = f" or, channel last, {(*shape[1:], shape[0])}" if len(shape) == 3 else ""
    raise InputError(f"{what} of shape {array.shape}, the physics has {expected}{images}", "np.moveaxis moves channels")


def as_array(y: Vector) -> Any:
    """A measurement as numpy: images (B, C, H, W) with the channel last, others as they are."""
    if not isinstance(y, Tensor):
        return y
    values = y.detach().cpu()
    return (values.movedim(1, -1) if values.ndim == 4 and not values.is_complex() else values).contiguous().numpy()
