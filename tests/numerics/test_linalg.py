"""Per-item linear algebra against dense solves on image-shaped tensors."""

from __future__ import annotations

import torch
from deepinv.utils import TensorList

from inverse.numerics.linalg import conjugate_gradients, gmres, inner, largest_eigenvalue, least_squares, norm, scale


def _spd(batch: int, n: int) -> torch.Tensor:
    root = torch.randn(batch, n, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return root @ root.mT + torch.diag(torch.logspace(0, 2, n, dtype=torch.float64))


def _apply(matrix: torch.Tensor):
    return lambda x: (matrix @ x.flatten(1)[..., None]).reshape(x.shape)


def test_conjugate_gradients_solve_each_image_of_a_batch() -> None:
    matrix = _spd(3, 24)
    right = torch.randn(3, 2, 3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    right[1] = 0
    found = conjugate_gradients(_apply(matrix), right, tolerance=1e-12, iterations=500)
    exact = torch.linalg.solve(matrix, right.flatten(1)).reshape(right.shape)
    assert torch.allclose(found, exact, rtol=1e-8)
    assert torch.equal(found[1], torch.zeros_like(found[1]))
    jacobi = scale(right, torch.ones(3, dtype=torch.float64))
    diagonal = torch.diagonal(matrix, dim1=1, dim2=2).reshape(3, 2, 3, 4)
    quick = conjugate_gradients(
        _apply(matrix), jacobi, precondition=lambda r: r / diagonal, tolerance=1e-12, iterations=500
    )
    assert torch.allclose(quick, exact, rtol=1e-8)


def test_an_easy_item_does_not_change_with_a_hard_batch_mate() -> None:
    matrix = _spd(2, 24)
    matrix[0] = torch.diag(torch.linspace(1, 2, 24, dtype=torch.float64))
    right = torch.randn(2, 24, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    both = conjugate_gradients(_apply(matrix), right)
    assert torch.allclose(both[:1], conjugate_gradients(_apply(matrix[:1]), right[:1]), rtol=1e-12)


def test_inner_products_are_real_and_per_item() -> None:
    a = torch.randn(2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.complex64)
    assert torch.allclose(inner(a, a), (a.abs() ** 2).sum(1))
    stacked = TensorList([a, torch.ones(2, 4)])
    assert torch.allclose(norm(stacked) ** 2, (a.abs() ** 2).sum(1) + 4)
    assert torch.allclose(scale(stacked, torch.tensor([2.0, 3.0]))[1][:, 0], torch.tensor([2.0, 3.0]))


def test_largest_eigenvalue_of_each_item() -> None:
    matrix = _spd(3, 12)
    start = torch.randn(3, 12, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = largest_eigenvalue(_apply(matrix), start, iterations=500, tolerance=1e-9)
    assert torch.allclose(found, torch.linalg.eigvalsh(matrix)[:, -1], rtol=1e-5)


def test_least_squares_are_linear_and_bounded_whatever_the_condition() -> None:
    """Singular values from 1 to 1e-9: what is seen well is solved, noise comes back at most 2 k times as large."""
    s = torch.logspace(0, -9, 40, dtype=torch.float64)
    truth = torch.randn(3, 40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    noise = 1e-7 * torch.randn(3, 40, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def solve(y: torch.Tensor, k: int = 250) -> torch.Tensor:
        return least_squares(lambda x: s**2 * x, s * y, torch.ones(len(y), dtype=torch.float64), iterations=k)

    y = s * truth
    y[1] = 0
    for k in (20, 250):
        amplified = solve(y + noise, k) - solve(y, k)
        assert bool((norm(amplified) < 2 * k * norm(noise)).all())
    found = solve(y)
    assert torch.allclose(found[[0, 2]][:, s > 0.05], truth[[0, 2]][:, s > 0.05], rtol=1e-3)
    assert torch.equal(found[1], torch.zeros_like(found[1]))
    assert bool((found[:, s < 1e-4].abs() < 1e-2 * truth.abs().max()).all())
    assert torch.allclose(solve(2 * y[:1] - 3 * y[2:]), 2 * found[:1] - 3 * found[2:], rtol=1e-9, atol=1e-12)


def test_gmres_solves_what_is_not_symmetric_item_by_item() -> None:
    generator = torch.Generator().manual_seed(0)
    matrices = torch.eye(6).expand(3, 6, 6) * torch.tensor([1.0, 10.0, 0.1])[:, None, None]
    matrices = matrices + 0.3 * torch.randn(3, 6, 6, generator=generator)
    right = torch.randn(3, 6, generator=generator)
    right[1] = 0.0

    def operator(v):
        return torch.einsum("bij,bj->bi", matrices[: len(v)] if len(v) == 3 else matrices[:1], v)

    solution, coefficients = gmres(operator, right, iterations=6)
    exact = torch.linalg.solve(matrices, right)
    assert (solution - exact).abs().max() < 1e-3 * exact.abs().max()
    assert torch.equal(solution[1], torch.zeros(6))
    assert coefficients.shape == (6, 3)
    alone, _ = gmres(operator, right[:1], iterations=6)
    assert (alone - solution[:1]).abs().max() < 1e-4


def test_gmres_stays_at_an_exact_solution_and_takes_a_preconditioner() -> None:
    right = torch.tensor([[1.0, 2.0, 3.0]])
    diagonal = torch.tensor([1.0, 4.0, 9.0])
    applied = []

    def operator(v):
        applied.append(v)
        return diagonal * v

    solution, coefficients = gmres(operator, right, precondition=lambda v: v / diagonal, iterations=4)
    assert (solution - right / diagonal).abs().max() < 1e-6
    # the coefficients are along the vectors the operator was applied to
    rebuilt = sum(c[:, None] * v for c, v in zip(coefficients, applied, strict=True))
    assert (rebuilt - solution).abs().max() < 1e-6
