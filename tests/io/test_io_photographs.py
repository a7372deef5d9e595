"""Photographs of every format: made by its own library, read, written, and read by its own library again."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageCms

from inverse.errors import InputError
from inverse.io import open_windows, read_picture, write

RNG = np.random.default_rng(5)
ICC = imagecodecs.cms_profile("adobergb")
SIZE = (20, 28)


def exif(orientation: int = 1) -> bytes:
    block = Image.Exif()
    block[0x010F], block[0x0112] = "Maker", orientation
    return block.tobytes()


def pixels(channels: int, bits: int) -> Any:
    shape = SIZE if channels == 1 else (*SIZE, channels)
    return RNG.integers(0, 2**bits, shape).astype(np.uint8 if bits == 8 else np.uint16)


def saved(array: Any, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, form, **options)
    return stream.getvalue()


def opened(data: bytes) -> tuple[Any, dict[str, Any]]:
    with Image.open(io.BytesIO(data)) as image:
        return np.array(image), {"icc": image.info.get("icc_profile"), "exif": image.getexif().get(0x010F)}


def heif(array: Any, bits: int) -> bytes:
    library = pytest.importorskip("pillow_heif", reason="needs inverse-imaging[heif]")
    mode = {2: "L", 3: "RGB" if array.shape[-1] == 3 else "RGBA"}[array.ndim]
    values = array if bits == 8 else array << (16 - bits)
    file = library.from_bytes(mode=mode + (";16" if bits > 8 else ""), size=SIZE[::-1], data=values.tobytes())
    file.info.update(icc_profile=ICC, icc_profile_type="prof")
    stream, library.options.SAVE_HDR_TO_12_BIT = io.BytesIO(), bits == 12
    file.save(stream, quality=-1, chroma=444, exif=exif(), **({"matrix_coefficients": 0} if mode != "L" else {}))
    library.options.SAVE_HDR_TO_12_BIT = False
    return stream.getvalue()


def open_heif(data: bytes) -> tuple[Any, dict[str, Any]]:
    library = pytest.importorskip("pillow_heif")
    file = library.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
    block = Image.Exif()
    block.load(file.info["exif"])
    values, bits = np.array(file), file.info["bit_depth"]
    return values if bits == 8 else values >> (16 - bits), {"icc": file.info["icc_profile"], "exif": block.get(0x010F)}


def jpegxl(array: Any) -> bytes:
    library = pytest.importorskip("pyjpegxl", reason="needs inverse-imaging[jxl]")
    icc = None if array.ndim == 2 else ICC
    return bytes(library.encode_from_numpy(array, lossless=True, icc=icc, exif=exif().removeprefix(b"Exif\0\0")))


def open_jpegxl(data: bytes) -> tuple[Any, dict[str, Any]]:
    told = pytest.importorskip("pyjpegxl").probe(data)
    block = Image.Exif()
    block.load(told.exif)
    return imagecodecs.jpegxl_decode(data), {"icc": told.icc, "exif": block.get(0x010F)}


def avif(array: Any, bits: int) -> bytes:
    grey = array.ndim == 2
    options = {"pixelformat": "yuv400"} if grey else {"pixelformat": "yuv444", "matrix": 0}
    return bytes(imagecodecs.avif_encode(array, level=100, bitspersample=bits, primaries=12, **options))


def pnm(array: Any, top: int) -> bytes:
    kind = b"P5" if array.ndim == 2 else b"P6"
    header = kind + b"\n# by hand\n%d %d\n%d\n" % (*SIZE[::-1], top)
    return header + array.astype(">u2" if top > 255 else "u1").tobytes()


def open_pnm(data: bytes) -> tuple[Any, dict[str, Any]]:
    fields = b" ".join(line for line in data.split(b"\n")[:5] if not line.startswith(b"#")).split()[:4]
    size, top = 2 if int(fields[3]) > 255 else 1, int(fields[3])
    values = np.frombuffer(data[-size * np.prod(SIZE) * (3 if fields[0] == b"P6" else 1) :], f">u{size}")
    return values.reshape(*SIZE, -1).squeeze().astype(np.uint16 if size == 2 else np.uint8), {"top": top}


def open_codec(decode: Callable[[bytes], Any]) -> Callable[[bytes], tuple[Any, dict[str, Any]]]:
    return lambda data: (decode(data), {})


@dataclass(frozen=True)
class Form:
    """A file of a format, and what its own library says of it: pixels, and what is beside them."""

    name: str
    array: Any
    bits: int
    data: Callable[[], bytes]
    open: Callable[[bytes], tuple[Any, dict[str, Any]]] = opened
    keeps: tuple[str, ...] = ()
    place: bool = True  # whether there is one for provenance


def forms() -> list[Form]:
    rgb, rgba, grey, ten, twelve, wide = (pixels(*kind) for kind in ((3, 8), (4, 8), (1, 8), (3, 10), (4, 12), (3, 16)))
    plane, both = wide[..., 0].copy(), ("icc", "exif")
    avif_open, jp2_open = open_codec(imagecodecs.avif_decode), open_codec(imagecodecs.jpeg2k_decode)
    jp2 = imagecodecs.jpeg2k_encode
    return [
        Form("webp", rgb, 8, lambda: saved(rgb, "WEBP", lossless=True, icc_profile=ICC, exif=exif()), keeps=both),
        Form("webp", rgba, 8, lambda: saved(rgba, "WEBP", lossless=True, exact=True)),
        Form("bmp", rgb, 8, lambda: saved(rgb, "BMP"), place=False),
        Form("bmp", grey, 8, lambda: saved(grey, "BMP"), place=False),
        Form("pnm", rgb, 8, lambda: pnm(rgb, 255), open_pnm, ("top",)),
        Form("pnm", ten, 10, lambda: pnm(ten, 1023), open_pnm, ("top",)),
        Form("pnm", plane, 16, lambda: pnm(plane, 65535), open_pnm, ("top",)),
        Form("avif", rgb, 8, lambda: avif(rgb, 8)),
        Form("avif", grey, 8, lambda: avif(grey, 8)),
        Form("avif", ten, 10, lambda: avif(ten, 10), avif_open),
        Form("avif", twelve, 12, lambda: avif(twelve, 12), avif_open),
        Form("heif", rgb, 8, lambda: heif(rgb, 8), open_heif, both),
        Form("heif", ten, 10, lambda: heif(ten, 10), open_heif, both),
        Form("heif", twelve, 12, lambda: heif(twelve, 12), open_heif, both),
        Form("jpegxl", rgba, 8, lambda: jpegxl(rgba), open_jpegxl, both),
        Form("jpegxl", wide, 16, lambda: jpegxl(wide), open_jpegxl, both),
        Form("jpeg2000", rgb, 8, lambda: bytes(jp2(rgb, level=0, codecformat="jp2"))),
        Form(
            "jpeg2000", twelve, 12, lambda: bytes(jp2(twelve, level=0, codecformat="jp2", bitspersample=12)), jp2_open
        ),
        Form("jpeg2000", grey, 8, lambda: bytes(jp2(grey, level=0, codecformat="j2k")), place=False),
    ]


@pytest.mark.parametrize("form", forms(), ids=lambda form: f"{form.name}-{form.bits}-{form.array.shape[2:]}")
def test_a_photograph_is_written_as_it_was_read(form: Form, tmp_path: Path) -> None:
    data = form.data()
    Path(tmp_path, "a.jpg").write_bytes(data)  # a suffix decides nothing
    picture = read_picture(tmp_path / "a.jpg")
    assert picture.format == form.name
    hidden = form.array.ndim == 3 and form.array.shape[2] == 4
    assert (picture.alpha is not None) == hidden
    full = np.rint(
        (form.array[..., :3] if hidden else form.array) / (2**form.bits - 1) * np.iinfo(picture.array.dtype).max
    )
    assert np.array_equal(picture.array, full)
    made = write(tmp_path / "b", picture, provenance={"inverse:run": "a stamp"})
    before, kept = form.open(data)
    values, told = form.open(made.read_bytes())
    assert values.dtype == before.dtype
    assert np.array_equal(values, form.array)
    assert told == kept
    assert all(told[name] for name in form.keeps)
    again = read_picture(made)
    assert (again.description == "inverse:run=a stamp" or b"a stamp" in made.read_bytes()) == form.place


def test_metadata_is_put_into_an_avif(tmp_path: Path) -> None:
    """What Pillow wrote, 4:2:0 and turned, is upright and whole; Pillow reads all of it again."""
    for hidden in (False, True):
        array = pixels(4 if hidden else 3, 8)
        Path(tmp_path, "a.avif").write_bytes(saved(array, "AVIF", icc_profile=ICC, exif=exif(6), xmp=b"<x/>"))
        picture = read_picture(tmp_path / "a.avif")
        assert picture.size == SIZE[::-1]
        made = write(tmp_path / "b.avif", picture, provenance={"inverse:run": "a stamp"}, overwrite=True)
        with Image.open(made) as image:
            values, block = np.array(image), image.getexif()
            assert image.info["icc_profile"] == ICC
        assert np.array_equal(values[..., :3], picture.array)
        assert not hidden or np.array_equal(values[..., 3], picture.alpha)
        assert (block[0x010F], block[0x010E], block.get(0x0112, 1)) == ("Maker", "inverse:run=a stamp", 1)


def test_a_jp2_file_keeps_what_is_beside_its_pixels(tmp_path: Path) -> None:
    Path(tmp_path, "a.jp2").write_bytes(saved(pixels(4, 8), "JPEG2000"))
    picture = read_picture(tmp_path / "a.jp2")
    assert picture.alpha is not None
    full = replace(picture, icc=ICC, exif=exif(), dpi=(300.0, 150.0), extra={**picture.extra, "xmp": b"<x/>"})
    again = read_picture(write(tmp_path / "b.jp2", full))
    assert (again.icc, again.extra["xmp"], again.exif is not None) == (ICC, b"<x/>", True)
    assert again.dpi == pytest.approx((300, 150), rel=1e-3)
    with Image.open(tmp_path / "b.jp2") as image:
        assert image.info["dpi"] == pytest.approx((300, 150), rel=1e-3)
        assert np.array_equal(np.array(image)[..., 3], picture.alpha)


@pytest.mark.parametrize("profile", [True, False])
def test_colours_of_ink_become_those_of_light(tmp_path: Path, profile: bool) -> None:
    """Adobe's inverted CMYK: paper is white, black ink black, cyan and yellow together green."""
    ink = np.zeros((32, 96, 4), np.uint8)
    ink[:, 32:64, 3], ink[:, 64:, 0], ink[:, 64:, 2] = 255, 255, 255
    stream = io.BytesIO()
    options = {"icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()} if profile else {}
    Image.fromarray(ink, "CMYK").save(stream, "JPEG", quality=95, **options)
    Path(tmp_path, "a.jpg").write_bytes(stream.getvalue())
    picture = read_picture(tmp_path / "a.jpg")
    assert picture.icc is None
    assert "quantisation" not in picture.extra
    assert any("CMYK" in note for note in picture.notes)
    for column, colour in ((10, (255, 255, 255)), (48, (0, 0, 0)), (80, (0, 255, 0))):
        assert np.allclose(picture.array[16, column], colour, atol=6)


def test_a_gif_becomes_a_png(tmp_path: Path) -> None:
    frames = [Image.fromarray(pixels(1, 8)).convert("P") for _ in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], transparency=3)
    picture = read_picture(tmp_path / "a.gif")
    assert "first of 3 frames" in picture.lost[0]
    assert picture.alpha is not None
    made = write(tmp_path / "b.gif", picture)
    assert made.name == "b.gif.png"
    assert np.array_equal(read_picture(made).array, picture.array)


