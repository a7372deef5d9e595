"""Remote sensing: each operator is its formula, and finds in a file what it has to find."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from deepinv.physics import DecomposablePhysics, GaussianNoise

import inverse
from inverse.errors import InputError, RecipeError
from inverse.io.content import Picture
from inverse.io.read_write import write
from inverse.operators.build import build_operator, operator_for, result_shape, stated_operator
from inverse.operators.checks import check_operator
from inverse.operators.image.masks import gap_mask, slc_off
from inverse.operators.image.spec import GapMask
from inverse.operators.measurement import Measurement
from inverse.operators.satellite.pansharpen import fitted as fitted_pan
from inverse.operators.satellite.radiometry import fitted_thin_cloud
from inverse.operators.satellite.sensor import MTF, mtf_line, nyquist_gains
from inverse.operators.satellite.spec import SPECS, DeadLines, Destripe, Pansharpen, Speckle, ThinCloud
from inverse.operators.satellite.speckle import FLOOR, log_moments, moments
from inverse.operators.satellite.speckle import fitted as fitted_speckle
from inverse.operators.satellite.stripes import GappyDestripe, fitted, fitted_dead_lines, offset_level
from inverse.operators.selfcheck import example_shapes, written
from inverse.testing import assert_operator

DOUBLE = torch.float64


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def smooth(*shape, seed=0):
    """A smooth scene in [0, 1], (1, C, H, W)."""
    coarse = torch.rand((1, shape[0], 6, 7), generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)
    return torch.nn.functional.interpolate(coarse, size=shape[1:], mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)
def test_properties(spec, which, tmp_path):
    shape = example_shapes(spec)[which]
    physics = build_operator(written(spec, shape, tmp_path), shape=shape, noise=0.02, dtype=DOUBLE)
    rows = check_operator(physics, shape, dtype=DOUBLE)
    assert all(row.ok for row in rows), rows
    assert ("spectral" in spec.capabilities) == isinstance(physics, DecomposablePhysics)
    x = normal(2, *shape).requires_grad_()
    y = physics.A(x)
    v = normal(*y.shape, seed=1)
    (gradient,) = torch.autograd.grad(y, x, v)
    torch.testing.assert_close(gradient, physics.A_adjoint(v))
    if isinstance(physics, DecomposablePhysics):
        spectrum = normal(1, *shape, seed=2).abs()
        unit = torch.zeros(1, *shape, dtype=DOUBLE)
        unit.view(-1)[7] = 1
        expected = (spectrum * physics.V_adjoint(unit).square()).sum()
        torch.testing.assert_close(physics.basis_squared(spectrum).flatten()[7], expected)


@pytest.mark.parametrize(("gain", "factor"), [(0.3, 2), (0.22, 3), (0.35, 4), (0.5, 1)])
def test_the_response_has_the_mtf_it_says(gain, factor):
    line = mtf_line(gain, factor)
    t = np.arange(len(line)) - (len(line) - 1) / 2
    assert line.sum() == pytest.approx(1)
    assert (len(line) - factor) % 2 == 0
    assert np.cos(np.pi * t / factor) @ line == pytest.approx(gain, abs=1e-6)


def test_sensor_samples_where_areas_coincide_and_its_solves_are_exact():
    physics = build_operator("sensor", shape=(2, 36, 48), factor=3, dtype=DOUBLE)
    ramp = torch.arange(48, dtype=DOUBLE).expand(1, 2, 36, 48)
    torch.testing.assert_close(physics.A(ramp)[0, 0, 5, 4:12], 3 * torch.arange(4, 12, dtype=DOUBLE) + 1)
    r = normal(1, 2, 12, 16)
    solved = physics.precondition_gram(torch.tensor(0.01), torch.tensor(0.3))(r)
    torch.testing.assert_close(0.01 * solved + 0.3 * physics.A(physics.A_adjoint(solved)), r, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("factor", [1.5, 5 / 3, 2.5])
def test_a_sensor_with_pixels_of_no_whole_number(factor):
    """Areas coincide, the MTF at Nyquist is the sensor's, solves are exact."""
    measured = (2, 24, 30)
    physics, shape = operator_for({"kind": "sensor", "factor": factor}, measured, dtype=DOUBLE)
    assert shape == (2, round(24 * factor), round(30 * factor))
    assert shape == result_shape({"kind": "sensor", "factor": factor}, measured)
    assert all(row.ok for row in check_operator(physics, shape, dtype=DOUBLE))
    ramp = torch.arange(shape[1], dtype=DOUBLE)[None, None, :, None].expand(1, *shape)
    centres = (torch.arange(24, dtype=DOUBLE) + 0.5) * shape[1] / 24 - 0.5
    torch.testing.assert_close(physics.A(ramp)[0, 0, 6:18, 3], centres[6:18], atol=0.02, rtol=0)
    wave = torch.cos(torch.pi * (torch.arange(shape[1], dtype=DOUBLE) + 0.5) / factor - torch.pi / 2)
    seen = physics.A(wave[None, None, :, None].expand(1, *shape))[0, 0, 6:18, 3]
    assert float(seen.abs().mean()) == pytest.approx(0.30, abs=0.03)
    y, one = normal(2, *measured), torch.ones((), dtype=DOUBLE)
    solved = physics.precondition_gram(0.1 * one, one)(y)
    torch.testing.assert_close(0.1 * solved + physics.A(physics.A_adjoint(solved)), y)


