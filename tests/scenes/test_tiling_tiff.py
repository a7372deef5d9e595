"""TIFF by windows: as in memory, or refused with the reason.

Also operators that change the number of bands, and truths that are stores.
"""

from __future__ import annotations

import json
from contextlib import contextmanager

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from scene_runs import read_window

from inverse.cli.main import cli
from inverse.errors import InputError
from inverse.io.read_write import read
from inverse.restoration.options import Options
from inverse.restoration.truth import Truths
from inverse.runs.run import restore

rasterio = pytest.importorskip("rasterio")


SIZE = (132, 72)
AREA = {
    "schema": 1,
    "title": "a",
    "operator": {"kind": "downsample", "factor": 2},
    "noise": {"kind": "gaussian", "sigma": 0.05},
    "prior": {"name": "gaussian"},
    "method": {"kind": "diffpir", "steps": 2},
    "data": {"scale": "auto"},
    "run": {"samples": 2, "seed": 0},
}
COLOURS = {**AREA, "operator": {"kind": "colorize"}, "method": {"kind": "ddnm", "steps": 2}}
DENOISE = {**AREA, "operator": {"kind": "denoise"}, "data": {"scale": "type"}}
GREY = np.random.default_rng(0).integers(10, 240, SIZE).astype(np.uint8)


def smooth(bands):
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    rng = np.random.default_rng(1)
    planes = [9000 + 3000 * np.sin(rows / 17 + band) * np.cos(columns / 23) for band in range(bands)]
    return np.rint(np.stack(planes) + 300 * rng.standard_normal((bands, *SIZE))).astype(np.uint16)


def geotiff(path, bands=1, **known):
    path.parent.mkdir(exist_ok=True)
    profile = {"driver": "GTiff", "dtype": "uint16", "count": bands, "height": SIZE[0], "width": SIZE[1]}
    with rasterio.open(path, "w", crs="EPSG:32633", **profile, **known) as file:
        file.write(smooth(bands))
    return path


@contextmanager
def both(tmp_path, folder):
    """The files of the runs a and b."""
    whole, tiled = (tmp_path / out / folder / "scene.tif" for out in "ab")
    with rasterio.open(whole) as one, rasterio.open(tiled) as other:
        yield one, other


def run(recipe, scene, out, **options):
    made = restore(recipe, scene, out=out, options=Options(progress="off", **options))
    assert not made.failures
    return made.rows[0]


@pytest.mark.parametrize("recipe", [AREA, DENOISE], ids=["area", "denoise"])
def test_a_scene_that_control_points_place(recipe, tmp_path):
    point = rasterio.control.GroundControlPoint
    down, across = SIZE
    corners = [(0, 0, 10.0, 50.0), (0, across, 11.0, 50.0), (down, 0, 10.0, 49.0), (down, across, 11.1, 49.0)]
    scene = geotiff(tmp_path / "in" / "scene.tif", gcps=[point(row=r, col=c, x=x, y=y) for r, c, x, y in corners])
    factor = recipe["operator"].get("factor", 1)
    run(recipe, scene, tmp_path / "a")
    assert run(recipe, scene, tmp_path / "b", tile=64)["tiles"] == "coupled, 64"
    for folder in ("restored", "std"):
        with both(tmp_path, folder) as (whole, tiled):
            for points, crs in (whole.gcps, tiled.gcps):
                found = [(point.row, point.col, point.x, point.y) for point in points]
                assert found == [(factor * r, factor * c, x, y) for r, c, x, y in corners]
                assert crs.to_epsg() == 32633
            assert tiled.transform == whole.transform
            assert np.abs(tiled.read().astype(float) - whole.read()).max() <= 1


def sub_byte(path):
    tifffile.imwrite(path, GREY > 100, photometric="minisblack", metadata=None)


def saved(array, **options):
    return lambda path: tifffile.imwrite(path, array, **{"metadata": None, **options})


UNLIKE = {
    "alpha": (saved(np.stack([GREY] * 4, -1), photometric="rgb", extrasamples=["unassalpha"]), "alpha"),
    "premultiplied": (saved(np.stack([GREY] * 2, -1), photometric="minisblack", extrasamples=["assocalpha"]), "alpha"),
    "bits": (sub_byte, "1 bit"),
    "half": (saved(GREY.astype(np.float16)), "float16"),
    "long": (saved(GREY.astype(np.int64)), "int64"),
    "ome": (lambda path: tifffile.imwrite(path, GREY, ome=True), "OME"),
    "imagej": (lambda path: tifffile.imwrite(path, GREY, imagej=True), "ImageJ"),
    "pages": (saved(np.stack([GREY] * 3)[:, None], photometric="minisblack"), "3 pages"),
    "hidden": (
        lambda path: tifffile.imwrite(path, np.stack([GREY] * 3), truncate=True, photometric="minisblack"),
        "several images",
    ),
}