@pytest.mark.parametrize("channels", [3, 4])
def test_of_a_sequence_the_first_frame_is_read(channels: int, tmp_path: Path) -> None:
    """imagecodecs, asked for frame 0, writes all of them into the room of one: the process died of it."""
    frames = [Image.fromarray(pixels(channels, 8)) for _ in range(3)]
    frames[0].save(tmp_path / "a.avif", save_all=True, append_images=frames[1:], quality=100)
    for _ in range(4):
        picture = read_picture(tmp_path / "a.avif")
    assert "first of 3 frames" in picture.lost[0]
    assert (picture.alpha is not None) == (channels == 4)
    with Image.open(tmp_path / "a.avif") as image:
        assert np.array_equal(picture.array, np.array(image)[..., :3])


@pytest.mark.parametrize("name", ["webp", "bmp", "pnm", "avif", "heif", "jpegxl", "jpeg2000"])
def test_cut_and_swollen_photographs_are_refused(name: str, tmp_path: Path) -> None:
    data = next(form for form in forms() if form.name == name).data()
    for part in (data[: len(data) // 2], data[:-40], data[:30]):
        Path(tmp_path, "a").write_bytes(part)
        with pytest.raises(InputError) as caught:
            read_picture(tmp_path / "a")
        assert len(str(caught.value).splitlines()) <= 3


def test_a_jp2_with_its_place_becomes_a_geotiff(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio", reason="needs inverse-imaging[geo]")
    place = rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)
    values = RNG.integers(1, 4000, (1, *SIZE)).astype(np.uint16)
    options = {"crs": "EPSG:32632", "transform": place, "QUALITY": 100, "REVERSIBLE": "YES"}
    shape = {"height": SIZE[0], "width": SIZE[1], "count": 1, "dtype": "uint16"}
    with rasterio.open(tmp_path / "a.jp2", "w", driver="JP2OpenJPEG", **shape, **options) as file:
        file.write(values)
    picture = read_picture(tmp_path / "a.jp2")
    assert picture.format == "geojp2"
    with ExitStack() as stack:
        window = open_windows(tmp_path / "a.jp2", "a.jp2", stack).picture(2, 4, 8, 12)
    assert np.array_equal(window.array, values[0, 2:10, 4:16])
    made = write(tmp_path / "out.jp2", picture)
    assert made.name == "out.jp2.tif"
    with rasterio.open(made) as file:
        assert (file.driver, file.crs, file.transform) == ("GTiff", rasterio.CRS.from_epsg(32632), place)
        assert np.array_equal(file.read(), values)
