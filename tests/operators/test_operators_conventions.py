"""Conventions against scipy, Pillow and plain numpy: boundaries, alignment, masks, kernels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage, signal

from inverse.operators.blur.kernels import gaussian_kernel, line_kernel
from inverse.operators.build import build_operator, operator_for
from inverse.operators.observation import Observation

RNG = np.random.default_rng(0)
KERNELS = {
    "even": gaussian_kernel(1.7),
    "line": line_kernel(9, 30),
    "odd": RNG.random((3, 7)),
    "even-size": RNG.random((4, 6)),
    "row": RNG.random((1, 5)),
}
ORACLES = {
    "reflect": lambda image, kernel: ndimage.convolve(image, kernel, mode="reflect"),
    "circular": lambda image, kernel: ndimage.convolve(image, kernel, mode="wrap"),
    "free": lambda image, kernel: signal.convolve(image, kernel, mode="valid"),
}


@pytest.mark.parametrize("size", [(33, 47), (20, 24)])
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("boundary", ORACLES)
def test_blur_is_scipys(boundary, name, size, tmp_path):
    np.save(tmp_path / "k.npy", 3 * KERNELS[name])
    image = RNG.random((2, *size))
    physics = build_operator(
        "kernel-blur", shape=(2, *size), file=str(tmp_path / "k.npy"), boundary=boundary, dtype=torch.float64
    )
    y = physics.A(torch.from_numpy(image)[None])[0].numpy()
    kernel = KERNELS[name] / KERNELS[name].sum()
    for found, plane in zip(y, image, strict=True):
        np.testing.assert_allclose(found, ORACLES[boundary](plane, kernel), atol=1e-12)


@pytest.mark.parametrize("boundary", ["reflect", "circular"])
@pytest.mark.parametrize("sigma", [0.1, 0.8, 2.0, 9.0])
def test_gaussian_blur_is_scipys_gaussian_filter_even_where_it_is_wider_than_the_image(boundary, sigma):
    image = RNG.random((21, 34))
    physics = build_operator("gaussian-blur", shape=(1, 21, 34), sigma=sigma, boundary=boundary, dtype=torch.float64)
    mode = {"reflect": "reflect", "circular": "wrap"}[boundary]
    expected = ndimage.gaussian_filter(image, sigma, mode=mode)
    np.testing.assert_allclose(physics.A(torch.from_numpy(image)[None, None])[0, 0].numpy(), expected, atol=1e-12)


def test_free_blur_frames_the_measurement_in_the_unknown():
    physics, shape = operator_for({"kind": "gaussian-blur", "sigma": 2.0, "boundary": "free"}, (3, 40, 50))
    assert shape == (3, 56, 66)
    assert physics.output_crop == (8, 8, 40, 50)
    inside = torch.zeros(1, *shape)
    inside[..., 8 + 20, 8 + 30] = 1
    y = physics.A(inside)
    assert y.shape == (1, 3, 40, 50)
    assert divmod(int(y[0, 0].argmax()), 50) == (20, 30)


def test_the_preconditioner_of_a_free_blur_is_symmetric_and_near_the_inverse():
    physics = build_operator("gaussian-blur", shape=(2, 72, 60), sigma=1.5, boundary="free")
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(2, 2, 60, 48, generator=generator)
    other = torch.randn(2, 2, 60, 48, generator=generator)
    alpha, beta = torch.tensor([0.01, 0.1]), torch.tensor([1.0, 0.5])
    precondition = physics.precondition_gram(alpha, beta)
    forward = precondition(y)
    torch.testing.assert_close((forward * other).sum(), (y * precondition(other)).sum(), rtol=1e-3, atol=1e-3)
    identity = physics.precondition_gram(torch.ones(2), torch.zeros(2))
    torch.testing.assert_close(identity(y), y, rtol=1e-4, atol=1e-5)
    image = alpha.reshape(-1, 1, 1, 1) * forward + beta.reshape(-1, 1, 1, 1) * physics.A(physics.A_adjoint(forward))
    assert float((image - y)[..., 12:-12, 12:-12].norm() / y[..., 12:-12, 12:-12].norm()) < 0.05


def test_line_kernel():
    np.testing.assert_allclose(line_kernel(7, 0), np.full((1, 7), 1 / 7), atol=1e-12)
    np.testing.assert_allclose(line_kernel(7, 90), np.full((7, 1), 1 / 7), atol=1e-12)
    np.testing.assert_allclose(line_kernel(1, 45).sum(), 1)
    rising = line_kernel(9, 45)
    assert rising[0, -1] > 0, "counter-clockwise as displayed: up and to the right"
    assert rising[0, 0] == 0
    for angle in np.arange(0, 360, 7.5):
        kernel = line_kernel(12.3, angle)
        np.testing.assert_allclose(kernel.sum(), 1)
        np.testing.assert_allclose(kernel, kernel[::-1, ::-1])


@pytest.mark.parametrize("name", ["area", "gaussian", "bicubic"])
@pytest.mark.parametrize("factor", [2, 3, 4, 5])
def test_downsampling_keeps_a_ramp_with_centres_at_half_of_factor_minus_one(name, factor):
    rows, columns = np.meshgrid(np.arange(24 * factor), np.arange(26 * factor), indexing="ij")
    physics = build_operator("downsample", shape=(1, *rows.shape), factor=factor, filter=name, dtype=torch.float64)
    for ramp in (rows, columns):
        y = physics.A(torch.from_numpy(ramp).double()[None, None])[0, 0].numpy()
        expected = ramp[::factor, ::factor] + (factor - 1) / 2
        np.testing.assert_allclose(y[3:-3, 3:-3], expected[3:-3, 3:-3], atol=1e-9)


@pytest.mark.parametrize("factor", [2, 3, 8])
def test_area_is_the_block_mean(factor):
    image = RNG.random((6 * factor, 5 * factor))
    physics = build_operator("downsample", shape=(1, *image.shape), factor=factor, dtype=torch.float64)
    y = physics.A(torch.from_numpy(image)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(y, image.reshape(6, factor, 5, factor).mean((1, 3)), atol=1e-12)
    values = physics.mask.unique()
    torch.testing.assert_close(values, torch.tensor([0.0, 1 / factor], dtype=torch.float64))


def test_area_of_a_size_that_is_not_a_multiple_mirrors_the_rest():
    image = RNG.random((33, 47))
    physics = build_operator("downsample", shape=(1, 33, 47), factor=4, dtype=torch.float64)
    y = physics.A(torch.from_numpy(image)[None, None])[0, 0].numpy()
    padded = np.pad(image, ((0, 3), (0, 1)), mode="symmetric")
    assert y.shape == (9, 12)
    np.testing.assert_allclose(y, padded.reshape(9, 4, 12, 4).mean((1, 3)), atol=1e-12)


def test_bicubic_is_pillows_inside_the_frame():
    image = RNG.random((64, 80)).astype(np.float32)
    physics = build_operator("downsample", shape=(1, 64, 80), factor=4, filter="bicubic")
    y = physics.A(torch.from_numpy(image)[None, None])[0, 0].numpy()
    expected = np.asarray(Image.fromarray(image).resize((20, 16), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(y[3:-3, 3:-3], expected[3:-3, 3:-3], atol=1e-5)


def test_masks_are_one_where_observed_and_keep_the_grid():
    shape = (3, 40, 50)
    x = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0)) + 1
    physics = build_operator("random-mask", shape=shape, missing=0.7, seed=5)
    assert physics.mask.shape == (1, 1, 40, 50)
    assert set(physics.mask.unique().tolist()) == {0.0, 1.0}
    assert float(physics.mask.mean()) == pytest.approx(0.3, abs=0.04)
    assert torch.equal(physics.A(x), x * physics.mask)
    assert Observation.create(x, physics).count().tolist() == [3 * float(physics.mask.sum())] * 2
    again, other = (build_operator("random-mask", shape=shape, missing=0.7, seed=seed).mask for seed in (5, 6))
    assert torch.equal(physics.mask, again)
    assert not torch.equal(physics.mask, other)
    uniform = np.random.Generator(np.random.Philox(key=5)).random((40, 50))
    assert np.array_equal(physics.mask[0, 0].numpy() == 1, uniform >= 0.7)


def test_box_is_missing_inside():
    physics = build_operator("box-mask", shape=(3, 40, 50), box=[10, 20, 15, 30])
    observed = np.ones((40, 50))
    observed[10:15, 20:30] = 0
    np.testing.assert_array_equal(physics.mask[0, 0].numpy(), observed)


@pytest.mark.parametrize("form", ["png", "npy", "bool", "colour"])
def test_file_masks(form, tmp_path):
    observed = RNG.random((20, 30)) > 0.5
    path = tmp_path / ("m.npy" if form in ("npy", "bool") else "m.png")
    if form == "png":
        Image.fromarray(np.where(observed, 128, 127).astype(np.uint8)).save(path)
    elif form == "colour":
        Image.fromarray(np.where(observed[..., None], [200, 0, 0], 20).astype(np.uint8)).save(path)
    else:
        np.save(path, observed if form == "bool" else np.where(observed, 7, 0))
    physics = build_operator("file-mask", shape=(3, 20, 30), file=str(path))
    np.testing.assert_array_equal(physics.mask[0, 0].numpy() == 1, observed)


def test_masks_may_differ_between_items():
    physics = build_operator("random-mask", shape=(3, 20, 30), missing=0.5)
    masks = (torch.rand(4, 1, 20, 30, generator=torch.Generator().manual_seed(1)) > 0.5).float()
    physics.update_parameters(mask=masks)
    x = torch.rand(4, 3, 20, 30, generator=torch.Generator().manual_seed(2))
    assert torch.equal(physics.A(x), masks * x)
    assert torch.equal(physics.A_dagger(physics.A(x)), masks * x)
    assert Observation.create(x, physics).count().tolist() == (3 * masks.flatten(1).sum(1)).tolist()


def test_kernels_from_images_are_scaled_to_sum_one(tmp_path):
    grey = np.zeros((5, 5), np.uint8)
    grey[2, 1:4] = (50, 100, 50)
    Image.fromarray(grey).save(tmp_path / "k.png")
    physics = build_operator("kernel-blur", shape=(1, 8, 9), file=str(tmp_path / "k.png"))
    image = RNG.random((8, 9))
    y = physics.A(torch.from_numpy(image)[None, None].float())[0, 0].numpy()
    np.testing.assert_allclose(y, ndimage.convolve1d(image, [0.25, 0.5, 0.25], axis=1), atol=1e-5)


def test_a_square_matrix_measures_in_the_unknowns_shape(tmp_path):
    matrix = RNG.normal(size=(24, 24))
    np.save(tmp_path / "m.npy", matrix)
    physics, shape = operator_for({"kind": "matrix", "file": str(tmp_path / "m.npy")}, (2, 3, 4), dtype=torch.float64)
    assert shape == (2, 3, 4)
    x = torch.from_numpy(RNG.normal(size=(5, 2, 3, 4)))
    np.testing.assert_allclose(physics.A(x).flatten(1).numpy(), x.flatten(1).numpy() @ matrix.T, atol=1e-10)
    solved = np.linalg.lstsq(matrix, x[0].numpy().ravel(), rcond=None)[0]
    np.testing.assert_allclose(physics.A_dagger(x[:1])[0].numpy().ravel(), solved, atol=1e-6)
