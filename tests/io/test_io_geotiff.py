"""GeoTIFF: what a scene says of itself comes back from the written file, at its own size and at another.

Nodata stays apart from values.
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from inverse.errors import InputError, OutputError
from inverse.io import windows
from inverse.io.detect import sniff
from inverse.io.formats import geotiff, geotiff_windows
from inverse.io.windows import open_windows
from inverse.storage.files import disk_is_full

rasterio = pytest.importorskip("rasterio")
GENERATOR = np.random.default_rng(0)


def read_window(path, window):
    """A rectangle of a scene: top row, left column, height, width."""
    with ExitStack() as stack:
        return open_windows(path, Path(path).name, stack).picture(*window)


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
            assert (set(out.scales), set(out.offsets)) == ({0.0001}, {0.0})
            if values.ndim == 3:
                assert np.array_equal(np.isfinite(out.read(1)), valid)


def test_windows_in_and_out(tmp_path):
    array, _ = scene(tmp_path / "in.tif")
    part = read_window(tmp_path / "in.tif", (16, 8, 10, 20))
    assert np.array_equal(np.moveaxis(part.array, -1, 0), array[:, 16:26, 8:28])
    assert part.extra["geo"].transform.to_gdal()[::3] == (500_080, 3_999_840)
    whole = read_window(tmp_path / "in.tif", (0, 0, 40, 64))
    with windows.open_writer(
        tmp_path / "new" / "out.tif", whole, size=(40, 64), provenance={"inverse:run": "x"}
    ) as put:
        for top in (0, 16, 32):
            height = min(16, 40 - top)
            put(top, 0, read_window(tmp_path / "in.tif", (top, 0, height, 64)))
    with rasterio.open(tmp_path / "new" / "out.tif") as out:
        assert np.array_equal(out.read(), array)
        assert out.tags()["INVERSE_RUN"] == "x"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out.tif"]
    with pytest.raises(OutputError, match="exists"), windows.open_writer(tmp_path / "in.tif", whole, size=(40, 64)):
        pass


def test_files_that_are_refused(tmp_path):
    scene(tmp_path / "good.tif")
    data = (tmp_path / "good.tif").read_bytes()
    assert sniff(tmp_path / "good.tif") == "geotiff"
    (tmp_path / "bare.tif").write_bytes(b"II*\x00")
    assert sniff(tmp_path / "bare.tif") == "tiff"
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


def control_points(rows, columns):
    """Along the corners of a scene, not quite square to it."""
    corners = ((0, 0, 10.0, 50.0), (0, columns, 11.0, 50.0), (rows, 0, 10.0, 49.0), (rows, columns, 11.1, 49.0))
    point = rasterio.control.GroundControlPoint
    return [point(row=row, col=col, x=x, y=y, z=float(index)) for index, (row, col, x, y) in enumerate(corners)]


def polynomials():
    terms = [1.0] + 19 * [0.0]
    return rasterio.rpc.RPC(
        height_off=10.0, height_scale=500.0, lat_off=49.5, lat_scale=1.0, long_off=10.5, long_scale=1.0,
        line_off=20.0, line_scale=40.0, samp_off=32.0, samp_scale=64.0,
        line_num_coeff=terms, line_den_coeff=terms, samp_num_coeff=terms, samp_den_coeff=terms,
    )  # fmt: skip


def unplaced(path, *, size=(40, 64), rpcs=None):
    """A scene that only ground control points place."""
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": size[0], "width": size[1]}
    array = GENERATOR.integers(1, 200, (1, *size)).astype("uint8")
    with rasterio.open(path, "w", **profile, gcps=control_points(*size), crs="EPSG:4326") as dataset:
        dataset.write(array)
        if rpcs:
            dataset.rpcs = rpcs
    return array


def places(dataset):
    points, crs = dataset.gcps
    return [(point.row, point.col, point.x, point.y, point.z) for point in points], crs.to_epsg()


def test_ground_control_points_alone_place_a_scene(tmp_path):
    array = unplaced(tmp_path / "in.tif")
    picture = geotiff.decode(tmp_path / "in.tif", source="in.tif")
    large = replace(picture, array=np.kron(picture.array, np.ones((2, 2), np.uint8)))
    with rasterio.open(tmp_path / "in.tif") as given, written(tmp_path / "a.tif", geotiff.encode(picture, {})) as out:
        assert places(out) == places(given)
        assert np.array_equal(out.read(), array)
    with written(tmp_path / "b.tif", geotiff.encode(large, {})) as out:
        assert [place[:2] for place in places(out)[0]] == [(0, 0), (0, 128), (80, 0), (80, 128)]
        assert places(out)[1] == 4326


def test_windows_keep_control_points_and_polynomials(tmp_path):
    unplaced(tmp_path / "in.tif", rpcs=polynomials())
    like = read_window(tmp_path / "in.tif", (0, 0, 16, 16))
    inside = read_window(tmp_path / "in.tif", (8, 0, 16, 16)).extra["geo"]
    assert (inside.gcps, inside.rpcs) == (([], None), None)  # they are of the scene's pixels
    blocks = windows.in_blocks(like, size=(40, 64), side=16)
    for factor in (1, 2):
        path = tmp_path / f"{factor}.tif"
        with windows.open_writer(path, blocks, size=(40 * factor, 64 * factor)) as put:
            put(0, 0, replace(like, array=np.ones((40 * factor, 64 * factor), np.uint8)))
        with rasterio.open(tmp_path / "in.tif") as given, rasterio.open(path) as out:
            points = [(factor * row, factor * col, *rest) for row, col, *rest in places(given)[0]]
            assert places(out) == (points, 4326)
            assert (out.rpcs is None) is (factor == 2)
            assert factor == 2 or out.rpcs.to_dict() == given.rpcs.to_dict()


def test_a_coordinate_system_that_cannot_be_read_is_refused_by_windows_too(tmp_path):
    scene(tmp_path / "in.tif")
    data = bytearray((tmp_path / "in.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "in.tif") as file:
        tag = file.pages.first.tags[34735]
        at = next(index for index in range(4, len(tag.value), 4) if tag.value[index] == 3072)
        place = tag.valueoffset + 2 * (at + 3)
    data[place : place + 2] = (32767).to_bytes(2, "little")
    (tmp_path / "nowhere.tif").write_bytes(data)
    with pytest.raises(InputError, match="coordinate system"):
        geotiff.decode(tmp_path / "nowhere.tif", source="nowhere.tif")
    with pytest.raises(InputError, match="coordinate system"):
        read_window(tmp_path / "nowhere.tif", (0, 0, 8, 8))


@pytest.mark.parametrize(("bands", "count"), [(1, 3), (1, 2), (3, 4), (3, 1)])
def test_another_number_of_bands(bands, count, tmp_path):
    scene(tmp_path / "in.tif", bands=bands)
    picture = geotiff.decode(tmp_path / "in.tif", source="in.tif")
    values = GENERATOR.integers(1, 200, (40, 64, count)).astype(np.int16)
    other = replace(picture, array=values[..., 0] if count == 1 else values)
    (tmp_path / "a.tif").write_bytes(geotiff.encode(other, {}))
    with windows.open_writer(tmp_path / "b.tif", other, size=(40, 64)) as put:
        put(0, 0, other)
    for name in ("a", "b"):
        with rasterio.open(tmp_path / f"{name}.tif") as out:
            assert out.count == count
            seen = np.broadcast_to(picture.valid[..., None], values.shape)
            assert np.array_equal(np.moveaxis(out.read(), 0, -1), np.where(seen, values, -9999))
            kept = bands if bands < count and (bands, count) != (1, 3) else 0
            assert out.descriptions == (*(f"B{index + 1}" for index in range(kept)), *[None] * (count - kept))
            if (bands, count) == (1, 3):
                assert [interp.name for interp in out.colorinterp] == ["red", "green", "blue"]
            assert out.transform == picture.extra["geo"].transform
            # its numbers mean what those of the known bands do
            assert (set(out.scales), set(out.units)) == ({0.0001}, {"reflectance"})


def test_gaps_of_bands_that_are_others_now(tmp_path):
    scene(tmp_path / "in.tif")
    picture = geotiff.decode(tmp_path / "in.tif", source="in.tif")
    valid = np.ones((40, 64, 3), bool)
    valid[:5, :7] = False
    valid[20, 20, 1] = False
    one = replace(picture, array=np.ones((40, 64), np.int16), valid=valid)
    with written(tmp_path / "out.tif", geotiff.encode(one, {})) as out:
        assert np.array_equal(out.read_masks(1) > 0, valid.any(-1))


WRITE = """
import contextlib, os, resource, signal, sys
import rasterio
from inverse.errors import OutputError
from inverse.io import windows

