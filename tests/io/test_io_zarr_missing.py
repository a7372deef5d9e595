"""Pixels of Zarr stores that have no value: of stacks, at the ends of a type, as xarray writes them."""

from dataclasses import replace

import numpy as np
import pytest

import inverse.io as iio
from inverse.errors import InputError
from inverse.io.nodata import marked

zarr = pytest.importorskip("zarr")

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("dtype", "top"), [("uint8", 255), ("uint16", 65535), ("int16", 32767)])
def test_a_pixel_that_clips_to_the_largest_nodata_value_stays_valid(dtype, top, tmp_path):
    valid = np.ones((12, 10), bool)
    valid[3:5] = False
    clipped = np.full((12, 10, 1), top, dtype)
    made = marked(clipped, valid, top)
    assert made.dtype == dtype
    np.testing.assert_array_equal(made[..., 0], np.where(valid, top - 1, top))
    values = np.where(valid, 7, top).astype(dtype)
    known = {"attributes": {"_FillValue": top}}
    zarr.create_array(tmp_path / "in.zarr", shape=(12, 10), dtype=dtype, **known)[...] = values
    picture = iio.read(tmp_path / "in.zarr")
    iio.write(tmp_path / "out.zarr", replace(picture, array=clipped[..., 0]))
    back = iio.read(tmp_path / "out.zarr")
    np.testing.assert_array_equal(back.valid, valid)
    assert set(np.unique(back.array[valid])) == {top - 1}


@pytest.mark.parametrize(("dtype", "top"), [("uint8", 255), ("uint16", 65535)])
def test_a_pixel_of_a_geotiff_that_clips_to_nodata_stays_valid(dtype, top, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    valid = np.ones((12, 10), bool)
    valid[3:5] = False
    known = {"count": 1, "nodata": top, "crs": "EPSG:32633", "transform": rasterio.Affine(30, 0, 0, 0, -30, 0)}
    with rasterio.open(tmp_path / "in.tif", "w", driver="GTiff", height=12, width=10, dtype=dtype, **known) as file:
        file.write(np.where(valid, 7, top).astype(dtype), 1)
    picture = iio.read(tmp_path / "in.tif")
    iio.write(tmp_path / "out.tif", replace(picture, array=np.full_like(picture.array, top)))
    back = iio.read(tmp_path / "out.tif")
    np.testing.assert_array_equal(back.valid, valid)
    assert set(np.unique(back.array[valid])) == {top - 1}


@pytest.mark.parametrize(
    ("dtype", "missing", "likely"),
    [("uint8", -1, 255), ("uint16", -9999, 55537), ("int16", 0.5, 0), ("int32", 10**30, 0), ("f4", 1e300, 0)],
)
def test_a_missing_value_that_the_type_does_not_have_is_none(dtype, missing, likely, tmp_path):
    values = np.full((12, 10), 7, dtype)
    values[2, 3] = likely  # what it would wrap to
    known = {"attributes": {"_FillValue": missing}}
    zarr.create_array(tmp_path / "in.zarr", shape=(12, 10), dtype=dtype, **known)[...] = values
    picture = iio.read(tmp_path / "in.zarr")
    assert picture.valid is None
    iio.write(tmp_path / "out.zarr", picture)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "out.zarr", mode="r")[...], values)
    holes = np.ones((12, 10), bool)
    holes[0] = False
    kept = marked(values[..., None], holes, float(missing))
    assert np.isnan(kept[0]).all() if dtype == "f4" else (kept[0] == 7).all()


def test_slices_have_missing_values_of_their_own(tmp_path):
    values = RNG.integers(1, 60000, (3, 12, 10)).astype(np.uint16)
    values[0, 3:5], values[2, 7, 8] = 9, 9
    observed = values != 9
    packed = {"_FillValue": 9, "scale_factor": 0.1, "unit": "m"}
    known = {"attributes": packed, "dimension_names": ("time", "y", "x"), "fill_value": 4}
    zarr.create_array(tmp_path / "in.zarr", shape=values.shape, dtype="uint16", **known)[...] = values
    volume = iio.read(tmp_path / "in.zarr")
    assert volume.slices[1].valid is None
    for index in (0, 2):
        np.testing.assert_array_equal(volume.slices[index].valid, observed[index])
    nine = tuple(replace(one, array=np.full((12, 10), 9, np.uint16)) for one in volume.slices)
    iio.write_volume(tmp_path / "out.zarr", replace(volume, slices=nine))
    np.testing.assert_array_equal(
        zarr.open_array(tmp_path / "out.zarr", mode="r")[...], np.where(observed, 10, 9).astype(np.uint16)
    )
    finer = tuple(replace(one, array=np.full((24, 20), 5, np.uint16)) for one in volume.slices)
    iio.write_volume(tmp_path / "finer.zarr", replace(volume, slices=finer))
    made = zarr.open_array(tmp_path / "finer.zarr", mode="r")[...]
    np.testing.assert_array_equal(made == 9, (~observed).repeat(2, 1).repeat(2, 2))
    iio.save_float(tmp_path / "std.zarr", np.ones((3, 1, 12, 10)), like=volume)
    floats = tuple(replace(one, array=np.ones((12, 10), np.float32)) for one in volume.slices)
    iio.write_volume(tmp_path / "floats.zarr", replace(volume, slices=floats))
    for name in ("std", "floats"):
        std = zarr.open_array(tmp_path / f"{name}.zarr", mode="r")
        assert dict(std.attrs) == {"scale_factor": 0.1, "unit": "m"}
        assert np.isnan(std.fill_value)
        np.testing.assert_array_equal(np.isnan(std[...]), ~observed)
        assert std.metadata.dimension_names == ("time", "y", "x")


