"""The Gaussian field gate: its exact posterior is checked against two other ways to it, and methods against it."""

from __future__ import annotations

import math

import pytest
import torch
from deepinv.physics import GaussianNoise, Physics
from torch import Tensor

import inverse
from inverse.exact.field import DRAWS, NOISE, problem, solve
from inverse.exact.registry import draw


def test_perturbed_solve_agrees_with_the_diagonal() -> None:
    given = problem("blur-64")
    right = given.exact_physics.A_adjoint(
        given.y.double() - given.exact_physics.A(torch.full_like(given.mean[None], 0.5))
    )
    solved = 0.5 + solve(given.exact_physics, given.spectrum, right / NOISE**2)
    assert torch.allclose(solved[0], given.mean, atol=1e-7)


@pytest.mark.parametrize("operator", ["downsample", "mask"])
def test_mean_and_variance_agree_with_a_dense_solve(operator: str) -> None:
    given = problem(f"{operator}-32")
    count = given.mean.numel()
    identity = torch.eye(count, dtype=torch.float64).reshape(count, *given.shape)
    matrix = given.exact_physics.A(identity).reshape(count, -1).T
    root = (given.prior.sample(identity) - 0.5).reshape(count, count)
    covariance = root @ root.T
    gram = matrix @ covariance @ matrix.T + NOISE**2 * torch.eye(len(matrix), dtype=torch.float64)
    gain = torch.linalg.solve(gram, matrix @ covariance).T
    mean = 0.5 + gain @ (given.y.double().flatten() - 0.5 * matrix.sum(1))
    assert torch.allclose(mean, given.mean.flatten(), atol=1e-6)
    # of the draws: total variance, and that of the weighted sum with the largest posterior variance
    posterior = covariance - gain @ matrix @ covariance
    drawn = (given.reference - given.mean).reshape(DRAWS, -1)
    values, directions = torch.linalg.eigh(posterior)
    effective = values.sum() ** 2 / values.square().sum()
    assert float(drawn.square().sum(1).mean() / values.sum()) == pytest.approx(
        1, abs=4 * math.sqrt(2 / DRAWS / float(effective))
    )
    widest = (drawn @ directions[:, -20:]).square() / values[-20:]
    assert float(widest.mean()) == pytest.approx(1, abs=4 * math.sqrt(2 / DRAWS / 20))


@pytest.mark.parametrize("operator", ["blur", "mask", "downsample"])
def test_exact_draws_have_no_bias_and_wrong_ones_have(operator: str) -> None:
    given = problem(f"{operator}-64")
    samples = given.exact(16, seed=2)[:, None]
    found = given.bias(samples)
    for band in found.bands:
        assert band.ratio == pytest.approx(1, abs=4 * band.error), band
    assert found.bands[0].share > 0.9 > 0.5 > found.bands[-1].share
    assert found.mean == pytest.approx(found.floor, rel=0.1)
    assert found.chi2 == pytest.approx(1, abs=0.05)
    assert found.coverage == pytest.approx(found.nominal, abs=0.01)
    wide = given.bias(given.mean + 1.2 * (samples - given.mean))
    assert wide.std_seen == pytest.approx(1.2, abs=0.05)
    assert wide.std_unseen == pytest.approx(1.2, abs=0.03)
    assert wide.coverage > found.coverage + 0.03
    moved = given.bias(samples + 0.05)
    assert moved.mean > 1.4 * moved.floor
    assert moved.chi2 > 1.5


@pytest.mark.parametrize("operator", ["blur", "mask", "downsample"])
def test_moment_matching_goes_through_the_image_code_unbiased(operator: str) -> None:
    found = problem(f"{operator}-64").bias(draw(f"{operator}-64", "mmps", samples=8).samples)
    assert found.std_seen == pytest.approx(1, abs=0.1)
    assert found.std_unseen == pytest.approx(1, abs=0.05)
    # three iterations of the Jacobian's solve leave the misfit a few per cent high
    assert found.chi2 == pytest.approx(1, abs=0.1)
    assert found.coverage == pytest.approx(found.nominal, abs=0.03)


@pytest.mark.parametrize("method", ["pigdm", "dps", "tmpd"])
def test_guidance_with_a_narrow_covariance_does_not_diverge(method: str) -> None:
    # the widest modes have 200 times the variance that a scalar covariance gives them: unbounded, 1e6 to 1e7 standard
    # deviations
    found = problem("blur-64").bias(draw("blur-64", method, samples=4).samples)
    assert 0.8 < found.std_seen < 1.3
    assert 0.8 < found.std_unseen < 1.1
    assert found.chi2 < 1.5


def test_dps_does_not_run_into_the_flat_side_of_a_saturating_sensor() -> None:
    # its slope at zero is 1.7 times that at the prior's mean, where the operator's size is taken: a full step
    # overshoots there, into no slope at all
    given = problem("blur-64")

    class Saturating(Physics):
        def A(self, x: Tensor, **_: object) -> Tensor:
            return torch.tanh(1.5 * given.physics.A(x)) / math.tanh(1.5)

    physics = Saturating(noise_model=GaussianNoise(0.02))
    x = given.exact(1, seed=1)[0]
    y = inverse.simulate(x, physics, items=["a"])
    post = inverse.sample(y, physics, given.prior, method="dps", samples=2, steps=20, items=["a"], shape=given.shape)
    assert float(post.misfit.mean()) < 6


def test_the_last_jacobian_products_matter_little() -> None:
    found = problem("mask-64").bias(
        draw("mask-64", "pigdm", samples=8, steps=20, covariance="residual", products=0.7).samples
    )
    none = problem("mask-64").bias(
        draw("mask-64", "pigdm", samples=8, steps=20, covariance="residual", products=0.0).samples
    )
    assert found.mean < 1.1 * found.floor
    assert none.mean > 1.2 * none.floor
