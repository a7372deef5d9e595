"""What HDF5 and netCDF say of their values: fill values, scale and offset, pixel sizes, complex numbers as pairs."""

from __future__ import annotations

import dataclasses

import h5py
import numpy as np
import pytest

from inverse import io as iio
from inverse.errors import InputError
from inverse.recipes.sections import Data
from inverse.restoration.frame import frame

VALUES = np.random.default_rng(0).integers(1, 900, (3, 20, 24)).astype("i2")
HOLES = np.zeros(VALUES.shape, bool)
HOLES[:, 3:6, 4] = HOLES[1, 9, 9] = True


def written(path, values, fill=None, **attributes):
    with h5py.File(path, "w") as file:
        data = file.create_dataset("a", data=values, fillvalue=fill)
        data.attrs.update(attributes)


def stored(path):
    with h5py.File(path) as file:
        return file["a"][()], dict(file["a"].attrs)


@pytest.mark.parametrize("how", ["_FillValue", "missing_value", "hdf5"])
@pytest.mark.parametrize("dtype", ["i2", "f4"])
def test_fill_values_are_unobserved_and_come_back(tmp_path, how, dtype):
    values = np.where(HOLES, -99, VALUES).astype(dtype)
    fill = {} if how == "hdf5" else {how: np.array([-99], dtype)}
    written(tmp_path / "a.nc", values, -99 if how == "hdf5" else None, **fill)
    volume = iio.read(tmp_path / "a.nc")
    assert all((~one.valid == hole).all() for one, hole in zip(volume.slices, HOLES, strict=True))
    assert "10 values are the fill value -99" in " ".join(volume.notes)
    spoilt = tuple(dataclasses.replace(one, array=np.full_like(one.array, 7)) for one in volume.slices)
    again, attributes = stored(iio.write_volume(tmp_path / "out.nc", dataclasses.replace(volume, slices=spoilt)))
    assert ((again == -99) == HOLES).all()
    assert set(attributes) == set(fill)
    std, attributes = stored(iio.save_float(tmp_path / "std.nc", np.ones((3, 1, 20, 24)), like=volume))
    assert (np.isnan(std) == HOLES).all()
    assert attributes == {}


def test_zero_that_nobody_called_missing_is_a_value(tmp_path):
    written(tmp_path / "a.h5", np.zeros((20, 24), "f4"), 0)
    assert iio.read(tmp_path / "a.h5").valid is None


def test_a_file_of_fill_values_alone_is_refused(tmp_path):
    written(tmp_path / "a.h5", np.full((20, 24), 9, "i2"), _FillValue=np.int16(9))
    with pytest.raises(InputError, match="no pixel has a value: all are 9"):
        iio.read(tmp_path / "a.h5")


def test_a_deviation_has_the_scale_and_not_the_offset(tmp_path):
    packed = {"scale_factor": 0.1, "add_offset": 273.15, "units": "K", "valid_max": np.int16(900)}
    written(tmp_path / "a.nc", VALUES[0], **packed)
    picture = iio.read(tmp_path / "a.nc")
    assert stored(iio.write(tmp_path / "out.nc", picture))[1] == packed
    std = iio.save_float(tmp_path / "std.nc", np.ones((1, 20, 24)), like=picture)
    assert stored(std)[1] == {"scale_factor": 0.1, "units": "K"}


def test_pixel_sizes_follow_the_grid_and_are_a_fact(tmp_path):
    written(tmp_path / "a.h5", VALUES.astype("u2"), element_size_um=np.array([0.5, 0.26, 0.13], "f4"))
    volume = iio.read(tmp_path / "a.h5")
    facts = frame(volume, 1, Data()).measurement("srgb").facts
    assert facts["optics"]["pixel"] == pytest.approx((260, 130), rel=1e-6)
    std = iio.save_float(tmp_path / "std.h5", np.ones((3, 1, 40, 72)), like=volume)
    np.testing.assert_allclose(stored(std)[1]["element_size_um"], [0.5, 0.13, 0.13 / 3], rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1, 3, 20, 24), (1, 3, 20, 24, 1), (3, 1, 20, 24, 1)])
def test_axes_of_one_entry_are_left_out_and_come_back(tmp_path, shape):
    written(tmp_path / "a.h5", VALUES.reshape(shape))
    volume = iio.read(tmp_path / "a.h5")
    assert (len(volume.slices), volume.size) == (3, (20, 24))
    assert (stored(iio.write_volume(tmp_path / "out.h5", volume))[0] == VALUES.reshape(shape)).all()


@pytest.mark.parametrize("names", [("real", "imag"), ("Re", "Im")])
@pytest.mark.parametrize("inner", ["", "::/scan/k"])
def test_complex_numbers_as_pairs_are_called_so(tmp_path, names, inner):
    pairs = np.zeros((4, 20, 24), np.dtype([(name, "f8") for name in names]))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["scan/k"] = pairs
    with pytest.raises(InputError, match=r"'/scan/k' holds complex numbers of shape \(4, 20, 24\) as pairs") as caught:
        iio.read(f"{tmp_path / 'a.h5'}{inner}")
    assert ".npy" in caught.value.hint


def test_complex_numbers_of_another_name_are_called_so(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["scan/k"] = np.zeros((4, 20, 24), np.complex64)
    with pytest.raises(InputError, match=r"'/scan/k' holds complex numbers of shape \(4, 20, 24\)") as caught:
        iio.read(tmp_path / "a.h5")
    assert "'kspace'" in caught.value.hint
