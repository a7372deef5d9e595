"""Assertions about an operator: adjoint, linearity, gradient, singular basis and batches."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from inverse.operators.checks import OperatorCheck, check_operator
from inverse.operators.selfcheck import check_catalogue

__all__ = ["assert_adjoint", "assert_gradient", "assert_linear", "assert_operator", "assert_svd"]

#: Checks of the singular value decomposition of a decomposable physics.
SVD = ("basis", "isometry", "U_adjoint", "svd")


def assert_operator(
    physics: Any, shape: Sequence[int] | None = None, *, checks: Collection[str] = (), **settings: Any
) -> dict[str, OperatorCheck]:
    """Assert that a physics has the properties that every sampling method relies on.

    Args:
        physics: A deepinv physics, or the registry name of an operator, which is then built by the example parameters
            of its specification at two odd sizes.
        shape: (C, *S) of one unknown; of a physics only.
        checks: Names of the checks to assert; default all that apply (`inverse.operators.checks.check_operator`).
        **settings: ``seed``, ``dtype`` and, of a physics, ``device`` of the random vectors.

    Returns:
        The checks by name, those of a registered operator's first size.

    Raises:
        AssertionError: A check is beyond its limit, or one of ``checks`` does not apply to the physics.
    """
    if isinstance(physics, str):
        rows = list(check_catalogue([physics], **settings))
        for row in rows:
            _require(f"operator {physics} on {row.shape}", row.checks.values(), checks)
        return rows[0].checks
    if shape is None:
        raise TypeError("assert_operator needs the shape of an unknown, such as (3, 33, 47)")
    measured = check_operator(physics, shape, **settings)
    _require(f"{type(physics).__name__} on {tuple(shape)}", measured, checks)
    return {check.name: check for check in measured}


def _require(label: str, measured: Iterable[OperatorCheck], checks: Collection[str]) -> None:
    by_name = {check.name: check for check in measured}
    absent = [name for name in checks if name not in by_name]
    if absent:
        raise AssertionError(f"{label}: {', '.join(absent)} cannot be measured; there are {', '.join(by_name)}")
    chosen = [by_name[name] for name in checks or by_name]
    failed = [f"{check.name} {check.value:.3g}, at most {check.limit:.3g}" for check in chosen if not check.ok]
    if failed:
        raise AssertionError(f"{label}: {'; '.join(failed)}")


def assert_adjoint(physics: Any, shape: Sequence[int], **settings: Any) -> OperatorCheck:
    """Assert ``<A x, v> = <x, A^T v>``, of a nonlinear physics for its Jacobian. Arguments as `assert_operator`."""
    return assert_operator(physics, shape, checks=("adjoint",), **settings)["adjoint"]


def assert_linear(physics: Any, shape: Sequence[int], **settings: Any) -> OperatorCheck:
    """Assert ``A(2 x - 3 z) = 2 A x - 3 A z``. Arguments as `assert_operator`."""
    return assert_operator(physics, shape, checks=("linearity",), **settings)["linearity"]


def assert_gradient(physics: Any, shape: Sequence[int], **settings: Any) -> OperatorCheck:
    """Assert that autograd differentiates ``A``: to ``A^T``, or as differences do. Arguments as `assert_operator`."""
    return assert_operator(physics, shape, checks=("gradient",), **settings)["gradient"]


def assert_svd(physics: Any, shape: Sequence[int], **settings: Any) -> dict[str, OperatorCheck]:
    """Assert ``A = U diag(s) V^T`` with orthonormal ``V`` of a decomposable physics. Arguments as `assert_operator`."""
    return assert_operator(physics, shape, checks=SVD, **settings)
