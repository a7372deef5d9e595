"""MRI.

Patterns against fastMRI's rule, the three forms of the operator, coil maps of a known phantom, whitening, and the fit
to raw data.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter

from inverse.errors import InputError, RecipeError
from inverse.numerics.linalg import conjugate_gradients
from inverse.operators.build import build_operator
from inverse.operators.measurement import Measurement
from inverse.operators.mri.cartesian import MultiCoil, RowCoils, SingleCoil, build, fourier, to_complex
from inverse.operators.mri.cartesian_fit import BRIGHT, fit_cartesian
from inverse.operators.mri.coils import birdcage, calibration_size, centre, compression, espirit, whitening
from inverse.operators.mri.sampling import sampling
from inverse.operators.mri.spec import Mri
from inverse.operators.noise.models import noise_model
from inverse.operators.observation import Observation, observed
from inverse.testing import assert_operator

SIZE = (64, 48)
NOISE = 0.01


def phantom(size=SIZE):
    """Ellipses with soft edges and a smooth phase, (H, W) complex."""
    rows, columns = np.meshgrid(*((np.arange(n) - n // 2) / (n / 2) for n in size), indexing="ij")
    image = 1.0 * (rows**2 / 0.6 + columns**2 / 0.5 < 1) - 0.4 * ((rows - 0.2) ** 2 + columns**2 < 0.08)
    image = gaussian_filter(image, 1.2)
    return torch.from_numpy(image * np.exp(1j * (rows + 0.5 * columns))).to(torch.complex64)


def scan(coils=6, size=SIZE, noise=NOISE, seed=0):
    """k-space (1, coils, H, W) of the phantom, its maps and its image."""
    maps = torch.from_numpy(birdcage(coils, size)).to(torch.complex64)
    clean = fourier(maps * phantom(size))
    drawn = torch.randn(2, *clean.shape, generator=torch.Generator().manual_seed(seed))
    return (clean + noise * torch.complex(drawn[0], drawn[1]))[None], maps, phantom(size)


def fitted(y, **params):
    facts = params.pop("facts", {})
    return fit_cartesian(Mri(**params), Measurement(y, None, facts))


def test_fourier_is_centred_and_orthonormal():
    image = torch.zeros(5, 6, dtype=torch.complex64)
    image[2, 3] = 1
    torch.testing.assert_close(fourier(image), torch.full((5, 6), 1 / np.sqrt(30), dtype=torch.complex64))
    torch.testing.assert_close(fourier(fourier(image), inverse=True), image)


def test_patterns_are_those_of_fastmri():
    """Written out from fastmri/data/subsample.py for W = 20, R = 4, centre fraction 0.2 and seed 'f.h5'."""
    rng = np.random.RandomState(tuple(map(ord, "f.h5")))
    expected = rng.uniform(size=20) < (20 / 4 - 4) / (20 - 4)
    expected[8:12] = True
    given = {"acceleration": 4, "center_fraction": 0.2, "name": "f.h5"}
    np.testing.assert_array_equal(sampling(Mri(pattern="random", **given), (7, 20))[0], expected)
    offset = np.random.RandomState(tuple(map(ord, "f.h5"))).randint(0, high=4)
    expected = np.zeros(20, bool)
    expected[offset::4] = True
    expected[8:12] = True
    np.testing.assert_array_equal(sampling(Mri(pattern="equispaced", **given), (7, 20))[0], expected)


def test_poisson_disc_is_dense_at_the_centre_and_takes_its_share():
    taken = sampling(Mri(pattern="poisson", acceleration=6, center_lines=10, seed=3), (80, 70))
    assert taken.mean() == pytest.approx(1 / 6, rel=0.05)
    assert taken[35:45, 30:40].all()
    ring, edge = taken[25:55, 20:50].mean(), taken[:15, :15].mean()
    assert ring > 2 * edge > 0
    again = sampling(Mri(pattern="poisson", acceleration=6, center_lines=10, seed=4), (80, 70))
    assert (again != taken).any()


def test_partial_fourier_and_files_of_patterns(tmp_path):
    taken = sampling(Mri(partial_fourier=0.75), (8, 40))
    assert taken.sum() == 30
    assert not taken[0, :10].any()
    np.save(tmp_path / "p.npy", np.eye(8, 40))
    assert sampling(Mri(pattern="file", file=str(tmp_path / "p.npy")), (8, 40)).sum() == 8
    with pytest.raises(InputError, match="8 x 40 for a k-space of 9 x 40"):
        sampling(Mri(pattern="file", file=str(tmp_path / "p.npy")), (9, 40))
    with pytest.raises(ValidationError, match="pattern file needs file"):
        Mri(pattern="file")
    with pytest.raises(RecipeError, match="takes no sample"):
        sampling(Mri(pattern="equispaced", offset=50, center_lines=0), (8, 40))


@pytest.mark.parametrize(
    ("coils", "pattern", "form"), [(1, "random", SingleCoil), (4, "random", RowCoils), (4, "poisson", MultiCoil)]
)
def test_observed_counts_samples_of_all_coils(coils, pattern, form):
    physics = build_operator(
        "mri", shape=(2, 33, 40), coils=coils, pattern=pattern, acceleration=3, center_lines=8, noise=0.1
    )
    assert isinstance(physics, form)
    y = physics.A(torch.randn(1, 2, 33, 40, generator=torch.Generator().manual_seed(0)))
    assert y.shape == (1, coils, 33, 40)
    assert torch.equal(observed(physics, y).expand(y.shape) > 0, y != 0)
    assert int(Observation.create(y, physics).count()) == 2 * int((y != 0).sum())


def test_whole_columns_give_what_products_give():
    """The closed form of the row problems solves the same normal equations as conjugate gradients."""
    y, maps, _ = scan()
    pattern = torch.from_numpy(sampling(Mri(pattern="equispaced", acceleration=3, center_lines=10), SIZE))[
        None, None
    ].float()
    given = {"shape": (2, *SIZE), "noise_model": noise_model(0.05)}
    rows, products = RowCoils(pattern, maps[None], **given), MultiCoil(pattern, maps[None], **given)
    x = torch.randn(1, 2, *SIZE, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(rows.A(x), products.A(x))
    variance = torch.tensor([0.3])
    found = []
    for physics in (rows, products):
        observation = Observation.create(y * pattern, physics)
        found.append(observation.gain(lambda o=observation: o.residual(x), variance, x=x))
    assert float((found[0] - found[1]).norm() / found[1].norm()) < 2e-3
    solved = conjugate_gradients(
        lambda v: v * 0.05**2 / 0.3 + products.A_adjoint(products.A(v)),
        products.A_adjoint(y * pattern - products.A(x)),
        tolerance=1e-6,
        iterations=500,
    )
    assert float((found[0] - solved).norm() / solved.norm()) < 1e-4


def test_espirit_finds_the_maps_of_a_phantom_up_to_phase():
    y, maps, image = scan()
    found, eigenvalue = espirit(centre(y[0], (24, 24)), SIZE)
    inside = image.abs() > 0.3
    assert float(eigenvalue[inside].median()) == pytest.approx(1, abs=0.01)
    torch.testing.assert_close(found.abs().square().sum(0), torch.ones(SIZE), rtol=1e-4, atol=1e-4)
    along = (found.conj() * maps).sum(0).abs()[inside]
    assert float(along.quantile(0.05)) > 0.998
    assert float(along.mean()) > 0.9995


def test_whitened_noise_is_white_and_compression_keeps_the_signal():
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(5, 5, generator=generator, dtype=torch.complex64)
    noise = mixing @ torch.randn(5, 20_000, generator=generator, dtype=torch.complex64)
    white = whitening(noise) @ noise
    torch.testing.assert_close(white @ white.mH / 20_000, torch.eye(5) + 0j, rtol=1e-3, atol=1e-3)
    signal = torch.randn(5, 2, generator=generator, dtype=torch.complex64) @ torch.randn(
        2, 300, generator=generator, dtype=torch.complex64
    )
    rows = compression(signal, 2)
    torch.testing.assert_close(rows @ rows.mH, torch.eye(2) + 0j, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close((rows @ signal).norm(), signal.norm())


@pytest.mark.parametrize("form", [RowCoils, MultiCoil])
def test_pixels_without_signal_are_one_more_observed_channel(form):
    pattern = torch.from_numpy(sampling(Mri(pattern="equispaced", acceleration=2, center_lines=8), (15, 21)))[
        None, None
    ].double()
    outside = torch.zeros(1, 1, 15, 21, dtype=torch.float64)
    outside[..., :4] = 1
    maps = torch.from_numpy(birdcage(3, (15, 21)))[None] * (1 - outside)
    physics = form(pattern, maps, shape=(2, 15, 21), noise_model=noise_model(0.1), outside=outside)
    assert_operator(physics, (2, 15, 21), dtype=torch.float64)
    x = torch.randn(1, 2, 15, 21, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = physics.A(x)
    torch.testing.assert_close(y[:, 3:], to_complex(x) * outside)
    assert int(Observation.create(y, physics).count()) == 2 * int((y != 0).sum())


def test_the_misfit_is_of_what_was_measured_alone():
    outside = torch.zeros(1, 1, 12, 14, dtype=torch.float64)
    outside[..., :6] = 1
    maps = torch.from_numpy(birdcage(3, (12, 14)))[None] * (1 - outside)
    pattern = torch.ones(1, 1, 12, 14, dtype=torch.float64)
    model = noise_model(0.1, dtype=torch.float64)
    physics = MultiCoil(pattern, maps, shape=(2, 12, 14), noise_model=model, outside=outside)
    plain = MultiCoil(pattern, maps, shape=(2, 12, 14), noise_model=model)
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(2, 2, 12, 14, dtype=torch.float64, generator=rng)
    y = physics.A(torch.randn(2, 2, 12, 14, dtype=torch.float64, generator=rng))
    found = Observation.create(y, physics, shape=(2, 12, 14))
    expected = Observation.create(y[:, :3], plain, shape=(2, 12, 14))
    torch.testing.assert_close(found.misfit(x), expected.chi2(x) / expected.count())
    assert not torch.allclose(found.misfit(x), found.chi2(x) / found.count())


def test_the_background_of_a_phantom_is_known_to_be_empty():
    physics = fitted(scan()[0]).build(None)
    image = phantom().abs()
    assert 0.1 < float(physics.outside.mean()) < 0.5
    assert float((image * physics.outside[0, 0]).max()) < 0.1 * float(image.max())
    assert not bool((physics.maps.abs().sum(1, keepdim=True) * physics.outside).any())


@pytest.mark.parametrize(
    ("pattern", "size"),
    [(np.ones((1, 20), bool), (1, 20)), (np.arange(20)[None] % 2 == 0, (1, 1)), (np.zeros((1, 20), bool), (0, 0))],
)
def test_calibration_size_of_columns(pattern, size):
    assert calibration_size(pattern) == size


def test_calibration_size_in_two_dimensions():
    pattern = np.zeros((40, 30), bool)
    pattern[14:26, 10:20] = True
    assert calibration_size(pattern) == (12, 10)


def test_fit_recovers_the_image_in_the_files_units_and_its_noise():
    y, _, image = scan()
    found = fitted(1e-4 * y, pattern="equispaced", acceleration=2, center_lines=20, offset=0)
    assert found.shape == (2, *SIZE)
    assert found.sigma / found.scale == pytest.approx(1e-4 * NOISE, rel=0.15)
    physics = found.build(noise_model(found.sigma))
    assert isinstance(physics, RowCoils)
    s, c = physics.mask, physics.U_adjoint(found.y)
    x = physics.V(s / (s**2 + 1e-3) * c)
    estimate = to_complex(x)[0, 0].abs() / found.scale * 1e4
    assert float((estimate - image.abs()).norm() / image.abs().norm()) < 0.06
    assert 0.5 * BRIGHT < float(estimate.max()) * found.scale * 1e-4 < 3 * BRIGHT
    assert any("ESPIRiT from the central 24 x 21" in said for said in found.said)
    assert any("retrospectively" in said for said in found.said)


def test_fit_reads_the_pattern_from_the_zeros():
    y, _, _ = scan()
    taken = torch.from_numpy(sampling(Mri(pattern="poisson", acceleration=3, center_lines=16), SIZE).copy())
    physics = fitted(y * taken).build(noise_model(0.1))
    assert isinstance(physics, MultiCoil)
    assert torch.equal(physics.observed_mask[0, 0] > 0, taken)
    assert torch.equal(physics.pattern[0, 0] > 0, taken)


def test_fit_uses_only_the_calibration_lines_for_its_maps():
    """Samples outside the fully sampled centre change nothing but the data."""
    y, _, _ = scan()
    other = y.clone()
    other[..., :8] *= 3
    given = {"pattern": "equispaced", "acceleration": 2, "center_lines": 20, "offset": 0}
    one, two = (fitted(k, **given).build(noise_model(0.1)).maps for k in (y, other))
    torch.testing.assert_close(one, two)


def test_noise_scan_whitens():
    y, _, _ = scan()
    gains = torch.linspace(1, 4, 6)[:, None]
    noise = (
        NOISE * gains * torch.randn(6, 5000, generator=torch.Generator().manual_seed(2), dtype=torch.complex64) * 2**0.5
    )
    found = fitted(y * gains[None, :, :, None], facts={"noise": noise.numpy()})
    corner = found.y[:, :6, :6, :6].abs().square().mean()
    assert float(corner) == pytest.approx(2 * found.sigma**2, rel=0.2)
    with pytest.raises(InputError, match="noise scan of shape"):
        fitted(y, facts={"noise": noise[:3].numpy()})


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("coils", [1, 6])
def test_whitened_results_are_in_the_units_of_the_file(coils, given, tmp_path):
    """``|x|`` is the root sum of squares of the file's own coils, however noisy each of them is."""
    y, maps, _ = scan(coils)
    gains = 50 * torch.linspace(1, 4, coils)[:, None]
    generator = torch.Generator().manual_seed(2)
    noise = NOISE * gains * torch.randn(coils, 5000, generator=generator, dtype=torch.complex64) * 2**0.5
    clean = gains[None, :, :, None] * scan(coils, noise=0.0)[0]
    rss = fourier(clean, inverse=True).abs().square().sum(1).sqrt()[0]
    given = given and coils > 1
    if given:
        np.save(tmp_path / "maps.npy", (gains[:, :, None] * maps).numpy())
    params = {"maps": str(tmp_path / "maps.npy")} if given else {}
    found = fitted(y * gains[None, :, :, None], facts={"noise": noise.numpy()}, **params)
    physics = found.build(noise_model(found.sigma))
    x = conjugate_gradients(
        lambda v: physics.A_adjoint(physics.A(v)) + 1e-6 * v, physics.A_adjoint(found.y), tolerance=1e-5, iterations=80
    )
    image = to_complex(x)[0, 0].abs() / found.scale
    inside = phantom().abs() > 0.5
    expected = phantom().abs() if given else rss
    assert float(image[inside].mean() / expected[inside].mean()) == pytest.approx(1, abs=0.02)
    back = physics.mixing if coils > 1 else None
    if back is not None:
        file = torch.einsum("ab,zbhw->zahw", back, found.y[:, :coils]) / found.scale
        torch.testing.assert_close(file, y * gains[None, :, :, None], rtol=1e-3, atol=1e-2)