def test_the_factor_follows_from_pixels_in_metres():
    rasterio = pytest.importorskip("rasterio")

    def facts(pixel, crs="EPSG:32633"):
        place = rasterio.Affine(pixel[0], 0, 0, 0, -pixel[1], 0)
        return {"geo": SimpleNamespace(crs=rasterio.crs.CRS.from_string(crs), transform=place)}

    wanted = {"kind": "sensor", "gsd": 8.0}
    made, said = stated_operator(wanted, facts((20, 20)))
    assert (made["factor"], made["gsd"], said) == (2.5, None, ("pixels of 20 m in the file, 8 m wanted: factor 2.5",))
    assert stated_operator({**wanted, "gsd": 10.0}, facts((20, 20)))[0]["factor"] == 2
    feet = stated_operator({**wanted, "gsd": 0.3048}, facts((4, 4), "EPSG:2263"))[0]
    assert feet["factor"] == 4
    for place, words in (({}, "does not say"), (facts((20, 10)), "20 x 10 m"), (facts((1, 1), "EPSG:4326"), "degrees")):
        with pytest.raises(InputError, match=words):
            stated_operator(wanted, place)
    with pytest.raises(RecipeError, match=r"20 m\nallowed: 1.25 to 20"):
        stated_operator({**wanted, "gsd": 30.0}, facts((20, 20)))
    with pytest.raises(RecipeError, match=r"operator\.factor"):
        build_operator("sensor", shape=(3, 32, 32), gsd=8.0)


def test_bands_of_a_sensor():
    assert nyquist_gains("sentinel-2", ("B8", "B5"), 2) == (0.26, 0.38)
    assert nyquist_gains("sentinel-2", (), 3) == (0.24, 0.28, 0.26)
    assert nyquist_gains("worldview-2", (), 8) == tuple(MTF["worldview-2"].values())
    assert nyquist_gains("generic", (), 5) == (0.3,) * 5
    for bands in (("B8", "B99"), ("B8",)):
        with pytest.raises(RecipeError, match=r"operator\.bands"):
            nyquist_gains("sentinel-2", bands, 2)


def test_slc_gaps_are_as_wide_as_they_should_be():
    seen = slc_off((640, 700))
    assert (~seen).mean() == pytest.approx(0.22, abs=0.005)
    assert seen[:, 345:355].mean() > 0.98
    widths = np.diff(np.flatnonzero(np.diff(seen[:, -1].astype(int))))
    assert widths.max() + widths.min() == pytest.approx(32, abs=1)