source, target, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
if limit:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def cut(top, height):
    with contextlib.ExitStack() as stack:
        return windows.open_windows(source, source, stack).picture(top, 0, height, 128)


like = cut(0, 128)
try:
    with windows.open_writer(target, like, size=(128, 128)) as put:
        for top in (0, 64):
            put(top, 0, cut(top, 64))
except OutputError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("compress", ["none", "deflate"])
def test_a_file_that_ends_early_is_not_delivered(tmp_path, compress, mask):
    """GDAL writes the last blocks, and the mask, as it closes the file, and says nothing of what does not fit."""
    profile = {"blockxsize": 64, "blockysize": 64, "mask": mask, "nodata": None}
    scene(tmp_path / "in.tif", kind="uint16", size=(128, 128), compress=compress, **profile)
    program = [sys.executable, "-c", WRITE, str(tmp_path / "in.tif")]
    subprocess.run([*program, str(tmp_path / "out" / "whole.tif"), "0"], check=True)
    size = (tmp_path / "out" / "whole.tif").stat().st_size
    for short in (1, 300, size // 3):
        target = str(tmp_path / "out" / "short.tif")
        found = subprocess.run([*program, target, str(size - short)], check=False, capture_output=True, text=True)
        assert found.returncode == 1, short
        assert "short.tif: " in found.stderr
        assert "Traceback" not in found.stderr
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["whole.tif"]


@pytest.mark.parametrize(("free", "full"), [(2**20, True), (2**40, False)])
def test_a_full_disk_is_told_from_other_failures(tmp_path, monkeypatch, free, full):
    scene(tmp_path / "in.tif")
    whole = read_window(tmp_path / "in.tif", (0, 0, 40, 64))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=free))

    def refused(*_):
        raise rasterio.errors.RasterioIOError("Write failed. See previous exception for details.")

    monkeypatch.setattr(geotiff_windows, "put_pixels", refused)
    writer = windows.open_writer(tmp_path / "out.tif", whole, size=(40, 64))
    with pytest.raises(OutputError, match=r"out\.tif: ") as caught, writer as put:
        put(0, 0, whole)
    assert disk_is_full(caught.value) is full
    assert ("free some space" in caught.value.hint) is full
    assert [path.name for path in tmp_path.iterdir()] == ["in.tif"]


