"""Sentinel-2 and Landsat products by their folder: bands of one grid, their scale, offset, fill and place."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest

import inverse.io as iio
from inverse.errors import InputError
from inverse.io.sources import find
from inverse.storage.paths import is_store

rasterio = pytest.importorskip("rasterio")

RNG = np.random.default_rng(0)
S2 = """<n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-2A.xsd">
<General_Info><Product_Info><PRODUCT_URI>S2A_X.SAFE</PRODUCT_URI><Granule>{files}</Granule></Product_Info>
<BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE>
<BOA_ADD_OFFSET band_id="3">-1000</BOA_ADD_OFFSET><BOA_ADD_OFFSET band_id="8">-900</BOA_ADD_OFFSET></General_Info>
</n1:Level-2A_User_Product>"""
MTL = """GROUP = LANDSAT_METADATA_FILE
  GROUP = PRODUCT_CONTENTS
    LANDSAT_PRODUCT_ID = "LC08_L2SP_X"
    PROCESSING_LEVEL = "L2SP"
{files}
    FILE_NAME_BAND_ST_B10 = "LC08_ST_B10.TIF"
  END_GROUP = PRODUCT_CONTENTS
  GROUP = IMAGE_ATTRIBUTES
    SPACECRAFT_ID = "LANDSAT_8"
  END_GROUP = IMAGE_ATTRIBUTES
  GROUP = LEVEL2_SURFACE_REFLECTANCE_PARAMETERS
    REFLECTANCE_MULT_BAND_4 = 2.75e-05
    REFLECTANCE_ADD_BAND_4 = -0.2
  END_GROUP = LEVEL2_SURFACE_REFLECTANCE_PARAMETERS
  GROUP = LEVEL2_SURFACE_TEMPERATURE_PARAMETERS
    TEMPERATURE_MULT_BAND_ST_B10 = 0.00341802
    TEMPERATURE_ADD_BAND_ST_B10 = 149.0
  END_GROUP = LEVEL2_SURFACE_TEMPERATURE_PARAMETERS
  GROUP = LEVEL1_RADIOMETRIC_RESCALING
    REFLECTANCE_MULT_BAND_4 = 2.0E-05
    REFLECTANCE_ADD_BAND_4 = -0.1
  END_GROUP = LEVEL1_RADIOMETRIC_RESCALING
END_GROUP = LANDSAT_METADATA_FILE
END
"""


def band(path, side, pixel, driver):
    """A band's file; the numbers in it, 0 in the first row."""
    values = RNG.integers(1, 6000, (side, side)).astype(np.uint16)
    values[0] = 0
    place = rasterio.Affine(pixel, 0, 5e5, 0, -pixel, 4.6e6)
    more = {"QUALITY": "100", "REVERSIBLE": "YES"} if driver == "JP2OpenJPEG" else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"driver": driver, "height": side, "width": side, "count": 1, "dtype": "uint16", **more}
    with rasterio.open(path, "w", crs="EPSG:32633", transform=place, **profile) as file:
        file.write(values, 1)
    return values


def safe(folder):
    """A product, and the numbers of its bands."""
    bands, files = {}, []
    grids = ((10, 48, ("B02", "B03", "B04", "B08")), (20, 24, ("B03", "B05", "B11", "B8A")), (60, 8, ("B01",)))
    for pixel, side, names in grids:
        for name in names:
            inside = f"GRANULE/L2A_X/IMG_DATA/R{pixel}m/T33_X_{name}_{pixel}m"
            values = band(folder / f"{inside}.jp2", side, pixel, "JP2OpenJPEG")
            bands.setdefault(name, values)
            files.append(f"<IMAGE_FILE>{inside}</IMAGE_FILE>")
    files.append("<IMAGE_FILE>GRANULE/L2A_X/IMG_DATA/R10m/T33_X_TCI_10m</IMAGE_FILE>")
    (folder / "MTD_MSIL2A.xml").write_text(S2.format(files="".join(files)))
    return bands


def landsat(folder):
    bands = {name: band(folder / f"LC08_SR_B{name}.TIF", 32, 30, "GTiff") for name in "12345"}
    bands["ST"] = band(folder / "LC08_ST_B10.TIF", 32, 30, "GTiff")
    files = "\n".join(f'    FILE_NAME_BAND_{name} = "LC08_SR_B{name}.TIF"' for name in "12345")
    (folder / "LC08_MTL.txt").write_text(MTL.format(files=files))
    return bands


def names_of(picture):
    return [one["description"] for one in picture.extra["geo"].bands]


