"""ImageJ: the calibration and the labels of an image survive, whatever becomes of its values and its size."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from inverse import io as iio
from inverse.recipes.sections import Data
from inverse.restoration.frame import frame

PIXEL = 0.13
STACK = np.random.default_rng(0).integers(0, 60000, (2, 24, 20)).astype("u2")


def fiji(path, values=STACK, unit="um", **more):
    labels = [f"slice {index}" for index in range(len(values))] if values.ndim == 3 else ["one"]
    metadata = {"unit": unit, "Labels": labels, "min": 3.0, "max": 50000.0, "Ranges": (3.0, 50000.0), **more}
    if values.ndim == 3:
        metadata |= {"axes": "ZYX", "spacing": 0.5}
    tifffile.imwrite(path, values, imagej=True, resolution=(1 / PIXEL, 1 / (2 * PIXEL)), metadata=metadata)


def stated(path):
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        return [page.tags[code].value for code in (282, 283, 296)], file.imagej_metadata


@pytest.mark.parametrize("values", [STACK, STACK[0]])
def test_the_calibration_is_written_back(tmp_path, values):
    fiji(tmp_path / "a.tif", values)
    before, told = stated(tmp_path / "a.tif")
    content = iio.read(tmp_path / "a.tif")
    write = iio.write if isinstance(content, iio.Picture) else iio.write_volume
    after, kept = stated(write(tmp_path / "out.tif", content))
    assert after == before
    assert kept == told
    slices = 1 if values.ndim == 2 else len(values)
    maps = np.ones((slices, 1, 24, 20) if values.ndim == 3 else (1, 24, 20))
    after, kept = stated(iio.save_float(tmp_path / "std.tif", maps, like=content))
    assert after == before
    assert kept["unit"] == "um"
    assert kept["Labels"] == told["Labels"]
    assert "max" not in kept
    assert "Ranges" not in kept


def test_a_finer_grid_has_smaller_pixels(tmp_path):
    fiji(tmp_path / "a.tif", STACK[0])
    picture = iio.read_picture(tmp_path / "a.tif")
    finer, _ = iio.from_unit(np.zeros((1, 48, 60), np.float32), like=picture)
    (across, down, unit), kept = stated(iio.write(tmp_path / "out.tif", finer))
    assert across[0] / across[1] == pytest.approx(3 / PIXEL)
    assert down[0] / down[1] == pytest.approx(1 / PIXEL)
    assert unit == 1
    assert kept["unit"] == "um"


@pytest.mark.parametrize(
    ("unit", "nanometre"), [("um", 1e3), ("micron", 1e3), ("\\u00B5m", 1e3), ("nm", 1), ("mm", 1e6)]
)
def test_it_is_a_fact_of_the_measurement(tmp_path, unit, nanometre):
    fiji(tmp_path / "a.tif", unit=unit)
    content = iio.read(tmp_path / "a.tif")
    facts = frame(content, 1, Data()).measurement("srgb").facts
    assert facts["optics"]["pixel"] == pytest.approx((2 * PIXEL * nanometre, PIXEL * nanometre))


@pytest.mark.parametrize("unit", ["pixel", "inch", ""])
def test_a_unit_that_is_no_length_says_nothing(tmp_path, unit):
    fiji(tmp_path / "a.tif", unit=unit)
    assert "optics" not in iio.read(tmp_path / "a.tif").slices[0].extra


def test_a_plain_tiff_without_a_unit_keeps_its_resolution_too(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK[0], resolution=(3, 4), resolutionunit=1, metadata=None)
    out = iio.write(tmp_path / "out.tif", iio.read_picture(tmp_path / "a.tif"))
    with tifffile.TiffFile(out) as file:
        assert [file.pages.first.tags[code].value for code in (282, 283, 296)] == [(3, 1), (4, 1), 1]


def test_pixels_as_other_writers_state_them(tmp_path):
    """Resolution in inches or centimetres where it is a microscope's, Micro-Manager's tag, a slide scanner's words."""
    small, manager = 0.13 / 25400, json.dumps({"PixelSizeUm": 0.13, "Width": 20})
    kinds = {
        "inch": {"resolution": (1 / small, 1 / small), "resolutionunit": "INCH"},
        "cm": {"resolution": (1e4 / 0.13, 1e4 / 0.13), "resolutionunit": "CENTIMETER"},
        "imagej": {"imagej": True, "resolution": (1 / small, 1 / small), "metadata": {"unit": "inch"}},
        "manager": {"extratags": [(51123, "s", 0, manager, True)]},
        "slide": {"description": "Aperio Image Library\n20x24 |AppMag = 20|MPP = 0.13"},
        "photograph": {"resolution": (300, 300), "resolutionunit": "INCH"},
    }
    for kind, options in kinds.items():
        tifffile.imwrite(tmp_path / "a.tif", STACK[0], **{"metadata": None, **options})
        picture = iio.read_picture(tmp_path / "a.tif")
        told = picture.extra.get("optics", {}).get("pixel")
        assert told == (None if kind == "photograph" else pytest.approx((130, 130), rel=1e-4)), kind
    tifffile.imwrite(tmp_path / "a.tif", STACK[0], metadata=None, **kinds["manager"])
    with tifffile.TiffFile(iio.write(tmp_path / "out.tif", iio.read_picture(tmp_path / "a.tif"))) as file:
        assert file.pages.first.tags[51123].value["PixelSizeUm"] == 0.13


def test_colours_with_a_fourth_band_stay_colours(tmp_path):
    values = np.random.default_rng(0).integers(0, 255, (24, 20, 4)).astype("u1")
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extrasamples=["unspecified"], metadata=None)
    with tifffile.TiffFile(iio.write(tmp_path / "out.tif", iio.read_picture(tmp_path / "a.tif"))) as file:
        assert (int(file.pages.first.photometric), file.pages.first.extrasamples) == (2, (0,))
        assert (file.asarray() == values).all()
