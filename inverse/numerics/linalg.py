"""Linear algebra in which every inner product, step and stopping rule belongs to one item of the batch.

A vector is a real or complex tensor (B, ...), or a ``TensorList`` of such (stacked physics). The inner product is the
real one: complex entries count as pairs of real numbers. An item that has converged is frozen, so its result does not
depend on its batch mates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

__all__ = [
    "Damped",
    "Vector",
    "conjugate_gradients",
    "expand",
    "gmres",
    "inner",
    "lanczos_log",
    "largest_eigenvalue",
    "least_squares",
    "norm",
    "parts",
    "scale",
    "square_root",
]

#: A ``Tensor``, or deepinv's ``TensorList``, which is not typed.
Vector: TypeAlias = Any


def parts(vector: Vector) -> list[Tensor]:
    """The tensors a vector consists of: itself, or the entries of a ``TensorList``."""
    return [vector] if isinstance(vector, Tensor) else list(vector)


def expand(value: Tensor, like: Tensor) -> Tensor:
    """Per-item numbers (B,), or one number (), with trailing axes so that they broadcast against ``like`` (B, ...)."""
    return value.reshape(-1, *[1] * (like.ndim - 1))


def inner(left: Vector, right: Vector) -> Tensor:
    """Real inner product of each item, (B,)."""
    total: Tensor | float = 0.0
    for a, b in zip(parts(left), parts(right), strict=True):
        if a.is_complex():
            a, b = torch.view_as_real(a), torch.view_as_real(b)
        total = total + (a * b).flatten(1).sum(1)
    assert isinstance(total, Tensor)
    return total


def norm(vector: Vector) -> Tensor:
    """Euclidean norm of each item, (B,)."""
    return inner(vector, vector).sqrt()


def scale(vector: Vector, factor: Tensor) -> Vector:
    """Each item times its own number (B,)."""
    if isinstance(vector, Tensor):
        return vector * expand(factor, vector)
    return type(vector)([part * expand(factor, part) for part in vector])


class Damped:
    """The map ``v -> shift v + gain operator(v)``, each item with its own numbers (B,); it counts its applications."""

    def __init__(self, operator: Callable[[Vector], Vector], gain: Tensor, shift: Tensor) -> None:
        self.operator, self.gain, self.shift, self.applied = operator, gain, shift, 0

    def __call__(self, v: Vector) -> Vector:
        """Apply it."""
        self.applied += 1
        return scale(v, self.shift) + scale(self.operator(v), self.gain)


def conjugate_gradients(
    operator: Callable[[Vector], Vector],
    right: Vector,
    *,
    precondition: Callable[[Vector], Vector] | None = None,
    tolerance: float = 1e-5,
    iterations: int = 100,
    on_step: Callable[[Tensor], None] | None = None,
) -> Vector:
    """Solve ``operator(x) = right`` for a symmetric positive definite operator, item by item (Hestenes & Stiefel 1952).

    ``precondition`` is a symmetric positive definite approximation of the inverse. An item stops when its residual is
    below ``tolerance`` times its right-hand side; a zero right-hand side gives exactly zero. ``on_step`` is called
    after each application of the operator with the steps (B,) along the direction it was applied to: the solution is
    their sum.
    """
    solution = scale(right, torch.zeros_like(norm(right)))
    residual = right
    limit = tolerance * norm(right)
    active = norm(residual) > limit
    z = precondition(residual) if precondition else residual
    direction, rho = z, inner(residual, z)
    for _ in range(iterations):
        if not bool(active.any()):
            break
        image = operator(direction)
        curvature = inner(direction, image)
        ok = active & (curvature > 0)
        step = torch.where(ok, rho / torch.where(ok, curvature, 1.0), 0.0)
        if on_step is not None:
            on_step(step)
        solution = solution + scale(direction, step)
        residual = residual - scale(image, step)
        active = ok & (norm(residual) > limit)
        z = precondition(residual) if precondition else residual
        rho_next = inner(residual, z)
        ratio = torch.where(active & (rho > 0), rho_next / torch.where(rho > 0, rho, 1.0), 0.0)
        direction = z + scale(direction, ratio)
        rho = rho_next
    return solution


def least_squares(
    operator: Callable[[Tensor], Tensor],
    right: Tensor,
    bound: Tensor,
    *,
    tolerance: float = 1e-7,
    iterations: int = 250,
) -> Tensor:
    r"""Solve ``operator(x) = right`` for a badly conditioned semi-definite operator, item by item (Brakhage 1987).

    .. math:: x_k = x_{k-1} + \mu_k (x_{k-1} - x_{k-2}) + \omega_k (b - G x_{k-1}) / L, \quad \|G\| \le L

    The nu-method with nu = 2 (Engl, Hanke & Neubauer 1996, 6.3). Unlike conjugate gradients it is linear in ``right``:
    of an eigenvalue t what is left after k steps is a fixed polynomial of :math:`t / L`, a constant times
    :math:`(k^2 t / L)^{-2}` at most. Eigenvalues below about :math:`L / k^2` fade out, so an error of a measurement y
    behind :math:`b = A^T y` comes back at most :math:`2 k / \sqrt L` times as large. Conjugate gradients that have not
    converged have no such bound: they amplify rounding.

    ``operator`` is G, ``right`` is b (B, ...), in the range of G, and ``bound`` is L (B,), at least each item's largest
    eigenvalue. An item stops when its residual is below ``tolerance`` times its right-hand side; a zero right-hand side
    gives exactly zero.
    """
    solution, move, residual = torch.zeros_like(right), torch.zeros_like(right), right
    limit = tolerance * norm(right)
    active = norm(right) > 0
    for k in range(1, iterations + 1):
        momentum = (k - 1) * (2 * k - 3) * (2 * k + 3) / ((k + 3) * (2 * k + 7) * (2 * k + 1))
        step = 4 * (2 * k + 3) * (k + 1) / ((k + 3) * (2 * k + 7))
        move = momentum * move + scale(residual, torch.where(active, step / bound, 0.0))
        move = torch.where(expand(active, move), move, 0.0)
        solution = solution + move
        if k == iterations:
            break
        residual = right - operator(solution)
        active = active & (norm(residual) > limit)
        if not bool(active.any()):
            break
    return solution


def _unit(vector: Vector, size: Tensor) -> Vector:
    """Vectors of length 1 from those of such lengths (B,); 0 stays 0."""
    return scale(vector, torch.where(size > 0, 1.0 / size.clamp_min(1e-30), 0.0))


def _orthogonal(image: Vector, basis: list[Vector], along: Tensor, *, tolerance: float = 1e-6) -> tuple[Tensor, Vector]:
    """What of vectors no basis vector holds: length (B,), 0 below ``tolerance`` of the whole, and direction.

    Their coordinates are added to the columns of ``along`` (B, n).
    """
    whole = norm(image)
    for _ in range(2):  # orthogonalised twice: once loses orthogonality in float32
        for j, vector in enumerate(basis):
            coordinate = inner(image, vector)
            along[:, j] += coordinate
            image = image - scale(vector, coordinate)
    rest = norm(image)
    rest = torch.where(rest > tolerance * whole, rest, 0.0)
    return rest, _unit(image, rest)


def gmres(
    operator: Callable[[Vector], Vector],
    right: Vector,
    *,
    precondition: Callable[[Vector], Vector] | None = None,
    iterations: int = 10,
) -> tuple[Vector, Tensor]:
    """Smallest residual of ``operator(x) = right`` in a Krylov space, item by item (Saad & Schultz 1986).

    The operator need not be symmetric; it is applied ``iterations`` times. ``precondition`` is an approximation of the
    inverse, applied on the right. Beside the solutions: their coefficients (iterations, B) along the vectors the
    operator was applied to, in order.
    """
    size = norm(right)
    basis = [_unit(right, size)]
    directions: list[Vector] = []
    hessenberg = size.new_zeros(len(size), iterations + 1, iterations)
    for k in range(iterations):
        directions.append(precondition(basis[k]) if precondition else basis[k])
        hessenberg[:, k + 1, k], further = _orthogonal(operator(directions[k]), basis, hessenberg[:, :, k])
        basis.append(further)
    target = size.new_zeros(len(size), iterations + 1, 1)
    target[:, 0, 0] = size
    # the pseudo-inverse: after an exact solution the remaining columns are zero
    coefficients = (torch.linalg.pinv(hessenberg.double(), rtol=1e-7) @ target.double()).to(size)[..., 0].T
    solution = scale(right, torch.zeros_like(size))
    for direction, coefficient in zip(directions, coefficients, strict=True):
        solution = solution + scale(direction, coefficient)
    return solution, coefficients


def largest_eigenvalue(
    operator: Callable[[Tensor], Tensor], start: Tensor, *, iterations: int = 30, tolerance: float = 1e-3
) -> Tensor:
    """Largest eigenvalue of each item (B,), from below, of a symmetric positive semi-definite operator.

    By power iteration from start vectors that are not zero. An item's estimate is final when it changes by no more than
    the fraction ``tolerance``.
    """
    vector = scale(start, 1.0 / norm(start))
    value = torch.zeros_like(norm(start))
    active = torch.ones_like(value, dtype=torch.bool)
    for _ in range(iterations):
        image = operator(vector)
        size = norm(image)
        changed = (size - value).abs() > tolerance * size
        value = torch.where(active, size, value)
        active = active & changed
        if not bool(active.any()):
            break
        vector = scale(image, 1.0 / size.clamp_min(1e-30))
    return value


def lanczos_log(operator: Callable[[Vector], Vector], start: Vector, *, iterations: int = 20) -> Tensor:
    """The number ``start^T log(operator) start`` of each item (B,), float64, of a symmetric positive definite operator.

    By Gauss quadrature in a Krylov space (Golub & Meurant 1994); the operator is applied ``iterations`` times.
    """
    size = norm(start)
    basis = [_unit(start, size)]
    diagonal, beside = [], []
    for k in range(iterations):
        image = operator(basis[k])
        diagonal.append(inner(basis[k], image).double())
        rest, further = _orthogonal(image, basis, size.new_zeros(len(size), k + 1), tolerance=1e-5)
        beside.append(rest.double())
        basis.append(further)
    tridiagonal = torch.diag_embed(torch.stack(diagonal, 1))
    off = torch.stack(beside[:-1], 1)
    tridiagonal = tridiagonal + torch.diag_embed(off, offset=1) + torch.diag_embed(off, offset=-1)
    values, vectors = torch.linalg.eigh(tridiagonal)
    weights = vectors[:, 0].square()
    logs = torch.where(values > 0, values.clamp_min(1e-30).log(), 0.0)
    quadratic: Tensor = (weights * logs).sum(1) * size.double().square()
    return quadratic


def square_root(operator: Callable[[Vector], Vector], start: Vector, *, iterations: int) -> Vector:
    """The vector ``operator^(1/2) start`` from a Krylov space, item by item (Chow & Saad 2014).

    So Gaussian noise gets a covariance. The operator is symmetric positive semi-definite; of one that is not, the
    symmetric part of its projection counts, negative eigenvalues as 0. It is applied ``iterations`` times: exact where
    the start lies in that many eigenspaces.
    """
    size = norm(start)
    basis = [_unit(start, size)]
    projected = size.new_zeros(len(size), iterations, iterations, dtype=torch.float64)
    for k in range(iterations):
        rest, further = _orthogonal(operator(basis[k]), basis, projected[:, :, k])
        if k + 1 < iterations:
            projected[:, k + 1, k] = rest
            basis.append(further)
    values, vectors = torch.linalg.eigh(0.5 * (projected + projected.mT))
    root = (vectors * values.clamp_min(0.0).sqrt()[:, None]) @ vectors[:, 0, :, None]
    coefficients = root[..., 0].to(size) * size[:, None]
    result = scale(basis[0], coefficients[:, 0])
    for k in range(1, iterations):
        result = result + scale(basis[k], coefficients[:, k])
    return result
