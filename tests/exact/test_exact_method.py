"""Method exact against dense linear algebra: mean, covariance, evidence, draws; and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import inverse
from inverse.errors import PriorError, RecipeError
from inverse.exact.gaussian import matrix, problem
from inverse.exact.registry import draw
from inverse.operators.build import build_operator
from inverse.priors.card import Card
from inverse.priors.models.closed_form import closed_form
from inverse.priors.models.field import FieldPrior
from inverse.priors.models.mixture import MixturePrior

NAMES = ("white-mask", "white-free-blur", "coloured-mask", "coloured-blur", "coloured-free-blur")


def field(components: int = 1, channels: int = 2) -> FieldPrior:
    """Random autocovariances of positive spectrum, the components' contrasts far apart."""
    generator = torch.Generator().manual_seed(0)
    lags = []
    for k in range(components):
        segment = torch.randn(6, channels, 6, 6, generator=generator, dtype=torch.float64).cumsum(-1).cumsum(-2)
        transform = torch.fft.fft2(segment, s=(12, 12))
        power = torch.einsum("nahw,nbhw->abhw", transform, transform.conj()).real
        power = 0.5 * (power + power.flip(-2).roll(1, -2))
        own = torch.fft.ifft2(power).real[..., :6, :6]
        lags.append(own / own[0, 0, 0, 0] * 0.05 * 4.0**-k)
    card = Card(name="test", title="t", kind="gaussian", licence="x", data_var=0.05, sigma_min=1e-3, sigma_max=10)
    weights = torch.ones(components) / components
    mean = torch.full((channels, 1, 1), 0.5, dtype=torch.float64)
    return FieldPrior(card, mean, weights, torch.stack(lags))


def dense(prior: FieldPrior, physics: object, shape: tuple[int, ...], y: Tensor, noise: float) -> list[tuple]:
    """Mean, covariance and log evidence of each component."""
    count, operator = torch.Size(shape).numel(), matrix(physics, shape)
    units, found = torch.eye(count, dtype=torch.float64).reshape(count, *shape), []
    for part in closed_form(prior, shape).parts:
        covariance = part.covariance(units).reshape(count, count)
        mean = part.mean.expand(shape).reshape(-1)
        gram = operator @ covariance @ operator.T + noise**2 * torch.eye(len(operator), dtype=torch.float64)
        residual = y.double().reshape(-1) - operator @ mean
        gain = torch.linalg.solve(gram, operator @ covariance).T
        law = torch.distributions.MultivariateNormal(torch.zeros(len(gram), dtype=torch.float64), gram)
        found.append((mean + gain @ residual, covariance - gain @ operator @ covariance, law.log_prob(residual)))
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("solver", ["auto", "cg"])
def test_mean_variance_and_draws_are_exact(name: str, solver: str) -> None:
    given = problem(name)
    post = draw(name, "exact", samples=400, seed=3, solver=solver, tolerance=1e-6)
    std = given.covariance.diagonal().sqrt()
    assert post.cost.forward == 0
    assert float(((post.mean.double().flatten() - given.mean) / std).abs().max()) < 1e-4
    if solver == "auto":
        assert torch.allclose(post.std.double().flatten(), std, rtol=1e-5)
    ratios = given.eigen_ratios(post.samples)
    assert ratios.deviation < 4.5 * ratios.error
    assert given.bias(post.samples).chi2 == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("denoise", {}),
        ("gaussian-blur", {"sigma": 1.0, "boundary": "reflect"}),
        ("gaussian-blur", {"sigma": 1.0, "boundary": "free"}),
        ("motion-blur", {"length": 5, "angle": 30, "boundary": "free"}),
        ("downsample", {"factor": 2}),
        ("random-mask", {"missing": 0.5}),
    ],
)
@pytest.mark.parametrize("solver", ["auto", "cg"])
def test_fitted_fields_with_correlated_channels(kind: str, params: dict, solver: str) -> None:
    prior, shape = field(), (2, 12, 16)
    physics = build_operator(kind, shape=shape, noise=0.05, **params)
    x = prior.sample(torch.randn(1, *shape, generator=torch.Generator().manual_seed(1)), torch.zeros(1))
    y = inverse.simulate(x.float(), physics, seed=0)
    mean, covariance, _ = dense(prior, physics, shape, y, 0.05)[0]
    std = covariance.diagonal().sqrt()
    post = inverse.sample(y, physics, prior, method="exact", shape=shape, samples=300, solver=solver, tolerance=1e-6)
    assert float(((post.mean.double().flatten() - mean) / std).abs().max()) < 1e-4
    spread = ((post.samples.double().reshape(300, -1) - mean) / std).square().mean()
    assert float(spread) == pytest.approx(1, abs=0.05)
    if solver == "auto":
        assert torch.allclose(post.std.double().flatten(), std, rtol=1e-4)
        covered = (post.quantile(0.05) <= post.samples) & (post.samples <= post.quantile(0.95))
        assert float(covered.float().mean()) == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize("kind", ["denoise", "random-mask"])
