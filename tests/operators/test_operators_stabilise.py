"""Noise of photons stabilised: the expectation by counts, the way back, and the posterior of a dark picture."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import inverse
from inverse.operators.noise.stabilise import COUNTS, Stabilised, expected
from inverse.recipes.recipe import load
from inverse.restoration.case import make_case
from inverse.sampling.problem import Request, prepare


def _measured(mean: float, gain: float, electronics: float, count: int, *, clipped: bool) -> np.ndarray:
    rng = np.random.default_rng(7)
    values = gain * rng.poisson(mean / gain, count) + electronics * rng.normal(size=count)
    return np.maximum(values, 0) if clipped else values


@pytest.mark.parametrize("clipped", [False, True])
@pytest.mark.parametrize(("gain", "electronics"), [(0.01, 0.002), (0.001, 0.01), (0.003, 0.0)])
def test_the_expectation_is_that_of_draws(gain: float, electronics: float, clipped: bool) -> None:
    for mean in (0.0, 0.3 * gain, 0.02, 0.3, 2.0):
        values = _measured(mean, gain, electronics, 400_000, clipped=clipped)
        transformed = 2 / gain * np.sqrt(np.maximum(gain * values + 0.375 * gain**2 + electronics**2, 0))
        error = max(transformed.std(), 1e-3) / math.sqrt(len(values))
        assert (
            abs(expected(np.array([mean]), gain, electronics**2, clipped=clipped)[0] - transformed.mean()) < 5 * error
        )


def test_sums_and_expansion_meet() -> None:
    around = COUNTS * 0.002 * np.array([1 - 1e-9, 1 + 1e-9])
    first, second = expected(around, 0.002, 1e-6, clipped=False)
    assert abs(first - second) < 1e-5


@pytest.mark.parametrize("clipped", [False, True])
def test_the_way_back_has_no_bias(clipped: bool) -> None:
    gain, electronics, exposure = 0.002, 0.003, 0.1
    for brightness in (0.02, 0.1, 0.5, 1.0):
        y = torch.from_numpy(_measured(exposure * brightness, gain, electronics, 300_000, clipped=clipped))
        weights = torch.full((1, 1, 1, 1), 1.7, dtype=torch.float64)
        stabilised = Stabilised(gain, electronics**2, exposure, weights, clipped=clipped)
        state = stabilised.state(1.7 * y.reshape(1, 1, 1, -1))
        found = float(stabilised.image(state.mean().reshape(1, 1, 1, 1)))
        spread = float(state.std())
        slope = float(stabilised.moments(state.mean().reshape(1, 1, 1, 1), torch.ones(1, 1, 1, 1))[1].sqrt())
        assert abs(found - brightness) < 5 * slope * spread / math.sqrt(y.numel()) + 1e-4
        if brightness > 0.4:
            assert spread == pytest.approx(stabilised.sigma, rel=0.03)


def test_moments_are_those_of_draws() -> None:
    stabilised = Stabilised(0.002, 1e-6, 0.1, torch.ones(1, 1, 1, 1), clipped=False)
    for middle in (0.2, 0.7):
        draws = middle + 0.05 * torch.randn(200_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        images = stabilised.image(draws)
        mean, variance = stabilised.moments(
            *(torch.full((1,), value, dtype=torch.float64) for value in (middle, 0.0025))
        )
        assert float(mean) == pytest.approx(float(images.mean()), abs=5 * float(images.std()) / math.sqrt(len(draws)))
        assert float(variance) == pytest.approx(float(images.var()), rel=0.03)


def test_without_photons_it_is_white_noise() -> None:
    y = 0.5 + 0.25 * torch.randn(1, 1, 12, 12, generator=torch.Generator().manual_seed(2))
    kinds = (["noise.kind=poisson-gaussian", "noise.gain=1e-9"], ["noise.kind=gaussian"])
    posts = []
    for kind in kinds:
        recipe = load("denoise", [*kind, "noise.sigma=0.1", "prior.name=gaussian"])
        case = make_case(recipe, y)
        problem = prepare(case.y, case.physics, "gaussian", Request(method="reverse", shape=case.shape, samples=1))
        step = next(iter(problem.steps([(0, 0)])))
        posts.append([step.info[name] for name in ("exact_mean", "exact_variance")])
    for ours, theirs in zip(*posts, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=2e-4)


def test_a_dark_picture_is_restored_by_the_prior_alone() -> None:
    rows, columns = np.mgrid[:64, :64] / 63
    truth = np.stack([0.2 + 0.6 * rows, 0.5 + 0.4 * np.sin(9 * columns), 0.3 + 0.3 * rows * columns], -1)
    rng = np.random.default_rng(0)
    y = np.float32(rng.poisson(0.1 * truth / 0.001) * 0.001 + 0.002 * rng.normal(size=truth.shape))
    result = inverse.restore("low-light", y, overrides=["calibration=none"])
    assert result.method["kind"] == "reverse"
    assert result.cost.forward == 2 * 3
    error = np.asarray(result.mean)[0].transpose(1, 2, 0) - truth
    assert -20 * math.log10(float(np.sqrt((error**2).mean()))) > 32
    assert abs(float(error.mean())) < 0.003
    assert 0.8 < float((np.abs(error) < 1.645 * np.asarray(result.std)[0].transpose(1, 2, 0)).mean()) <= 1


def test_holes_are_not_stabilised() -> None:
    y = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    recipe = load("inpaint", ["noise.kind=poisson", "noise.gain=0.01", "operator.missing=0.3"])
    assert getattr(make_case(recipe, y).physics, "stabilised", None) is None


@pytest.mark.parametrize("white", [1.0, 255.0])
def test_the_range_of_the_data_changes_nothing(white: float) -> None:
    """The prior is stretched to the data's range, and so is the stabilised image."""
    y = 0.1 + 0.2 * torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    settings = ["noise.kind=poisson-gaussian", f"noise.gain={0.01 * white}", f"noise.sigma={0.02 * white}"]
    recipe = load("denoise", [*settings, f"data.range=[0,{white}]"])
    case = make_case(recipe, white * y)
    stabilised = case.physics.stabilised
    plain = make_case(load("denoise", ["noise.kind=poisson-gaussian", "noise.gain=0.01", "noise.sigma=0.02"]), y)
    torch.testing.assert_close(stabilised.state(case.y) / white, plain.physics.stabilised.state(plain.y))
    assert stabilised.sigma == pytest.approx(white * plain.physics.stabilised.sigma)
    back = stabilised.image(stabilised.state(case.y))
    torch.testing.assert_close(back, white * y, rtol=0.1, atol=0.03 * white)
