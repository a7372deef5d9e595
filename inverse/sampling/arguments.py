"""What callers of `inverse.sample` and `inverse.simulate` give, checked before any work.

A measurement is (B, ...), floats or complex, as the physics made it; numpy arrays are taken as such tensors.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from deepinv.physics import Physics
from torch import Tensor

from inverse.errors import InputError, MemoryLimitError, UsageError
from inverse.numerics.defaults import plain_module, plain_tensor
from inverse.numerics.linalg import Vector, parts
from inverse.operators.observation import Observation

__all__ = ["checked", "checked_images", "checked_names", "fitting", "named_device", "require_memory", "require_shape"]

#: What operators raise of an argument that does not fit them.
_RAISED = (RuntimeError, ValueError, TypeError, IndexError, AssertionError, AttributeError, NotImplementedError)
ALLOWED = "allowed: a tensor (B, ...), float32 or float64, real or complex, as physics(x) makes it"


def checked(y: Any, physics: Any) -> tuple[Vector, Any]:
    """A measurement as tensors that autograd takes, and its physics.

    Raises:
        UsageError: It is no physics, or no measurement.
        InputError: An empty batch, or values of a type that no method computes with.
    """
    if isinstance(y, np.ndarray):
        y = _tensor(y)
    if not isinstance(y, Tensor):
        try:
            held = [] if isinstance(y, list | tuple) else parts(y)  # of a stack they are a TensorList
        except TypeError:
            held = []
        if not held or not all(isinstance(part, Tensor) for part in held):
            raise UsageError(f"a measurement of type {type(y).__name__}", ALLOWED)
    _require_physics(physics)
    for part in parts(y):
        _require_values(part, "the measurement")
    y = plain_tensor(y) if isinstance(y, Tensor) else type(y)([plain_tensor(part) for part in y])
    return y, plain_module(physics)


def checked_images(x: Any, physics: Any) -> tuple[Tensor, Any]:
    """Images (B, C, *S) as a tensor that autograd takes, and their physics.

    Raises:
        UsageError: It is no physics, or no array of images.
        InputError: Images of another size than the physics', or of none.
    """
    if isinstance(x, np.ndarray):
        x = _tensor(x)
    if not isinstance(x, Tensor):
        raise UsageError(f"images of type {type(x).__name__}", "allowed: a tensor (B, C, H, W), float32 or float64")
    _require_physics(physics)
    _require_values(x, "the batch of images")
    if not bool(torch.isfinite(x).all()):
        count = int((~torch.isfinite(x)).sum())
        raise InputError(
            f"the images have {count} values that are not finite", "fill them: a truth has a value everywhere"
        )
    size = _size(physics)
    if size is not None and (len(size) != x.ndim - 1 or size != tuple(x.shape[1:])):
        raise InputError(f"images of shape {tuple(x.shape)}", f"this physics is of images (B, {_listed(size)})")
    return plain_tensor(x), plain_module(physics)


def checked_names(items: Any, count: int) -> tuple[str, ...]:
    """The names of a batch of measurements; by default their numbers.

    Raises:
        InputError: They are not one name each, all different.
    """
    if items is None:
        return tuple(map(str, range(count)))
    if not isinstance(items, list | tuple | range) or not all(isinstance(name, str) for name in items):
        raise InputError(f"item names of type {type(items).__name__}", "allowed: a list of texts, one for each")
    if len(items) != count or len(set(items)) != count:
        raise InputError(f"{len(items)} item names for {count} measurements", "allowed: one name each, all different")
    return tuple(items)


def fitting(y: Vector, physics: Any, shape: Sequence[int] | None) -> Observation:
    """The observation of a measurement that the physics can have made.

    Raises:
        InputError: It has another shape or type than what the physics makes.
    """
    if shape is not None:
        require_shape(shape)
    size, given = _size(physics), ", ".join(str(tuple(part.shape)) for part in parts(y))
    try:
        observation = Observation.create(y, physics, shape=shape)
        if size is not None and len(size) != len(observation.shape):
            raise InputError(f"a measurement of shape {given}: is the axis of the batch missing?", ALLOWED)
        if size is not None and shape is None and size != observation.shape:
            raise InputError(f"a measurement of shape {given}", f"this physics is of unknowns ({_listed(size)})")
        with torch.no_grad():
            made = parts(physics.A(observation.empty()))
    except _RAISED as error:
        if isinstance(error, MemoryError):
            raise
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"a measurement of shape {given} does not fit the physics: {reason}", ALLOWED) from error
    if [part.shape for part in made] != [part.shape for part in parts(y)]:
        wanted = ", ".join(str(tuple(part.shape)) for part in made)
        raise InputError(f"a measurement of shape {given}, the physics makes {wanted}", ALLOWED)
    if [part.is_complex() for part in made] != [part.is_complex() for part in parts(y)]:
        kinds = ["complex" if made[0].is_complex() else "real", "complex" if parts(y)[0].is_complex() else "real"]
        raise InputError(f"a {kinds[1]} measurement, the physics makes {kinds[0]} ones", ALLOWED)
    return observation


def require_shape(shape: Any) -> None:
    """Refuse what is no shape of an unknown.

    Raises:
        UsageError: It is none.
    """
    sides = shape if isinstance(shape, list | tuple) else ()
    if not sides or not all(isinstance(side, int) and side > 0 for side in sides):
        raise UsageError(f"shape {shape!r}", "allowed: (C, H, W) or (d,), whole numbers from 1")


def named_device(device: Any) -> torch.device:
    """The device of a name.

    Raises:
        UsageError: There is none of that name.
    """
    try:
        return torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise UsageError(f"device {device!r}", "allowed: 'auto', 'cpu', 'cuda', 'cuda:1', ...") from error


def require_memory(count: int, batch: int, shape: Sequence[int]) -> None:
    """Refuse more samples than the machine's memory holds, before any is drawn.

    Raises:
        MemoryLimitError: They are more.
    """
    needed = 4 * count * batch * prod(shape)
    if needed > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
        raise MemoryLimitError(
            f"{count:,} samples of {batch} items of {' x '.join(map(str, shape))} values are {needed / 1e9:,.0f} GB",
            "draw fewer, or range by range: samples=range(0, 100)",
        )


def _tensor(array: np.ndarray[Any, Any]) -> Tensor:
    if array.dtype.kind not in "fc" or array.dtype.itemsize > 16 or array.dtype == np.longdouble:
        raise InputError(f"an array of type {array.dtype}", "allowed: float32, float64, complex64, complex128")
    return torch.from_numpy(np.array(array.astype(array.dtype.newbyteorder("="))))


def _require_physics(physics: Any) -> None:
    if not isinstance(physics, Physics):
        raise UsageError(
            f"a physics of type {type(physics).__name__}",
            "allowed: a deepinv physics; inverse.build_operator('gaussian-blur', shape=(3, 256, 256)) makes one",
        )


def _require_values(part: Tensor, what: str) -> None:
    if part.device.type == "meta":
        raise InputError(f"{what} is on the device meta, which holds no values", ALLOWED)
    if part.ndim < 2 or part.numel() == 0:
        raise InputError(f"{what} is empty or has no axis of a batch: shape {tuple(part.shape)}", ALLOWED)
    if part.dtype not in (torch.float32, torch.float64, torch.complex64, torch.complex128):
        raise InputError(f"{what} is {part.dtype}".replace("torch.", ""), ALLOWED)


def _size(physics: Any) -> tuple[int, ...] | None:
    """The shape of an unknown that a physics of this package states."""
    size: Any = getattr(physics, "img_size", None)
    whole = isinstance(size, tuple | list) and size and all(isinstance(side, int) for side in size)
    return tuple(size) if whole else None


def _listed(size: Sequence[int]) -> str:
    return ", ".join(map(str, size))
