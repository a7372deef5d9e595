"""The root sum of squares that full k-space would have shown."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inverse.operators.measurement import Measurement
from inverse.operators.mri.cartesian import MultiCoil, build, fourier, to_complex
from inverse.operators.mri.cartesian_fit import fit_cartesian
from inverse.operators.mri.coils import birdcage
from inverse.operators.mri.rss import predicted_rss
from inverse.operators.mri.spec import Mri
from inverse.operators.noise.models import noise_model

COILS, SIZE, SIGMA = 6, (40, 36), 0.05


def scene(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Maps, an image (1, 2, H, W), its noisy full k-space and a pattern of whole columns."""
    generator = torch.Generator().manual_seed(seed)
    maps = torch.from_numpy(birdcage(COILS, SIZE))[None].to(torch.complex64)
    image = torch.randn(1, 2, *SIZE, generator=generator)
    noise = SIGMA * torch.randn(2, 1, COILS, *SIZE, generator=generator)
    full = fourier(maps * to_complex(image)) + torch.complex(noise[0], noise[1])
    pattern = torch.zeros(1, 1, 1, SIZE[1])
    pattern[..., ::3] = 1
    return maps, image, full, pattern


def rss(kspace: torch.Tensor) -> torch.Tensor:
    return fourier(kspace, inverse=True).abs().square().sum(1).sqrt()


def test_what_was_measured_is_kept() -> None:
    maps, image, full, _ = scene()
    everything = build(torch.ones(1, 1, 1, SIZE[1]), maps, shape=(2, *SIZE), noise_model=noise_model(SIGMA))
    mean, std = predicted_rss(everything, 3 * image, full, SIGMA)
    torch.testing.assert_close(mean, rss(full))
    assert float(std.abs().max()) < 1e-5


def test_what_was_not_measured_has_the_noise_floor_of_a_full_measurement() -> None:
    maps, image, full, pattern = scene()
    physics = build(pattern, maps, shape=(2, *SIZE), noise_model=noise_model(SIGMA))
    nothing = torch.zeros_like(image)
    mean, std = predicted_rss(physics, nothing, torch.zeros_like(full), SIGMA)
    missing = 1 - float(pattern.mean())
    power = float((mean.square() + std.square()).mean())
    assert power == pytest.approx(2 * COILS * SIGMA**2 * missing, rel=0.03)


def test_it_predicts_the_full_rss_better_than_the_magnitude_does() -> None:
    maps, image, full, pattern = scene()
    physics = build(pattern, maps, shape=(2, *SIZE), noise_model=noise_model(SIGMA))
    mean, std = predicted_rss(physics, image, full, SIGMA)
    error = (mean - rss(full)).square().mean().sqrt()
    assert float(error) < 0.9 * float((to_complex(image).abs()[:, 0] - rss(full)).square().mean().sqrt())
    assert float(error) == pytest.approx(float(std.square().mean().sqrt()), rel=0.15)


@pytest.mark.parametrize("compress", [None, 5])
def test_coils_that_were_whitened_or_compressed_are_turned_back(compress: int | None) -> None:
    maps = scene()[0]
    generator = torch.Generator().manual_seed(3)
    mix, white = (torch.view_as_complex(torch.randn(COILS, n, 2, generator=generator)) for n in (COILS, 4000))
    noise = mix @ white
    smooth = np.hanning(SIZE[0])[:, None] * np.hanning(SIZE[1])
    kspace = fourier(maps * torch.from_numpy(smooth).to(torch.complex64))
    kspace = kspace[:, :4] if compress is None else kspace
    facts = {"noise": noise.numpy()[:4]} if compress is None else {}
    fitted = fit_cartesian(Mri(compress=compress, calibration=16), Measurement(kspace, facts=facts))
    physics = fitted.build(noise_model(1.0))
    assert physics.mixing is not None
    states = torch.zeros(1, *fitted.shape)
    mean, _ = predicted_rss(physics, states, fitted.y, 0.0)
    # what compression drops of these smooth maps was measured to be 2e-4 of the maximum
    torch.testing.assert_close(mean / fitted.scale, rss(kspace), rtol=0, atol=1e-3 * float(rss(kspace).max()))


def test_the_unknown_is_solved_for_where_it_is_smaller() -> None:
    """The same correction by both spaces, and the normal operator is that of its parts."""
    from inverse.operators.observation import Observation

    maps, image, full, _ = scene()
    pattern = (torch.rand(1, 1, *SIZE, generator=torch.Generator().manual_seed(5)) < 0.3).float()
    outside = torch.zeros(1, 1, *SIZE)
    outside[..., :5, :] = 1
    physics = MultiCoil(pattern, maps, shape=(2, *SIZE), noise_model=noise_model(SIGMA), outside=outside)
    torch.testing.assert_close(physics.A_adjoint_A(image), physics.A_adjoint(physics.A(image)), atol=1e-5, rtol=1e-4)
    y = torch.cat([pattern * full, torch.zeros_like(full[:, :1])], 1)
    observation = Observation.create(y, physics, shape=(2, *SIZE))
    found = observation.pulled(y, torch.tensor([0.5]), tolerance=1e-6)
    assert observation.counter.a == observation.counter.at - 1 > 0
    physics.solve_unknown = False
    torch.testing.assert_close(observation.pulled(y, torch.tensor([0.5]), tolerance=1e-6), found, atol=1e-4, rtol=1e-3)
