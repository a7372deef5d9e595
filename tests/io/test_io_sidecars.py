"""Files beside a raster: masks, nodata, names of bands and places that are not in the file itself."""

from __future__ import annotations

import contextlib
from contextlib import ExitStack

import numpy as np
import pytest
import tifffile
from PIL import Image

from inverse import io as iio
from inverse.errors import InputError
from inverse.io.sidecars import input_hash, sidecars
from inverse.io.windows import open_windows
from inverse.recipes.sections import Data
from inverse.restoration.frame import frame

rasterio = pytest.importorskip("rasterio")
GRID = {"driver": "GTiff", "height": 24, "width": 20, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
PLACE = rasterio.Affine(10, 0, 5e5, 0, -10, 4.6e6)


def scene(seed=0):
    values = np.random.default_rng(seed).integers(1, 255, (3, 24, 20)).astype("u1")
    values[:, :6, :5] = 0
    return values


def written(path, values, **more):
    with rasterio.open(path, "w", **GRID, transform=PLACE, **more) as data:
        data.write(values)


def test_a_mask_beside_the_file(tmp_path):
    mask = np.full((24, 20), 255, "u1")
    mask[:6, :5] = 0
    path = tmp_path / "a.tif"
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "w", **GRID, transform=PLACE) as data:
        data.write(scene())
        data.write_mask(mask)
    assert sidecars(path) == (tmp_path / "a.tif.msk",)
    picture = iio.read_picture(path)
    assert (picture.valid == (mask > 0)).all()
    out = iio.write(tmp_path / "out" / "a.tif", picture)
    with rasterio.open(out) as data:
        assert ((data.dataset_mask() > 0) == (mask > 0)).all()
    with rasterio.open(iio.save_float(tmp_path / "std.tif", np.ones((3, 24, 20)), like=picture)) as data:
        assert ((data.dataset_mask() > 0) == (mask > 0)).all()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("placed", [True, False])
def test_nodata_and_names_in_an_aux_xml(tmp_path, placed):
    path = tmp_path / "a.tif"
    if placed:
        written(path, scene())
    else:
        tifffile.imwrite(path, scene().transpose(1, 2, 0), photometric="rgb", metadata=None)
    bands = "".join(
        f'<PAMRasterBand band="{b}"><NoDataValue>0</NoDataValue><Description>B{b}</Description></PAMRasterBand>'
        for b in (1, 2, 3)
    )
    (tmp_path / "a.tif.aux.xml").write_text(f"<PAMDataset>{bands}</PAMDataset>")
    picture = iio.read_picture(path)
    assert picture.format == "geotiff"
    assert (picture.valid == (scene() > 0).all(0)).all()
    with rasterio.open(iio.write(tmp_path / "out.tif", picture)) as data:
        assert data.descriptions == ("B1", "B2", "B3")
        assert data.nodata == 0


@pytest.mark.parametrize("name", ["a.tfw", "a.TFW", "a.tifw", "a.wld"])
def test_a_world_file_places_a_plain_tiff(tmp_path, name):
    tifffile.imwrite(tmp_path / "a.tif", scene().transpose(1, 2, 0), photometric="rgb", metadata=None)
    (tmp_path / name).write_text("10.0\n0.0\n0.0\n-10.0\n500005.0\n4599995.0\n")
    picture = iio.read_picture(tmp_path / "a.tif")
    finer, _ = iio.from_unit(np.zeros((3, 48, 40), np.float32), like=picture)
    with rasterio.open(iio.write(tmp_path / "out" / "a.tif", finer)) as data:
        assert data.transform == rasterio.Affine(5, 0, 5e5, 0, -5, 4.6e6)