def test_a_safe_is_its_ten_metre_bands_and_the_others_by_name(tmp_path):
    bands = safe(tmp_path / "S2A_X.SAFE")
    picture = iio.read(tmp_path / "S2A_X.SAFE")
    assert (picture.format, names_of(picture)) == ("sentinel2", ["B4", "B3", "B2", "B8"])
    np.testing.assert_array_equal(picture.array, np.stack([bands[name] for name in ("B04", "B03", "B02", "B08")], -1))
    assert not picture.valid[0].any()
    assert picture.valid[1:].all()
    geo = picture.extra["geo"]
    assert [(one["scale"], one["offset"]) for one in geo.bands[:2]] == [(1e-4, -0.1), (1e-4, 0.0)]
    assert (geo.nodata, geo.transform.a, geo.crs.to_epsg(), geo.tags) == (0, 10, 32633, {"PRODUCT_URI": "S2A_X.SAFE"})
    assert any("::20m (B5, B8A, B11)" in said and "::60m (B1)" in said for said in picture.lost)
    coarse = iio.read(f"{tmp_path / 'S2A_X.SAFE'}::20m")
    assert (names_of(coarse), coarse.size) == (["B5", "B8A", "B11"], (24, 24))
    assert coarse.extra["geo"].bands[1]["offset"] == -0.09
    chosen = iio.read(f"{tmp_path / 'S2A_X.SAFE'}::B11,B5")
    np.testing.assert_array_equal(chosen.array[..., 0], bands["B11"])
    with pytest.raises(InputError, match="B4 and B5 are not on one grid") as caught:
        iio.read(f"{tmp_path / 'S2A_X.SAFE'}::B4,B5")
    assert "::10m (B4, B3, B2, B8)" in caught.value.hint
    with pytest.raises(InputError, match="no band or grid 'B12'"):
        iio.read(f"{tmp_path / 'S2A_X.SAFE'}::B12")


def test_the_result_is_a_geotiff_on_the_same_ground(tmp_path):
    safe(tmp_path / "in" / "S2A_X.SAFE")
    assert [source.item for source in find([tmp_path / "in"])] == ["S2A_X.SAFE"]
    picture = iio.read(f"{tmp_path / 'in' / 'S2A_X.SAFE'}::20m")
    made, _ = iio.from_unit(np.full((3, 48, 48), 0.5, np.float32), like=picture)
    path = iio.write(tmp_path / "o" / "S2A_X.SAFE", replace(made, valid=None))
    assert path.name == "S2A_X.SAFE.tif"
    with rasterio.open(path) as file:
        assert (file.shape, file.res, file.nodata) == ((48, 48), (10, 10), 0)
        assert (file.descriptions, file.scales[0]) == (("B5", "B8A", "B11"), 1e-4)
    std = iio.save_float(tmp_path / "s" / "S2A_X.SAFE", np.ones((3, 24, 24)), like=picture)
    with rasterio.open(std) as file:
        assert (file.dtypes[0], file.offsets, np.isnan(file.read(1)[0]).all()) == ("float32", (0, 0, 0), True)


def test_a_landsat_folder_is_its_thirty_metre_bands(tmp_path):
    bands = landsat(tmp_path / "LC08")
    assert is_store(tmp_path / "LC08")
    picture = iio.read(tmp_path / "LC08")
    assert (picture.format, names_of(picture)) == ("landsat", ["B4", "B3", "B2", "B1", "B5"])
    np.testing.assert_array_equal(picture.array[..., 0], bands["4"])
    first, second = picture.extra["geo"].bands[:2]
    assert (first["scale"], first["offset"], first["unit"]) == (2.75e-05, -0.2, "reflectance")
    assert (second["scale"], second["unit"]) == (1.0, "number")  # the MTL says nothing of it
    hot = iio.read(f"{tmp_path / 'LC08'}::thermal").extra["geo"].bands
    assert [(one["description"], one["offset"], one["unit"]) for one in hot] == [("B10", 149.0, "K")]
    assert [source.item for source in find([tmp_path])] == ["LC08"]
    (tmp_path / "LC08" / "LC08_SR_B3.TIF").unlink()
    with pytest.raises(InputError, match=r"LC08_SR_B3\.TIF, B3, is missing"):
        iio.read(tmp_path / "LC08")


def test_bands_are_windows_of_the_scene(tmp_path):

    bands = safe(tmp_path / "S2A_X.SAFE")
    with ExitStack() as stack:
        scene = iio.open_windows(tmp_path / "S2A_X.SAFE", "x", stack)
        assert (scene.size, scene.channels) == ((48, 48), 4)
        part = scene.picture(16, 32, 16, 16)
    np.testing.assert_array_equal(part.array[..., 2], bands["B02"][16:32, 32:])
    assert part.extra["geo"].transform[2] == 5e5 + 320


@pytest.mark.parametrize("harm", ["xml", "entity", "outside", "band", "link"])
def test_broken_products_end_in_a_sentence(tmp_path, harm):
    folder = tmp_path / "S2A_X.SAFE"
    safe(folder)
    metadata = folder / "MTD_MSIL2A.xml"
    text = metadata.read_text()
    one = folder / "GRANULE/L2A_X/IMG_DATA/R10m/T33_X_B04_10m.jp2"
    if harm == "xml":
        metadata.write_text(text[:300])
    elif harm == "entity":
        metadata.write_text('<!DOCTYPE a [<!ENTITY b "c">]>' + text)
    elif harm == "outside":
        metadata.write_text(text.replace("GRANULE/L2A_X/IMG_DATA/R10m/T33_X_B04", "../T33_X_B04"))
        band(tmp_path / "T33_X_B04_10m.jp2", 48, 10, "JP2OpenJPEG")
    elif harm == "band":
        one.write_bytes(one.read_bytes()[:200])
    else:
        os.replace(one, tmp_path / "secret.jp2")
        one.symlink_to(tmp_path / "secret.jp2")
    with pytest.raises(InputError):
        iio.read(folder)
