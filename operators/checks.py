r"""Measured properties of a physics: adjoint, linearity, gradient, pseudo-inverse and singular basis.

Works on any deepinv physics with tensor measurements, not only on those of this package. Random vectors come from a
local generator; the global random state is not touched. Cost: about 40 applications of the operator, 10 of one that is
not linear.

An operator that is not linear has no adjoint; its Jacobian J at a point has, and its gradient is tested against
differences :math:`(A(x + h u) - A(x - h u)) / 2h`. One that rounds (JPEG) has a gradient of its own choosing: the
function ``surrogate`` that it is the gradient of stands in for ``A``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from deepinv.physics import DecomposablePhysics, LinearPhysics
from torch import Tensor

from inverse.numerics.linalg import inner, largest_eigenvalue, norm

__all__ = ["OperatorCheck", "check_operator"]


@dataclass(frozen=True)
class OperatorCheck:
    """A measured property, and the largest value that passes."""

    name: str
    value: float
    limit: float

    @property
    def ok(self) -> bool:
        """Whether it passes."""
        return self.value <= self.limit


def _check(name: str, value: Tensor | float, limit: float) -> OperatorCheck:
    return OperatorCheck(name, float(value), limit)


def _gap(one: Tensor, other: Tensor) -> Tensor:
    """Largest relative difference of an item."""
    return (norm(one - other) / norm(other).clamp_min(1e-30)).max()


@torch.no_grad()
def check_operator(
    physics: Any,
    shape: Sequence[int],
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> list[OperatorCheck]:
    """Measure a physics.

    Args:
        physics: A ``LinearPhysics``, or any other, whose unknown is then taken around 0.5.
        shape: Shape (C, *S) of one unknown.
        seed: Of the random vectors.
        dtype: Precision of the vectors.
        device: Of the physics.

    Returns:
        Rows, all dimensionless: ``adjoint`` (|<A x, v> - <x, A^T v>| / (|A x| |v|)); ``linearity``; ``gradient``
        (autograd's of <A x, v> against A^T v); ``norm`` (largest singular value, always finite to pass); ``A_dagger``
        (|A A^+ A x - A x| / |A x|); ``batch`` (a batch of 3 against 3 of 1); and, if decomposable, ``basis`` (|V V^T x
        - x| / |x|), ``isometry`` (| |V^T x| - |x| | / |x|), ``U_adjoint`` (<U c, v> against <c, U^T v>) and ``svd`` (A
        against U diag(s) V^T). Not linear: ``adjoint`` of the Jacobian, ``gradient`` (the Jacobian against differences)
        and ``batch``.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(sides: Sequence[int], batch: int = 3) -> Tensor:
        return torch.randn(batch, *sides, generator=generator, dtype=torch.float64).to(dtype).to(device)

    x, other = draw(shape), draw(shape)
    y = physics.A(x)
    v = draw(y.shape[1:])
    v = torch.complex(v, draw(y.shape[1:])) if y.is_complex() else v
    tiny = min(100 * torch.finfo(dtype).eps, 1e-5)
    if not isinstance(physics, LinearPhysics):
        return _nonlinear(physics, x, other, v, tiny)
    rows = [
        _check("adjoint", _mismatch(y, v, x, physics.A_adjoint(v)), tiny),
        _check("linearity", _gap(physics.A(2 * x - 3 * other), 2 * y - 3 * physics.A(other)), tiny),
        _check("gradient", _gap(_pulled(physics.A, x, v), physics.A_adjoint(v)), tiny),
    ]
    if isinstance(physics, DecomposablePhysics):
        coordinates, left = physics.V_adjoint(x), physics.U_adjoint(v)
        rows += [
            _check("basis", _gap(physics.V(coordinates), x), tiny),
            _check("isometry", ((norm(coordinates) - norm(x)).abs() / norm(x)).max(), tiny),
            _check("U_adjoint", _mismatch(physics.U(coordinates), v, coordinates, left), tiny),
            _check("svd", _gap(physics.U(physics.mask * coordinates), y), tiny),
        ]
    rows.append(_check("A_dagger", _gap(physics.A(physics.A_dagger(y)), y), 1e-2))
    alone = torch.cat([physics.A(item[None]) for item in x]) if _shared(physics) else y
    rows.append(_check("batch", _gap(alone, y), tiny))
    largest = largest_eigenvalue(lambda z: physics.A_adjoint(physics.A(z)), x).amax().sqrt()
    rows.append(_check("norm", largest, torch.finfo(dtype).max))
    return rows


def _pulled(function: Callable[[Tensor], Tensor], x: Tensor, v: Tensor) -> Tensor:
    """Transposed Jacobian at ``x``, applied to ``v``."""
    with torch.enable_grad():
        point = x.detach().requires_grad_(True)
        (pulled,) = torch.autograd.grad(function(point), point, v)
    return pulled


def _nonlinear(physics: Any, x: Tensor, direction: Tensor, v: Tensor, tiny: float) -> list[OperatorCheck]:
    """Its Jacobian at images with values around 0.5 (differences in double precision)."""
    x = 0.5 + 0.1 * x
    with warnings.catch_warnings():
        # torch's own forward mode loads what torch deprecates
        warnings.simplefilter("ignore", FutureWarning)
        pushed = torch.func.jvp(physics.A, (x,), (direction,))[1]
    smooth = getattr(physics, "surrogate", physics.A)
    fine, along, step = x.double(), direction.double(), 1e-6
    difference = (smooth(fine + step * along) - smooth(fine - step * along)) / (2 * step)
    y = physics.A(x)
    alone = torch.cat([physics.A(item[None]) for item in x]) if _shared(physics) else y
    return [
        _check("adjoint", _mismatch(pushed, v, direction, _pulled(physics.A, x, v)), tiny),
        _check("gradient", _gap(pushed.double(), difference), 1e-3),
        _check("batch", _gap(alone, y), tiny),
    ]


def _mismatch(image: Tensor, v: Tensor, x: Tensor, back: Tensor) -> Tensor:
    scale = (norm(image) * norm(v)).clamp_min(1e-30)
    return ((inner(image, v) - inner(x, back)).abs() / scale).max()


def _shared(physics: Any) -> bool:
    """Whether all items share the operator: no parameter has a batch axis."""
    return all(value.ndim < 4 or value.shape[0] == 1 for value in physics.buffers())
