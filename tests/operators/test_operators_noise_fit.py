"""Noise of every kind: drawn as it says, fitted from the measurement, whitened so that the truth's misfit is one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from deepinv.physics import DecomposablePhysics, LinearPhysics

from inverse.errors import InputError
from inverse.operators.build import build_operator
from inverse.operators.checks import check_operator
from inverse.operators.noise.draw import draw_noise
from inverse.operators.noise.fit import fit_noise
from inverse.operators.noise.models import noise_model
from inverse.operators.noise.spec import (
    CorrelatedNoise,
    GaussianNoise,
    PoissonGaussianNoise,
    PoissonNoise,
    RicianNoise,
    UniformNoise,
)
from inverse.operators.observation import Observation, observed

SHAPE = (3, 128, 136)


@pytest.fixture(scope="module")
def scene():
    """Smooth colours from 0.05 to 0.95 with edges."""
    rows, columns = torch.meshgrid(torch.linspace(0, 1, SHAPE[1]), torch.linspace(0, 1, SHAPE[2]), indexing="ij")
    planes = [0.5 + 0.4 * torch.sin(3 * rows + k + 2 * columns) for k in range(3)]
    return (torch.stack(planes) * (0.6 + 0.4 * (columns > 0.5)))[None].clamp(0.05, 0.95)


def misfit(section, y, operator, x, mask=None):
    """chi^2 over the count at the truth, through the engine's own observation."""
    found = fit_noise(section, y, observed=mask)
    physics = build_operator(operator, shape=tuple(x.shape[1:]), noise=found.sigma)
    physics = found.whitened(physics)
    seen = Observation.create(found.y, physics, shape=tuple(x.shape[1:]))
    return float(seen.chi2(x) / seen.count()), found, physics


KNOWN = [
    GaussianNoise(sigma=0.03),
    GaussianNoise(sigma=(0.01, 0.03, 0.09)),
    PoissonNoise(gain=0.01),
    PoissonGaussianNoise(gain=0.02, sigma=0.05),
    RicianNoise(sigma=0.01),
    UniformNoise(step=0.05),
    CorrelatedNoise(sigma=0.03, correlation=1.5),
]


PLAIN = [GaussianNoise(sigma=0.03), UniformNoise(step=0.05), CorrelatedNoise(sigma=0.03, correlation=1.5)]
"""Those that do not ask for neighbours or bands, which a mosaic of colours has none of."""


@pytest.mark.parametrize(
    ("kind", "section"),
    [*((kind, one) for kind in ("denoise", "low-light") for one in KNOWN), *(("demosaick", one) for one in PLAIN)],
    ids=lambda one: one if isinstance(one, str) else f"{one.kind}-{one.__dict__}"[:40],
)
def test_the_truth_has_a_misfit_of_one(kind, section, scene):
    operator = {"kind": kind, "exposure": 0.8} if kind == "low-light" else {"kind": kind}
    clean = build_operator(operator, shape=SHAPE).A(scene)
    y = draw_noise(section, clean, seed=1, item="a")
    value, found, _ = misfit(section, y, operator, scene)
    assert value == pytest.approx(1, abs=0.04)
    assert not found.estimated


@pytest.mark.parametrize("gain", [0.003, 0.01, 0.03])
def test_counts_and_electronics_are_found(gain, scene):
    section = PoissonGaussianNoise(gain=gain, sigma=0.02)
    y = draw_noise(section, scene, seed=1, item="a")
    value, found, _ = misfit(PoissonGaussianNoise(), y, {"kind": "denoise"}, scene)
    assert value == pytest.approx(1, abs=0.1)
    assert found.estimated
    assert "from variance over mean" in found.said[0]
    value, _, _ = misfit(GaussianNoise(sigma=0.02), y, {"kind": "denoise"}, scene)
    assert value > 2, "what one level would say of it"


def test_a_small_picture_has_counts_too(scene):
    clean = scene[..., 40:80, 40:80]
    y = draw_noise(PoissonNoise(gain=0.02), clean, seed=1, item="a")
    for section in (PoissonNoise(), PoissonGaussianNoise()):
        assert misfit(section, y, {"kind": "denoise"}, clean)[0] == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize("rule", ["wavelet", "background"])
def test_levels_by_other_rules(rule, scene):
    y = draw_noise(GaussianNoise(sigma=0.03), scene, seed=1, item="a")
    found = fit_noise(GaussianNoise(sigma=rule), y)
    assert found.sigma == pytest.approx(0.03, rel=0.15)
    assert found.said
    mask = torch.ones(1, 1, *SHAPE[1:])
    mask[..., 30:60, 40:90] = 0
    spoilt = torch.where(mask == 1, y, 17.0)
    assert fit_noise(GaussianNoise(sigma=rule), spoilt, observed=mask).sigma == pytest.approx(found.sigma, rel=0.1)


def test_rician_and_uniform_levels_are_found(scene):
    dark = scene.clone()
    dark[..., :40, :] = 0
    y = draw_noise(RicianNoise(sigma=0.04), dark, seed=1, item="a")
    found = fit_noise(RicianNoise(), y)
    assert found.sigma == pytest.approx(0.04, rel=0.05)
    bright = dark[..., 50:, :] > 0.3
    assert float((found.y - dark)[..., 50:, :][bright].mean()) == pytest.approx(0, abs=5e-4)
    assert float((y - dark)[..., 50:, :][bright].mean()) > 5e-4, "the magnitude is biased"
    found = fit_noise(UniformNoise(), draw_noise(UniformNoise(step=0.02), scene, seed=1, item="a"))
    assert found.sigma == pytest.approx(0.02 / math.sqrt(12), rel=1e-3)


