"""A nonlinear physics made linear where it is looked at."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from deepinv.physics import LinearPhysics, Physics
from torch import Tensor

__all__ = ["Tangent"]


class Tangent(LinearPhysics):
    """Jacobian of a nonlinear physics at ``x`` (B, C, *S), both ways by autograd."""

    def __init__(self, physics: Physics, x: Tensor) -> None:
        super().__init__(noise_model=physics.noise_model)
        self._physics, self._x = physics, x

    def A(self, v: Tensor, **_: Any) -> Tensor:
        """Jacobian times ``v`` (B, C, *S)."""
        x = self._x.expand_as(v)
        with warnings.catch_warnings():
            # torch's own forward mode loads what torch deprecates
            warnings.simplefilter("ignore", FutureWarning)
            product: Tensor = torch.func.jvp(self._physics.A, (x,), (v,))[1]
        return product

    def A_adjoint(self, r: Tensor, **_: Any) -> Tensor:
        """Its transpose times ``r``, shaped as a measurement."""
        with torch.enable_grad():
            state = self._x.expand(r.shape[0], *self._x.shape[1:]).detach().requires_grad_(True)
            (product,) = torch.autograd.grad(self._physics.A(state), state, r)
        return product
