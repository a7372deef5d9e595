"""Twisted Monte Carlo against exact posteriors and evidences, and its parts."""

from __future__ import annotations

import math

import pytest
import torch
from deepinv.physics import GaussianNoise

import inverse
from inverse.errors import RecipeError
from inverse.exact.gaussian import NOISE, matrix, problem
from inverse.exact.mixture import mixture_problem
from inverse.exact.registry import draw
from inverse.operators.image.matrix import Matrix
from inverse.priors.models.mixture import MixturePrior
from inverse.sampling.methods import METHODS
from inverse.sampling.samplers.smc import systematic

SMALL = {"particles": 2, "steps": 10}


def _log_normal(residual: torch.Tensor, covariance: torch.Tensor) -> float:
    misfit = residual @ torch.linalg.solve(covariance, residual)
    return -0.5 * float(misfit + torch.logdet(2 * math.pi * covariance))


@pytest.mark.parametrize("name", ["white-mask", "coloured-blur", "coloured-mask"])
def test_evidence_of_a_gaussian_prior_is_exact(name: str) -> None:
    given = problem(name)
    operator = matrix(given.physics, given.shape)
    seen = operator.abs().sum(1) > 0
    operator, y = operator[seen], given.y.double().flatten()[seen]
    units = torch.eye(operator.shape[1], dtype=torch.float64).reshape(-1, *given.shape)
    root = (given.prior.sample(units) - 0.5).flatten(1)
    covariance = operator @ (root @ root.T) @ operator.T + NOISE**2 * torch.eye(len(y), dtype=torch.float64)
    expected = _log_normal(y - operator.sum(1) * 0.5, covariance)
    found = draw(name, "smc", samples=8).diagnostics["log_evidence"]
    assert found.mean().item() == pytest.approx(expected, abs=0.15)
    assert found.std() < 0.3


@pytest.mark.parametrize("name", ["white-free-blur", "coloured-mask"])
@pytest.mark.parametrize("steps", [4, 15])
def test_spread_along_every_direction_is_exact_at_any_number_of_levels(name: str, steps: int) -> None:
    ratios = problem(name).eigen_ratios(draw(name, "smc", samples=150, particles=2, steps=steps).samples)
    assert all(abs(band.ratio - 1) < 4 * band.error for band in ratios.bands)


@pytest.mark.parametrize("measured", [1, 2])
def test_mixture_weights_and_evidence(measured: int) -> None:
    given = mixture_problem(8, measured, 0)
    post = given.draw("smc", samples=250, seed=0, particles=16, steps=30)
    operator, y = given.matrix, given.y.double().flatten()
    gram = operator @ operator.T + given.sigma**2 * torch.eye(measured, dtype=torch.float64)
    logs = [_log_normal(y - operator @ mean, gram) for mean in given.prior.means.double()]
    weights = given.prior.weights.double() / given.prior.weights.double().sum()
    expected = float(torch.logsumexp(weights.log() + torch.tensor(logs), 0))
    found = post.diagnostics["log_evidence"]
    # each population's evidence is unbiased, so its logarithm is low by half its variance
    assert found.mean().item() == pytest.approx(expected, abs=0.1)
    score = given.score(post.samples, directions=200)
    floor = given.score(given.posterior.sample(250, seed=1), directions=200)
    assert score.wasserstein < 1.5 * floor.wasserstein + 0.1
    assert score.total_variation < floor.total_variation + 0.06
    states = 30 * 16
    assert (post.cost.forward, post.cost.vjp) == (250 * states, 250 * states * (measured + 2))


def test_two_far_modes_get_their_weights() -> None:
    means = torch.zeros(2, 6)
    means[1] = 20.0
    prior = MixturePrior(means, torch.tensor([0.3, 0.7]), torch.tensor([1.0, 0.5]))
    row = torch.tensor([[0.3, -0.3, 0.05, 0.0, 0.0, 0.0]])
    noise = GaussianNoise(0.5)
    physics = Matrix(row, shape=(6,), measured=(1,), noise_model=noise, dtype=torch.float32)
    y = torch.tensor([[0.6]])
    post = inverse.sample(y, physics, prior, method="smc", samples=400, steps=30, shape=(6,), particles=8)
    spread = [0.25 + float((row @ row.T).item()) * float(v) for v in prior.variances]
    logs = [
        float(torch.log(w)) - 0.5 * (math.log(v) + float(y - row @ m) ** 2 / v)
        for w, v, m in zip(prior.weights, spread, means, strict=True)
    ]
    second = 1 / (1 + math.exp(logs[0] - logs[1]))
    found = float((post.samples.mean(2) > 10).double().mean())
    assert 0.2 < second < 0.8
    assert found == pytest.approx(second, abs=4 * math.sqrt(second * (1 - second) / 400))


def test_systematic_resampling_is_unbiased_and_within_one() -> None:
    weights = torch.softmax(torch.randn(3, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), 1)
    counts = torch.zeros(3, 7, dtype=torch.float64)
    grid = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000
    for uniform in grid:
        index = systematic(weights, uniform.expand(3))
        own = torch.stack([torch.bincount(row, minlength=7) for row in index]).double()
        assert ((own - 7 * weights).abs() < 1).all()
        counts += own
    assert torch.allclose(counts / len(grid), 7 * weights, atol=2e-3)


def test_items_of_few_values_do_not_see_each_other() -> None:
    given = mixture_problem(8, 2, 1)
    y = torch.cat([given.y.reshape(1, -1) + shift for shift in (0.0, 3.0, -6.0)])
    items = ["a", "b", "c"]

    def run(y: torch.Tensor, items: list[str]) -> torch.Tensor:
        extra = {"steps": 12, "particles": 4, "shape": (8,), "items": items}
        return inverse.sample(y, given.physics, given.prior, method="smc", samples=2, **extra).samples

    together = run(y, items)
    alone = torch.cat([run(y[i : i + 1], items[i : i + 1]) for i in range(3)], 1)
    assert (together - alone).abs().max() < 1e-4


def test_cost_and_refusals() -> None:
    given = problem("white-mask")
    assert METHODS["smc"].cost({"twist": "jacobian", "rank": 4, "probes": 1, **SMALL}) == (20, 100)
    for twist, products in (("spectrum", 1), ("card", 0)):
        cost = draw("white-mask", "smc", samples=2, twist=twist).cost
        assert (cost.forward, cost.vjp) == (40, 40 * products)
    with pytest.raises(RecipeError, match="256"):
        inverse.sample(given.y, given.physics, given.prior, method="smc", twist="jacobian", samples=1)
