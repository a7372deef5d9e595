"""The split methods: nearly exact along every eigen-direction of Gaussian posteriors, finite on nonlinear operators."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from deepinv.physics import GaussianNoise, LinearPhysics, Physics

import inverse
from inverse.errors import RecipeError, UsageError
from inverse.exact.gaussian import problem
from inverse.exact.registry import draw
from inverse.numerics.rng import Rng
from inverse.operators.observation import Observation
from inverse.posterior.chains import ess, r_hat
from inverse.priors.models.gaussian import GaussianPrior
from inverse.priors.models.mixture import MixturePrior
from inverse.sampling.samplers import pnpdm
from inverse.sampling.samplers.coupling import draw as likelihood_draw

SAMPLES = 160


DAPS = ("daps", {"covariance": "jacobian", "steps": 15})
GIBBS = ("pnp-dm", {"steps": 60})
GIBBS_JACOBIAN = ("pnp-dm", {"steps": 60, "covariance": "jacobian", "inner": 1})


@pytest.mark.parametrize(
    ("name", "method", "params"),
    [
        ("white-mask", *DAPS),
        ("coloured-blur", *DAPS),
        ("coloured-composed-mask", *DAPS),
        ("white-mask", *GIBBS),
        ("coloured-mask", *GIBBS),
        ("coloured-blur", *GIBBS_JACOBIAN),
        ("coloured-free-blur", *GIBBS_JACOBIAN),
    ],
)
def test_deviations_are_exact_along_every_eigen_direction(name, method, params) -> None:
    post, given = draw(name, method, samples=SAMPLES, **params), problem(name)
    ratios, bias = given.eigen_ratios(post.samples), given.bias(post.samples)
    for band in ratios.bands:
        assert abs(band.ratio - 1) < 0.03 + 3 * band.error, band
    # the mean of K exact samples is off by 1 / sqrt(K) deviations; coloured null spaces have few wide directions
    assert bias.mean_range < 1.25 / SAMPLES**0.5
    assert bias.mean_null < 2.0 / SAMPLES**0.5
    assert bias.chi2 == pytest.approx(1, abs=0.03)


def test_deflation_is_what_makes_the_chain_exact(monkeypatch) -> None:
    monkeypatch.setattr(pnpdm, "draw", lambda *args, deflated, **kwargs: likelihood_draw(*args, **kwargs))
    bias = problem("white-mask").bias(draw("white-mask", "pnp-dm", samples=SAMPLES, steps=40).samples)
    # the likelihood's variance is 1.49 sigma_y^2, which the prior narrows by little
    assert bias.std_range == pytest.approx(1.49**0.5, abs=0.05)


def test_chains_meet_and_say_so() -> None:
    post = draw("white-mask", "pnp-dm", samples=8)
    assert post.r_hat.shape == post.mean.shape
    assert float(post.r_hat.median()) < 1.2
    seen = problem("white-mask").physics.mask.bool().expand_as(post.mean)
    assert float(post.ess[seen].median()) > 3 * float(post.ess[~seen].median())
    assert float(post.ess.max()) <= 8 * 50
    with pytest.raises(UsageError, match="1 chains"):
        _ = draw("white-mask", "pnp-dm", samples=1, steps=8).r_hat
    with pytest.raises(UsageError, match="not chains"):
        _ = draw("white-mask", "ddrm", samples=2, steps=2).r_hat


def test_r_hat_and_ess_of_known_chains() -> None:
    states = torch.randn(16, 500, 400, generator=torch.Generator().manual_seed(0))  # chains, length, values
    told = {"chain_mean": states.mean(1)[:, None], "chain_var": states.var(1)[:, None]}
    told["chain_length"] = torch.full((16, 1), 500.0)
    assert float(r_hat(told).mean()) == pytest.approx(1, abs=1e-3)
    assert float(16 * 500 / (16 * 500 / ess(told).double()).mean()) == pytest.approx(16 * 500, rel=0.15)
    apart = {**told, "chain_mean": told["chain_mean"] + torch.arange(16.0)[:, None, None]}
    assert float(r_hat(apart).min()) > 3
    assert float(ess(apart).max()) < 40
    still = {**told, "chain_mean": torch.zeros(2, 1, 3), "chain_var": torch.zeros(2, 1, 3)}
    assert r_hat(still).tolist() == [[1.0, 1.0, 1.0]]


def test_the_scalar_covariance_is_exact_for_a_white_prior_and_the_paper_form_too_wide() -> None:
    exact, paper = (draw("white-mask", "daps", samples=SAMPLES, covariance=form) for form in ("isotropic", "paper"))
    bias, wide = problem("white-mask").bias(exact.samples), problem("white-mask").bias(paper.samples)
    assert (bias.std_range, bias.std_null) == (pytest.approx(1, abs=0.03), pytest.approx(1, abs=0.03))
    assert wide.std_null == pytest.approx(1.5, abs=0.05)
    assert (exact.cost.forward, paper.cost.forward) == (50 * SAMPLES, 250 * SAMPLES)


def test_red_diff_ends_at_the_posterior_mean() -> None:
    given = problem("coloured-mask")
    post = draw("coloured-mask", "red-diff", samples=2)
    error = post.mean.double().reshape(-1) - given.mean
    assert float(error.square().mean() / given.covariance.diagonal().mean()) ** 0.5 < 0.15
    assert float(post.std.mean()) < 0.1 * float(given.covariance.diagonal().mean()) ** 0.5


class _Saturated(Physics):
    """A sensor whose answer flattens: not linear."""

    def __init__(self, noise: float) -> None:
        super().__init__(noise_model=GaussianNoise(noise))

    def A(self, x, **_):
        return torch.tanh(x)


@pytest.mark.parametrize("noise", [0.05, 0.0])
@pytest.mark.parametrize("method", ["daps", "daps-paper", "pnp-dm", "red-diff"])
def test_nonlinear_operators_are_explained(method, noise) -> None:
    physics = _Saturated(noise)
    x = 0.5 + 0.25 * torch.randn(2, 1, 9, 7, generator=torch.Generator().manual_seed(0))
    y = inverse.simulate(x, physics)
    params = {"covariance": "paper"} if method == "daps-paper" else {}
    name = method.removesuffix("-paper")
    post = inverse.sample(y, physics, GaussianPrior(), method=name, samples=2, steps=40, shape=(1, 9, 7), **params)
    assert post.samples.isfinite().all()
    if not params:
        assert float((post.mean - x).square().mean().sqrt()) < 0.12
    if noise:
        assert (post.misfit < 2).all()
    # the whole covariance is a linear operator's
    if method == "daps":
        with pytest.raises(RecipeError, match="covariance=jacobian"):
            inverse.sample(y, physics, GaussianPrior(), method=method, covariance="jacobian", shape=(1, 9, 7))


def test_langevin_draws_the_gaussian_that_the_solve_draws() -> None:
    """The dynamics for nonlinear operators, on a linear one whose draw is known: no discretisation bias."""

    class Scaled(_Saturated):
        def A(self, x, **_):
            return x * s.repeat(count)

    s, count, centre = torch.linspace(0, 1, 8), 4000, 0.3
    observation = Observation.create(torch.ones(1, 8 * count), Scaled(0.1), shape=(8 * count,))
    observation = replace(observation, point=torch.zeros(1, 8 * count))
    start = torch.full((1, 8 * count), centre)
    drawn = likelihood_draw(observation, start, torch.full((1,), 0.5), Rng(0, ("",), (0,)), step=0, moves=60).reshape(
        count, 8
    )
    precision = 1 / 0.5**2 + s**2 / 0.1**2
    mean = (centre / 0.5**2 + s / 0.1**2) / precision
    assert torch.allclose(drawn.std(0) * precision.sqrt(), torch.ones(8), atol=0.06)
    assert torch.allclose(drawn.mean(0), mean, atol=0.04)


class _Row(LinearPhysics):
    """The second coordinate of a vector."""

    def __init__(self) -> None:
        super().__init__(noise_model=GaussianNoise(0.3))

    def A(self, x, **_):
        return x[:, 1:2]

    def A_adjoint(self, y, **_):
        return torch.nn.functional.pad(y, (1, 1))


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("daps", {"covariance": "jacobian"}),
        ("daps", {"covariance": "paper"}),
        ("pnp-dm", {}),
        ("pnp-dm", {"covariance": "jacobian"}),
    ],
)
def test_vectors_with_two_modes(method, params) -> None:
    means = torch.tensor([[2.0, 2.0, 0.0], [-2.0, 2.0, 0.0]])
    prior = MixturePrior(means, torch.tensor([0.7, 0.3]), torch.full((2,), 0.25))
    y = torch.full((1, 1), 2.0)
    post = inverse.sample(y, _Row(), prior, method=method, samples=150, steps=30, shape=(3,), **params)
    samples = post.samples[:, 0]
    assert samples.shape == (150, 3)
    exact = (0.25 * 0.09 / (0.25 + 0.09)) ** 0.5
    assert float(samples[:, 1].std()) == pytest.approx(exact, rel=0.15)
    if params.get("covariance") != "paper":  # the paper's form is too wide where the measurement is silent
        # the measurement does not tell the modes apart: 0.7 of the draws are in the first
        assert float((samples[:, 0] > 0).float().mean()) == pytest.approx(0.7, abs=0.12)
        assert float(samples[:, 2].std()) == pytest.approx(0.5, rel=0.15)
