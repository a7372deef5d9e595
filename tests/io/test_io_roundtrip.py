"""Files through write and read: exact for lossless formats, metadata kept."""

import io
import struct
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageOps, PngImagePlugin

import inverse.io as iio
from inverse.errors import OutputError
from inverse.io.content import Picture
from inverse.io.registry import OPTIONAL
from inverse.storage.files import part_path

INTEGERS = (np.uint8, np.uint16)
FLOATS = (np.float16, np.float32, np.float64)


def arrays(dtypes, channels):
    def of(dtype, count, height, width):
        shape = (height, width) if count == 0 else (height, width, count)
        finite = {"allow_nan": False, "allow_infinity": False} if np.dtype(dtype).kind == "f" else {}
        return hnp.arrays(dtype, shape, elements=hnp.from_dtype(np.dtype(dtype), **finite))

    sides = st.integers(1, 9)
    parts = st.tuples(st.sampled_from(dtypes), st.sampled_from(channels), sides, sides)
    return parts.flatmap(lambda part: of(*part))


def same(first, second):
    assert first.dtype == second.dtype
    np.testing.assert_array_equal(np.squeeze(first), np.squeeze(second))


def through(folder, picture, suffix, **options):
    path = folder / f"file{suffix}"
    iio.write(path, picture, overwrite=True, **options)
    assert iio.sniff(path) == picture.format
    assert not part_path(path).exists()
    return iio.read(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@settings(max_examples=60, deadline=None)
@given(arrays(INTEGERS, (0, 1, 3)), st.booleans())
def test_png_is_exact(folder, array, with_alpha):
    alpha = array.reshape(*array.shape[:2], -1)[..., 0] if with_alpha else None
    back = through(folder, Picture(array=array, alpha=alpha, format="png"), ".png")
    same(back.array, array)
    assert (back.alpha is None) is (alpha is None)
    if alpha is not None:
        same(back.alpha, alpha)


@settings(max_examples=60, deadline=None)
@given(arrays(INTEGERS + FLOATS, (0, 1, 2, 3, 4, 5)), st.sampled_from(["contig", "planar", "pages"]), st.booleans())
def test_tiff_is_exact_in_every_layout(folder, array, layout, compressed):
    picture = Picture(array=array, format="tiff", extra={"layout": layout, "compressed": compressed})
    back = through(folder, picture, ".tif")
    same(back.array, array)
    if back.channels > 1 and min(back.size) > 1:
        assert back.extra["layout"] == layout


@settings(max_examples=40, deadline=None)
@given(arrays(INTEGERS + FLOATS, (0, 1, 2, 3, 7)))
def test_npy_is_exact(folder, array):
    back = through(folder, Picture(array=array, format="npy"), ".npy")
    assert back.array.shape == array.shape
    same(back.array, array)


def test_npy_of_foreign_byte_order_becomes_native(tmp_path):
    array = np.arange(12, dtype=">u2").reshape(3, 4)
    np.save(tmp_path / "a.npy", array)
    back = iio.read(tmp_path / "a.npy")
    assert back.array.dtype == np.uint16
    np.testing.assert_array_equal(back.array, array)


@settings(max_examples=60, deadline=None)
@given(arrays(INTEGERS, (0, 1, 3)))
def test_units_and_back_are_exact_for_integers(array):
    picture = Picture(array=array, format="npy")
    unit = iio.to_unit(picture)
    assert unit.dtype == np.float32
    assert unit.min() >= 0
    assert unit.max() <= 1
    back, clipped = iio.from_unit(unit, like=picture)
    same(back.array, array)
    assert back.array.shape == array.shape
    assert clipped == 0


def test_clipped_fraction_is_reported_and_floats_are_not_clamped():
    unit = np.array([[[-0.5, 0.5], [1.5, 1.0009]]], np.float32)
    back, clipped = iio.from_unit(unit, like=Picture(array=np.zeros((2, 2), np.uint8), format="png"))
    np.testing.assert_array_equal(back.array, [[0, 128], [255, 255]])
    assert clipped == 0.5
    back, clipped = iio.from_unit(unit, like=Picture(array=np.zeros((2, 2), np.float32), format="tiff"))
    np.testing.assert_array_equal(back.array, unit[0])
    assert clipped == 0


def test_another_size_scales_resolution_and_alpha_and_drops_what_names_the_old_size():
    like = Picture(
        array=np.zeros((4, 6, 3), np.uint8),
        alpha=np.full((4, 6), 200, np.uint8),
        format="tiff",
        dpi=(100.0, 50.0),
        description="<?xml version='1.0'?><OME/>",
        extra={"layout": "planar", "tags": ((33550, 12, 3, (1.0, 1.0, 0.0), True),)},
    )
    back, _ = iio.from_unit(np.ones((3, 8, 12), np.float32), like=like)
    assert back.alpha.shape == (8, 12)
    assert (back.alpha == 200).all()
    assert back.dpi == (200.0, 100.0)
    assert back.description is None
    assert back.extra == {"layout": "planar"}


def test_non_finite_results_are_never_written():
    like = Picture(array=np.zeros((2, 2), np.uint8), format="png")
    with pytest.raises(Exception, match="1 NaN or infinite"):
        iio.from_unit(np.array([[[0, np.nan], [0, 0]]]), like=like)


def test_grey_takes_a_colour_prior_and_comes_back():
    grey = np.random.default_rng(0).random((2, 1, 5, 6)).astype(np.float32)
    colour = iio.to_channels(grey, 3)
    assert colour.shape == (2, 3, 5, 6)
    np.testing.assert_allclose(iio.from_channels(colour, 1), grey, rtol=1e-6)
    assert iio.from_channels(colour, 3) is colour
    assert iio.to_channels(colour, 3) is colour


@pytest.mark.parametrize("depth", [8, 16])
def test_png_keeps_its_metadata_and_pillow_reads_it(tmp_path, depth):
    dtype = np.uint8 if depth == 8 else np.uint16
    exif = Image.Exif()
    exif[0x010F] = "maker"
    picture = Picture(
        array=np.arange(60, dtype=dtype).reshape(4, 5, 3),
        format="png",
        icc=b"profile",
        dpi=(300.0, 300.0),
        exif=exif.tobytes(),
        text={"Title": "a", "Author": "Łódź"},
    )
    back = through(tmp_path, picture, ".png", provenance={"inverse:run": "recipe 1"})
    assert back.icc == b"profile"
    assert back.dpi == pytest.approx((300, 300), rel=1e-3)
    assert back.text == {"Title": "a", "Author": "Łódź", "inverse:run": "recipe 1"}
    with Image.open(tmp_path / "file.png") as image:
        assert image.getexif()[0x010F] == "maker"
        assert image.text["inverse:run"] == "recipe 1"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_orientation_is_applied_once(tmp_path, orientation, suffix):
    array = np.kron(np.random.default_rng(1).integers(0, 256, (3, 4, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    path = tmp_path / f"in{suffix}"
    image = Image.fromarray(array)
    exif = image.getexif()
    exif[0x0112] = orientation
    if suffix == ".tif":
        tifffile.imwrite(path, array, extratags=[(274, 3, 1, orientation, True)], metadata=None)
        upright = np.asarray(ImageOps.exif_transpose(image))
    else:
        image.save(path, exif=exif, quality=95)
        with Image.open(path) as saved:
            upright = np.asarray(ImageOps.exif_transpose(saved))
    first = iio.read(path)
    np.testing.assert_array_equal(first.array, upright)
    again = through(tmp_path, first, suffix)
    assert again.array.shape == upright.shape
    assert np.abs(again.array.astype(int) - upright).mean() < 2
    assert bool(first.notes) is (orientation > 1)
    assert not again.notes


def test_jpeg_keeps_its_metadata_at_full_chroma(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (16, 24, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x010F] = "maker"
    Image.fromarray(array).save(
        tmp_path / "in.jpg", exif=exif, dpi=(300, 150), comment=b"by me", icc_profile=b"profile", quality=95
    )
    picture = iio.read(tmp_path / "in.jpg")
    assert (picture.format, picture.dpi, picture.icc, picture.description) == ("jpeg", (300, 150), b"profile", "by me")
    through(tmp_path, picture, ".jpg", provenance={"inverse:run": "recipe 1"})
    with Image.open(tmp_path / "file.jpg") as image:
        assert image.info["comment"] == b"by me\ninverse:run=recipe 1"
        assert image.info["dpi"] == (300, 150)
        assert image.info["icc_profile"] == b"profile"
        assert image.getexif()[0x010F] == "maker"
        assert {part[1:3] for part in image.layer} == {(1, 1)}


@pytest.mark.parametrize(("form", "suffix"), [("jpeg", ".jpg"), ("tiff", ".tif"), ("png", ".png")])
def test_provenance_is_replaced_and_never_piles_up(tmp_path, form, suffix):
    picture = Picture(array=np.zeros((8, 9), np.uint8), format=form, description="line one\nline two")
    first = through(tmp_path, picture, suffix, provenance={"inverse:run": "first"})
    second = through(tmp_path, first, suffix, provenance={"inverse:run": "second"})
    if form == "png":
        assert second.text == {"inverse:run": "second"}
    else:
        assert second.description == "line one\nline two\ninverse:run=second"


@pytest.mark.parametrize(
    ("shape", "size"), [((1, 20, 18), (20, 18)), ((1, 1, 20, 18), (20, 18)), ((1, 20, 18, 3), None)]
)
def test_leading_axes_of_one_entry_come_back(tmp_path, shape, size):
    np.save(tmp_path / "a.npy", np.zeros(shape, np.float32))
    picture = iio.read_picture(tmp_path / "a.npy")
    assert picture.array.shape == (size or (20, 18, 3))
    larger, _ = iio.from_unit(np.zeros((picture.channels, 40, 36), np.float32), like=picture)
    assert np.load(iio.write(tmp_path / "b.npy", larger)).shape == tuple({20: 40, 18: 36}.get(n, n) for n in shape)


def test_xmp_stays_in_a_png(tmp_path):
    text = {"XML:com.adobe.xmp": "<x:xmpmeta/>"}
    picture = Picture(array=np.zeros((8, 9, 3), np.uint16), format="png", text=text)
    assert through(tmp_path, picture, ".png").text == text


XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6" xmp:Rating="5"/></x:xmpmeta>'
UPRIGHT = XMP.replace(b'"6"', b'"1"')


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_xmp_of_a_turned_picture_says_that_it_is_upright(tmp_path, form):
    """It was dropped whole, rating and captions with it; of a JPEG and a TIFF always."""
    block, path = Image.Exif(), tmp_path / "a"
    block[0x0112] = 6
    image = Image.fromarray(np.zeros((8, 12, 3), np.uint8))
    if form == "TIFF":
        tags = [(700, 1, len(XMP), XMP, True), (33723, 1, 7, b"\x1c\2x\0\2hi", True), (315, 2, 0, b"Zo\xc3\xab", True)]
        turned = (274, 3, 1, 6, True)
        tifffile.imwrite(path, np.zeros((8, 12, 3), "u1"), photometric="rgb", metadata=None, extratags=[*tags, turned])
    elif form == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", XMP.decode())
        image.save(path, form, exif=block, pnginfo=text)
    else:
        image.save(path, form, exif=block, xmp=XMP)
    if form == "JPEG":
        iptc = b"Photoshop 3.0\x008BIM\4\4\0\0\0\0\0\7\x1c\2x\0\2hi\0"
        data = path.read_bytes()
        path.write_bytes(data[:2] + struct.pack(">BBH", 0xFF, 0xED, len(iptc) + 2) + iptc + data[2:])
    picture = iio.read(path)
    assert picture.size == (12, 8)
    made = iio.write(tmp_path / "b", picture)
    if form == "TIFF":
        with tifffile.TiffFile(made) as file:
            found = file.pages.first.tags
            assert [found[code].value for code in (700, 33723, 315)] == [UPRIGHT, tags[1][3], "Zoë"]
        return
    with Image.open(made) as opened:
        found = opened.info.get("xmp") or opened.info["XML:com.adobe.xmp"].encode()
        assert found == UPRIGHT
        assert form != "JPEG" or opened.info["photoshop"][0x404] == b"\x1c\2x\0\2hi"


def test_tiff_keeps_its_metadata_and_without_rasterio_its_geo_tags(tmp_path, monkeypatch):
    monkeypatch.setitem(OPTIONAL, "geo", ("rasterio_is_not_here",))
    geo = [(33550, 12, 3, (10.0, 10.0, 0.0), True), (34735, 3, 4, (1, 1, 0, 0), True), (42113, 2, 3, b"0", True)]
    tifffile.imwrite(
        tmp_path / "in.tif",
        np.arange(2 * 20 * 30, dtype=np.uint16).reshape(20, 30, 2),
        description="field 7",
        photometric="minisblack",
        planarconfig="contig",
        resolution=(100, 50),
        resolutionunit="CENTIMETER",
        iccprofile=b"profile",
        extratags=geo,
        metadata=None,
    )
    picture = iio.read(tmp_path / "in.tif")
    assert picture.dpi == pytest.approx((254, 127))
    assert "inverse-imaging[geo]" in picture.notes[-1]
    through(tmp_path, picture, ".tif", provenance={"inverse:run": "recipe 1"})
    with tifffile.TiffFile(tmp_path / "file.tif") as file:
        page = file.pages[0]
        assert page.description == "field 7\ninverse:run=recipe 1"
        assert page.iccprofile == b"profile"
        assert page.tags[33550].value == (10.0, 10.0, 0.0)
        assert page.tags[34735].value == (1, 1, 0, 0)
        assert page.planarconfig == 1
        assert page.dtype == np.uint16
    assert iio.read(tmp_path / "file.tif").dpi == pytest.approx((254, 127))


def test_ome_tiff_keeps_its_pages_and_its_xml(tmp_path):
    array = np.random.default_rng(0).integers(0, 65536, (3, 12, 14)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "in.ome.tif", array, ome=True, photometric="minisblack", metadata={"axes": "CYX"})
    picture = iio.read(tmp_path / "in.ome.tif")
    np.testing.assert_array_equal(np.moveaxis(picture.array, -1, 0), array)
    iio.write(tmp_path / "out.ome.tif", picture, provenance={"inverse:run": "recipe 1"})
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as file:
        assert file.is_ome
        assert file.series[0].axes == "CYX"
        np.testing.assert_array_equal(file.asarray(), array)
        assert file.pages[0].tags[305].value == "inverse:run=recipe 1"


def test_conversions_say_so(tmp_path):
    bits = np.random.default_rng(0).random((9, 11)) > 0.5
    Image.fromarray(bits).save(tmp_path / "bits.png")
    picture = iio.read(tmp_path / "bits.png")
    np.testing.assert_array_equal(picture.array, bits * np.uint8(255))
    assert "1 bit" in picture.notes[0]
    tifffile.imwrite(tmp_path / "bits.tif", bits, photometric="minisblack")
    np.testing.assert_array_equal(iio.read(tmp_path / "bits.tif").array, bits * np.uint8(255))

    colours = np.random.default_rng(0).integers(0, 256, (9, 11, 3)).astype(np.uint8)
    palette = Image.fromarray(colours).quantize(16)
    palette.save(tmp_path / "palette.png")
    picture = iio.read(tmp_path / "palette.png")
    np.testing.assert_array_equal(picture.array, np.asarray(palette.convert("RGB")))
    assert "palette" in picture.notes[0]
    palette.save(tmp_path / "clear.png", transparency=0)
    assert set(np.unique(iio.read(tmp_path / "clear.png").alpha)) == {0, 255}

    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    tifffile.imwrite(tmp_path / "white.tif", grey, photometric="miniswhite")
    np.testing.assert_array_equal(iio.read(tmp_path / "white.tif").array, 255 - grey)


def test_the_content_decides_and_not_the_suffix(tmp_path):
    array = np.zeros((3, 4), np.uint8)
    iio.write(tmp_path / "really.jpg", Picture(array=array, format="png"))
    assert iio.read(tmp_path / "really.jpg").format == "png"


@pytest.mark.parametrize(
    ("picture", "match"),
    [
        (Picture(array=np.zeros((2, 2), np.float32), format="png"), "PNG cannot hold 1 channels of float32"),
        (Picture(array=np.zeros((2, 2, 5), np.uint8), format="png"), "PNG cannot hold 5 channels"),
        (Picture(array=np.zeros((2, 2), np.uint16), format="jpeg"), "JPEG cannot hold"),
        (Picture(array=np.zeros((2, 2), np.int64), format="tiff"), "TIFF cannot hold"),
        (Picture(array=np.zeros((2, 2), np.uint8), format="psd"), "unknown format 'psd'"),
    ],
)
def test_what_a_format_cannot_hold(tmp_path, picture, match):
    with pytest.raises(OutputError, match=match):
        iio.write(tmp_path / "file", picture)
    assert not list(tmp_path.iterdir())


def test_float_maps(tmp_path):
    values = np.linspace(-1, 2, 60, dtype=np.float32).reshape(3, 4, 5)
    assert iio.save_float(tmp_path / "a.png", values) == tmp_path / "a.png.tif"
    assert iio.save_float(tmp_path / "a.tif", values) == tmp_path / "a.tif"
    assert iio.save_float(tmp_path / "a.npy", values[:1]) == tmp_path / "a.npy"
    for name in ("a.png.tif", "a.tif"):
        back = tifffile.imread(tmp_path / name)
        assert back.dtype == np.float32
        np.testing.assert_array_equal(back, np.moveaxis(values, 0, -1))
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), values[0])


def test_photographs_survive(tmp_path):
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.integers(0, 40, (120, 90, 3)), 0).astype(np.uint16)
    picture = Picture(array=smooth, format="png")
    back = through(tmp_path, picture, ".png")
    same(back.array, smooth)
    eight = replace(picture, array=(smooth >> 6).astype(np.uint8))
    same(through(tmp_path, eight, ".png").array, eight.array)
    with Image.open(io.BytesIO((tmp_path / "file.png").read_bytes())) as image:
        np.testing.assert_array_equal(np.asarray(image), eight.array)
