"""NIfTI through the package, opened with nibabel."""

import gzip

import numpy as np
import pytest

import inverse.io as iio
from inverse.errors import InputError, OutputError

nibabel = pytest.importorskip("nibabel")

AFFINE = np.array([[-0.9, 0.1, 0, 90], [0.1, 1.1, 0, -126], [0, 0, 2.5, -72], [0, 0, 0, 1.0]])


def saved(path, values, *, affine=AFFINE, kind=nibabel.Nifti1Image, slope=None):
    image = kind(values, affine)
    image.header.set_sform(affine, code=4)
    image.header.set_qform(affine, code=1)
    image.header.set_xyzt_units("mm", "sec")
    image.header["intent_code"] = 1001
    if slope is not None:
        image.header.set_slope_inter(*slope)
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("shape", [(7, 5), (7, 5, 4), (7, 5, 4, 3)])
def test_round_trip_is_exact(tmp_path, dtype, suffix, shape):
    values = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    volume = iio.read(saved(tmp_path / f"in{suffix}", values))
    assert isinstance(volume, iio.Volume)
    assert iio.sniff(tmp_path / f"in{suffix}") == volume.format == "nifti"
    assert len(volume.slices) == int(np.prod(shape[2:]))
    assert volume.size == (5, 7)
    assert any("one by one" in note for note in volume.notes)
    written = iio.write_volume(tmp_path / f"out{suffix}", volume, provenance={"inverse:run": "recipe 1 " + "x" * 90})
    first, back = nibabel.load(tmp_path / f"in{suffix}"), nibabel.load(written)
    assert back.get_data_dtype() == dtype
    np.testing.assert_array_equal(np.asarray(back.dataobj), np.asarray(first.dataobj))
    for part in ("sform", "qform"):
        for one, other in zip(
            getattr(back.header, f"get_{part}")(True), getattr(first.header, f"get_{part}")(True), strict=True
        ):
            np.testing.assert_array_equal(one, other)
    assert back.header.get_zooms() == first.header.get_zooms()
    assert back.header.get_xyzt_units() == ("mm", "sec")
    assert int(back.header["intent_code"]) == 1001
    assert bytes(back.header["descrip"].item()).startswith(b"recipe 1")
    assert back.header.extensions[0].get_content() == b"inverse:run=recipe 1 " + b"x" * 90
    again = iio.write_volume(tmp_path / f"again{suffix}", iio.read(written), provenance={"inverse:run": "recipe 2"})
    assert len(nibabel.load(again).header.extensions) == 1


def test_slices_are_upright(tmp_path):
    values = np.zeros((7, 5, 2), np.float32)
    values[6, 4, 1] = 1  # right, anterior, superior in a RAS file
    volume = iio.read(saved(tmp_path / "in.nii", values, affine=np.eye(4)))
    assert volume.slices[1].array[0, 6] == 1
    assert volume.slices[0].array.max() == 0


def test_wide_and_scaled_integers_become_float(tmp_path):
    values = np.arange(24, dtype=np.int16).reshape(4, 3, 2)
    volume = iio.read(saved(tmp_path / "a.nii", values, slope=(0.5, -1)))
    assert volume.slices[0].array.dtype == np.float32
    assert "times 0.5 plus -1" in volume.notes[0]
    back = nibabel.load(iio.write_volume(tmp_path / "b.nii", volume))
    np.testing.assert_allclose(np.asarray(back.dataobj), np.asarray(nibabel.load(tmp_path / "a.nii").dataobj))
    assert back.get_data_dtype() == np.float32


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_a_finer_grid_keeps_the_extent(tmp_path, kind):
    values = np.random.default_rng(0).random((8, 6, 3)).astype(np.float32)
    volume = iio.read(saved(tmp_path / "in.nii", values, kind=kind))
    finer = np.stack([np.kron(picture.array, np.ones((2, 2), np.float32)) for picture in volume.slices])
    path = iio.save_float(tmp_path / "out.nii", finer, like=volume)
    first, back = nibabel.load(tmp_path / "in.nii"), nibabel.load(path)
    assert type(back) is kind
    assert back.shape == (16, 12, 3)
    np.testing.assert_allclose(back.header.get_zooms(), np.array(first.header.get_zooms()) / (2, 2, 1), rtol=1e-6)
    for corner in ([-0.5, -0.5, 0], [7.5, 5.5, 2]):
        scaled = [2 * corner[0] + 0.5, 2 * corner[1] + 0.5, corner[2]]
        for name in ("get_sform", "get_qform"):
            one = nibabel.affines.apply_affine(getattr(first.header, name)(), corner)
            other = nibabel.affines.apply_affine(getattr(back.header, name)(), scaled)
            np.testing.assert_allclose(one, other, atol=1e-3)
    np.testing.assert_array_equal(np.asarray(back.dataobj)[::2, ::2], values)


def test_the_uncertainty_is_a_float_volume_of_the_same_kind(tmp_path):
    values = np.random.default_rng(0).integers(0, 200, (7, 5, 4)).astype(np.uint8)
    volume = iio.read(saved(tmp_path / "in.nii.gz", values))
    std = np.random.default_rng(1).random((4, 1, 5, 7))
    path = iio.save_float(tmp_path / "std.nii.gz", std, like=volume)
    back = iio.read(path)
    np.testing.assert_array_equal(iio.stack(back), std[:, 0].astype(np.float32))
    assert gzip.decompress(path.read_bytes())[:4] == (348).to_bytes(4, "little")


def test_what_a_volume_cannot_write(tmp_path):
    volume = iio.read(saved(tmp_path / "in.nii", np.zeros((7, 5, 4), np.uint8)))
    with pytest.raises(OutputError, match="already exists"):
        iio.write_volume(tmp_path / "in.nii", volume)
    with pytest.raises(OutputError, match="cannot hold slices"):
        iio.save_float(tmp_path / "out.nii", np.zeros((3, 1, 5, 7)), like=volume)
    with pytest.raises(InputError, match="leave ::data away"):
        iio.read(f"{tmp_path}/in.nii::data")
    with pytest.raises(InputError, match="holds 4 slices, expected one image"):
        iio.read_picture(tmp_path / "in.nii")


@pytest.mark.parametrize(("unit", "size", "pixel"), [("micron", 0.13, 130), ("mm", 1.0, None), ("unknown", 0.1, None)])
def test_voxels_of_a_microscope_say_its_pixel(unit, size, pixel, tmp_path):
    image = nibabel.Nifti1Image(np.ones((20, 24, 2), np.float32), np.diag([size, 2 * size, 1, 1]))
    image.header.set_xyzt_units(unit)
    nibabel.save(image, tmp_path / "a.nii")
    found = iio.read(tmp_path / "a.nii").extra.get("optics")
    assert found == (None if pixel is None else {"pixel": pytest.approx((2 * pixel, pixel))})
