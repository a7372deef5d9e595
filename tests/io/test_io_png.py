"""The 16-bit PNG decoder against a decoder written pixel by pixel, and against Pillow where Pillow can."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from inverse.io.formats import raster

PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
COLOUR = {1: 0, 3: 2, 2: 4, 4: 6}


def paeth(left, up, corner):
    base = left + up - corner
    distances = (abs(base - left), abs(base - up), abs(base - corner))
    return (left, up, corner)[distances.index(min(distances))]


def filtered(raw, depth, kinds):
    """Filter rows as the standard's text says, one byte at a time."""
    lines = b""
    for row, kind in enumerate(kinds):
        line = [kind]
        for column, value in enumerate(raw[row]):
            left = int(raw[row, column - depth]) if column >= depth else 0
            up = int(raw[row - 1, column]) if row else 0
            corner = int(raw[row - 1, column - depth]) if row and column >= depth else 0
            guess = (0, left, up, (left + up) // 2, paeth(left, up, corner))[kind]
            line.append((int(value) - guess) % 256)
        lines += bytes(line)
    return lines


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def by_hand(pixels, kinds, *, interlaced=False, extra=b""):
    height, width, samples = pixels.shape
    stream = b""
    for left, top, across, down in PASSES if interlaced else ((0, 0, 1, 1),):
        part = np.ascontiguousarray(pixels[top::down, left::across].astype(">u2"))
        if part.size:
            raw = part.view(np.uint8).reshape(part.shape[0], -1)
            stream += filtered(raw, 2 * samples, [kinds[row % len(kinds)] for row in range(len(raw))])
    header = struct.pack(">IIBBBBB", width, height, 16, COLOUR[samples], 0, 0, int(interlaced))
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(stream)) + chunk(b"IEND", b"")
    return raster.SIGNATURE + body


shapes = st.tuples(st.integers(1, 7), st.integers(1, 7), st.sampled_from([1, 2, 3, 4]))


@settings(max_examples=80, deadline=None)
@given(
    shapes.flatmap(lambda shape: hnp.arrays(np.uint16, shape)),
    st.lists(st.integers(0, 4), min_size=1, max_size=7),
    st.booleans(),
)
def test_every_filter_and_interlacing(pixels, kinds, interlaced):
    colour, alpha = raster.decode16(by_hand(pixels, kinds, interlaced=interlaced))
    planes = [colour.reshape(*pixels.shape[:2], -1)]
    if alpha is not None:
        planes.append(alpha[..., None])
    np.testing.assert_array_equal(np.concatenate(planes, -1), pixels)


def test_a_transparent_colour_becomes_alpha():
    pixels = np.arange(24, dtype=np.uint16).reshape(2, 4, 3)
    key = chunk(b"tRNS", pixels[1, 2].astype(">u2").tobytes())
    _, alpha = raster.decode16(by_hand(pixels, [4], extra=key))
    expected = np.full((2, 4), 65535)
    expected[1, 2] = 0
    np.testing.assert_array_equal(alpha, expected)


def test_pillow_agrees_on_16_bit_grey(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 65536, (17, 23)).astype(np.uint16)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    colour, alpha = raster.decode16((tmp_path / "a.png").read_bytes())
    np.testing.assert_array_equal(colour, pixels)
    assert alpha is None
    (tmp_path / "b.png").write_bytes(raster.png_bytes(pixels[..., None]))
    with Image.open(tmp_path / "b.png") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize("damage", ["checksum", "cut", "short", "filter"])
def test_damage_is_noticed(damage):
    good = by_hand(np.random.default_rng(0).integers(0, 65536, (8, 8, 3)).astype(np.uint16), [4])
    if damage == "checksum":
        bad = good[:60] + bytes([good[60] ^ 1]) + good[61:]
    elif damage == "cut":
        bad = good[:-20]
    elif damage == "short":
        header = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
        bad = (
            raster.SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 40)) + chunk(b"IEND", b"")
        )
    else:
        header = struct.pack(">IIBBBBB", 1, 1, 16, 0, 0, 0, 0)
        bad = raster.SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\7\0\0")) + chunk(b"IEND", b"")
    with pytest.raises((ValueError, zlib.error)):
        raster.decode16(bad)