def test_coils_are_compressed_and_maps_of_a_file_are_used(tmp_path):
    y, maps, _ = scan()
    assert fitted(y, compress=4).build(None).maps.shape[1] == 4
    np.save(tmp_path / "maps.npy", maps.numpy())
    physics = fitted(y, maps=str(tmp_path / "maps.npy")).build(noise_model(0.1))
    torch.testing.assert_close(physics.maps[0], maps)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: y.real, "needs complex k-space"),
        (lambda y: y * (torch.arange(48) % 2), "too small for coil maps"),
    ],
)
def test_data_that_do_not_fit_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        fitted(change(scan()[0]))


def test_plain_operator_refuses_what_does_not_fit(tmp_path):
    with pytest.raises(RecipeError, match="3 channels"):
        build_operator("mri", shape=(3, 16, 16))
    np.save(tmp_path / "maps.npy", np.ones((2, 8, 8)))
    with pytest.raises(InputError, match="coil maps"):
        build_operator("mri", shape=(2, 16, 16), maps=str(tmp_path / "maps.npy"))


def test_one_coil_has_no_maps():
    y, _, _ = scan(coils=1)
    physics = fitted(y, pattern="random", acceleration=2, center_lines=8).build(noise_model(0.1))
    assert isinstance(physics, SingleCoil)
    assert isinstance(build(torch.ones(1, 1, 1, 4), None, shape=(2, 4, 4), noise_model=None), SingleCoil)