def test_quality_bands(tmp_path):
    codes = np.full((20, 30), 21824, np.uint16)  # clear
    codes[3:6, 4:9] = 22280  # cloud
    write(tmp_path / "qa.tif", Picture(array=codes, format="tiff"))
    classes = np.full((20, 30), 4, np.uint8)
    classes[3:6, 4:9] = 9
    write(tmp_path / "scl.png", Picture(array=classes, format="png"))
    np.save(tmp_path / "cloud.npy", (classes == 9).astype(np.uint8))
    expected = classes != 9
    for name, meaning in (("qa.tif", "landsat-qa"), ("scl.png", "sentinel2-scl"), ("cloud.npy", "cloud")):
        params = GapMask(file=str(tmp_path / name), codes=meaning)
        physics = gap_mask(params, shape=(3, 20, 30), noise_model=None, dtype=DOUBLE)
        assert np.array_equal(physics.mask[0, 0].numpy() > 0, expected), name
    wider = gap_mask(params.model_copy(update={"grow": 2}), shape=(3, 20, 30), noise_model=None, dtype=DOUBLE)
    assert wider.mask.sum() < physics.mask.sum()
    with pytest.raises(InputError, match="leaves no pixel"):
        gap_mask(
            GapMask(file=str(tmp_path / "qa.tif"), codes="cloud"), shape=(3, 20, 30), noise_model=None, dtype=DOUBLE
        )


