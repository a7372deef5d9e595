"""The nonlinear gate: its quadrature against importance sampling, its read-outs, and methods against it."""

from __future__ import annotations

import math

import pytest
import torch

from inverse.errors import RecipeError
from inverse.exact.nonlinear import PROBLEMS, problem
from inverse.exact.registry import draw
from inverse.priors.models.gaussian import GaussianPrior


@pytest.mark.parametrize("name", PROBLEMS)
def test_quadrature_agrees_with_importance_sampling(name: str) -> None:
    given, count = problem(name), 1_000_000
    generator = torch.Generator().manual_seed(0)
    unit = torch.randn(count, 2, generator=generator, dtype=torch.float64)
    uniform = torch.rand(count, generator=generator, dtype=torch.float64)
    x = given.prior.sample(unit) if isinstance(given.prior, GaussianPrior) else given.prior.sample(unit, uniform)
    misfit = (given.y.double() - given.physics.A(x)).square().sum(1) / given.sigma**2
    weight = torch.softmax(-0.5 * misfit, 0)
    effective = 1 / float(weight.square().sum())
    assert effective > 5000
    mean = weight @ x
    assert torch.allclose(mean, given.mean, atol=4 * float(given.covariance.trace()) ** 0.5 / math.sqrt(effective))
    masses = torch.zeros(4, dtype=torch.float64).index_add(0, given.cells(x), weight)
    assert torch.allclose(masses, given.weights, atol=4 * 0.5 / math.sqrt(effective))
    assert float(weight @ misfit) == pytest.approx(given.chi2, rel=4 * 2 / math.sqrt(effective))


def test_the_grid_is_fine_and_wide_enough() -> None:
    for name in PROBLEMS:
        given = problem(name)
        mass = given.mass.reshape(len(given.axis), -1)
        assert float(mass[[0, -1]].sum() + mass[:, [0, -1]].sum()) < 1e-8
        # every other point alone gives the same moments
        half, points = mass[::2, ::2].flatten(), given.points.reshape(*mass.shape, 2)[::2, ::2].reshape(-1, 2)
        assert torch.allclose(half @ points / half.sum(), given.mean, atol=1e-4)


@pytest.mark.parametrize("name", PROBLEMS)
def test_read_outs(name: str) -> None:
    given, count = problem(name), 2000
    exact = given.exact(count, seed=9)[:, None]
    found = given.bias(exact)
    assert found.w1 < 2.5 * found.floor
    assert found.mean < 4 / math.sqrt(count)
    assert found.covariance < 0.15
    assert found.weights < 4 * 0.5 / math.sqrt(count)
    assert found.chi2 == pytest.approx(1, abs=0.15)
    moved = given.bias(exact + 0.2)
    assert moved.w1 > 3 * found.w1
    assert moved.mean > 0.2
    # one mode of several: right where it is, wrong in weight
    alone = exact[given.cells(exact[:, 0]) == int(given.weights.argmax())]
    assert given.bias(alone).weights > 0.4


# torch's first jvp imports decompositions that it compiles in a way it deprecates
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning", "ignore:.*torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("name", PROBLEMS)
def test_dps_runs_on_a_nonlinear_operator(name: str) -> None:
    given = problem(name)
    found = given.bias(draw(name, "dps", samples=300, steps=50).samples)
    # guidance by a point estimate: near the posterior, not on it
    assert found.w1 < 0.4
    assert found.weights < 0.35


def test_a_method_for_linear_operators_is_refused() -> None:
    with pytest.raises(RecipeError, match="needs a linear operator"):
        draw("gaussian-squares", "diffpir", samples=1)
