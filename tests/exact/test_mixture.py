"""The 25-mode mixture: its file, its exact posterior, its metrics, and methods in their known order."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import multivariate_normal, wasserstein_distance

import inverse.exact.mixture as gate
from inverse.errors import InputError
from inverse.exact.mixture import CELLS, definitions, mixture_problem, sliced_wasserstein


def test_the_published_file_is_what_its_keys_draw() -> None:
    drawn, published = definitions(), gate._published()
    assert published["weights"] == pytest.approx(drawn["weights"], rel=1e-12)
    assert list(published["problems"]) == [f"{d},{measured}" for d, measured in CELLS]
    for cell, problems in published["problems"].items():
        assert len(problems) == gate.PROBLEMS_PER_CELL
        for own, expected in zip(problems, drawn["problems"][cell], strict=True):
            assert own["sha256"] == expected["sha256"]
            assert own["sigma"] == expected["sigma"]
            assert own["s"] == expected["s"]
            # single precision, of numbers that two machines draw to the last digits of double precision
            assert own["y"] == pytest.approx(expected["y"], rel=2e-7)


@pytest.mark.parametrize("cell", CELLS)
def test_physics_and_matrix_are_one_operator(cell) -> None:
    given = mixture_problem(*cell, 19)
    x = torch.randn(3, cell[0], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(given.physics.A(x), x @ given.matrix.mT, atol=1e-5)
    assert given.y.shape == (1, cell[1])
    assert float(given.physics.noise_model.sigma) == pytest.approx(given.sigma)
    values = torch.linalg.svdvals(given.matrix)
    assert bool((values <= 1).all())
    assert given.sigma <= float(values[0])


@pytest.mark.parametrize(("cell", "k"), [((8, 1), 0), ((8, 2), 3), ((8, 4), 7), ((80, 2), 5)])
def test_posterior_density_is_prior_times_likelihood(cell, k) -> None:
    given = mixture_problem(*cell, k)
    d, generator = cell[0], torch.Generator().manual_seed(k)
    near = given.posterior.sample(20, seed=5)
    x = near + torch.randn(20, d, generator=generator, dtype=torch.float64)
    log_prior = torch.logsumexp(
        given.prior.weights.log() - 0.5 * (x[:, None] - given.prior.means).square().sum(2), 1
    ) - 0.5 * d * math.log(2 * math.pi)
    residual = given.y.double() - x @ given.matrix.mT
    log_likelihood = -0.5 * residual.square().sum(1) / given.sigma**2
    ratio = torch.logsumexp(given.posterior.log_densities(x), 1) - log_prior - log_likelihood
    # one constant, the evidence; the tolerance is the rounding of y to single precision
    assert float(ratio.max() - ratio.min()) < 1e-6


def test_posterior_density_is_normalised_and_its_sampler_follows_it() -> None:
    posterior = mixture_problem(8, 2, 3).posterior
    x = posterior.sample(20_000, seed=1)
    mode = int(posterior.weights.argmax())
    exact = multivariate_normal(posterior.means[mode].numpy(), posterior.covariance.numpy()).logpdf(x[:5].numpy())
    found = posterior.log_densities(x[:5])[:, mode] - posterior.weights[mode].log()
    assert found.numpy() == pytest.approx(exact, rel=1e-9, abs=1e-9)
    mean = posterior.weights @ posterior.means
    offset = posterior.means - mean
    covariance = posterior.covariance + offset.mT @ (posterior.weights[:, None] * offset)
    assert ((x.mean(0) - mean).abs() < 5 * (covariance.diagonal() / len(x)).sqrt()).all()
    assert float((torch.cov(x.mT) - covariance).norm() / covariance.norm()) < 0.05


def test_sliced_distance_is_the_mean_of_one_dimensional_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(300, 1, generator=generator) * s for s in (1.0, 2.0))
    expected = wasserstein_distance(first[:, 0].numpy(), second[:, 0].numpy())
    assert sliced_wasserstein(first, second, directions=3) == pytest.approx(expected, rel=1e-5)
    # a shift of length L moves each projection by L |cos|, whose mean in three dimensions is L / 2
    third = torch.randn(300, 3, generator=generator)
    shifted = third + torch.tensor([0.0, 3.0, 4.0])
    assert sliced_wasserstein(third, shifted, directions=20_000) == pytest.approx(2.5, rel=0.03)
    with pytest.raises(InputError, match="two sets of equal shape"):
        sliced_wasserstein(first, third)


@pytest.mark.parametrize("cell", [(8, 1), (80, 2), (800, 4)])
def test_exact_samples_sit_at_the_floor_and_wrong_ones_do_not(cell) -> None:
    given = mixture_problem(*cell, 0)
    floor = given.floor(directions=200)
    exact = given.posterior.sample(2000, seed=2)
    score = given.score(exact[:, None].float(), directions=200)
    assert score.wasserstein < 3 * floor.wasserstein
    # weights of 2,000 draws: the mean absolute error of w is at most sqrt(w / n)
    modes = float((given.posterior.weights / 2000).sqrt().sum())
    assert score.total_variation < modes
    assert score.covariance < 0.1
    shifted = given.score(exact + 10 / cell[0] ** 0.5, directions=200)
    # a shift of length L = 10 moves projections by L |cos|, on average L sqrt(2 / (pi d)); half of it, because sets of
    # several modes differ already
    assert shifted.wasserstein > score.wasserstein + 5 * math.sqrt(2 / (math.pi * cell[0]))


def test_a_lost_mode_and_a_wide_mode_are_seen() -> None:
    given = mixture_problem(8, 1, 0)
    exact = given.posterior.sample(2000, seed=2)
    mode = given.posterior.log_densities(exact).argmax(1)
    lost = exact[mode != given.posterior.weights.argmax()]
    lost = lost[torch.arange(2000) % len(lost)]
    assert given.score(lost, directions=200).total_variation == pytest.approx(
        float(given.posterior.weights.max()), abs=0.05
    )
    wide = given.posterior.means[mode] + 1.1 * (exact - given.posterior.means[mode])
    assert given.score(wide, directions=200).covariance == pytest.approx(0.21, abs=0.05)
    assert given.score(wide, directions=200).total_variation < 0.05
    wrong = given.score(torch.full_like(exact, math.nan), directions=10)
    assert math.isnan(wrong.wasserstein)


def test_methods_come_in_their_known_order() -> None:
    given = mixture_problem(8, 4, 0)
    floor = given.floor(directions=200).wasserstein
    found = {
        name: given.score(given.draw(name, samples=500).samples, directions=200).wasserstein
        for name in ("pigdm", "diffpir")
    }
    assert floor < found["pigdm"] < found["diffpir"]


def test_what_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match="allowed: cells 8,1, 8,2"):
        mixture_problem(9, 1, 0)
    with pytest.raises(InputError, match="problems 0 to 19"):
        mixture_problem(8, 1, 20)