def test_an_aux_xml_of_statistics_alone_changes_nothing(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", scene().transpose(1, 2, 0), photometric="rgb", metadata=None)
    (tmp_path / "a.tif.aux.xml").write_text(
        '<PAMDataset><PAMRasterBand band="1"><Metadata><MDI key="STATISTICS_MEAN">3</MDI></Metadata></PAMRasterBand>'
        "</PAMDataset>"
    )
    assert sidecars(tmp_path / "a.tif") == ()
    assert iio.read_picture(tmp_path / "a.tif").format == "tiff"


@pytest.mark.parametrize("broken", ["<PAMDataset><NoDataValue>", "<NoDataValue>\0\0", "<PAMDataset>" * 3000 + "<SRS>"])
def test_a_broken_aux_xml_never_ends_in_a_traceback(tmp_path, broken):
    written(tmp_path / "a.tif", scene())
    (tmp_path / "a.tif.aux.xml").write_text(broken)
    with contextlib.suppress(InputError):
        assert iio.read_picture(tmp_path / "a.tif").size == (24, 20)


def test_what_is_not_read_beside_a_file_is_said(tmp_path):
    """A stack of pages has no one place, and Netpbm is not read by GDAL here."""
    tifffile.imwrite(tmp_path / "a.tif", scene(), photometric="minisblack")
    (tmp_path / "a.tfw").write_text("10.0\n0.0\n0.0\n-10.0\n500005.0\n4599995.0\n")
    content = iio.read(tmp_path / "a.tif")
    assert "a.tfw" in " ".join(content.lost)
    assert [frame(content, index, Data()).lost != () for index in range(3)] == [True, False, False]
    picture = iio.Picture(array=np.ascontiguousarray(scene().transpose(1, 2, 0)), format="pnm")
    path = iio.write(tmp_path / "b.ppm", picture)
    (tmp_path / "b.wld").write_text("1\n0\n0\n-1\n0\n0\n")
    assert "b.wld" in " ".join(iio.read_picture(path).lost)


WORLD = "10.0\n0.0\n0.0\n-10.0\n500005.0\n4599995.0\n"


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(("name", "world"), [("a.png", "pgw"), ("a.bmp", "wld"), ("a.webp", "wpw"), ("p.gif", "gfw")])
def test_a_photograph_with_a_place_beside_it_becomes_a_geotiff(tmp_path, name, world):
    """Pixels as its own reader has them (colours of a palette), the rest from what lies beside it."""
    values = scene().transpose(1, 2, 0)
    image = Image.fromarray(values).quantize(16) if name == "p.gif" else Image.fromarray(values)
    image.save(tmp_path / name, **({"lossless": True} if name == "a.webp" else {}))
    with Image.open(tmp_path / name) as opened:
        expected = np.array(opened.convert("RGB"))
    (tmp_path / name).with_suffix(f".{world}").write_text(WORLD)
    assert iio.read_picture(tmp_path / name).valid is None
    bands = "".join(f'<PAMRasterBand band="{b}"><NoDataValue>0</NoDataValue></PAMRasterBand>' for b in (1, 2, 3))
    if name == "a.png":
        (tmp_path / "a.png.aux.xml").write_text(f"<PAMDataset><SRS>EPSG:32633</SRS>{bands}</PAMDataset>")
    picture = iio.read_picture(tmp_path / name)
    assert (picture.array == expected).all()
    with rasterio.open(iio.write(tmp_path / "out" / name, picture)) as data:
        assert (data.driver, data.name.endswith(f"{name}.tif"), data.transform) == ("GTiff", True, PLACE)
        if name == "a.png":
            assert (data.crs.to_epsg(), data.nodata, int((data.dataset_mask() == 0).sum())) == (32633, 0, 30)
    with rasterio.open(iio.save_float(tmp_path / "std" / name, np.ones((3, 24, 20)), like=picture)) as data:
        assert data.transform == PLACE


def test_a_jpeg_with_a_place_keeps_its_tables_and_one_with_holes_does_not(tmp_path):
    image = Image.fromarray(scene().transpose(1, 2, 0))
    image.save(tmp_path / "a.jpg", quality=90)
    (tmp_path / "a.jgw").write_text(WORLD)
    assert "quantisation" in iio.read_picture(tmp_path / "a.jpg").extra
    (tmp_path / "a.jpg.aux.xml").write_text(
        '<PAMDataset><PAMRasterBand band="1"><NoDataValue>200</NoDataValue></PAMRasterBand></PAMDataset>'
    )
    holed = iio.read_picture(tmp_path / "a.jpg")
    assert holed.valid is not None
    assert "quantisation" not in holed.extra
    image.save(tmp_path / "a.jpg", quality=90, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0")
    turned = iio.read_picture(tmp_path / "a.jpg")
    assert (turned.format, turned.size) == ("jpeg", (20, 24))
    assert any("before its turn" in said for said in turned.lost)


@pytest.mark.parametrize("driver", ["ENVI", "HFA"])
def test_envi_and_erdas_become_geotiff(tmp_path, driver):
    values = scene().astype("i2") - 300
    with rasterio.open(
        tmp_path / "a.img", "w", **{**GRID, "driver": driver, "dtype": "int16"}, transform=PLACE, nodata=-300
    ) as data:
        data.write(values)
    picture = iio.read_picture(tmp_path / "a.img")
    assert (picture.format, int((~picture.valid).sum())) == ("envi", 30)
    with rasterio.open(iio.write(tmp_path / "out.img", picture)) as data:
        assert (data.driver, data.crs.to_epsg(), data.transform, data.nodata) == ("GTiff", 32633, PLACE, -300)
        assert (data.read() == values).all()
    with ExitStack() as stack:
        part = open_windows(tmp_path / "a.img", "a.img", stack).picture(2, 3, 9, 8)
    assert (part.array[part.valid] == values[:, 2:11, 3:11].transpose(1, 2, 0)[part.valid]).all()
    before = input_hash(tmp_path / "a.img")
    if driver == "ENVI":
        with (tmp_path / "a.hdr").open("a") as file:
            file.write("description = {x}\n")
        assert input_hash(tmp_path / "a.img") != before


def test_a_file_beside_it_is_part_of_the_input(tmp_path):
    written(tmp_path / "a.tif", scene())
    before = input_hash(tmp_path / "a.tif")
    (tmp_path / "a.tfw").write_text("1\n0\n0\n-1\n0\n0\n")
    between = input_hash(tmp_path / "a.tif")
    (tmp_path / "a.tfw").write_text("2\n0\n0\n-2\n0\n0\n")
    assert len({before, between, input_hash(tmp_path / "a.tif")}) == 3