def test_mixture_of_fields_weighs_its_components(kind: str) -> None:
    prior, shape = field(3, 1), (1, 4, 5)
    physics = build_operator(kind, shape=shape, noise=0.2, **({} if kind == "denoise" else {"missing": 0.4}))
    y = inverse.simulate(torch.full((1, *shape), 0.7), physics, seed=2)
    found = dense(prior, physics, shape, y, 0.2)
    share = torch.softmax(torch.stack([evidence for _, _, evidence in found]), 0)
    mean = sum(p * m for p, (m, _, _) in zip(share, found, strict=True))
    moment = sum(p * (c.diagonal() + m.square()) for p, (m, c, _) in zip(share, found, strict=True))
    post = inverse.sample(y, physics, prior, method="exact", shape=shape, samples=2000)
    assert 0.02 < float(share.max()) < 0.98
    assert torch.allclose(post.diagnostics["responsibility"][0, 0].double(), share, atol=1e-4)
    assert torch.allclose(post.mean.double().flatten(), mean, atol=1e-5)
    assert torch.allclose(post.std.double().flatten(), (moment - mean.square()).sqrt(), rtol=1e-3)
    assert torch.allclose(post.samples.double().mean(0).flatten(), mean, atol=4 * float(post.std.max()) / 2000**0.5)


def test_isotropic_mixture_by_brute_force() -> None:
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    prior = MixturePrior(means, torch.ones(4).double(), torch.full((4,), 0.3).double())
    physics = build_operator("denoise", shape=(6,), noise=1.0)
    y = torch.zeros(1, 6)
    logs = -0.5 * means.square().sum(1) / 1.3
    post = inverse.sample(y, physics, prior, method="exact", shape=(6,), samples=8)
    assert torch.allclose(post.diagnostics["responsibility"][0, 0].double(), torch.softmax(logs, 0), atol=1e-5)


def test_a_batch_changes_nothing() -> None:
    prior, shape = field(), (2, 16, 12)
    physics = build_operator("gaussian-blur", shape=shape, sigma=1.0, boundary="free", noise=0.05)
    x = torch.rand(8, *shape, generator=torch.Generator().manual_seed(0))
    y, names = inverse.simulate(x, physics, seed=0), [f"i{k}" for k in range(8)]
    common = {"method": "exact", "shape": shape, "samples": 2, "solver": "cg"}
    whole = inverse.sample(y, physics, prior, items=names, **common)
    for k in range(8):
        one = inverse.sample(y[k : k + 1], physics, prior, items=names[k : k + 1], batch=1, **common)
        assert torch.allclose(one.samples[:, 0], whole.samples[:, k], atol=1e-5)
        assert torch.allclose(one.std[0], whole.std[k], atol=1e-5)


def test_variance_of_a_free_blur_by_its_mirrored_twin() -> None:
    prior, shape = field(1, 1), (1, 40, 40)
    physics = build_operator("gaussian-blur", shape=shape, sigma=1.0, boundary="free", noise=0.05)
    y = inverse.simulate(torch.full((1, *shape), 0.5), physics, seed=0)
    _, covariance, _ = dense(prior, physics, shape, y, 0.05)[0]
    exact = covariance.diagonal().sqrt().reshape(40, 40)
    post = inverse.sample(y, physics, prior, method="exact", shape=shape, samples=4, solver="cg", tolerance=1e-8)
    ratio = post.std[0, 0].double() / exact
    assert float((ratio[16:-16, 16:-16] - 1).abs().max()) < 0.01
    assert float(ratio.min()) > 0.4
    assert float(ratio.max()) < 2.5


def test_other_priors_and_operators_are_refused() -> None:
    physics = build_operator("denoise", shape=(3, 32, 32), noise=0.1)
    y = torch.full((1, 3, 32, 32), 0.5)
    with pytest.raises(PriorError, match="no closed-form posterior"):
        inverse.sample(y, physics, "photo", method="exact")
    with pytest.raises(RecipeError, match="no parameter 'steps'"):
        inverse.sample(y, physics, field(1, 3), method="exact", steps=5)
    with pytest.raises(PriorError, match="channels"):
        inverse.sample(y, physics, field(1, 2), method="exact")
