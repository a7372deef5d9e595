"""Which pixels without a value are filled: gaps and holes of a scene, never its border unless asked."""

from __future__ import annotations

import dataclasses

import h5py
import numpy as np
import pytest
import tifffile

from inverse import io as iio
from inverse.errors import InputError
from inverse.io.nodata import filled_by, footprint, still_valid
from inverse.recipes.recipe import load
from inverse.restoration.frame import frame
from inverse.restoration.write_item import result_valid


@pytest.fixture
def pass_with_gaps():
    """A tilted pass with stripes that open into its border, and a cloud; what is outside."""
    rows, columns = np.mgrid[:200, :220]
    inside = (columns - 0.2 * rows > 25) & (columns - 0.2 * rows < 170)
    gaps = (rows + 0.15 * columns) % 33 < 12
    cloud = np.hypot(rows - 100, columns - 110) < 28
    return inside, inside & ~gaps & ~cloud


def test_gaps_are_filled_and_the_border_is_not(pass_with_gaps):
    inside, valid = pass_with_gaps
    kept = footprint(valid)
    assert (kept | ~valid).all()
    assert (kept & ~inside).mean() < 0.005
    assert (inside & ~kept).sum() < 0.02 * inside.sum()  # corners where a gap opens into the border


def test_the_rule(pass_with_gaps):
    _, valid = pass_with_gaps
    assert np.array_equal(still_valid(valid), valid)
    assert np.array_equal(still_valid(valid, fill="gaps"), footprint(valid))
    assert still_valid(valid, fill="all") is None
    assert still_valid(None) is None
    hole = np.ones((30, 30), bool)
    hole[10:20, 10:20] = False
    assert still_valid(hole, fill="gaps") is None
    twice = still_valid(valid, size=(400, 440))
    assert np.array_equal(twice, np.kron(valid, np.ones((2, 2), bool)))
    bands = still_valid(np.stack([valid, np.ones_like(valid)], -1), fill="gaps")
    assert bands[..., 1].all()
    assert np.array_equal(bands[..., 0], footprint(valid))


def test_what_an_operator_fills():
    gaps = {"kind": "gap-mask", "fill": "gaps"}
    assert filled_by({"kind": "gaussian-blur", "sigma": 1.0}) == "none"
    assert filled_by(gaps) == "gaps"
    assert filled_by({"kind": "chain", "operators": [{"kind": "denoise"}, gaps]}) == "gaps"


def holed(shape, seed=0):
    values = np.random.default_rng(seed).random(shape).astype("f4")
    values[..., 3, 4] = np.nan
    return values


def made_npy(path, values):
    np.save(path, values[0])


def made_npz(path, values):
    np.savez(path, a=values)


def made_hdf5(path, values):
    with h5py.File(path, "w") as file:
        file["a"] = values


def made_nifti(path, values):
    nibabel = pytest.importorskip("nibabel")
    nibabel.save(nibabel.Nifti1Image(values.transpose(2, 1, 0), np.eye(4)), path)


def made_tiff(path, values):
    tifffile.imwrite(path, values, photometric="minisblack")


@pytest.mark.parametrize(
    ("name", "make"),
    [("a.npy", made_npy), ("a.npz", made_npz), ("a.h5", made_hdf5), ("a.nii.gz", made_nifti), ("a.tif", made_tiff)],
)
def test_nan_has_no_value_in_every_float_format_and_is_written_back(tmp_path, name, make):
    make(tmp_path / name, holed((3, 20, 24)))
    content = iio.read(tmp_path / name)
    pictures = content.slices if isinstance(content, iio.Volume) else (content,)
    assert all((~picture.valid).sum() == 1 and np.isfinite(picture.array).all() for picture in pictures)
    spoilt = [dataclasses.replace(picture, array=picture.array + 1) for picture in pictures]
    if isinstance(content, iio.Volume):
        iio.write_volume(tmp_path / f"out-{name}", dataclasses.replace(content, slices=tuple(spoilt)))
        std = iio.save_float(tmp_path / f"std-{name}", np.ones((3, 1, *content.size)), like=content)
    else:
        iio.write(tmp_path / f"out-{name}", spoilt[0])
        std = iio.save_float(tmp_path / f"std-{name}", np.ones((1, *content.size)), like=content)
    for path in (tmp_path / f"out-{name}", std):
        again = iio.read_pictures(path)
        assert all((one.valid == two.valid).all() for one, two in zip(again, pictures, strict=True))


def test_what_must_be_whole_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", holed((20, 24)))
    with pytest.raises(InputError, match="1 of 480 values are NaN or infinite"):
        iio.whole(iio.read_picture(tmp_path / "a.npy"))


def test_an_operators_mask_fills_what_is_nan_and_nothing_else_does(tmp_path):
    """A pixel that is NaN and that the mask leaves out is restored; one that is NaN alone stays so."""
    values = holed((24, 24))
    values[10, 10] = np.nan
    mask = np.ones((24, 24), bool)
    mask[3, 4] = mask[5, 5] = False
    np.save(tmp_path / "mask.npy", mask)
    recipe = load("inpaint", ["operator.kind=file-mask", f"operator.file={tmp_path / 'mask.npy'}"])
    np.save(tmp_path / "a.npy", values)
    measured = frame(iio.read_picture(tmp_path / "a.npy"), 0, recipe.data)
    assert np.argwhere(~result_valid(measured, recipe, (24, 24))).tolist() == [[10, 10]]
    assert np.argwhere(~result_valid(measured, load("denoise"), (24, 24))).tolist() == [[3, 4], [10, 10]]
    assert result_valid(measured, load("inpaint"), (24, 24)) is None