@pytest.mark.parametrize(
    "operator",
    [
        {"kind": "random-mask", "missing": 0.4},
        {"kind": "gaussian-blur", "sigma": 1.5, "boundary": "free"},
        {"kind": "gaussian-blur", "sigma": 1.5},
        {"kind": "downsample", "factor": 2},
        {"kind": "demosaick"},
        {"kind": "colorize"},
        {"kind": "saturation", "high": 0.5},
    ],
    ids=lambda one: "-".join(str(value) for value in one.values()),
)
def test_whitened_operators_are_operators(operator, scene):
    section, scene, shape = PoissonGaussianNoise(gain=0.02, sigma=0.02), scene[..., :64, :66], (3, 64, 66)
    plain = build_operator(operator, shape=shape)
    mask = observed(plain, plain.A(scene))
    y = draw_noise(section, plain.A(scene), seed=0, item="a")
    found = fit_noise(section, y, observed=mask)
    physics = found.whitened(build_operator(operator, shape=shape, noise=found.sigma))
    assert isinstance(physics, LinearPhysics) == (operator["kind"] != "saturation")
    assert isinstance(physics, DecomposablePhysics) == (operator["kind"] not in ("saturation", "gaussian-blur"))
    assert getattr(physics, "output_crop", None) == getattr(plain, "output_crop", None)
    torch.testing.assert_close(physics.A(scene), found.weights * plain.A(scene))
    left = observed(physics, found.y)
    assert (left is None) == (mask is None)
    assert mask is None or torch.equal(left.expand_as(mask), mask)
    if isinstance(physics, LinearPhysics):
        rows = {row.name: row for row in check_operator(physics, shape)}
        assert all(row.ok for name, row in rows.items() if name != "A_dagger"), rows
    precondition = getattr(physics, "precondition_gram", None)
    if precondition is not None:
        r = torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
        alpha, beta = torch.full((1,), found.sigma**2), torch.full((1,), 0.05)
        solved = precondition(alpha, beta)(r)
        back = alpha * solved + beta * physics.A(physics.A_adjoint(solved))
        assert float((back - r)[..., 12:-12, 12:-12].norm() / r[..., 12:-12, 12:-12].norm()) < 0.7


def test_a_filter_whitens_correlated_noise(scene):
    section = CorrelatedNoise(sigma=0.05, correlation=2.0)
    noise = draw_noise(section, torch.zeros(1, *SHAPE), seed=3, item="a")
    assert float(noise.std()) == pytest.approx(0.05, rel=0.1)
    beside = float((noise[..., 1:] * noise[..., :-1]).mean() / noise.square().mean())
    assert beside == pytest.approx(math.exp(-0.5), abs=0.1)
    white = fit_noise(section, noise).y
    assert float(white.std()) == pytest.approx(0.05, rel=0.03)
    assert abs(float((white[..., 1:] * white[..., :-1]).mean() / white.square().mean())) < 0.02
    shape = (3, 40, 33)
    small = fit_noise(section, noise[..., :40, :33])
    physics = small.whitened(build_operator("gaussian-blur", shape=shape, sigma=1.0))
    assert all(row.ok for row in check_operator(physics, shape) if row.name != "A_dagger")
    mask = torch.ones(1, 1, *SHAPE[1:])
    mask[..., 3, 3] = 0
    with pytest.raises(InputError, match="not observed"):
        fit_noise(section, noise, observed=mask)


def test_draws_are_keyed_by_seed_and_item_and_nothing_else(scene):
    for section in (PoissonGaussianNoise(gain=0.02, sigma=0.02), RicianNoise(sigma=0.02)):
        first = draw_noise(section, scene, seed=0, item="a")
        legacy = np.random.get_state()[1].copy()  # noqa: NPY002
        assert torch.equal(first, draw_noise(section, scene, seed=0, item="a"))
        assert not torch.equal(first, draw_noise(section, scene, seed=1, item="a"))
        assert not torch.equal(first, draw_noise(section, scene, seed=0, item="b"))
        assert np.array_equal(legacy, np.random.get_state()[1])  # noqa: NPY002
    counts = draw_noise(PoissonNoise(gain=0.02), scene, seed=0, item="a") / 0.02
    torch.testing.assert_close(counts, counts.round(), atol=1e-3, rtol=0)


def test_what_cannot_be_estimated_is_said():
    flat = torch.full((1, 3, 64, 64), 0.5)
    for section, words in (
        (GaussianNoise(), "noise level"),
        (GaussianNoise(sigma="wavelet"), "noise level"),
        (PoissonNoise(), "size of a count"),
        (UniformNoise(), "distance of neighbouring values"),
    ):
        with pytest.raises(InputError, match=f"the {words} cannot be estimated"):
            fit_noise(section, flat)
    with pytest.raises(InputError, match="2 noise levels for 3 bands"):
        fit_noise(GaussianNoise(sigma=(0.1, 0.2)), flat)
    assert fit_noise(GaussianNoise(), flat, sigma=0.1).sigma == 0.1
    assert float(noise_model(fit_noise(GaussianNoise(sigma=0.2), flat).sigma).sigma) == pytest.approx(0.2)
