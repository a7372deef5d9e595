"""The posterior of denoising by the prior alone: exact mean and variance, draws of the reverse process."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import inverse
from inverse.errors import RecipeError
from inverse.exact.gaussian import problem
from inverse.posterior.evidence import standardised, whiteness
from inverse.scenes.coupled import sample_scene


@pytest.mark.parametrize("name", ["white-denoise", "coloured-denoise"])
def test_mean_and_variance_are_exact_whatever_the_steps(name: str) -> None:
    given = problem(name)
    post = given.draw("reverse", samples=16, steps=1)
    exact = given.covariance.diagonal().sqrt()
    assert (post.mean.reshape(-1) - given.mean).abs().max() < 1e-3 * exact.mean()
    # 16 probes of 49 pixels each; the variance of a stationary prior is the same everywhere
    assert post.std.reshape(-1).double() == pytest.approx(exact, rel=0.15)
    assert float(post.std.mean()) == pytest.approx(float(exact.mean()), rel=0.03)
    low, high = post.quantile(0.05), post.quantile(0.95)
    assert torch.allclose(high - low, 2 * 1.6449 * post.std, rtol=1e-3)


def test_more_steps_bring_the_draws_to_the_exact_posterior() -> None:
    given = problem("coloured-denoise")
    one, few, many = (given.bias(given.draw("reverse", samples=100, steps=steps).samples) for steps in (1, 2, 20))
    assert one.std_range == pytest.approx(1.0, abs=0.02)  # a normal posterior's draw, by the probe
    assert one.chi2 == pytest.approx(1.0, abs=0.05)
    assert few.std_range == pytest.approx(0.86, abs=0.03)  # what is left at the last level is not drawn
    assert many.std_range == pytest.approx(1.02, abs=0.03)
    assert many.chi2 == pytest.approx(1.04, abs=0.05)


def test_one_sample_knows_its_spread() -> None:
    given = problem("white-denoise")
    post = given.draw("reverse", samples=1, steps=2)
    assert post.knows_spread
    assert post.cost.forward == 3
    assert bool((post.std > 0).all())


def test_what_is_no_denoising_is_refused_and_auto_knows_which_is() -> None:
    given = problem("white-blur")
    with pytest.raises(RecipeError, match="white noise or noise of photons and no other operator"):
        given.draw("reverse", samples=1)
    assert given.draw("auto", samples=1).method["kind"] != "reverse"
    white = problem("white-denoise")
    assert white.draw("auto", samples=1).method == {**white.draw("reverse", samples=1, steps=2).method}
    assert white.draw("auto", samples=1, max_evaluations=8).method["steps"] == 7
    silent = inverse.build_operator("denoise", shape=(1, 16, 16), noise=0.0)
    assert inverse.sample(white.y, silent, white.prior, method="auto", samples=1).method["kind"] != "reverse"


def test_a_scene_of_tiles_is_the_whole(tmp_path) -> None:
    physics = inverse.build_operator("denoise", shape=(1, 192, 160), noise=0.1)
    prior = inverse.open_prior("gaussian")
    y = 0.5 + 0.25 * torch.randn(1, 1, 192, 160, generator=torch.Generator().manual_seed(0))
    whole = inverse.sample(y, physics, prior, method="reverse", samples=3, steps=3, items=["scene"])
    for keep in (False, True):
        tiled = sample_scene(
            y, physics, prior, folder=tmp_path / str(keep), tile=64, halo=8, method="reverse", samples=3, steps=3,
            item="scene", keep_samples=keep,
        )  # fmt: skip
        assert np.abs(tiled.mean() - whole.mean[0].numpy()).max() < 1e-5
        assert np.abs(tiled.std() - whole.std[0].numpy()).max() < 1e-5
        if keep:
            std = tiled.arrays(next(iter(tiled.tiles())))["std"]
            assert np.abs(std - whole.std[0].numpy()[:, : std.shape[1], : std.shape[2]]).max() < 1e-5
        tiled.close()


def test_values_that_were_clipped_are_bounds() -> None:
    rng = np.random.default_rng(0)
    truth = np.full((64, 64), 0.06)
    truth[:, 32:] = 0.5
    y = np.round(255 * (truth + 0.1 * rng.normal(size=truth.shape)).clip(0, 1)).astype(np.uint8)
    given = ["prior.name=gaussian", "noise.sigma=0.1"]
    post = inverse.restore("denoise", y, overrides=given)
    assert post.method["kind"] == "reverse"
    assert post.cost.forward == 1 + len(post.states) * (post.method["steps"] + 1)  # where they may lie: once for all
    bounds = post.observation.physics.bounds
    assert 0.1 < float((bounds[..., :32] < 0).float().mean()) < 0.5
    assert not bool((bounds > 0).any())
    plain = inverse.restore("denoise", y / 255, overrides=[*given, "method.kind=diffpir"])
    assert getattr(plain.observation.physics, "bounds", None) is None
    # what was at 0 is taken as below it: the prior's mean is 0.5, so a linear estimate stays as far from the truth
    shrink = 0.0625 / (0.0625 + 0.01)
    raw = 0.5 + shrink * (y / 255 - 0.5)
    dark = bounds[0, 0].numpy() < 0
    assert float(post.mean[0, 0].numpy()[dark].mean()) < raw[dark].mean() - 0.03
    assert np.allclose(post.mean[0, 0].numpy()[~dark], raw[~dark], atol=1e-3)
    std = post.std[0, 0].numpy()
    assert std[:, :28].mean() > 1.03 * std[:, 36:].mean()  # a value beyond a limit says less than one that was seen
    level = inverse.restore("denoise", y, overrides=["prior.name=gaussian"]).observation.sigma
    assert float(level) == pytest.approx(0.1, rel=0.15)


def test_what_is_left_beside_clipped_values_is_noise_where_the_image_is_right() -> None:
    """Noise that did not clip a value has a mean: the truth's own residual had a whiteness of hundreds."""
    truth = torch.tensor([0.02, 0.95]).repeat_interleave(32).expand(1, 1, 64, 64)
    noisy = truth + 0.2 * torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    post = inverse.restore("denoise", noisy.clamp(0, 1), overrides=["prior.name=gaussian"], noise=0.2)
    found = standardised(post.observation, truth)
    assert found is not None
    z, weight = found
    assert 0.4 < float(weight.mean()) < 0.6
    for half in (slice(0, 32), slice(32, 64)):  # 1,000 values each; 0.7 in the dark and -0.6 in the light before
        assert abs(float(z[..., half].sum() / weight[..., half].sum())) < 0.1
    assert float(z.square().sum() / weight.sum()) == pytest.approx(1, abs=0.15)
    told = whiteness(z[0], weight[0])
    assert told is not None
    assert told[0] < 3


@pytest.mark.parametrize("level", [1e-3, 1e-5])
def test_levels_below_the_smallest_that_a_network_knows(level: float) -> None:
    """The network's answer there is none: off by 1.4 at 1e-5, where the noise is 1e-5."""
    y = 0.2 + 0.6 * torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    physics = inverse.build_operator("denoise", shape=(3, 32, 32), noise=level)
    physics.register_buffer("bounds", (y < 0.25).float() - (y > 0.75).float())
    post = inverse.sample(y, physics, "photo", method="reverse", samples=1, steps=3)
    assert float((post.mean - y).abs().max()) < 6 * level
    assert float((post.states - y).abs().max()) < 9 * level
    assert float(post.std.mean()) == pytest.approx(level, rel=0.2)
