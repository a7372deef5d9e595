"""The registry of formats: every path in it leads somewhere, and an entry is all that a further format needs."""

import numpy as np
import pytest

import inverse.io as iio
from inverse.cli.info.describe import describe
from inverse.errors import InputError
from inverse.io.content import Picture
from inverse.io.detect import sniff
from inverse.io.registry import FORMATS, Format, formats, function, installed
from inverse.io.sources import find

PATHS = ("decode", "encode", "store", "scan", "looks", "float_map", "windows", "writer", "blocks", "facts")

MODULE = """
import numpy as np
from inverse.io.content import Picture

def decode(data, *, source):
    height, width = data[4], data[5]
    return Picture(array=np.frombuffer(data, np.uint8, offset=6).reshape(height, width), format="tiny", source=source)

def encode(picture, provenance):
    return b"TINY" + bytes(picture.array.shape) + picture.array.tobytes()

def facts(picture):
    return {"ratio": picture.size[0] / picture.size[1]}
"""


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """The format registered; the table of all formats, which is kept once made, is made anew."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "tiny_format.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path / "code")
    spec = Format(
        title="Tiny",
        suffixes=(".tiny",),
        pixels="8 bit, grey",
        keeps="nothing",
        magic=b"TINY",
        decode="tiny_format:decode",
        encode="tiny_format:encode",
        facts="tiny_format:facts",
        whole=True,
        floats=False,
    )
    monkeypatch.setitem(FORMATS, "tiny", spec)
    formats.cache_clear()
    yield
    formats.cache_clear()


@pytest.mark.parametrize("form", FORMATS)
def test_every_path_leads_to_a_function(form):
    spec = FORMATS[form]
    if not installed(spec.extra):
        pytest.skip(f"the extra {spec.extra} is not installed")
    for field in PATHS:
        dotted = getattr(spec, field)
        if dotted and (field != "windows" or installed("geo")):
            assert callable(function(dotted, title=spec.title, source="x"))


def test_a_further_format_is_its_module_and_its_entry(tiny, tmp_path):
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    path = tmp_path / "in" / "a.tiny"
    iio.write(path, Picture(array=pixels, format="tiny"))
    assert sniff(path) == "tiny"
    assert [source.item for source in find([tmp_path / "in"])] == ["a.tiny"]
    picture = iio.read_picture(path)
    np.testing.assert_array_equal(picture.array, pixels)
    assert describe(picture)["ratio"] == 0.75
    deviation = iio.save_float(tmp_path / "std" / "a.tiny", pixels / 2, like=picture)
    assert deviation.name == "a.tiny.tif"
    np.testing.assert_array_equal(iio.read_picture(deviation).array, np.float32(pixels / 2))
    path.write_bytes(b"TINY\x05\x05short")
    with pytest.raises(InputError, match="broken Tiny"):
        iio.read(path)


def test_special_cases_are_asked_first_and_only_where_they_can_be_read(tmp_path, monkeypatch):
    rasterio = pytest.importorskip("rasterio")
    place = rasterio.Affine(10.0, 0, 500_000, 0, -10.0, 4_000_000)
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", dtype="uint8", count=1, height=4, width=4, transform=place
    ) as file:
        file.write(np.ones((1, 4, 4), np.uint8))
    assert sniff(tmp_path / "a.tif") == "geotiff"
    monkeypatch.setattr("inverse.io.detect.installed", lambda extra: extra != "geo")
    assert sniff(tmp_path / "a.tif") == "tiff"
