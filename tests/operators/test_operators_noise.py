"""The noise level estimated from a measurement: within its documented error, per item, and it draws nothing."""

from __future__ import annotations

import math

import pytest
import torch

from inverse.operators.build import build_operator
from inverse.operators.noise.clipped import estimate_clipped_sigma, unclipped_square
from inverse.operators.noise.models import estimate_sigma

SHAPE = (3, 192, 200)


@pytest.fixture(scope="module")
def scene():
    """A coloured random field with edges: neighbouring pixels and channels are alike, as in a photograph."""
    generator = torch.Generator().manual_seed(0)
    height, width = SHAPE[1:]
    rows, columns = torch.fft.fftfreq(height)[:, None] * height, torch.fft.fftfreq(width)[None] * width
    spectrum = torch.fft.fft2(torch.randn(height, width, generator=generator)) / (1 + rows**2 + columns**2)
    luma = torch.fft.ifft2(spectrum).real
    luma = 0.5 + 0.15 * luma / luma.std() + 0.2 * (torch.arange(width) % 60 > 30)
    return torch.stack([0.9 * luma, luma, 0.8 * luma**2])[None]


def noisy(image, level, seed=1):
    return image + level * torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("level", [0.005, 0.02, 0.1])
@pytest.mark.parametrize(
    "operator", [{"kind": "denoise"}, {"kind": "gaussian-blur", "sigma": 2.0}, {"kind": "downsample", "factor": 2}]
)
def test_level(operator, level, scene):
    y = noisy(build_operator(operator, shape=SHAPE).A(scene), level)
    assert float(estimate_sigma(y)) == pytest.approx(level, rel=0.08)


@pytest.mark.parametrize(
    "operator",
    [
        {"kind": "random-mask", "missing": 0.7},
        {"kind": "random-mask", "missing": 0.3},
        {"kind": "box-mask", "box": [40, 50, 150, 160]},
    ],
)
def test_level_of_masked_measurements(operator, scene):
    physics = build_operator(operator, shape=SHAPE)
    y = noisy(scene, 0.02) * physics.mask
    assert float(estimate_sigma(y, physics.mask)) == pytest.approx(0.02, rel=0.12)
    filled = torch.where(physics.mask == 1, y, 17.0)
    assert torch.equal(estimate_sigma(y, physics.mask), estimate_sigma(filled, physics.mask)), (
        "missing pixels do not count"
    )


def test_level_of_one_channel(scene):
    blurred = build_operator("gaussian-blur", shape=(1, *SHAPE[1:]), sigma=2.0).A(scene[:, :1])
    assert float(estimate_sigma(noisy(blurred, 0.02))) == pytest.approx(0.02, rel=0.08)
    repeated = noisy(blurred, 0.02).expand(-1, 3, -1, -1)
    assert float(estimate_sigma(repeated)) == pytest.approx(0.02, rel=0.08), "equal channels are one"


def test_texture_that_channels_share_is_no_noise_and_shared_noise_is(scene):
    """Sparse strokes fill every block, as the leaves of a picture that was made small do; film grain is Gaussian."""
    generator = torch.Generator().manual_seed(2)
    strokes = (torch.rand(1, 1, *SHAPE[1:], generator=generator) < 0.1) * 0.1
    textured = noisy(scene + strokes, 0.002)
    assert float(estimate_sigma(textured)) == pytest.approx(0.002, rel=0.2)
    grain = 0.02 * torch.randn(1, 1, *SHAPE[1:], generator=generator)
    assert float(estimate_sigma(noisy(scene + grain, 0.002))) == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize("level", [0.05, 0.2])
def test_level_of_clipped_noise(level, scene):
    y = noisy(scene, level).clamp(0, 1)
    bounds = (y == 1).float() - (y == 0).float()
    # clipping varies from pixel to pixel, which the eigenvalues take for less noise: 4 % of it at 0.2 (10 % without)
    assert estimate_clipped_sigma(y, bounds) == pytest.approx(level, rel=0.06)
    left = ((y - scene) / level).square() * (bounds == 0)
    expected = unclipped_square(scene, y, bounds, torch.tensor([level])) * (bounds == 0)
    assert float(left.sum() / expected.sum()) == pytest.approx(1, abs=0.02), "a misfit of 1 is that of the truth"
    valid = torch.ones_like(y[:, :1])
    valid[..., :60] = 0
    assert estimate_clipped_sigma(y * valid, bounds * valid, valid) == pytest.approx(level, rel=0.06)


def test_each_item_has_its_own(scene):
    levels = (0.01, 0.05, 0.2)
    batch = torch.cat([noisy(scene, level) for level in levels])
    found = estimate_sigma(batch)
    assert found.shape == (3,)
    for one, level, alone in zip(found, levels, batch, strict=True):
        assert float(one) == pytest.approx(level, rel=0.1)
        assert torch.equal(one, estimate_sigma(alone[None])[0])


def test_limits():
    assert estimate_sigma(torch.zeros(2, 3, 64, 64)).tolist() == [0.0, 0.0]
    assert math.isnan(float(estimate_sigma(torch.ones(1, 3, 1, 1))))
    empty = torch.zeros(1, 1, 40, 40)
    assert math.isnan(float(estimate_sigma(torch.ones(1, 3, 40, 40), empty)))
    vector = noisy(torch.linspace(0, 1, 4000)[None], 0.1)
    assert float(estimate_sigma(vector)) == pytest.approx(0.1, rel=0.1)
    assert estimate_sigma(vector.double()).dtype == torch.float64


def test_it_draws_nothing_and_changes_nothing(scene):
    y = noisy(scene, 0.02)
    before, kept = torch.get_rng_state(), y.clone()
    estimate_sigma(y)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(kept, y)