@pytest.mark.parametrize("name", UNLIKE)
def test_plain_tiff_that_gdal_reads_otherwise_is_refused(name, tmp_path):
    make, words = UNLIKE[name]
    make(tmp_path / "a.tif")
    with pytest.raises(InputError, match=words) as caught:
        read_window(tmp_path / "a.tif", (0, 0, 16, 16))
    assert "--tile off" in caught.value.hint


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["uint8", "int16", "uint16", "float32"])
@pytest.mark.parametrize("layout", ["contig", "separate"])
def test_other_plain_tiff_is_the_same_picture(channels, kind, layout, tmp_path):
    colour = channels == 3 or (channels == 4 and layout == "contig")
    array = (GREY[..., None] + np.arange(channels)).astype(kind)
    if channels == 1:
        saved(GREY.astype(kind))(tmp_path / "a.tif")
    else:
        spare = channels - (3 if colour else 1)
        extra = {"extrasamples": ["unspecified"] * spare} if spare else {}
        planes = array if layout == "contig" else np.moveaxis(array, -1, 0)
        photometric = "rgb" if colour else "minisblack"
        saved(planes, photometric=photometric, planarconfig=layout, **extra)(tmp_path / "a.tif")
    whole, window = read(tmp_path / "a.tif"), read_window(tmp_path / "a.tif", (0, 0, *SIZE))
    assert whole.format == "tiff"
    assert window.array.dtype == whole.array.dtype
    assert np.array_equal(window.array, whole.array)
    assert window.alpha is whole.alpha is None
    assert window.valid is whole.valid is None


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers(value, tmp_path):
    array = GREY.astype(np.float32)
    array[40, 50] = value
    saved(array)(tmp_path / "a.tif")
    for picture in (read(tmp_path / "a.tif"), read_window(tmp_path / "a.tif", (0, 0, *SIZE))):
        assert np.argwhere(~picture.valid).tolist() == [[40, 50]]
    assert read_window(tmp_path / "a.tif", (0, 0, 40, 40)).valid is None
    array[:] = value
    saved(array)(tmp_path / "all.tif")
    with pytest.raises(InputError, match="no pixel has a value"):
        read_window(tmp_path / "all.tif", (0, 0, 8, 8))
    made = restore(DENOISE, tmp_path / "all.tif", out=tmp_path / "out", options=Options(progress="off", tile=64))
    assert made.exit_code == 4
    assert "no pixel has a value" in made.failures[0].reason
    profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "height": SIZE[0], "width": SIZE[1]}
    place = rasterio.Affine(30, 0, 5e5, 0, -30, 4e6)
    with rasterio.open(tmp_path / "geo.tif", "w", crs="EPSG:32633", transform=place, nodata=-1, **profile) as file:
        array[1:] = GREY[1:]
        file.write(array, 1)
    assert not read_window(tmp_path / "geo.tif", (0, 0, 8, 8)).valid[0].any()  # of a GeoTIFF: unobserved


def test_colours_of_a_grey_scene(tmp_path, monkeypatch):
    monkeypatch.setattr("inverse.scenes.tile_size.CAP", 64)
    scene = geotiff(tmp_path / "in" / "scene.tif", nodata=0, transform=rasterio.Affine(30, 0, 5e5, 0, -30, 4e6))
    run(COLOURS, scene, tmp_path / "a")
    assert "approximate" in run(COLOURS, scene, tmp_path / "b", tile="independent")["note"]
    for folder in ("restored", "std"):
        with both(tmp_path, folder) as (whole, tiled):
            assert whole.count == tiled.count == 3
            assert whole.colorinterp == tiled.colorinterp
            assert (whole.transform, whole.crs, whole.dtypes) == (tiled.transform, tiled.crs, tiled.dtypes)
            if folder == "restored":
                assert [interp.name for interp in tiled.colorinterp] == ["red", "green", "blue"]
                assert whole.read().min() > 0


@pytest.fixture
def stores(tmp_path):
    """A run of a scene in a store, and its truth."""
    zarr = pytest.importorskip("zarr")
    scene, truth = tmp_path / "in" / "scene.zarr", tmp_path / "truth" / "scene.zarr"
    scene.parent.mkdir()
    truth.parent.mkdir()
    for path, values in ((scene, smooth(1)[0]), (truth, np.kron(smooth(1)[0], np.ones((2, 2), np.uint16)))):
        zarr.create_array(path, shape=values.shape, dtype="uint16", chunks=(32, 32))[...] = values
    return scene, truth


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "folder"])
def test_a_store_is_a_truth(inside, stores, tmp_path):
    scene, truth = stores
    given = truth.parent if inside else truth
    made = restore(AREA, scene, out=tmp_path / "a", truth=given, options=Options(progress="off"))
    assert made.exit_code == 0, made.failures
    assert made.rows[0]["psnr"] > 0
    found = CliRunner().invoke(cli, ["evaluate", str(tmp_path / "a"), str(given), "--json"])
    assert found.exit_code == 0, found.output
    (row,) = json.loads(found.output)["rows"]
    assert row["psnr"] == pytest.approx(made.rows[0]["psnr"], rel=1e-3)
    masked = [*("evaluate", str(tmp_path / "a"), str(given)), "--mask", str(truth)]
    assert CliRunner().invoke(cli, masked).exit_code == 0


def test_a_store_of_another_name_is_the_truth_of_the_only_item(stores, tmp_path):
    scene, truth = stores
    other = truth.rename(tmp_path / "other.zarr")
    assert Truths.find(other, ["scene.zarr"]).paths == {"scene.zarr": other}
    found = CliRunner().invoke(cli, ["evaluate", str(scene), str(other)])
    assert "sizes differ" in found.output  # they are paired, as two files are
    assert found.exit_code == 4
    found = CliRunner().invoke(cli, ["evaluate", str(other), str(other)])
    assert found.exit_code == 0, found.output
    with pytest.raises(InputError, match="no truth at"):
        Truths.find(tmp_path / "missing.zarr", ["scene.zarr"])
