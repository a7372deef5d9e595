"""An operator given as a function and its adjoint, of torch tensors or of numpy arrays.

Both take and return batches, (B, C, *S) and (B, ...). Without an adjoint a function of tensors has the transposed
Jacobian that autograd finds. That the two belong together, and that the function is linear, is tested once on keyed
random vectors: a pair that does not is refused, because every method would go astray with it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inverse.errors import InputError
from inverse.numerics.linalg import inner
from inverse.numerics.rng import Rng
from inverse.operators.base import Linear

__all__ = ["FunctionPhysics", "function_operator"]

#: Largest relative difference of ``<A x, y>`` and ``<x, A^T y>``, and of ``A (x + z)`` and ``A x + A z``.
TOLERANCE = 1e-3


class FunctionPhysics(Linear):
    """A linear operator of a person's own.

    Args:
        forward: (B, C, *S) to (B, ...).
        adjoint: Back; None: by autograd.
        shape: (C, *S) of one unknown.
    """

    def __init__(
        self,
        forward: Callable[..., Any],
        adjoint: Callable[..., Any] | None,
        *,
        shape: tuple[int, ...],
        noise_model: Any,
    ) -> None:
        super().__init__(shape=shape, noise_model=noise_model)
        self.forward_function, self.adjoint_function = forward, adjoint

    def A(self, x: Tensor, **_: Any) -> Tensor:
        """The function."""
        return _called(self.forward_function, x, "the operator")

    def A_adjoint(self, y: Tensor, **_: Any) -> Tensor:
        """Its adjoint."""
        if self.adjoint_function is not None:
            return _called(self.adjoint_function, y, "its adjoint")
        with torch.enable_grad():
            start = torch.zeros(len(y), *self.img_size, dtype=y.real.dtype, device=y.device, requires_grad=True)
            image = self.A(start)
            (x,) = torch.autograd.grad(image, start, y, materialize_grads=True)
        return x


def _called(function: Callable[..., Any], values: Tensor, what: str) -> Tensor:
    """A function of tensors, or one of numpy arrays."""
    try:
        with warnings.catch_warnings():
            # numpy's way to say that this is no array; what a function warns of itself stays a warning
            warnings.filterwarnings("error", message=".*__array(_wrap)?__", category=DeprecationWarning)
            made = function(values)
    except Exception as error:
        try:
            made = function(values.detach().cpu().numpy())
        except Exception:
            raise error from None
    if isinstance(made, Tensor):
        return made
    if not isinstance(made, np.ndarray):
        raise InputError(f"{what} returns {type(made).__name__}", "allowed: a torch tensor or a numpy array")
    given = torch.from_numpy(np.ascontiguousarray(made)).to(values.device)
    return given.to(values.dtype) if given.is_complex() == values.is_complex() else given


def _tried(function: Callable[[Tensor], Tensor], x: Tensor, failed: str, hint: str) -> Tensor:
    """What a user's function makes; whatever it raises becomes an `InputError`."""
    try:
        return function(x)
    except InputError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:100]
        raise InputError(f"{failed} {tuple(x.shape)}: {type(error).__name__}: {text}", hint) from error


def function_operator(
    forward: Callable[..., Any], adjoint: Callable[..., Any] | None, *, shape: tuple[int, ...], noise_model: Any
) -> FunctionPhysics:
    """The physics of a function, checked.

    Raises:
        InputError: it cannot be called with such images, is not linear, or the adjoint is another one's.
    """
    physics = FunctionPhysics(forward, adjoint, shape=shape, noise_model=noise_model)
    rng = Rng(0, ("",) * 2, (0, 1))
    x = rng.normal(torch.zeros(2, *shape, dtype=torch.float32), step=0, stream="probe")
    image = _tried(physics.A, x, "the operator failed on images", "it takes batches (B, C, H, W), torch or numpy")
    if not bool(torch.isfinite(image).all()):
        raise InputError("the operator makes values that are not finite of random images", "it is linear, of any image")
    if image.shape[:1] != x.shape[:1]:
        raise InputError(f"the operator makes {tuple(image.shape)} of {tuple(x.shape)}", "keep the batch axis first")
    size = float(inner(image, image).sum().sqrt())
    together = physics.A(x.sum(0, keepdim=True)) - image.sum(0, keepdim=True)
    if float(inner(together, together).sum().sqrt()) > TOLERANCE * max(size, 1e-12):
        raise InputError("the operator is not linear", "subclass deepinv.physics.Physics for one that is not")
    y = rng.normal(image, step=0, stream="probe", draw=1)
    hint = "it takes what the operator makes, torch or numpy"
    back = _tried(physics.A_adjoint, y, "the adjoint failed on measurements", hint)
    if back.shape != x.shape:
        raise InputError(f"the adjoint makes {tuple(back.shape)}, the unknown is {tuple(x.shape)}", "give the adjoint")
    left, right = inner(image, y), inner(x, back)
    scale = (inner(image, image) * inner(y, y)).sqrt().clamp_min(1e-12)
    off = float(((left - right).abs() / scale).max())
    if not off <= TOLERANCE:
        raise InputError(
            f"the adjoint is not the operator's: <A x, y> and <x, A^T y> differ by {off:.2g} of their size",
            "give the conjugate transpose, or none: autograd finds it for functions of torch tensors",
        )
    return physics
