"""JPEG as noise: the file's coefficients are found again, their errors are as large as is said, a blur is seen."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage import data

import inverse
from inverse.errors import InputError
from inverse.io.formats.raster import decode_jpeg, turn
from inverse.operators.blur.estimate import estimate_blur
from inverse.operators.measurement import Measurement
from inverse.operators.noise.fit import fit_noise
from inverse.operators.noise.jpeg import JpegFile, jpeg_file
from inverse.operators.noise.jpeg_fit import fit_jpeg, slopes_of, stated_quality
from inverse.operators.noise.jpeg_level import sensor_sigma
from inverse.operators.noise.spec import GaussianNoise, JpegNoise, PoissonGaussianNoise
from inverse.operators.observation import Observation
from inverse.recipes.recipe import load
from inverse.restoration.case import open_case
from inverse.restoration.frame import frame
from inverse.restoration.item import solve
from inverse.restoration.plan import Compute

SAMPLINGS = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}


def photograph(noise: float = 0.0, blur: float = 0.0, side: int = 192) -> np.ndarray:
    clean = data.astronaut()[:side, 120 : 120 + side] / 255
    blurred = gaussian_filter(clean, (blur, blur, 0), mode="reflect") if blur else clean
    return blurred + np.random.default_rng(0).normal(0, noise, clean.shape)


def saved(image: np.ndarray, quality: int, *, sampling: str = "4:2:0", orientation: int = 1) -> Any:
    """The picture that is read from a JPEG file of an upright image."""
    pixels, buffer, exif = np.round(255 * image.clip(0, 1)).astype(np.uint8), io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    back = {6: 8, 8: 6}.get(orientation, orientation)  # what is turned so is turned back by its inverse
    stored = turn(pixels, back) if orientation > 1 else pixels
    Image.fromarray(np.ascontiguousarray(stored)).save(
        buffer, "JPEG", quality=quality, subsampling=SAMPLINGS[sampling], exif=exif
    )
    return decode_jpeg(buffer.getvalue(), source="a.jpg")


def measured(picture: Any, scale: str = "type") -> Measurement:
    recipe = load("denoise", [f"data.scale={scale}"])
    return frame(picture, 0, recipe.data).measurement("none")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("factors", "channels"), [((1, 1), 1), ((1, 1), 3), ((1, 2), 3), ((2, 2), 3)])
def test_the_adjoint_is_one(factors, channels, orientation) -> None:
    file = JpegFile(torch.ones(2, 8, 8), factors, orientation, channels, (37, 42))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, channels, 37, 42, dtype=torch.float64, generator=generator)
    y = file.coefficients(x)
    u = torch.randn(y.shape, dtype=torch.float64, generator=generator)
    assert float((y * u).sum()) == pytest.approx(float((x * file.adjoint(u)).sum()), abs=1e-9)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_brought_to_the_stored_grid(orientation) -> None:
    stored = np.arange(3 * 5).reshape(3, 5, 1)
    upright = turn(stored, orientation) if orientation > 1 else stored
    file = JpegFile(torch.ones(2, 8, 8), (1, 1), orientation, 1, upright.shape[:2])
    given = torch.from_numpy(np.ascontiguousarray(upright[..., 0]))[None, None]
    assert np.array_equal(file._turned(given)[0, 0].numpy(), stored[..., 0])


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("quality", [30, 85, 95])
def test_what_the_file_holds_is_found_again_and_wrong_by_what_is_said(quality, sampling) -> None:
    image = photograph(noise=0.01).clip(0.05, 0.95)
    found = measured(saved(image, quality, sampling=sampling))
    file = jpeg_file(found.facts, found.y)
    assert file is not None
    assert stated_quality(file) == quality
    stored = file.stored(found.facts["pixels"])
    steps = ((stored - file._level(stored)) / file.table(stored))[file.table(stored) >= 4]
    assert float(((steps - steps.round()).abs() < 1e-6).double().mean()) > 0.99
    truth = file.coefficients(torch.from_numpy(255 * np.moveaxis(image, -1, 0))[None])
    error = (stored - truth).square() / file.variance(stored, 2.55**2)
    assert 0.2 < float(error.mean()) < 1.3


@pytest.mark.parametrize(("noise", "quality"), [(0.02, 95), (0.05, 85), (0.1, 70), (0.1, 98)])
def test_noise_of_the_sensor_is_seen_through_the_tables(noise, quality) -> None:
    found = measured(saved(0.2 + 0.6 * photograph() + photograph(noise) - photograph(), quality))
    file = jpeg_file(found.facts, found.y)
    assert file is not None
    assert sensor_sigma(file, file.stored(found.facts["pixels"])) / 255 == pytest.approx(noise, rel=0.25)


def test_blocks_where_noise_was_clipped_do_not_count() -> None:
    """The quietest blocks are black ones, which hold half of the noise: 0.029 was found."""
    image = np.concatenate([0.2 + 0.6 * photograph(), np.full((48, 192, 3), 0.02)])
    found = measured(saved(image + np.random.default_rng(0).normal(0, 0.05, image.shape), 90))
    file = jpeg_file(found.facts, found.y)
    assert file is not None
    assert sensor_sigma(file, file.stored(found.facts["pixels"])) / 255 == pytest.approx(0.05, rel=0.12)


def test_a_grey_picture_saved_in_colour_has_the_noise_of_its_luma() -> None:
    """Its chroma is nothing but zero, which says nothing of the noise: a fifth of it was found."""
    grey = np.repeat(0.2 + 0.6 * photograph().mean(-1, keepdims=True), 3, -1)
    noisy = grey + np.random.default_rng(1).normal(0, 0.05, (*grey.shape[:2], 1))
    found = measured(saved(noisy, 95))
    file = jpeg_file(found.facts, found.y)
    assert file is not None
    weights = np.array([0.299, 0.587, 0.114])  # noise of three colours, so much of which is in the luma
    level = sensor_sigma(file, file.stored(found.facts["pixels"])) / 255 * np.sqrt(np.square(weights).sum())
    assert level == pytest.approx(0.05, rel=0.25)


def test_auto_takes_the_tables_and_a_given_level_does_not() -> None:
    found = measured(saved(photograph(), 85))
    fit = fit_noise(GaussianNoise(sigma="auto"), found.y, facts=found.facts)
    assert fit.jpeg is not None
    assert "JPEG of quality 85" in fit.said[0]
    assert fit_noise(GaussianNoise(sigma=0.02), found.y, facts=found.facts).jpeg is None
    counts = fit_noise(PoissonGaussianNoise(gain=0.01, sigma="auto"), found.y, facts=found.facts)
    assert counts.jpeg is not None
    assert fit_noise(JpegNoise(sigma=0.05), found.y, facts=found.facts).sigma > fit.sigma
    with pytest.raises(InputError, match="not a JPEG file"):
        fit_noise(JpegNoise(), found.y, facts={})


def test_data_units_change_nothing() -> None:
    picture = saved(photograph(noise=0.02), 90)
    plain, stretched = measured(picture), measured(picture, scale="[-50, 300]")
    one, other = fit_jpeg(plain.y, plain.facts), fit_jpeg(stretched.y, stretched.facts)
    assert one is not None
    assert other is not None
    assert other.sigma * 350 == pytest.approx(one.sigma * 255, rel=1e-3)
    assert torch.allclose(slopes_of(stretched.y, stretched.facts["pixels"]), torch.tensor(350.0), rtol=1e-3)
    light = slopes_of(plain.y**2.2, plain.facts["pixels"])
    expected = 255 / (2.2 * plain.y.clamp(0.1, 0.9) ** 1.2)
    inside = (plain.y > 0.1) & (plain.y < 0.9)
    assert torch.allclose(light[inside], expected[inside], rtol=0.02)


@pytest.mark.parametrize("quality", [70, 85, 95])
def test_a_blur_is_seen_through_the_tables(quality) -> None:
    image = photograph(noise=0.01, blur=1.6, side=256)
    blur = estimate_blur(measured(saved(image, quality)), "gaussian-blur")
    assert abs(blur.values["sigma"] - 1.6) < 1.96 * blur.errors["sigma"]
    assert blur.errors["sigma"] < 0.5
    turned = estimate_blur(measured(saved(image, quality, orientation=6)), "gaussian-blur")
    assert abs(turned.values["sigma"] - blur.values["sigma"]) < 0.5 * blur.errors["sigma"]


@pytest.mark.parametrize("orientation", [1, 6])
def test_the_solve_is_preconditioned(orientation) -> None:
    recipe = load("deblur", ["operator.sigma=1.6"])
    case = open_case(recipe, frame(saved(photograph(0.01, 1.6), 85, orientation=orientation), 0, recipe.data))
    given = Observation.create(case.y, case.physics, shape=case.shape)
    centre = torch.full((1, *case.shape), 0.5)
    given.gain(lambda: case.y - case.physics.A(centre), torch.tensor([0.1]), x=centre)
    assert given.counter.a < 40


def test_what_is_not_observed_does_not_count() -> None:
    found = measured(saved(photograph(), 85))
    mask = torch.ones(1, 1, 192, 192)
    mask[..., 40:120, 40:120] = 0
    fit = fit_jpeg(found.y * mask, found.facts, observed=mask)
    assert fit is not None
    assert fit.observed is not None
    share = float(fit.observed.mean())
    assert share == pytest.approx(1 - (80 / 192) ** 2, abs=0.03)
    physics = fit.whitened(inverse.build_operator("denoise", shape=(3, 192, 192), noise=fit.sigma))
    assert physics.A(found.y).shape == fit.y.shape


@pytest.mark.slow
def test_a_blurred_jpeg_is_restored() -> None:
    recipe = load("deblur", ["operator.sigma=1.6", "run.samples=1"])
    clean = photograph(side=96)
    case = open_case(recipe, frame(saved(photograph(0.01, 1.6, side=96), 85), 0, recipe.data))
    post = solve(case, inverse.open_prior("photo"), recipe, Compute("float32", "cpu"), items=["a"])
    error = lambda image: float(np.mean((np.moveaxis(image, 0, -1) - clean) ** 2))  # noqa: E731
    assert error(post.mean[0].numpy()) < 0.8 * error(case.measured[0].numpy())
    assert 0.2 < float(post.misfit.mean()) < 1.5
