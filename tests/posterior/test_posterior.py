"""Statistics, misfit, data share and invented part against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

import inverse
from inverse.errors import UsageError
from inverse.exact.gaussian import NOISE, problem
from inverse.numerics.statistics import interval_quantile
from inverse.numerics.transforms import smoothed
from inverse.posterior.welford import Welford

VAR = 0.0625


@pytest.fixture(scope="module")
def post():
    given = problem("white-mask")
    return inverse.sample(given.y, given.physics, given.prior, samples=5, steps=8)


def test_streaming_statistics_are_the_plain_ones() -> None:
    samples = torch.randn(7, 2, 1, 4, 4, generator=torch.Generator().manual_seed(0)) + 1000
    streaming = Welford()
    for sample in samples:
        streaming.add(sample)
    assert torch.allclose(streaming.mean, samples.double().mean(0))
    assert torch.allclose(streaming.std, samples.double().std(0))


def test_one_sample_has_no_spread_and_says_so() -> None:
    given = problem("white-mask")
    one = inverse.sample(given.y, given.physics, given.prior, samples=1, steps=2)
    with pytest.raises(UsageError, match="needs at least 2 samples"):
        _ = one.std
    with pytest.raises(UsageError, match="needs at least 2 samples"):
        one.quantile(0.9)


@pytest.mark.parametrize("count", [2, 4, 8, 38, 39, 60])
def test_small_sample_quantiles_cover_what_they_say(count) -> None:
    draws = torch.randn(count + 1, 1, 40_000, generator=torch.Generator().manual_seed(count), dtype=torch.float64)
    samples, truth = draws[:-1], draws[-1]
    inside = (truth > interval_quantile(samples, 0.05)) & (truth < interval_quantile(samples, 0.95))
    assert float(inside.double().mean()) == pytest.approx(0.9, abs=4 * (0.09 / 40_000) ** 0.5)


def test_many_samples_give_empirical_quantiles(post) -> None:
    samples = torch.rand(200, 1, 3, generator=torch.Generator().manual_seed(0))
    expected = torch.from_numpy(np.quantile(samples.numpy(), 0.25, axis=0, method="weibull"))
    assert torch.allclose(interval_quantile(samples, 0.25), expected)
    with pytest.raises(UsageError, match="quantile 1"):
        post.quantile(1.0)
    expected = post.mean + float(stats.t.ppf(0.9, 4)) * post.std * (1 + 1 / 5) ** 0.5
    assert torch.allclose(post.quantile(0.9), expected, atol=1e-6)


def test_misfit_counts_observed_values_only() -> None:
    given = problem("white-mask")
    post = inverse.sample(given.y, given.physics, given.prior, samples=2, steps=8)
    observed = given.physics.mask.sum()
    by_hand = ((given.y - post.samples[0] * given.physics.mask) ** 2).sum() / NOISE**2 / observed
    assert float(post.misfit[0, 0]) == pytest.approx(float(by_hand), rel=1e-5)


@pytest.mark.parametrize("name", ["mask", "blur", "downsample", "mri", "multicoil-mri", "stacked", "free-blur"])
def test_data_share_is_one_minus_posterior_over_prior_variance(name) -> None:
    given = problem(f"white-{name}")
    post = inverse.sample(given.y, given.physics, given.prior, samples=2, steps=2, shape=given.shape)
    exact = (1 - torch.diagonal(given.covariance) / VAR).reshape(given.shape)
    share = post.data_share[0].double()
    if post.data_share_error == 0:
        assert torch.allclose(share, exact, atol=1e-4)
    else:
        smooth = smoothed(exact[None])[0]
        error = float((share - smooth).square().mean().sqrt())
        assert error < 2 * post.data_share_error + 0.01
        assert 0 < post.data_share_error < 0.1


def test_invented_is_what_the_data_do_not_determine() -> None:
    given = problem("white-mask")
    post = inverse.sample(given.y, given.physics, given.prior, samples=3, steps=8)
    mask = given.physics.mask.expand_as(post.mean)
    d = post.mean - 0.5
    share = VAR / (VAR + NOISE**2)
    assert torch.allclose(post.invented, torch.where(mask > 0, d * (1 - share), d), atol=1e-5)
