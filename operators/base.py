r"""The base classes of all operators of this package, on top of deepinv's two.

* `Spectral`: :math:`A = U \mathrm{diag}(s) V^T` with :math:`V` a square, real, orthonormal transform whose coordinates
  have the shape of ``x``, so white noise in pixels is white in the coordinates. ``U_adjoint(y)`` has that shape too,
  zero where nothing is measured. :math:`s \ge 0` is ``mask``. ``basis_squared(f)`` is the diagonal of
  :math:`V \mathrm{diag}(f) V^T`, exactly.
* `Linear`: ``A`` and an exact ``A_adjoint``, both in the precision of their argument; the pseudo-inverse iteratively,
  each item's own.
* `Tangent`: a nonlinear physics made linear where it is looked at.

Deviations from deepinv: the pseudo-inverse drops singular values relative to the largest (deepinv: below 1e-5 in
absolute terms), nothing is changed by a call, and ``clone`` is a plain deep copy (deepinv's walks every reachable
attribute: 0.4 s) unless the noise model holds a generator.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import Any, Self

import torch
from deepinv.physics import DecomposablePhysics, LinearPhysics, Physics
from torch import Tensor

from inverse.numerics.linalg import conjugate_gradients, expand, largest_eigenvalue, least_squares, norm
from inverse.numerics.rng import Rng
from inverse.operators.inner import RealInner

__all__ = ["Cloned", "Linear", "Spectral", "Tangent", "of_items", "per_item", "portable"]

#: Iterations in which conjugate gradients converge for a condition of A of up to about 5.
QUICK = 40


def _of_none(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of images that gives an empty batch for an empty one, which Fourier transforms refuse."""

    @wraps(method)
    def called(self: Any, x: Any, *others: Any, **settings: Any) -> Any:
        if isinstance(x, Tensor) and x.ndim > 1 and x.shape[0] == 0:
            return method(self, x.new_zeros((1, *x.shape[1:])), *others, **settings)[:0]
        return method(self, x, *others, **settings)

    called.takes_none = True  # type: ignore[attr-defined]
    return called


class Cloned:
    """A fast ``clone``, and empty batches, mixed in before a deepinv physics."""

    def __init_subclass__(cls, **settings: Any) -> None:
        """Let ``A`` and ``A_adjoint``, one's own or deepinv's, take empty batches."""
        super().__init_subclass__(**settings)
        for name in ("A", "A_adjoint"):
            method = getattr(cls, name, None)
            if callable(method) and not getattr(method, "takes_none", False):
                setattr(cls, name, _of_none(method))

    def clone(self) -> Self:
        """An independent copy."""
        if getattr(getattr(self, "noise_model", None), "rng", None) is None:
            return copy.deepcopy(self)
        return super().clone()  # type: ignore[misc,no-any-return]


class Spectral(Cloned, RealInner, DecomposablePhysics):
    """A physics with a known singular basis; subclasses define ``V``, ``V_adjoint``, ``U``, ``U_adjoint``.

    Args:
        mask: Singular values, at least 0, with a leading axis of 1 or B; broadcasts against ``V_adjoint(x)``.
        shape: Shape (C, *S) of one unknown.
        noise_model: deepinv noise model.
    """

    mask: Tensor
    #: Whether U only picks coordinates, so that weights of measured values are weights of coordinates.
    picks = False
    #: Whether A is the identity, diagonal in every basis.
    identity = False
    #: The factor that every value is measured by, where it is one and nothing else happens; None: another operator.
    factor_of_all: float | None = None
    #: Name of the transform V^T, as priors with a diagonal covariance name theirs; None: another.
    basis_name: str | None = None

    def __init__(self, mask: Tensor, *, shape: tuple[int, ...], noise_model: Any) -> None:
        super().__init__(mask=mask, img_size=shape, noise_model=noise_model)

    def A_dagger(self, y: Tensor, mask: Tensor | None = None, **kwargs: Any) -> Tensor:
        """Pseudo-inverse; singular values below 100 machine epsilons of the largest count as zero.

        Args:
            y: Measurement (B, ...).
            mask: Other singular values, kept as in deepinv.
            kwargs: Other parameters to update, as in deepinv.

        Returns:
            (B, C, *S).
        """
        self.update_parameters(mask=mask, **kwargs)
        s = self.mask
        largest = s.amax(tuple(range(1, s.ndim)), keepdim=True)
        kept = s > 100 * torch.finfo(s.dtype).eps * largest
        inverted = torch.where(kept, 1 / torch.where(kept, s, 1.0), 0.0)
        return self.V(inverted * self.U_adjoint(y))  # type: ignore[no-any-return]

    def basis_squared(self, spectrum: Tensor) -> Tensor:
        """Diagonal of ``V diag(spectrum) V^T``: from (B, ...) in coordinates to (B, C, *S) in pixels."""
        raise NotImplementedError


