"""GeoTIFF: what a scene says of itself comes back from the written file, at its own size and at another; nodata stays apart from values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from inverse.errors import InputError, OutputError
from inverse.io import geotiff, windows

rasterio = pytest.importorskip("rasterio")
GENERATOR = np.random.default_rng(0)


def scene(path, *, kind="int16", bands=3, nodata=-9999, size=(40, 64), mask=None, colours=None, **profile):
    """A small scene with everything on it; the pixels and which of them hold a value."""
    array = GENERATOR.integers(1, 200, (bands, *size)).astype(kind)
    valid = np.ones(size, bool)
    valid[:5, :7] = False
    if nodata is not None:
        array[:, ~valid] = nodata
    options = {"tiled": True, "blockxsize": 32, "blockysize": 16, "compress": "lzw", **profile}
    transform = rasterio.Affine(10.0, 0, 500_000, 0, -10.0, 4_000_000)
    with rasterio.open(
        path, "w", driver="GTiff", dtype=kind, count=bands, height=size[0], width=size[1], crs="EPSG:32633",
        transform=transform, nodata=nodata, **options,
    ) as dataset:  # fmt: skip
        dataset.descriptions = [f"B{index}" for index in range(1, bands + 1)]
        dataset.scales, dataset.offsets = [0.0001] * bands, [-0.1] * bands
        dataset.units = ["reflectance"] * bands
        dataset.update_tags(SATELLITE="S2A")
        dataset.update_tags(2 if bands > 1 else 1, WAVELENGTH="560", STATISTICS_MEAN="12")
        if colours:
            dataset.colorinterp = colours
        dataset.write(array)
        if mask:
            with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
                dataset.write_mask(valid)
    return array, valid


def written(path, data):
    path.write_bytes(data)
    return rasterio.open(path)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int16", "uint32", "float32"])
def test_everything_comes_back(tmp_path, kind):
    array, valid = scene(tmp_path / "in.tif", kind=kind, nodata=0 if kind[0] == "u" else -9999)
    picture = geotiff.decode((tmp_path / "in.tif").read_bytes(), source="in.tif")
    assert (picture.format, picture.array.dtype, picture.size) == ("geotiff", np.dtype(kind), (40, 64))
    assert np.array_equal(picture.valid, valid)
    with (
        written(tmp_path / "out.tif", geotiff.encode(picture, {"inverse:run": "recipe 12"})) as out,
        rasterio.open(tmp_path / "in.tif") as given,
    ):
        assert out.profile == given.profile
        assert np.array_equal(out.read(), array)
        for name in ("descriptions", "scales", "offsets", "units", "colorinterp", "bounds", "crs", "nodatavals"):
            assert getattr(out, name) == getattr(given, name), name
        assert out.tags() == {**given.tags(), "INVERSE_RUN": "recipe 12"}
        assert out.tags(2) == {"WAVELENGTH": "560"}


def test_another_size_is_the_same_ground(tmp_path):
    scene(tmp_path / "in.tif")
    picture = geotiff.decode(tmp_path / "in.tif", source="in.tif")
    valid = np.kron(picture.valid, np.ones((3, 2), bool))
    large = replace(picture, array=np.kron(picture.array, np.ones((3, 2, 1), np.int16)), valid=valid)
    with (
        written(tmp_path / "out.tif", geotiff.encode(large, {})) as out,
        rasterio.open(tmp_path / "in.tif") as given,
    ):
        assert (out.shape, out.bounds, out.crs) == ((120, 128), given.bounds, given.crs)
        assert (out.transform.a, out.transform.e) == (5.0, pytest.approx(-10 / 3))
        assert np.array_equal(out.read_masks(1) > 0, valid)


def test_a_value_that_is_the_nodata_value_moves(tmp_path):
    scene(tmp_path / "in.tif", kind="uint16", nodata=0)
    picture = geotiff.decode(tmp_path / "in.tif", source="in.tif")
    dark = replace(picture, array=np.zeros_like(picture.array))
    with written(tmp_path / "out.tif", geotiff.encode(dark, {})) as out:
        assert np.array_equal(out.read_masks(1) > 0, picture.valid)
        assert set(np.unique(out.read())) == {0, 1}


def test_mask_band_alpha_band_and_nan(tmp_path):
    _, valid = scene(tmp_path / "mask.tif", kind="uint8", nodata=None, mask=True)
    picture = geotiff.decode(tmp_path / "mask.tif", source="mask.tif")
    assert np.array_equal(picture.valid, valid)
    with written(tmp_path / "out.tif", geotiff.encode(picture, {})) as out:
        assert np.array_equal(out.dataset_mask() > 0, valid)
        assert out.nodata is None

    names = ("red", "green", "blue", "alpha")
    colours = [rasterio.enums.ColorInterp[name] for name in names]
    array, _ = scene(tmp_path / "alpha.tif", kind="uint8", nodata=None, bands=4, colours=colours)
    picture = geotiff.decode(tmp_path / "alpha.tif", source="alpha.tif")
    assert picture.channels == 3
    assert np.array_equal(picture.alpha, array[3])
    with written(tmp_path / "out2.tif", geotiff.encode(picture, {})) as out:
        assert [interp.name for interp in out.colorinterp] == list(names)
        assert np.array_equal(out.read(), array)

    array, valid = scene(tmp_path / "nan.tif", kind="float32", nodata=float("nan"), bands=1)
    picture = geotiff.decode(tmp_path / "nan.tif", source="nan.tif")
    assert np.array_equal(picture.valid, valid)
    assert np.isfinite(picture.array).all()
    with written(tmp_path / "out3.tif", geotiff.encode(picture, {})) as out:
        assert np.isnan(out.nodata)
        assert np.array_equal(out.read(1), array[0], equal_nan=True)


def test_bands_with_gaps_of_their_own(tmp_path):
    array, _ = scene(tmp_path / "in.tif")
    with rasterio.open(tmp_path / "in.tif", "r+") as dataset:
        array[1, 20, 20] = -9999
        dataset.write(array)
    picture = geotiff.decode(tmp_path / "in.tif", source="in.tif")
    assert picture.valid.shape == (40, 64, 3)
    assert picture.valid[20, 20].tolist() == [True, False, True]
    with written(tmp_path / "out.tif", geotiff.encode(picture, {})) as out:
        assert np.array_equal(out.read(), array)


def test_the_uncertainty_lies_on_the_same_ground(tmp_path):
    _, valid = scene(tmp_path / "in.tif")
    picture = geotiff.decode(tmp_path / "in.tif", source="in.tif")
    for values in (np.full((40, 64, 3), 0.5), np.full((80, 128), 0.5)):
        with written(tmp_path / "std.tif", geotiff.encode(geotiff.float_map(values, picture), {})) as out:
            assert set(out.dtypes) == {"float32"}
            assert np.isnan(out.nodata)
            assert (out.crs.to_epsg(), out.bounds.left, out.bounds.top) == (32633, 500_000, 4_000_000)
            assert out.bounds.right == 500_000 + 640
            assert set(out.scales) == {1.0}
            if values.ndim == 3:
                assert np.array_equal(np.isfinite(out.read(1)), valid)


def test_windows_in_and_out(tmp_path):
    array, _ = scene(tmp_path / "in.tif")
    part = windows.read_window(tmp_path / "in.tif", (16, 8, 10, 20))
    assert np.array_equal(np.moveaxis(part.array, -1, 0), array[:, 16:26, 8:28])
    assert part.extra["geo"].transform.to_gdal()[::3] == (500_080, 3_999_840)
    whole = windows.read_window(tmp_path / "in.tif", (0, 0, 40, 64))
    with windows.open_writer(
        tmp_path / "new" / "out.tif", whole, size=(40, 64), provenance={"inverse:run": "x"}
    ) as put:
        for top in (0, 16, 32):
            height = min(16, 40 - top)
            put(top, 0, windows.read_window(tmp_path / "in.tif", (top, 0, height, 64)))
    with rasterio.open(tmp_path / "new" / "out.tif") as out:
        assert np.array_equal(out.read(), array)
        assert out.tags()["INVERSE_RUN"] == "x"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out.tif"]
    with pytest.raises(OutputError, match="exists"), windows.open_writer(tmp_path / "in.tif", whole, size=(40, 64)):
        pass
    with pytest.raises(InputError, match="window"):
        windows.read_window(tmp_path / "in.tif", (30, 0, 20, 20))


def test_files_that_are_refused(tmp_path):
    scene(tmp_path / "good.tif")
    data = (tmp_path / "good.tif").read_bytes()
    assert geotiff.is_geotiff(data)
    assert not geotiff.is_geotiff(b"II*\x00")
    with pytest.raises(InputError, match="broken GeoTIFF"):
        geotiff.decode(data[: len(data) // 2], source="half.tif")
    array = np.full((1, 8, 8), 7, np.uint8)
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": 8, "width": 8, "crs": "EPSG:32633"}
    profile["transform"] = rasterio.Affine.scale(2)
    with rasterio.open(tmp_path / "empty.tif", "w", **profile, nodata=7) as dataset:
        dataset.write(array)
    with rasterio.open(tmp_path / "classes.tif", "w", **profile) as dataset:
        dataset.write(array)
        dataset.write_colormap(1, {7: (255, 0, 0, 255)})
    with rasterio.open(tmp_path / "complex.tif", "w", **{**profile, "dtype": "complex64"}) as dataset:
        dataset.write(array.astype("complex64"))
    absurd = {**profile, "height": 200_000, "width": 200_000, "tiled": True, "sparse_ok": True}
    rasterio.open(tmp_path / "absurd.tif", "w", **absurd, bigtiff="yes").close()
    for name, words in {"empty": "nodata", "classes": "classes", "complex": "complex", "absurd": "declared"}.items():
        with pytest.raises(InputError, match=words):
            geotiff.decode((tmp_path / f"{name}.tif").read_bytes(), source=f"{name}.tif")


def test_real_scenes(shared, tmp_path):
    for name in ("landsat8_224077_b432.tif", "landsat7_etm_6band.tif"):
        path = shared / "satellite" / name
        picture = geotiff.decode(path, source=name)
        with written(tmp_path / name, geotiff.encode(picture, {})) as out, rasterio.open(path) as given:
            assert out.profile == given.profile
            assert np.array_equal(out.read(), given.read())
