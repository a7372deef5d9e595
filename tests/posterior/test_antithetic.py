"""Antithetic samples: pairs of opposite noise, their mean and their spread."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import inverse
from inverse.errors import UsageError
from inverse.exact.gaussian import problem as exact
from inverse.numerics.rng import Rng
from inverse.numerics.statistics import moments, worth
from inverse.posterior.welford import Welford
from inverse.recipes.calibration_file import Licence, unfit
from inverse.runs.folder import RunFolder


def test_a_pair_has_the_same_noise_of_opposite_sign() -> None:
    like = torch.zeros(4, 3, 70, 66)
    rng = Rng(3, ["a"] * 4, [2, 3, 4, 5], antithetic=True)
    noise = rng.normal(like, step=1, stream="kernel")
    assert torch.equal(noise[0], -noise[1])
    assert torch.equal(noise[2], -noise[3])
    plain = Rng(3, ["a"] * 2, [1, 2]).normal(like[:2], step=1, stream="kernel")
    assert torch.equal(noise[::2], plain)  # the first of a pair is a sample as any other
    short = rng.normal(torch.zeros(4, 9), step=1, stream="kernel")
    assert torch.equal(short[0], -short[1])
    signs = rng.signs(like, step=1, stream="probe")
    assert not torch.equal(signs[0], signs[1])
    assert not torch.equal(signs[0], -signs[1])


@pytest.mark.parametrize("correlation", [-0.9, -0.5, 0.0, 0.4])
def test_the_spread_of_pairs_is_right_whatever_their_correlation(correlation: float) -> None:
    rng = np.random.default_rng(0)
    first, other = rng.standard_normal((2, 3, 200_000))
    second = correlation * first + np.sqrt(1 - correlation**2) * other
    samples = np.stack([first, second], 1).reshape(6, -1)
    mean, variance = moments(samples, antithetic=True)
    # of 3 pairs: the error of the mean of 200,000 values, each of a variance with 2 degrees of freedom at least
    assert variance.mean() == pytest.approx(1, abs=4 / np.sqrt(200_000))
    assert mean.var() == pytest.approx((1 + correlation) / 6, rel=0.02)


@pytest.mark.parametrize("count", [2, 3, 6, 7])
def test_samples_one_by_one_say_what_they_say_together(count: int) -> None:
    samples = torch.from_numpy(np.random.default_rng(1).standard_normal((count, 2, 5)))
    streaming = Welford(antithetic=True)
    for sample in samples:
        streaming.add(sample)
    mean, variance = moments(samples, antithetic=True)
    torch.testing.assert_close(streaming.mean, mean)
    torch.testing.assert_close(streaming.std, variance.sqrt())
    assert worth(count, antithetic=True) == count // 2 + 1


@pytest.mark.parametrize("method", ["diffpir", "ddrm"])
def test_of_a_gaussian_posterior_one_pair_has_the_mean_of_all(method: str) -> None:
    problem = exact("coloured-blur")
    given = {"method": method, "antithetic": True}
    many = inverse.sample(problem.y, problem.physics, problem.prior, samples=200, **given)
    pair = inverse.sample(problem.y, problem.physics, problem.prior, samples=2, **given)
    alone = inverse.sample(problem.y, problem.physics, problem.prior, samples=2, method=method)
    spread = float(many.std.square().mean())

    def off(post: inverse.Posterior) -> float:
        return float((post.mean - many.mean).square().mean()) / spread

    assert off(pair) < 1e-3
    assert off(alone) > 0.2
    plain = inverse.sample(problem.y, problem.physics, problem.prior, samples=200, method=method)
    assert float(many.std.square().mean() / plain.std.square().mean()) == pytest.approx(1, abs=0.08)
    assert len(many.draws) == 100


def test_pairs_begin_at_an_even_number() -> None:
    problem = exact("coloured-blur")
    given = {"method": "diffpir", "antithetic": True}
    with pytest.raises(UsageError, match="antithetic samples"):
        inverse.sample(problem.y, problem.physics, problem.prior, samples=range(1, 3), **given)
    whole = inverse.sample(problem.y, problem.physics, problem.prior, samples=4, **given)
    later = inverse.sample(problem.y, problem.physics, problem.prior, samples=range(2, 4), **given)
    torch.testing.assert_close(later.samples, whole.samples[2:])


def test_a_run_keeps_pairs_and_says_so(tmp_path) -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(np.linspace(0.2, 0.8, 48)[None, :, None] * np.ones((48, 1, 3)), 1, 0)
    np.save(tmp_path / "y.npy", (truth + 0.05 * rng.standard_normal(truth.shape)).astype(np.float32))
    run = inverse.restore(
        "deblur",
        str(tmp_path / "y.npy"),
        out=tmp_path / "out",
        samples=4,
        overrides=["operator.sigma=1", "noise.sigma=0.05", "run.antithetic=true", "run.batch=1", "method.steps=4"],
    )
    kept = RunFolder.open(tmp_path / "out").kept(run.rows[0]["item"], ["samples", "mean", "std", "quantiles"])
    assert kept.antithetic
    samples = kept.arrays["samples"].astype(np.float64)
    mean, variance = moments(samples, antithetic=True)
    np.testing.assert_allclose(kept.arrays["mean"], mean, atol=1e-6)
    np.testing.assert_allclose(kept.arrays["std"], np.sqrt(variance), rtol=1e-4, atol=1e-7)
    assert np.array_equal(kept.draws, kept.arrays["samples"][::2])


def test_a_calibration_of_independent_samples_is_not_one_of_pairs() -> None:
    own = Licence(operator="denoise", method={}, prior="photo", prior_sha256="0", samples=4, data={})
    assert "independent" in unfit(own, own.model_copy(update={"antithetic": True}))
