"""Colours, light, haze, JPEG, phases and projections against plain formulas, Pillow and deepinv.

And the whole catalogue by its own check.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from inverse.cli.main import cli
from inverse.errors import InputError, RecipeError
from inverse.io.tiling import Window
from inverse.operators import checks
from inverse.operators.build import build_operator, fitted_operator, operator_for, result_shape
from inverse.operators.catalogue import operators
from inverse.operators.image.jpeg import quantisation_sigma
from inverse.operators.measurement import Measurement
from inverse.operators.noise.models import noise_model
from inverse.operators.selfcheck import check_catalogue

DOUBLE = torch.float64
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("kind", sorted(set(operators()) - {"tomography"}))
def test_every_catalogued_operator_passes_its_check(kind):
    found = list(check_catalogue([kind]))
    assert len(found) == 2
    if found[0].sort == "missing":
        pytest.skip("its optional package is not installed")
    assert all(side % 2 for one in found for side in one.shape[1:])
    for one in found:
        assert one.ok, [row for row in one.checks.values() if not row.ok]
        assert one.checks["adjoint"].value < 1e-5
        assert {"gradient", "batch"} <= set(one.checks)
        assert ("svd" in one.checks) == (one.sort == "spectral")
        assert ("A_dagger" in one.checks) == (one.sort != "nonlinear")


def test_a_wrong_gradient_is_found():
    physics = build_operator("saturation", shape=(1, 9, 9), high=0.6)
    physics.surrogate = lambda x: 2 * x
    assert [row.name for row in checks.check_operator(physics, (1, 9, 9)) if not row.ok] == ["gradient"]
    physics = build_operator("gaussian-blur", shape=(1, 9, 9), sigma=1.0)
    physics.A_adjoint = lambda y: y
    assert {"adjoint", "gradient"} <= {row.name for row in checks.check_operator(physics, (1, 9, 9)) if not row.ok}


def test_list_operators_check_prints_a_table(monkeypatch):
    few = [next(iter(check_catalogue([kind]))) for kind in ("denoise", "saturation")]
    monkeypatch.setattr("inverse.operators.check_catalogue", lambda: iter(few))
    done = CliRunner().invoke(cli, ["list", "operators", "--check"])
    assert done.exit_code == 0
    assert done.output.splitlines()[0].split()[:2] == ["operator", "unknown"]
    assert done.output.splitlines()[1].startswith("denoise")
    assert "2 of 2 passed" in done.output
    assert CliRunner().invoke(cli, ["list", "methods", "--check"]).exit_code == 2


@pytest.mark.parametrize("pattern", ["RGGB", "BGGR", "GRBG", "GBRG"])
def test_a_mosaic_has_one_colour_at_each_pixel(pattern):
    image = RNG.random((3, 7, 9))
    physics = build_operator("demosaick", shape=(3, 7, 9), pattern=pattern, dtype=DOUBLE)
    y = physics.A(torch.from_numpy(image)[None])[0, 0].numpy()
    for row in range(7):
        for column in range(9):
            assert y[row, column] == image["RGB".index(pattern[2 * (row % 2) + column % 2]), row, column]
    assert (
        operator_for({"kind": "demosaick"}, (1, 7, 9))[1] == result_shape({"kind": "demosaick"}, (1, 7, 9)) == (3, 7, 9)
    )
    window = Window(1, 2, 6, 9)
    inside = physics.cut(window).A(torch.from_numpy(image)[None][(..., *window.slices)])[0, 0].numpy()
    assert np.array_equal(inside, y[window.slices])


def test_the_pattern_of_a_mosaic_is_no_noise():
    """A coloured ramp: levels of four planes; as one plane neighbours differ by the colours."""
    rows, columns = np.mgrid[:96, :96] / 96
    image = np.stack([0.2 + 0.1 * rows, 0.5 + 0.2 * columns, 0.8 - 0.1 * rows])
    physics = build_operator("demosaick", shape=(3, 96, 96))
    y = (
        physics.A(torch.from_numpy(image).float()[None])
        + 0.01 * torch.from_numpy(RNG.normal(size=(1, 1, 96, 96))).float()
    )
    for operator in (
        {"kind": "demosaick"},
        {"operators": [{"kind": "gaussian-blur", "sigma": 1.0}, {"kind": "demosaick"}]},
    ):
        fitted = fitted_operator(operator if "kind" in operator else {"kind": "chain", **operator}, Measurement(y))
        assert fitted.sigma == pytest.approx(0.01, rel=0.15)
    with pytest.raises(RecipeError, match="R, G and B"):
        build_operator("demosaick", shape=(3, 8, 8), pattern="RGGR")


def test_a_grey_value_is_a_weighted_sum():
    x = torch.from_numpy(RNG.random((2, 3, 7, 9)))
    for weights in ((0.299, 0.587, 0.114), (1.0, 0.0, 0.0), (-0.2, 0.7, 0.5)):
        physics = build_operator("colorize", shape=(3, 7, 9), weights=weights, dtype=DOUBLE)
        expected = sum(weight * x[:, i : i + 1] for i, weight in enumerate(weights))
        torch.testing.assert_close(physics.A(x), expected)
    with pytest.raises(InputError, match="1 channels"):
        build_operator("colorize", shape=(1, 7, 9))
    with pytest.raises(InputError, match="measures one channel, the picture has 3"):
        operator_for({"kind": "colorize"}, (3, 7, 9))
    with pytest.raises(RecipeError, match="not all 0"):
        build_operator("colorize", shape=(3, 7, 9), weights=(0, 0, 0))


def test_haze_becomes_linear_by_taking_the_airlight_off(tmp_path):
    transmission = 0.3 + 0.6 * RNG.random((20, 24))
    np.save(tmp_path / "t.npy", transmission)
    params = {"kind": "haze", "file": str(tmp_path / "t.npy"), "airlight": [0.8, 0.9, 1.0]}
    physics = build_operator(params, shape=(3, 20, 24), dtype=DOUBLE)
    x = torch.from_numpy(RNG.random((1, 3, 20, 24)))
    hazy = physics.A(x) + physics.offset
    t, a = torch.from_numpy(transmission), torch.tensor([0.8, 0.9, 1.0], dtype=DOUBLE).reshape(1, 3, 1, 1)
    torch.testing.assert_close(hazy, t * x + (1 - t) * a)
    fitted = fitted_operator(params, Measurement(hazy))
    torch.testing.assert_close(fitted.y, t * x)
    torch.testing.assert_close(fitted.build(noise_model(0.0)).A_dagger(fitted.y), x)
    with pytest.raises(RecipeError, match="without transmission"):
        build_operator("haze", shape=(3, 20, 24))
    np.save(tmp_path / "t.npy", 2 * transmission)
    with pytest.raises(InputError, match="a transmission, 0 to 1"):
        build_operator(params, shape=(3, 20, 24))


def test_haze_is_found_by_the_dark_channel():
    """Dark colours, haze that grows to the top: found within 0.1 where there is some."""
    scene = torch.from_numpy(RNG.random((1, 3, 96, 80))).float()
    scene[:, 0] *= 0.1
    depth = torch.linspace(1.5, 0.3, 96)[:, None].expand(96, 80)
    t = torch.exp(-depth)
    air = torch.tensor([0.9, 0.88, 0.86]).reshape(1, 3, 1, 1)
    hazy = t * scene + (1 - t) * air
    hazy[..., :4, :] = air
    fitted = fitted_operator({"kind": "haze", "strength": 1.0}, Measurement(hazy))
    found = fitted.build(noise_model(0.0)).mask[0, 0]
    assert float((found - t)[12:].abs().mean()) < 0.1
    assert "airlight 0.90, 0.88, 0.86" in fitted.said[0]
    assert "dark channel" in fitted.said[1]


def pillow(image, quality, subsampling):
    code = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}[subsampling]
    file = io.BytesIO()
    picture = Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))
    picture.save(file, "JPEG", quality=quality, **({} if len(image) == 1 else {"subsampling": code}))
    opened = np.asarray(Image.open(file))
    return (opened[None] if opened.ndim == 2 else opened.transpose(2, 0, 1)).astype(np.float64)


@pytest.fixture(scope="module")
def photo(shared):
    with Image.open(shared / "photo" / "cbsd_101085.png") as opened:
        return np.asarray(opened.convert("RGB"))[100:163, 80:171].transpose(2, 0, 1).copy()


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("quality", [5, 30, 75, 95])
def test_a_jpeg_is_libjpegs(quality, subsampling, photo):
    x = torch.from_numpy(photo / 255.0)[None]
    physics = build_operator("jpeg", shape=tuple(x.shape[1:]), quality=quality, subsampling=subsampling, dtype=DOUBLE)
    off = np.abs(255 * physics.A(x)[0].numpy() - pillow(photo, quality, subsampling))
    assert off.mean() < 0.4
    assert (off < 1.5).mean() > 0.9
    torch.testing.assert_close(off, np.rint(off), atol=1e-6, rtol=0)


def test_a_grey_jpeg_and_its_noise(photo):
    grey = photo[1:2]
    for quality in (10, 40):
        physics = build_operator("jpeg", shape=grey.shape, quality=quality, dtype=DOUBLE)
        x = torch.from_numpy(grey / 255.0)[None]
        y = physics.A(x)
        assert (np.abs(255 * y[0].numpy() - pillow(grey, quality, "4:4:4")) < 1.5).mean() > 0.85
        assert quantisation_sigma(y, physics) == pytest.approx(float((y - x).std()), rel=0.35)
    fitted = fitted_operator({"kind": "jpeg", "quality": 10}, Measurement(y))
    assert 0.02 < fitted.sigma < 0.1
    with pytest.raises(InputError, match="2 channels"):
        build_operator("jpeg", shape=(2, 16, 16), quality=10)


@pytest.mark.parametrize(("quality", "subsampling"), [(20, "4:2:0"), (75, "4:4:4"), (50, "4:2:2")])
def test_a_jpeg_file_says_how_it_was_rounded(tmp_path: Path, quality: int, subsampling: str) -> None:
    from PIL import Image

    from inverse.io.read_write import read
    from inverse.operators.image.jpeg import tables
    from inverse.recipes.recipe import load
    from inverse.restoration.frame import frame

    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8))
    image.save(tmp_path / "a.jpg", quality=quality, subsampling=subsampling)
    image.save(tmp_path / "a.png")
    data = load({"operator": "denoise"}).data
    opened = fitted_operator({"kind": "jpeg"}, frame(read(tmp_path / "a.jpg"), 0, data).measurement("srgb"))
    physics = opened.build(None)
    assert torch.equal(physics.steps[0].double(), torch.stack(tables(quality)))
    assert physics.factors == {"4:2:0": (2, 2), "4:2:2": (1, 2), "4:4:4": (1, 1)}[subsampling]
    with pytest.raises(InputError, match="not a JPEG file"):
        fitted_operator({"kind": "jpeg"}, frame(read(tmp_path / "a.png"), 0, data).measurement("srgb"))
    with pytest.raises(RecipeError, match="read from a JPEG file"):
        build_operator("jpeg", shape=(3, 16, 16))


def test_magnitudes_are_numpys():
    x = RNG.random((2, 8, 9))
    physics = build_operator("phase-retrieval", shape=(2, 8, 9), masks=3, seed=5, dtype=DOUBLE)
    masks = torch.view_as_complex(physics.masks)[0, :, 0].numpy()
    assert np.allclose(masks**4, 1)
    y = physics.A(torch.from_numpy(x)[None])[0].numpy().reshape(3, 2, 8, 9)
    expected = np.abs(np.fft.fft2(masks[:, None] * x, norm="ortho"))
    np.testing.assert_allclose(y, expected, atol=2e-4)
    bare = build_operator("phase-retrieval", shape=(2, 8, 9), masks=0, dtype=DOUBLE)
    y = bare.A(torch.from_numpy(x)[None])[0].numpy()
    np.testing.assert_allclose(y, np.abs(np.fft.fft2(x, (16, 18), norm="ortho")), atol=2e-4)
    torch.testing.assert_close(
        bare.A(torch.from_numpy(x[:, ::-1, ::-1].copy())[None])[0].numpy(), y
    )  # the turned image has the same magnitudes
    assert operator_for({"kind": "phase-retrieval", "masks": 3}, (6, 8, 9))[1] == (2, 8, 9)
    assert operator_for({"kind": "phase-retrieval", "masks": 0}, (2, 16, 18))[1] == (2, 8, 9)
    with pytest.raises(InputError, match="one for each mask and channel"):
        operator_for({"kind": "phase-retrieval", "masks": 3}, (4, 8, 9))


def test_compressed_sensing_measures_so_many_coefficients_and_says_so():
    from inverse.operators.observation import Observation

    physics = build_operator("compressed-sensing", shape=(3, 20, 21), ratio=0.3, noise=0.1)
    y = physics.A(torch.rand(1, 3, 20, 21, generator=torch.Generator().manual_seed(0)))
    seen = Observation.create(y, physics)
    assert float(seen.count()) == 3 * round(0.3 * 420)
    assert float((y[0, 0] != 0).sum()) == round(0.3 * 420)


def test_projections_are_sums_and_their_lengths_are_in_image_sides():
    x = torch.zeros(1, 1, 33, 33, dtype=DOUBLE)
    x[..., 10:20, 5:15] = torch.from_numpy(RNG.random((10, 10)))
    physics = build_operator("tomography", shape=(1, 33, 33), angles=4, dtype=DOUBLE)
    y = physics.A(x)
    assert y.shape == (1, 1, 47, 4)
    torch.testing.assert_close(y[..., 0].sum(), x.sum() / 33)
    columns = x.sum(-2)[0, 0] / 33
    torch.testing.assert_close(y[0, 0, 7 : 7 + 33, 0], columns, atol=1e-6, rtol=1e-6)
    assert operator_for({"kind": "tomography", "angles": 4}, (1, 47, 4))[1] == (1, 33, 33)
    assert operator_for({"kind": "tomography", "angles": 4, "size": (20, 33)}, (1, 47, 4))[1] == (1, 20, 33)
    for bad, words in (({"angles": 5}, "4 columns for 5"), ({"angles": 4, "size": (50, 50)}, "47 rows")):
        with pytest.raises(InputError, match=words):
            operator_for({"kind": "tomography", **bad}, (1, 47, 4))
    assert all(row.ok for row in checks.check_operator(physics, (1, 33, 33), dtype=DOUBLE))
    v = torch.randn(1, 1, 47, 4, dtype=DOUBLE, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (gradient,) = torch.autograd.grad(physics.A_adjoint(v), v, x)
    torch.testing.assert_close(gradient, y, atol=1e-10, rtol=1e-10)


def test_simulate_measures_what_is_no_image(tmp_path):
    """Magnitudes by masks, haze with its airlight, counts: written, and what was drawn is recorded."""
    import json

    from inverse.io.read_write import read
    from inverse.restoration.simulate import simulate_files

    picture = RNG.integers(0, 256, (24, 28, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")

    def made(recipe, *overrides):
        out = tmp_path / f"out-{recipe}"
        done = simulate_files(recipe, tmp_path / "a.png", out=out, overrides=overrides)
        assert done.exit_code == 0, done.failures
        return read(out / "measured" / "a.tif").array, json.loads((out / "simulate.json").read_text()), out

    array, facts, out = made("phase-retrieval")
    assert array.shape == (24, 28, 12)
    assert facts["noise_sigma"] == 0.05
    assert np.array_equal(read(out / "truth" / "a.png").array, picture)
    array, _, _ = made("dehaze", "operator.transmission=0.5", "operator.airlight=[0.8,0.9,1]", "noise.sigma=0")
    np.testing.assert_allclose(array, 0.5 * picture / 255 + 0.5 * np.array([0.8, 0.9, 1]), atol=1e-6)
    array, facts, _ = made("low-light", "noise.gain=0.01", "noise.sigma=0")
    np.testing.assert_allclose(array / 0.01, np.rint(array / 0.01), atol=1e-3)
    assert facts["noise"] == {"kind": "poisson-gaussian", "gain": 0.01, "sigma": 0}
    array, _, _ = made("jpeg", "operator.quality=10")
    np.testing.assert_allclose(255 * array, np.rint(255 * array), atol=1e-3)