@pytest.mark.parametrize("axis", ["columns", "rows"])
def test_destriping_whitens_the_stripes(axis):
    """W (sigma^2 I + level^2 1 1^T) W^T is sigma^2 I, for each line."""
    sigma, level = 0.05, 0.2
    physics = build_operator("destripe", shape=(1, 9, 11), axis=axis, level=level, width=0, noise=sigma, dtype=DOUBLE)
    units = torch.eye(99, dtype=DOUBLE).reshape(99, 1, 9, 11)
    whitening = physics.A(units).reshape(99, 99)
    lines = torch.arange(99).reshape(9, 11)
    lines = (lines % 11 if axis == "columns" else lines // 11).flatten()
    covariance = sigma**2 * torch.eye(99, dtype=DOUBLE) + level**2 * (lines[:, None] == lines[None]).to(DOUBLE)
    torch.testing.assert_close(whitening @ covariance @ whitening.T, sigma**2 * torch.eye(99, dtype=DOUBLE))
    gappy = GappyDestripe(
        torch.ones(1, 1, 9, 11, dtype=DOUBLE),
        (level / sigma) ** 2,
        -2 if axis == "columns" else -1,
        width=0,
        shape=(1, 9, 11),
        noise_model=None,
    )
    torch.testing.assert_close(gappy.A(units), physics.A(units))


@pytest.mark.parametrize(("axis", "name"), [(-2, "columns"), (-1, "rows")])
def test_broad_stripes_are_the_scene_s(axis, name):
    physics = build_operator("destripe", shape=(1, 9, 40), axis=name, width=4, dtype=DOUBLE)
    across = torch.arange(physics.img_size[-3 - axis], dtype=DOUBLE).unsqueeze(axis)
    for cycles, kept in ((0, 1.0), (1, 1.0), (len(across.flatten()) - 2, 0.0)):
        stripes = torch.cos(torch.pi * cycles * (across + 0.5) / across.numel()).expand(1, 1, 9, 40)
        torch.testing.assert_close(physics.A(stripes), kept * stripes)
    seen = torch.ones(1, 1, 9, 40, dtype=DOUBLE)
    gappy = GappyDestripe(seen, 1e12, axis, width=4, shape=(1, 9, 40), noise_model=None)
    x = normal(2, 1, 9, 40)
    torch.testing.assert_close(gappy.A(x), physics.A(x), atol=1e-5, rtol=1e-5)


def test_stripes_of_a_file_are_found():
    offsets = 0.08 * normal(1, 2, 1, 120, seed=3)
    y = smooth(2, 100, 120) + offsets + 0.02 * normal(1, 2, 100, 120, seed=4)
    assert offset_level(y, -2) == pytest.approx(0.08, rel=0.25)
    found = fitted(Destripe(), Measurement(y))
    assert found.sigma == pytest.approx(0.02, rel=0.25)
    assert "0.0" in found.said[0]
    valid = torch.ones(1, 1, 100, 120, dtype=DOUBLE)
    valid[..., :40, :30] = 0
    valid[..., 7] = 0
    gappy = fitted(Destripe(), Measurement(y * valid, valid))
    physics = gappy.build(GaussianNoise(0.02))
    assert_operator(physics, (2, 100, 120), dtype=DOUBLE)
    assert bool((gappy.y[(valid == 0).expand_as(y)] == 0).all())


def test_dead_detectors_are_found():
    y = smooth(2, 30, 40)
    y[..., [5, 17]] = 0.3
    found = fitted_dead_lines(DeadLines(), Measurement(y))
    mask = found.build(GaussianNoise(0.1)).mask
    assert (mask[0, 0] == 0).all(0).nonzero().flatten().tolist() == [5, 17]
    assert "5, 17" in found.said[0]
    with pytest.raises(InputError, match="line 40"):
        build_operator("dead-lines", shape=(2, 30, 40), lines=[40])


def test_thin_cloud_is_koschmieder(tmp_path):
    t = 0.3 + 0.7 * smooth(1, 30, 40, seed=5)
    np.save(tmp_path / "t.npy", t[0, 0].numpy())
    x = smooth(3, 30, 40)
    params = ThinCloud(transmission=str(tmp_path / "t.npy"), airlight=0.9)
    found = fitted_thin_cloud(params, Measurement(t * x + (1 - t) * 0.9))
    torch.testing.assert_close(found.build(None).A(x), found.y)


def test_a_whole_shift_is_a_roll_and_mixing_a_product():
    x = normal(1, 2, 11, 14)
    moved = build_operator("shift", shape=(2, 11, 14), down=3, right=-2, dtype=DOUBLE).A(x)
    torch.testing.assert_close(moved, x.roll((3, -2), (-2, -1)))
    response = [[0.5, 0.5], [1.0, 0.0], [0.2, 0.7]]
    mixed = build_operator("band-mix", shape=(2, 11, 14), matrix=response, dtype=DOUBLE).A(x)
    torch.testing.assert_close(mixed, torch.einsum("mc,bchw->bmhw", torch.tensor(response, dtype=DOUBLE), x))


def test_pansharpening_finds_the_response(tmp_path):
    x = smooth(3, 64, 96) + 0.02 * normal(1, 3, 64, 96)
    weights = torch.tensor([0.2, 0.5, 0.3], dtype=DOUBLE)
    soft = build_operator("sensor", shape=(3, 64, 96), factor=2, dtype=DOUBLE).A(x)
    np.save(tmp_path / "pan.npy", (300 * torch.einsum("c,bchw->bhw", weights, x)[0] + 40).numpy())
    found = fitted_pan(Pansharpen(pan=str(tmp_path / "pan.npy")), Measurement(soft))
    assert found.shape == (3, 64, 96)
    physics = found.build(GaussianNoise(found.sigma))
    torch.testing.assert_close(physics.weights / physics.weights.sum(), weights, atol=0.02, rtol=0)
    rest = (physics.A(x) - found.y).pow(2).mean().sqrt()
    assert float(rest) < 0.5 * found.sigma
    assert "shares" in found.said[0]
    np.save(tmp_path / "small.npy", np.ones((60, 96)))
    with pytest.raises(InputError, match="96 x 60"):
        fitted_pan(Pansharpen(pan=str(tmp_path / "small.npy")), Measurement(soft))


def test_pansharpening_lays_both_images_on_the_same_ground(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    from inverse.io.formats import geotiff

    fine = 1 + smooth(1, 160, 160)[0, 0].numpy()
    area = fine.reshape(40, 4, 40, 4).mean((1, 3))
    half = fine[2:-2, 2:-2].reshape(78, 2, 78, 2).mean((1, 3))  # a pan pixel later than the bands' corner
    paths = {"bands": (area, 4.0, 0.0), "pan": (half, 2.0, 2.0)}
    for name, (array, step, start) in paths.items():
        transform = rasterio.Affine(step, 0, start, 0, -step, -start)
        with rasterio.open(
            tmp_path / f"{name}.tif",
            "w",
            driver="GTiff",
            dtype="float32",
            count=1,
            height=len(array),
            width=len(array),
            crs="EPSG:32621",
            transform=transform,
        ) as dataset:
            dataset.write(array.astype(np.float32), 1)
    bands = geotiff.decode(tmp_path / "bands.tif", source="bands.tif")
    from inverse.operators.satellite.pansharpen import _aligned

    pan = geotiff.decode(tmp_path / "pan.tif", source="pan.tif")
    moved, kept = _aligned(
        pan.array.astype(float), np.ones(pan.size, bool), pan.extra["geo"], bands.extra["geo"], (80, 80)
    )
    expected = fine.reshape(80, 2, 80, 2).mean((1, 3))
    assert kept[1:-1, 1:-1].all()
    assert not kept[0].any()
    assert np.abs(moved - expected)[1:-1, 1:-1].max() < 1e-5


def speckled(looks, quantity):
    """A scene, its speckle, and both; the corner is without a signal."""
    x = 0.2 + smooth(1, 100, 120)
    gamma = np.random.default_rng(0).gamma(looks, 1 / looks, x.shape)
    noisy = x * torch.from_numpy(gamma if quantity == "intensity" else gamma**0.5)
    noisy[..., :3, :3] = 0
    return x, noisy


@pytest.mark.parametrize("quantity", ["amplitude", "intensity"])
def test_the_logarithm_of_speckle_is_log_gamma(quantity):
    x, noisy = speckled(4.0, quantity)
    found = fitted_speckle(Speckle(looks=4.0, quantity=quantity, domain="log"), Measurement(noisy))
    physics = found.build(GaussianNoise(found.sigma))
    rest = (found.y - physics.A(x))[..., 3:, 3:]
    assert float(rest.mean()) == pytest.approx(0, abs=4 * found.sigma / 12000**0.5)
    assert float(rest.std()) == pytest.approx(found.sigma, rel=0.03)
    assert bool((found.y[..., :3, :3] == 0).all())
    assert found.sigma == log_moments(4.0, quantity)[1]


@pytest.mark.parametrize("quantity", ["amplitude", "intensity"])
def test_speckle_is_whitened(quantity):
    x, noisy = speckled(4.0, quantity)
    found = fitted_speckle(Speckle(looks=4.0, quantity=quantity), Measurement(noisy))
    physics = found.build(GaussianNoise(found.sigma))
    rest = ((found.y - physics.A(x)) / found.sigma)[..., 3:, 3:]
    assert float(rest.mean()) == pytest.approx(0, abs=0.04)
    assert float(rest.std()) == pytest.approx(1, rel=0.1)
    dark, light = x[..., 3:, 3:] < 0.5, x[..., 3:, 3:] > 0.9
    assert float(rest[dark].std() / rest[light].std()) == pytest.approx(1, rel=0.15)
    assert bool((physics.mask[..., :3, :3] == 0).all())


@pytest.mark.parametrize("domain", ["linear", "log"])
def test_speckle_is_counted_from_the_zero_of_the_file(domain):
    """Stretched values (data.scale) give the same measurement, and the same unknown in other units."""
    x, noisy = speckled(4.0, "amplitude")
    low, high = 0.3, 1.4
    params = Speckle(looks=4.0, quantity="amplitude", domain=domain)
    plain = fitted_speckle(params, Measurement(noisy))
    facts = {"zero": torch.tensor([-low / (high - low)], dtype=DOUBLE)}
    moved = fitted_speckle(params, Measurement((noisy - low) / (high - low), None, facts))
    one, other = plain.build(GaussianNoise(plain.sigma)), moved.build(GaussianNoise(moved.sigma))
    rest = (plain.y - one.A(x)) / plain.sigma
    torch.testing.assert_close((moved.y - other.A((x - low) / (high - low))) / moved.sigma, rest, atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("looks", [1.0, 4.0])
@pytest.mark.parametrize("quantity", ["amplitude", "intensity"])
def test_weights_of_speckle_do_not_know_its_noise(looks, quantity):
    """The weighted mean of a flat scene is its level: weights that are small where the noise is large make it dark."""
    gamma = torch.from_numpy(np.random.default_rng(1).gamma(looks, 1 / looks, (1, 1, 200, 200)))
    noisy = 0.3 * (gamma if quantity == "intensity" else gamma.sqrt())
    found = fitted_speckle(Speckle(looks=looks, quantity=quantity), Measurement(noisy))
    physics = found.build(GaussianNoise(found.sigma))
    level = float((physics.mask * found.y).sum() / physics.mask.square().sum())
    variation = moments(looks, quantity)[1]
    assert level == pytest.approx(0.3, rel=0.006 + 2 * variation**2 / 15**2)  # by the formula of the module


@pytest.mark.parametrize(("quantity", "power"), [("amplitude", 0.5), ("intensity", 1.0)])
@pytest.mark.parametrize("scale", ["type", "auto"])
def test_the_mean_intensity_stays(quantity, power, scale):
    gamma = np.random.default_rng(2).gamma(1.0, 1.0, (48, 40))
    noisy = (0.3 * gamma) ** power
    recipe = {
        "operator": {"kind": "speckle", "looks": 1, "quantity": quantity},
        "prior": {"name": "gaussian"},
        "method": {"kind": "diffpir", "steps": 3},
        "data": {"scale": scale},
        "run": {"samples": 2},
    }
    found = inverse.restore(recipe, noisy.astype("f4")).to_numpy("samples")
    mean = {"amplitude": np.sqrt(np.pi) / 2, "intensity": 1.0}[quantity]  # of one look's speckle
    assert found.mean((1, 2, 3, 4)) == pytest.approx([noisy.mean() / mean] * 2, rel=1e-3)


def test_values_that_are_no_intensities_are_refused_before_work():
    _, noisy = speckled(4.0, "intensity")
    decibels = 10 * (noisy[..., 3:] / 5).log10()
    with pytest.raises(InputError, match=r"% of the values are negative, which no intensity is: decibels\?") as error:
        inverse.restore("despeckle-sar", decibels[0, 0].numpy(), overrides=["operator.quantity=intensity"])
    assert "10 ** (decibels / 10)" in error.value.hint
    with pytest.raises(InputError, match="speckle of 4 looks"):  # decibels of large numbers are positive
        inverse.restore("despeckle-sar", decibels[0, 0].numpy() + 60)
    few = noisy.clone()
    few[..., 5, 5] = -1e-4  # thermal noise taken off leaves a few
    assert bool((fitted_speckle(Speckle(looks=4.0), Measurement(few)).build(None).mask[..., 5, 5] == 0).all())


def test_the_logarithm_goes_on_below_zero():
    x = torch.linspace(-1, 1, 401, dtype=DOUBLE).reshape(1, 1, 1, -1).requires_grad_()
    y = build_operator("speckle", shape=(1, 1, 401), domain="log").A(x)
    assert bool((y.diff() > 0).all())
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert float(slope.max()) == pytest.approx(1 / FLOOR, rel=0.1)
    torch.testing.assert_close(y[..., -1], torch.zeros_like(y[..., -1]))
