"""Evidence without a truth: residuals of exact draws are white noise, those of a wrong operator are not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import inverse
from inverse.posterior.evidence import (
    Changes,
    averaged,
    invented_region,
    of_samples,
    residual_map,
    standardised,
    whiteness,
)
from inverse.posterior.posterior import Posterior
from inverse.posterior.words import doubts, evidence, in_doubt
from inverse.priors.models.gaussian import GaussianPrior, power_law
from inverse.restoration.result import ItemResult

SHAPE = (1, 32, 32)
SPECTRUM = power_law(32, 32)
BLUR = {"sigma": 1.0, "boundary": "circular"}


def exact(
    items: int | range, kind: str, given: dict[str, Any], assumed: dict[str, Any] | None = None, samples: int = 2
) -> Posterior:
    """Exact draws of the posteriors of random fields, measured by one operator and solved by another."""
    seeds = range(items, items + 1) if isinstance(items, int) else items
    names = [str(seed) for seed in seeds]
    white = torch.stack(
        [torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) for seed in seeds]
    )
    truth = 0.5 + torch.fft.ifft2(torch.fft.fft2(white) * SPECTRUM.sqrt()).real.float()
    measured = inverse.build_operator(kind, shape=SHAPE, noise=0.05, **given)
    y = inverse.simulate(truth, measured, seed=1, items=names)
    physics = inverse.build_operator(kind, shape=SHAPE, noise=0.05, **(given if assumed is None else assumed))
    prior = GaussianPrior(0.5, spectrum=SPECTRUM)
    return inverse.sample(y, physics, prior, method="exact", samples=samples, items=names)


@pytest.mark.parametrize(("kind", "given"), [("gaussian-blur", BLUR), ("random-mask", {"missing": 0.6, "seed": 0})])
def test_residuals_of_exact_draws_are_white_noise_of_variance_one(kind: str, given: dict[str, Any]) -> None:
    post = exact(range(30), kind, given)
    pairs = [standardised(post.observation, sample) for sample in post.states]
    each = [averaged([whiteness(z[i], weight[i]) for z, weight in pairs]) for i in range(30)]
    values = torch.tensor([told["whiteness"] for told in each])
    error = float(values.std()) / math.sqrt(len(values))
    assert abs(float(values.mean()) - 1) < 4 * error
    assert error < 0.1
    assert float(post.misfit.mean()) == pytest.approx(1, abs=0.02)


def test_a_wrong_operator_leaves_correlations_where_the_misfit_says_little() -> None:
    found = of_samples(exact(0, "gaussian-blur", BLUR, {"sigma": 2.0, "boundary": "circular"}))
    assert found["whiteness"] > 5
    assert abs(found["correlation"]) > 0.1
    row = {"item": "a", "misfit": 1.0, "data_share": 0.5, "method": "exact", **found}
    assert any("not noise" in line for line in evidence(row))
    assert [doubt.code for doubt in doubts(row)] == ["residual-coloured"]


def test_a_wrong_noise_level_alone_is_no_correlation() -> None:
    z = 3 * torch.randn(1, 64, 64, generator=torch.Generator().manual_seed(0))
    value, correlation, lags = whiteness(z, torch.ones_like(z))
    assert lags == 12
    assert value < 2.74
    assert abs(correlation) < 0.06


def test_autocorrelations_are_those_counted_by_hand() -> None:
    z = torch.randn(2, 20, 17, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    weight = (torch.rand(2, 20, 17, generator=torch.Generator().manual_seed(2)) > 0.4).double()
    values, total = (z * weight).numpy(), []
    variance = np.square(values).sum() / weight.sum().item()
    for down in range(3):
        for across in range(-2, 3):
            if down == 0 and across <= 0:
                continue
            products = pairs = 0.0
            for c in range(2):
                for i in range(20 - down):
                    for j in range(max(0, -across), 17 - max(0, across)):
                        products += values[c, i, j] * values[c, i + down, j + across]
                        pairs += float(weight[c, i, j] * weight[c, i + down, j + across])
            total.append((products / (pairs * variance), pairs))
    value, correlation, lags = whiteness(z * weight, weight)
    assert lags == len(total) == 12
    assert value == pytest.approx(sum(n * r**2 for r, n in total) / 12)
    assert correlation == pytest.approx(max((r for r, _ in total), key=abs))


def test_raw_data_are_real_and_imaginary_parts_and_only_what_was_measured() -> None:
    shape = (2, 32, 32)
    physics = inverse.build_operator(
        "mri", shape=shape, noise=0.1, pattern="equispaced", acceleration=4, center_lines=8
    )
    x = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0)) * 0.2
    y = inverse.simulate(x, physics, items=["a"])
    post = inverse.sample(y, physics, GaussianPrior(0.0, 0.04), method="exact", samples=2)
    z, weight = standardised(post.observation, x) or pytest.fail("no residual")
    assert z.shape == weight.shape
    assert float(weight.mean()) < 0.7
    assert float(z.square().sum() / weight.sum()) == pytest.approx(1, abs=0.1)
    assert of_samples(post)["whiteness"] < 2.74
    shown = residual_map(post)
    assert shown is not None
    assert shown.shape[-2:] == (32, 32)


def test_without_noise_nothing_is_said() -> None:
    physics = inverse.build_operator("denoise", shape=SHAPE, noise=0.0)
    y = torch.full((1, *SHAPE), 0.5)
    post = inverse.sample(y, physics, GaussianPrior(0.5, 0.04), method="exact", samples=1)
    assert of_samples(post) == {}
    assert residual_map(post) is None


def test_the_largest_region_of_the_prior_is_named_with_its_share() -> None:
    share = np.full((3, 40, 60), 0.9, np.float32)
    share[:, 10:20, 5:25] = 0.25
    share[:, 30:34, 50:54] = 0.0
    sentence = invented_region(share)
    assert sentence.startswith("75 % of the region at row 10, column 5 (20 x 10 pixels, 8 % of the image)")
    scattered = np.random.default_rng(0).random((1, 40, 60)) > 0.7
    assert invented_region(scattered.astype(np.float32)) == ""
    assert invented_region(np.full((1, 40, 60), 0.1, np.float32)) == ""
    assert invented_region(np.full((1, 40, 60), 0.9, np.float32)) == ""


def test_changes_from_level_to_level_settle() -> None:
    physics = inverse.build_operator("denoise", shape=SHAPE, noise=0.1)
    y = torch.rand(1, *SHAPE, generator=torch.Generator().manual_seed(0))
    prior = GaussianPrior(0.5, 0.04)
    post = inverse.sample(y, physics, prior, method="pigdm", samples=3, steps=12)
    found = post.diagnostics["convergence"]
    assert found.shape == (3, 1, 11)
    assert bool((found[..., -1] < found[..., 0]).all())
    means = [step.mean for step in inverse.steps(y, physics, prior, method="pigdm", samples=3, steps=12)]
    by_hand = (means[5] - means[4]).square().mean((1, 2, 3)).sqrt()
    assert torch.allclose(found[:, 0, 4], by_hand, rtol=1e-5)
    assert Changes(2).said == {}


def test_words_of_one_and_of_several() -> None:
    good = {"item": "a.png", "misfit": 1.02, "whiteness": 1.1, "correlation": 0.01, "data_share": 0.32, "method": "x"}
    lines = evidence(good)
    assert "misfit 1.02" in lines[0]
    assert "noise: whiteness 1.10" in lines[1]
    assert "68 % of the image's variance was decided by the prior" in lines[2]
    assert not doubts(good)
    bad = {**good, "item": "b.png", "misfit": 2.0}
    (doubt,) = doubts(bad)
    assert (doubt.code, doubt.severity, doubt.number) == ("misfit-high", "bad", 2.0)
    assert doubt.sentence == evidence(bad)[0]
    first, second = ItemResult.from_row(good), ItemResult.from_row(bad)
    assert any("doubtful     1 of 2: b.png" in line for line in in_doubt([first, second]))
    assert len(in_doubt([first])) == 1