class Linear(Cloned, RealInner, LinearPhysics):
    """A physics without a known singular basis; subclasses define ``A`` and ``A_adjoint``.

    Args:
        shape: Shape (C, *S) of one unknown.
        noise_model: deepinv noise model.
    """

    def __init__(self, *, shape: tuple[int, ...], noise_model: Any) -> None:
        super().__init__(img_size=shape, noise_model=noise_model)

    def A_dagger(self, y: Tensor, *, max_iter: int = 250, tol: float = 1e-7, **kwargs: Any) -> Tensor:
        """Least-squares solution of smallest norm, in double precision.

        By conjugate gradients where they converge in `QUICK` iterations: the operator is well conditioned. Others stop
        in the middle of their way, where they amplify rounding; there singular values below about ``1 / max_iter`` of
        the largest fade out (:func:`inverse.numerics.linalg.least_squares`). That is linear in ``y`` and gives back an
        error of the measurement at most ``2 max_iter`` times as large, on every processor and in every batch.

        Args:
            y: Measurement (B, ...).
            max_iter: At most so many applications of ``A`` and ``A^T`` of a badly conditioned operator, and 30 for its
                largest singular value.
            tol: An item stops when the residual of the normal equations is below this fraction of ``A^T y``.
            kwargs: Accepted for deepinv's sake, without effect.

        Returns:
            (B, C, *S).
        """
        del kwargs
        gram, right = self.A_adjoint_A, self.A_adjoint(y.to(torch.complex128 if y.is_complex() else torch.float64))
        solution = conjugate_gradients(gram, right, tolerance=tol, iterations=QUICK)
        converged = norm(right - gram(solution)) <= 2 * tol * norm(right)
        if not bool(converged.all()):
            start = Rng(0, ("",) * len(y), (0,) * len(y)).normal(right, step=0, stream="power")
            bound = 1.25 * largest_eigenvalue(gram, start, tolerance=0.0)  # a power iteration's estimate is from below
            slow = least_squares(gram, right, bound, tolerance=tol, iterations=max_iter)
            solution = torch.where(expand(converged, right), solution, slow)
        result: Tensor = solution.to(y.real.dtype)
        return result


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


def _unchanged(x: Any, **_: Any) -> Any:
    return x


def _is_identity(value: object) -> bool:
    """Whether this is one of deepinv's lambdas that give their argument back."""
    if not isinstance(value, FunctionType) or "<lambda>" not in value.__qualname__ or value.__closure__:
        return False
    mark = object()
    try:
        return value.__module__.startswith("deepinv.") and value(mark) is mark
    except Exception:  # it is another function, which wants more than a mark
        return False


def portable(physics: Physics) -> Physics:
    """A physics that can be pickled: deepinv's lambdas, which give their argument back, are a function with a name."""
    if not any(_is_identity(value) for module in physics.modules() for value in vars(module).values()):
        return physics
    copied = physics.clone()
    for module in copied.modules():
        for name, value in list(vars(module).items()):
            if _is_identity(value):
                vars(module)[name] = _unchanged
    return copied


def _per_item_parameters(physics: Physics, batch: int) -> list[tuple[torch.nn.Module, str, Tensor]]:
    rows = []
    for module in physics.modules():
        for name, value in [*module.named_buffers(recurse=False), *module.named_parameters(recurse=False)]:
            batched = value.ndim >= 4 or (name in ("sigma", "mask") and value.ndim >= 1)
            if batched and batch > 1 and value.shape[0] == batch:
                rows.append((module, name, value))
    return rows


def per_item(physics: Physics, batch: int) -> bool:
    """Whether each of a batch's items has an operator of its own."""
    return any(name != "sigma" for _, name, _ in _per_item_parameters(physics, batch))


def of_items(physics: Physics, index: Tensor, batch: int) -> Physics:
    """The physics with the per-item parameters of ``index``: a copy where it has such."""
    if not _per_item_parameters(physics, batch):
        return physics
    chosen = physics.clone()
    for module, name, value in _per_item_parameters(chosen, batch):
        module._parameters.pop(name, None)
        module._buffers[name] = value.detach().index_select(0, index)
    return chosen
