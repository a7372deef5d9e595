"""Raw k-space from file to file: the prior's units, and the root sum of squares."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import skimage.io

import inverse
from inverse.errors import InverseError
from inverse.operators.mri.coils import birdcage
from inverse.recipes.recipe import load
from inverse.restoration.prior import open_recipe_prior
from inverse.runs.run import Options

SIZE, COILS = (40, 36), 4
FAST = ("method.steps=2", "run.samples=2", "operator.calibration=16")


def centred(values: np.ndarray, *, inverse: bool) -> np.ndarray:
    axes = (-2, -1)
    transform = np.fft.ifft2 if inverse else np.fft.fft2
    return np.fft.fftshift(transform(np.fft.ifftshift(values, axes=axes), norm="ortho"), axes=axes)


@pytest.fixture
def kspace() -> np.ndarray:
    """(coils, H, W): a bright disc seen by simulated coils, with noise."""
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, n) for n in SIZE), indexing="ij")
    disc = np.where(rows**2 + columns**2 < 0.5, 1.0 + 0.3 * rows, 0.0)
    noise = np.random.default_rng(0).standard_normal((2, COILS, *SIZE))
    full = centred(np.asarray(birdcage(COILS, SIZE)) * disc, inverse=False)
    return (full + 0.02 * (noise[0] + 1j * noise[1])).astype(np.complex64)


def rss(kspace: np.ndarray) -> np.ndarray:
    return np.sqrt((np.abs(centred(kspace, inverse=True)) ** 2).sum(0))


@pytest.mark.parametrize("name", ["mri-multicoil", "mri-cartesian", "mri-radial"])
def test_a_complex_prior_keeps_its_own_range(name: str) -> None:
    """data.range [0, 1] is black and white of a picture: of a complex one the values are between -1 and 1."""
    opened, own = open_recipe_prior(load(name)).card, inverse.open_prior("mri").card
    assert (opened.data_range, opened.mean, opened.data_var) == (own.data_range, 0.0, own.data_var)
    wider = open_recipe_prior(load(name, ["data.range=[0,2]"])).card
    assert wider.data_range == (-2.0, 2.0)
    assert wider.data_var == pytest.approx(4 * own.data_var)
    assert open_recipe_prior(load(name, ["prior.data_range=[-3,3]"])).card.data_range == (-3.0, 3.0)
    assert open_recipe_prior(load("deblur")).card.data_range == (0.0, 1.0)


def test_a_fastmri_reconstruction_is_the_rss_of_full_kspace(tmp_path: Path, kspace: np.ndarray) -> None:
    """Where all of it was measured it is the file's own RSS to rounding.

    Where not, it is closer to it than the image's magnitude.
    """
    with h5py.File(tmp_path / "full.h5", "w") as file:
        file["kspace"] = kspace[None]
    errors = {}
    for name, chosen in (
        ("all", ()),
        ("part", ("operator.pattern=equispaced", "operator.acceleration=2", "operator.center_lines=16")),
    ):
        run = inverse.restore("mri-multicoil", tmp_path / "full.h5", out=tmp_path / name, overrides=[*FAST, *chosen])
        assert not run.failures
        with h5py.File(tmp_path / name / "restored" / "full.h5") as file:
            found, image = file["reconstruction"][0], np.abs(file["reconstruction_complex"][0])
        errors[name] = [float(np.abs(each - rss(kspace)).max()) for each in (found, image)]
        mean = [float(np.square(each - rss(kspace)).mean()) for each in (found, image)]
        assert mean[0] < mean[1]
    assert errors["all"][0] < 1e-5 * float(rss(kspace).max()) < errors["all"][1]


def test_what_lies_beside_a_fastmri_reconstruction_is_its_own(tmp_path: Path, kspace: np.ndarray) -> None:
    """Its standard deviation is the RSS's, none of one sample; of one draw the magnitude is written."""
    with h5py.File(tmp_path / "full.h5", "w") as file:
        file["kspace"] = kspace[None]
    found = {}
    for name, chosen in (("mean", ()), ("draw", ("output=sample",)), ("one", ("run.samples=1",))):
        inverse.restore("mri-multicoil", tmp_path / "full.h5", out=tmp_path / name, overrides=[*FAST, *chosen])
        with h5py.File(tmp_path / name / "restored" / "full.h5") as file:
            found[name] = file["reconstruction"][0], np.abs(file["reconstruction_complex"][0])
    with h5py.File(tmp_path / "mean" / "std" / "full.h5") as file:
        assert float(file["reconstruction"][()].max()) < 1e-5  # all of k-space was measured
    assert not (tmp_path / "one" / "std").exists()
    np.testing.assert_array_equal(*found["draw"])
    assert np.abs(found["mean"][0] - found["mean"][1]).max() > 1e-3


def test_the_rss_in_a_format_without_a_place_for_it(tmp_path: Path, kspace: np.ndarray) -> None:
    np.save(tmp_path / "k.npy", kspace)
    run = inverse.restore(
        "mri-multicoil", tmp_path / "k.npy", out=tmp_path / "out", overrides=[*FAST, "output=rss", "run.seed=1"]
    )
    assert not run.failures
    image, std = (np.load(tmp_path / "out" / kind / "k.npy")[0] for kind in ("restored", "std"))
    assert not image.imag.any()
    np.testing.assert_allclose(image.real, rss(kspace), atol=1e-5 * float(rss(kspace).max()))
    assert float(np.abs(std).max()) < 1e-5


def test_an_rss_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    skimage.io.imsave(tmp_path / "grey.png", np.full((32, 32), 128, np.uint8), check_contrast=False)
    with pytest.raises(InverseError, match="output: rss") as refused:
        inverse.restore(
            "denoise",
            tmp_path / "grey.png",
            out=tmp_path / "o",
            overrides=["output=rss", "noise.sigma=0.1"],
            options=Options(strict=True),
        )
    assert "allowed: mean, sample" in refused.value.hint
