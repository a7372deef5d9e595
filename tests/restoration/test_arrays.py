"""`inverse.restore` on arrays: what a file of the same values gives, in the array's own kind and units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import torch

import inverse
from inverse.errors import InputError, UsageError
from inverse.runs.run import Options

RECIPE: dict[str, Any] = {
    "operator": {"kind": "denoise"},
    "noise": {"sigma": 0.1},
    "prior": {"name": "gaussian"},
    "method": {"kind": "diffpir", "steps": 4},
    "run": {"samples": 3, "seed": 3},
}


@pytest.fixture
def array() -> np.ndarray:
    """(20, 24, 3) uint8."""
    return np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)


def test_an_array_gives_what_its_file_gives(array: np.ndarray, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", array)
    inverse.restore(RECIPE, tmp_path / "a.tif", out=tmp_path / "run", options=Options(progress="off", keep="samples"))
    post = inverse.restore(RECIPE, array, items=["a.tif"])
    with h5py.File(tmp_path / "run/items/a.tif/posterior.h5") as file:
        np.testing.assert_allclose(post.samples[:, 0], file["samples"], atol=1e-6)
    rounded = np.rint(np.clip(post.to_numpy()[0], 0, 255)).astype(np.uint8)
    np.testing.assert_array_equal(rounded, tifffile.imread(tmp_path / "run/restored/a.tif"))


def test_the_kinds_of_an_array_agree(array: np.ndarray) -> None:
    unit = array / np.float32(255)
    expected = inverse.restore(RECIPE, unit)
    assert expected.mean.dtype == torch.float32
    kinds = {
        "uint8": array,
        "uint16": array.astype(np.uint16) * 257,
        "read-only": np.frombuffer(array.tobytes(), np.uint8).reshape(array.shape),
        "reversed twice": np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1],
        "fortran": np.asfortranarray(unit),
        "big-endian": unit.astype(">f4"),
        "float64": unit.astype(np.float64),
        "torch": torch.from_numpy(np.moveaxis(unit, -1, 0).copy())[None],
    }
    for name, given in kinds.items():
        post = inverse.restore(RECIPE, given)
        torch.testing.assert_close(post.mean.float(), expected.mean, atol=1e-5, rtol=0, msg=name)
        assert post.mean.dtype == (torch.float64 if name == "float64" else torch.float32)
    assert not np.shares_memory(kinds["fortran"], np.asarray(post.mean))


def test_results_are_in_the_units_of_the_array(array: np.ndarray) -> None:
    post, unit = inverse.restore(RECIPE, array), inverse.restore(RECIPE, array / np.float32(255))
    assert post.to_numpy().shape == (1, 20, 24, 3)
    np.testing.assert_allclose(post.to_numpy(), 255 * unit.to_numpy(), atol=0.01)
    np.testing.assert_allclose(post.to_numpy("std"), 255 * unit.to_numpy("std"), atol=0.01)
    assert post.to_numpy("samples").shape == (3, 1, 20, 24, 3)
    np.testing.assert_allclose(post.to_numpy("data_share"), unit.to_numpy("data_share"))
    with pytest.raises(UsageError, match="did you mean 'mean'"):
        post.to_numpy("meen")


def test_signed_and_wide_integers_want_a_scale(array: np.ndarray) -> None:
    wide = array.astype(np.int32) * 20 - 100
    with pytest.raises(InputError, match=r"data\.scale"):
        inverse.restore(RECIPE, wide)
    post = inverse.restore(RECIPE, wide, overrides=["data.scale=[-100,5000]"])
    assert post.span == (-100.0, 5000.0)
    expected = inverse.restore(RECIPE, array).to_numpy() * 20 - 100
    np.testing.assert_allclose(post.to_numpy(), expected, atol=0.3)
    bands = inverse.restore(RECIPE, wide, overrides=["data.scale=bands"])
    assert len(bands.span[0]) == 3
    assert abs(float(bands.to_numpy().mean()) - float(wide.mean())) < 100


def test_a_batch_is_its_images(array: np.ndarray) -> None:
    both = inverse.restore(RECIPE, np.stack([array, array[::-1]]), items=["a", "b"])
    assert both.to_numpy().shape == (2, 20, 24, 3)
    alone = inverse.restore(RECIPE, array[::-1], items=["b"])
    torch.testing.assert_close(both.mean[1:], alone.mean, atol=1e-5, rtol=0)
    grey = inverse.restore(RECIPE, array[..., 0])
    assert grey.to_numpy().shape == (1, 20, 24, 1)


def test_what_is_missing_is_unobserved(array: np.ndarray) -> None:
    holes = array / np.float32(255)
    holes[5:10, 5:10] = np.nan
    holes[0, 0, 1] = np.nan
    post = inverse.restore(RECIPE, holes)
    share = post.to_numpy("data_share")[0]
    assert np.abs(share[5:10, 5:10]).max() == 0
    assert share[0, 0].tolist() == pytest.approx([share[0, 0, 0], 0, share[0, 0, 2]])
    assert share[12, 12].min() > 0.8
    masked = np.ma.masked_array(array, np.isnan(holes))
    torch.testing.assert_close(inverse.restore(RECIPE, masked).mean, post.mean, atol=1e-5, rtol=0)
    both = inverse.restore(RECIPE, np.stack([holes, array / np.float32(255)]), items=["0", "x"])
    torch.testing.assert_close(both.mean[:1], post.mean, atol=1e-5, rtol=0)
    with pytest.raises(InputError, match="NaN is taken as unobserved"):
        inverse.restore(RECIPE, np.full((20, 24), np.nan))
    holes[0, 0, 0] = np.inf
    with pytest.raises(InputError, match="infinite"):
        inverse.restore(RECIPE, holes)


def test_k_space_gives_complex_images_in_its_units() -> None:
    rng = np.random.default_rng(1)
    field = np.fft.fftshift(np.exp(-np.hypot(*np.meshgrid(*[np.fft.fftfreq(32, 1 / 32)] * 2)) / 4))
    image = np.fft.ifft2(np.fft.ifftshift(field * (rng.normal(size=(32, 32)) + 1j * rng.normal(size=(32, 32)))))
    full = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image), norm="ortho")) * 1000
    kspace = (full + 0.01 * rng.normal(size=full.shape)).astype(np.complex64)
    recipe = {**RECIPE, "operator": {"kind": "mri"}, "noise": {"sigma": "auto"}}
    post = inverse.restore(recipe, kspace[None])
    found = post.to_numpy()
    assert found.shape == (1, 32, 32)
    assert found.dtype == np.complex64
    error = np.abs(found[0] - 1000 * image)
    assert error.max() < 0.05 * np.abs(1000 * image).max()
    assert post.to_numpy("std").shape == (1, 32, 32, 2)
    torch.testing.assert_close(inverse.restore(recipe, kspace).mean, post.mean)
    with pytest.raises(InputError, match="one by one"):
        inverse.restore(recipe, np.stack([kspace[None]] * 2))
    with pytest.raises(InputError, match="raw k-space"):
        inverse.restore(RECIPE, kspace)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((2, 2, 2, 2, 2)), r"shape \(2, 2, 2, 2, 2\)"),
        (torch.zeros(3, 20, 24), r"shape \(3, 20, 24\)"),
        (np.array([["a", "b"]]), "type <U1"),
        (np.zeros((20, 24), bool), "bool"),
    ],
)
def test_other_arrays_are_refused(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        inverse.restore(RECIPE, given)


def test_names_are_for_arrays(array: np.ndarray, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", array)
    with pytest.raises(UsageError, match="items"):
        inverse.restore(RECIPE, tmp_path / "a.tif", out=tmp_path / "run", items=["x"])  # type: ignore[call-overload]


def test_one_sample_of_a_recipe_that_has_a_calibration() -> None:
    post = inverse.restore(
        "deblur", np.full((40, 40), 0.5), samples=1, overrides=["method.steps=1", "noise.sigma=0.05"]
    )
    assert post.samples.shape == (1, 1, 1, 40, 40)
