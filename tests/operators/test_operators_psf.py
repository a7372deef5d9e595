"""Kernels against their formulas, kernels that vary, drawn masks, and downsampling by a kernel of one's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage, special

from inverse.errors import InputError, RecipeError
from inverse.operators.blur import kernels as psf
from inverse.operators.blur.kernels import gaussian_kernel, is_even
from inverse.operators.build import build_operator, operator_for

DOUBLE = torch.float64
RNG = np.random.default_rng(0)


def moments(kernel):
    rows, columns = (np.arange(n) - n // 2 for n in kernel.shape)
    return np.array(
        [
            [(kernel * rows[:, None] ** 2).sum(), (kernel * rows[:, None] * columns).sum()],
            [(kernel * rows[:, None] * columns).sum(), (kernel * columns**2).sum()],
        ]
    )


def test_a_tilted_gaussian_has_its_covariance_and_its_direction():
    kernel = psf.tilted_gaussian_kernel(4.0, 1.5, 30.0)
    first = np.array([-np.sin(np.pi / 6), np.cos(np.pi / 6)])
    second = np.array([first[1], -first[0]])
    expected = 16 * np.outer(first, first) + 2.25 * np.outer(second, second)
    np.testing.assert_allclose(moments(kernel), expected, rtol=0.01)
    assert (
        kernel[kernel.shape[0] // 2 - 3, kernel.shape[1] // 2 + 4]
        > kernel[kernel.shape[0] // 2 + 3, kernel.shape[1] // 2 + 4]
    )
    np.testing.assert_allclose(psf.tilted_gaussian_kernel(1.7, 1.7, 20.0), gaussian_kernel(1.7), atol=1e-12)


@pytest.mark.parametrize("radius", [0.3, 0.5, 1.0, 2.7, 9.0])
def test_a_disc_has_its_area_in_each_pixel(radius):
    kernel = psf.defocus_kernel(radius)
    reach = kernel.shape[0] // 2
    fine = 201
    points = (np.arange((2 * reach + 1) * fine) + 0.5) / fine - reach - 0.5
    inside = (points[:, None] ** 2 + points**2 <= radius**2).reshape(2 * reach + 1, fine, 2 * reach + 1, fine)
    np.testing.assert_allclose(kernel, inside.mean((1, 3)) / (np.pi * radius**2), atol=3e-3 / radius**2)
    assert is_even(kernel)
    assert reach == max(0, np.ceil(radius - 0.5))


def test_airys_pattern_is_the_bessel_function_with_its_first_dark_ring():
    optics = {"wavelength": 520.0, "numerical_aperture": 1.2, "pixel": 10.0, "extent": 3.0}
    kernel = psf.microscope_kernel(psf.born_wolf(numerical_aperture=1.2, index=1.5, defocus=0.0), **optics)
    line = kernel[kernel.shape[0] // 2, kernel.shape[1] // 2 :]
    v = 2 * np.pi * 1.2 * 10 * np.arange(1, len(line)) / 520
    np.testing.assert_allclose(line[1:] / line[0], (2 * special.j1(v) / v) ** 2, atol=2e-3)
    dark = psf.airy_radius(520.0, 1.2) / 10
    assert abs(int(line[: int(1.4 * dark)].argmin()) - dark) <= 1


def test_on_the_axis_a_microscope_is_dark_where_born_and_wolf_say():
    """At r = 0 the intensity over the defocus z is sinc^2(u / 4), u = 2 pi NA^2 z / (wavelength n).

    Zero at u = 4 pi.
    """
    aperture, index, wavelength = 0.8, 1.33, 600.0
    dark = 2 * wavelength * index / aperture**2
    optics = {"wavelength": wavelength, "numerical_aperture": aperture, "pixel": 10.0, "extent": 3.0}

    def middle(defocus):
        kernel = psf.microscope_kernel(
            psf.born_wolf(numerical_aperture=aperture, index=index, defocus=defocus), **optics
        )
        return kernel[kernel.shape[0] // 2, kernel.shape[1] // 2] / kernel.max()

    assert middle(0.0) == pytest.approx(1)
    assert middle(dark) < 1e-3
    assert middle(-dark) < 1e-3
    assert middle(0.8 * dark) > 0.01


def test_gibson_and_lanni_are_born_and_wolf_where_rays_are_flat():
    optics = {"wavelength": 600.0, "numerical_aperture": 0.2, "pixel": 100.0, "extent": 3.0}
    flat = psf.gibson_lanni(numerical_aperture=0.2, immersion=1.33, specimen=1.33, depth=0.0, defocus=2000.0)
    paraxial = psf.born_wolf(numerical_aperture=0.2, index=1.33, defocus=2000.0)
    one, other = psf.microscope_kernel(flat, **optics), psf.microscope_kernel(paraxial, **optics)
    assert np.abs(one - other).max() < 1e-3 * other.max()


def test_a_specimen_of_the_immersions_index_only_shifts_the_focus():
    optics = {"wavelength": 520.0, "numerical_aperture": 1.2, "pixel": 100.0, "extent": 4.0}
    free = psf.gibson_lanni(numerical_aperture=1.2, immersion=1.5, specimen=1.5, depth=5000.0, defocus=0.0)
    focus = psf.gibson_lanni(numerical_aperture=1.2, immersion=1.5, specimen=1.5, depth=0.0, defocus=0.0)
    np.testing.assert_allclose(
        psf.microscope_kernel(free, **optics), psf.microscope_kernel(focus, **optics), atol=1e-12
    )
    deep = psf.gibson_lanni(numerical_aperture=1.2, immersion=1.518, specimen=1.33, depth=5000.0, defocus=0.0)
    spread = [np.trace(moments(psf.microscope_kernel(path, **optics))) for path in (focus, deep)]
    assert spread[1] > 1.2 * spread[0], "a mismatch of indices is spherical aberration"


def test_a_varying_blur_of_one_kernel_is_the_blur_and_of_two_goes_over(tmp_path):
    image = torch.from_numpy(RNG.random((1, 2, 33, 47)))
    sharp, soft = np.zeros((9, 9)), gaussian_kernel(1.0)
    sharp[4, 4] = 1
    np.save(tmp_path / "same.npy", np.broadcast_to(soft, (2, 3, 9, 9)))
    np.save(tmp_path / "two.npy", np.stack([sharp, soft])[None])
    for boundary in ("reflect", "circular", "free"):
        common = {"shape": (2, 33, 47), "boundary": boundary, "dtype": DOUBLE}
        same = build_operator("varying-blur", file=str(tmp_path / "same.npy"), **common)
        plain = build_operator("gaussian-blur", sigma=1.0, **common)
        torch.testing.assert_close(same.A(image), plain.A(image))
    two = build_operator("varying-blur", file=str(tmp_path / "two.npy"), shape=(2, 33, 47), dtype=DOUBLE)
    y = two.A(image)
    torch.testing.assert_close(y[..., :7], image[..., :7])
    expected = ndimage.convolve(image[0, 0].numpy(), soft, mode="reflect")
    np.testing.assert_allclose(y[0, 0, :, -7:], expected[:, -7:])
    physics, shape = operator_for(
        {"kind": "varying-blur", "file": str(tmp_path / "same.npy"), "boundary": "free"}, (2, 33, 47)
    )
    assert shape == (2, 41, 55)
    assert physics.output_crop == (4, 4, 33, 47)


@pytest.mark.parametrize(
    ("array", "words"), [(np.ones((3, 3)), "allowed: (rows, columns, h, w)"), (np.zeros((1, 2, 3, 3)), "more than 0")]
)
def test_a_file_that_is_no_grid_of_kernels(array, words, tmp_path):
    np.save(tmp_path / "k.npy", array)
    with pytest.raises(InputError) as error:
        build_operator("varying-blur", shape=(1, 20, 20), file=str(tmp_path / "k.npy"))
    assert words in str(error.value)


@pytest.mark.parametrize("factor", [2, 3])
def test_downsampling_by_an_own_kernel_is_the_named_filter_of_the_same_weights(factor, tmp_path):
    from inverse.operators.image.resample import weights

    line = weights("bicubic", factor)
    np.save(tmp_path / "k.npy", np.outer(line, line))
    shape = (2, 12 * factor + 1, 13 * factor)
    x = torch.from_numpy(RNG.random((1, *shape)))
    own = build_operator(
        "downsample", shape=shape, factor=factor, filter="kernel", file=str(tmp_path / "k.npy"), dtype=DOUBLE
    )
    named = build_operator("downsample", shape=shape, factor=factor, filter="bicubic", dtype=DOUBLE)
    torch.testing.assert_close(own.A(x), named.A(x))


def test_an_own_kernel_has_a_file_and_a_middle(tmp_path):
    np.save(tmp_path / "k.npy", np.ones((5, 5)))
    with pytest.raises(InputError, match="5 x 5 pixels for downsampling by 2"):
        build_operator("downsample", shape=(1, 20, 20), factor=2, filter="kernel", file=str(tmp_path / "k.npy"))
    for params in ({"filter": "kernel"}, {"file": str(tmp_path / "k.npy")}):
        with pytest.raises(RecipeError, match="filter: kernel together with file"):
            build_operator("downsample", shape=(1, 20, 20), factor=2, **params)


def test_strokes_and_text_are_pure_functions_of_seed_and_size():
    def mask(kind, seed, **params):
        return build_operator(kind, shape=(3, 90, 120), seed=seed, **params).mask

    for kind, params in (("stroke-mask", {"missing": 0.25}), ("text-mask", {"text": "in vino veritas", "size": 16})):
        one = mask(kind, 1, **params)
        assert one.shape == (1, 1, 90, 120)
        assert set(one.unique().tolist()) == {0.0, 1.0}
        assert torch.equal(one, mask(kind, 1, **params))
        assert not torch.equal(one, mask(kind, 2, **params))
        assert 0.05 < float((one == 0).float().mean()) < 0.5
    assert float((mask("stroke-mask", 1, missing=0.25) == 0).float().mean()) >= 0.25
    with pytest.raises(InputError, match="covers all of it"):
        build_operator("stroke-mask", shape=(1, 16, 16), missing=0.9, width=400)