@pytest.mark.parametrize("mask", [False, True])
def test_what_is_not_put_is_empty(tmp_path, mask):
    scene(tmp_path / "in.tif", size=(128, 128), kind="uint8", nodata=None if mask else 0, mask=mask)
    part = read_window(tmp_path / "in.tif", (64, 64, 64, 64))
    with windows.open_writer(tmp_path / "out.tif", part, size=(128, 128)) as put:
        put(64, 64, part)
    with rasterio.open(tmp_path / "out.tif") as out:
        assert out.dataset_mask()[64:, 64:].all()
        assert not out.dataset_mask()[:64].any()


def test_errors_of_who_writes_are_their_own(tmp_path):
    scene(tmp_path / "in.tif")
    whole = read_window(tmp_path / "in.tif", (0, 0, 40, 64))
    with pytest.raises(FileNotFoundError), windows.open_writer(tmp_path / "out.tif", whole, size=(40, 64)):
        (tmp_path / "missing").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["in.tif"]


@pytest.mark.parametrize("module", [geotiff, geotiff_windows])
def test_what_other_modules_use_is_public_and_described(module):
    used = set()
    for path in Path(geotiff.__file__).parents[1].rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == module.__name__:
                used |= {alias.name for alias in node.names}
    assert used <= set(module.__all__)
    assert all(getattr(module, name).__doc__ for name in module.__all__ if callable(getattr(module, name)))


def test_real_scenes(shared, tmp_path):
    for name in ("landsat8_224077_b432.tif", "landsat7_etm_6band.tif"):
        path = shared / "satellite" / name
        picture = geotiff.decode(path, source=name)
        with written(tmp_path / name, geotiff.encode(picture, {})) as out, rasterio.open(path) as given:
            assert out.profile == given.profile
            assert np.array_equal(out.read(), given.read())
