"""What a PNG says of its colours is written back; of several pictures in a file all but the first are named."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from inverse import io as iio
from inverse.io.formats.raster import SIGNATURE
from inverse.recipes.sections import Data
from inverse.restoration.frame import frame

PIXELS = np.random.default_rng(0).integers(0, 255, (20, 24, 3)).astype("u1")
GAMMA = struct.pack(">I", 100000)
CHROMA = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


def chunked(path, *chunks, pixels=PIXELS):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    data = buffer.getvalue()
    more = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    path.write_bytes(data[:33] + more + data[33:])


def chunks_of(path):
    data, at, found = path.read_bytes(), len(SIGNATURE), []
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"gAMA", GAMMA)],
        [(b"gAMA", GAMMA), (b"cHRM", CHROMA)],
        [(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 45455))],
        [(b"cICP", bytes((9, 16, 0, 1)))],
    ],
)
@pytest.mark.parametrize("deep", [False, True])
def test_the_chunks_of_colour_are_written_back(tmp_path, chunks, deep):
    pixels = PIXELS[..., 0].astype("u2") * 257 if deep else PIXELS
    chunked(tmp_path / "a.png", *chunks, pixels=pixels)
    picture = iio.read_picture(tmp_path / "a.png")
    finer, _ = iio.from_unit(np.zeros((picture.channels, 40, 48), np.float32), like=picture)
    for made in (picture, finer):
        written = chunks_of(iio.write(tmp_path / "out.png", made, overwrite=True))
        assert written[0][0] == b"IHDR"
        assert written[1 : 1 + len(chunks)] == chunks
        assert written[1 + len(chunks)][0] == b"IDAT"
        with Image.open(tmp_path / "out.png") as image:
            assert image.size == made.size[::-1]


def test_a_png_without_them_has_none(tmp_path):
    chunked(tmp_path / "a.png")
    assert [name for name, _ in chunks_of(iio.write(tmp_path / "o.png", iio.read_picture(tmp_path / "a.png")))] == [
        b"IHDR",
        b"IDAT",
        b"IEND",
    ]


@pytest.mark.parametrize(
    ("name", "kind", "said"), [("a.png", "PNG", "first of 3 frames"), ("a.jpg", "MPO", "3 pictures")]
)
def test_further_pictures_are_named(tmp_path, name, kind, said):
    first, *others = (Image.fromarray(np.roll(PIXELS, turn, 0)) for turn in range(3))
    first.save(tmp_path / name, kind, save_all=True, append_images=others)
    picture = iio.read_picture(tmp_path / name)
    assert said in picture.lost[0]
    assert frame(picture, 0, Data()).lost == picture.lost
    first.save(tmp_path / f"one-{name}")
    assert iio.read_picture(tmp_path / f"one-{name}").lost == ()
