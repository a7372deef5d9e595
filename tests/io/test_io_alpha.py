"""Colour that alpha hides is no measurement: of no format, and in no recipe."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from inverse import io as iio
from inverse.errors import InputError
from inverse.recipes.sections import Data
from inverse.restoration.frame import frame

ALPHA = np.full((20, 24), 255, "u1")
ALPHA[:, :6], ALPHA[:, 6:8] = 0, 128
COLOURS = np.where(ALPHA[..., None] > 0, np.random.default_rng(0).integers(40, 200, (20, 24, 3)), 0).astype("u1")


def sprite(path):
    Image.fromarray(np.dstack([COLOURS, ALPHA])).save(path)


def grey(path):
    Image.fromarray(np.dstack([COLOURS[..., 0], ALPHA]), "LA").save(path)


def tiff(path):
    tifffile.imwrite(path, np.dstack([COLOURS, ALPHA]), photometric="rgb", extrasamples=["unassalpha"])


@pytest.mark.filterwarnings("ignore:.*mode.*:DeprecationWarning")
@pytest.mark.parametrize(("name", "make"), [("a.png", sprite), ("g.png", grey), ("a.tif", tiff)])
def test_what_alpha_hides_has_no_value(tmp_path, name, make):
    make(tmp_path / name)
    picture = iio.read_picture(tmp_path / name)
    assert (picture.valid == (ALPHA > 0)).all()
    measured = frame(picture, 0, Data()).measurement("srgb")
    assert (measured.valid[0, 0].numpy() == (ALPHA > 0)).all()
    assert "25 %, taken as unobserved" in picture.notes[-1]


def test_an_opaque_picture_is_as_it_was(tmp_path):
    Image.fromarray(np.dstack([COLOURS, np.full_like(ALPHA, 7)])).save(tmp_path / "a.png")
    picture = iio.read_picture(tmp_path / "a.png")
    assert picture.valid is None
    assert picture.notes == ()


def test_nothing_to_see_is_refused(tmp_path):
    Image.fromarray(np.dstack([COLOURS, np.zeros_like(ALPHA)])).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="all of it is transparent") as caught:
        iio.read_picture(tmp_path / "a.png")
    assert caught.value.hint == "remove its alpha channel"


def test_colours_that_were_stored_times_their_alpha_stay_so(tmp_path):
    stored = np.rint(COLOURS * (ALPHA[..., None] / 255)).astype("u1")
    pixels = np.dstack([stored, ALPHA])
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=["assocalpha"])
    picture = iio.read_picture(tmp_path / "a.tif")
    assert np.abs(picture.array[:, 6:].astype(int) - COLOURS[:, 6:]).max() <= 1
    out = iio.write(tmp_path / "out.tif", picture)
    assert (tifffile.imread(out) == pixels).all()


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_white_that_is_zero_stays_so(tmp_path, dtype):
    values = (COLOURS[..., 0] / (255 if dtype == "f4" else 1)).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite")
    picture = iio.read_picture(tmp_path / "a.tif")
    with tifffile.TiffFile(iio.write(tmp_path / "out.tif", picture)) as file:
        assert file.pages.first.photometric == 0
        assert (file.asarray() == values).all()
    with tifffile.TiffFile(iio.save_float(tmp_path / "std.tif", np.ones((1, 20, 24)), like=picture)) as file:
        assert file.pages.first.photometric == 1