def test_slices_that_are_not_finite_are_unobserved(tmp_path):
    values = RNG.random((3, 12, 10), np.float32)
    values[1, 2, 3], values[2] = np.nan, np.inf
    array = zarr.create_array(tmp_path / "in.zarr", shape=values.shape, dtype="f4")
    array[...] = values
    volume = iio.read(tmp_path / "in.zarr")
    assert "121 NaN or infinite values taken as unobserved" in volume.notes
    assert [None if one.valid is None else int(one.valid.sum()) for one in volume.slices] == [None, 119, 0]
    iio.write_volume(tmp_path / "out.zarr", volume)
    back = zarr.open_array(tmp_path / "out.zarr", mode="r")[...]
    np.testing.assert_array_equal(np.isnan(back), ~np.isfinite(values))
    array[...] = np.nan
    with pytest.raises(InputError, match="no pixel has a value"):
        iio.read(tmp_path / "in.zarr")


@pytest.mark.parametrize("version", [2, 3])
def test_xarray_reads_missing_values_it_wrote(version, tmp_path):
    xarray = pytest.importorskip("xarray")
    values = RNG.random((12, 10)).astype(np.float32)
    values[2, 3] = np.nan
    given = xarray.Dataset({"image": (("y", "x"), values)}, coords={"y": np.arange(12.0), "x": np.arange(10.0)})
    encoding = {"image": {"_FillValue": -9999.0}}  # in version 3 the text AAAAAICHw8A=
    given.to_zarr(tmp_path / "in.zarr", zarr_format=version, consolidated=False, encoding=encoding)
    picture = iio.read(tmp_path / "in.zarr")
    np.testing.assert_array_equal(picture.valid, np.isfinite(values))
    iio.write(tmp_path / "out.zarr", picture)
    with xarray.open_zarr(tmp_path / "out.zarr", consolidated=False) as back:
        xarray.testing.assert_identical(back.load(), given)
        assert back["image"].encoding["_FillValue"] == -9999.0


def test_gaps_of_slices_are_filled_and_stay_so(tmp_path):
    zarr = pytest.importorskip("zarr")
    from inverse.runs.run import Options, restore

    rows, columns = np.mgrid[:40, :36]
    values = np.stack([9000 + 100 * one + 3000 * np.sin(rows / 9) * np.cos(columns / 7) for one in range(3)])
    values = values.astype(np.uint16)
    values[:, 10:14, 8:20] = 0
    values[1, 30:33, 8:20] = 0
    array = zarr.create_array(tmp_path / "in.zarr", shape=values.shape, dtype="uint16", chunks=(1, 40, 36))
    array[...] = values
    array.attrs.update({"_FillValue": 0, "scale_factor": 0.1})
    recipe = {
        "operator": {"kind": "gap-mask"}, "noise": {"sigma": 0.02}, "prior": {"name": "gaussian"},
        "method": {"kind": "diffpir", "steps": 2}, "data": {"scale": [0, 20000]}, "run": {"samples": 2}, "metrics": [],
    }  # fmt: skip
    done = restore(recipe, tmp_path / "in.zarr", out=tmp_path / "out", options=Options(progress="off"))
    assert done.exit_code == 0, done.failures
    restored = zarr.open_array(tmp_path / "out/restored/in.zarr", mode="r")
    assert restored.attrs["_FillValue"] == 0
    assert (restored[...] > 0).all()
    std = zarr.open_array(tmp_path / "out/std/in.zarr", mode="r")
    assert "_FillValue" not in std.attrs
    assert std.attrs["scale_factor"] == 0.1
    assert (std[...] > 0).all()
    assert std[1, 30:33, 8:20].mean() > 2 * std[0, 30:33, 8:20].mean()
