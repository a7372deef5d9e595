"""About a hundred and forty kinds of malformed files, one line each.

``BAD[name] = (words that the message must have, builder)``; containers in
``corpus_containers.py``.

A builder makes one file (or store) at the path it is given. `TRAP` unpickled would leave a file behind: nothing in here
may ever run.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

RNG = np.random.default_rng(0)
GREY = RNG.integers(1, 255, (40, 48)).astype(np.uint8)
RGB = RNG.integers(1, 255, (40, 48, 3)).astype(np.uint8)
EMPTY = np.full(GREY.shape, np.nan, np.float32)
KSPACE = (RNG.normal(size=(1, 4, 40, 48)) + 1j * RNG.normal(size=(1, 4, 40, 48))).astype(np.complex64)
ENTITIES = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;">]><OME>&c;</OME>'
MARK = "/tmp/inverse-corpus-was-executed"
Builder = Callable[[Path], Any]
BAD: dict[str, tuple[str, Builder]] = {}


class Trap:
    """What leaves a file behind when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, (f"touch {MARK}",)


TRAP = pickle.dumps(Trap())


def bad(name: str, words: str, make: Builder) -> None:
    """Register a kind; the name has its suffix."""
    BAD[name] = words, make


def put(data: bytes) -> Builder:
    return lambda path: path.write_bytes(data)


def saved(writer: Callable[..., Any], *args: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    writer(buffer, *args, **options)
    return buffer.getvalue()


def picture(form: str, array: Any = RGB, mode: str | None = None, **options: Any) -> bytes:
    image = Image.fromarray(array)
    return saved(lambda to: (image.convert(mode) if mode else image).save(to, form, **options))


def tiff(array: Any = RGB, **options: Any) -> bytes:
    options.setdefault("photometric", "rgb" if array.shape[-1] == 3 else "minisblack")
    return saved(tifffile.imwrite, array, metadata=None, **options)


def patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


# PNG and JPEG
def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, bits: int = 8, colour: int = 0, data: bytes = b"", end: bytes = b"IEND") -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", data) + chunk(end, b"")


ZEROS = zlib.compress(bytes(2**24), 9)
bad("truncated.png", "broken PNG", put(picture("png")[:-900]))
bad("checksum.png", "broken PNG", put(patched(picture("png"), 45, b"\xff\xff\xff")))
bad("absurd.png", "pixels", put(png(2**31 - 1, 2**31 - 1, data=ZEROS)))
bad("zero-width.png", "", put(png(0, 10, data=ZEROS)))
bad("bomb.png", "declares", put(png(12000, 12000, colour=2, data=ZEROS)))
bad("bomb16.png", "", put(png(40, 40, bits=16, data=zlib.compress(bytes(100))[:20] + ZEROS)))
bad("short16.png", "broken PNG", put(png(400, 400, bits=16, data=zlib.compress(bytes(100)))))
bad("no-end.png", "broken PNG", put(png(40, 48, data=b"")[:-12]))
bad("depth.png", "broken PNG", put(png(40, 48, bits=3, data=ZEROS)))
bad("truncated.jpg", "broken JPEG", put(picture("jpeg")[:600]))
bad("header-alone.jpg", "broken JPEG", put(picture("jpeg")[:30]))

# other photographs
JP2 = picture("jpeg2000")
BMP = picture("bmp")
bad("really.webp.png", "WebP", put(b"RIFF\0\0\0\0WEBPVP8 " + bytes(40)))
bad("truncated.webp", "broken WebP", put(picture("webp")[:-300]))
bad("canvas.webp", "declares", put(b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0" + b"\xff\x3f\0" * 2 + bytes(40)))
bad("truncated.avif", "broken AVIF", put(picture("avif")[:-300]))
bad(
    "absurd.avif",
    "declares",
    put(picture("avif").replace(struct.pack(">II", 48, 40), struct.pack(">II", 60000, 60000))),
)
bad("no-image.heic", "HEI", put(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)))
bad("header-alone.jxl", "JPEG XL", put(b"\xff\x0a" + bytes(40)))
bad("truncated.jp2", "broken JPEG 2000", put(JP2[:-300]))
bad("absurd.jp2", "declares", put(JP2.replace(struct.pack(">II", 48, 40), struct.pack(">II", 2**31 - 1, 2**31 - 1))))
bad("no-stream.jp2", "codestream", put(JP2[: JP2.index(b"jp2c") - 4]))
bad("truncated.bmp", "broken BMP", put(BMP[:-300]))
bad("absurd.bmp", "", put(patched(BMP, 18, struct.pack("<ii", 2**31 - 1, 2**31 - 1))))
bad("truncated.gif", "broken GIF", put(picture("gif")[:300]))
bad("truncated.ppm", "truncated", put(picture("ppm")[:-300]))
bad("absurd.pgm", "declares", put(b"P5 99999999 99999999 255\n" + bytes(40)))
bad("beyond-white.pgm", "at most", put(b"P5 8 8 100\n" + b"\xff" * 64))
bad("words.pgm", "broken Netpbm", put(b"P2 2 2 255\n1 2 three 4\n"))


# TIFF
def entry(data: bytes, code: int, value: int) -> bytes:
    """The value of a tag of the first directory of a little-endian classic TIFF replaced."""
    start = struct.unpack_from("<I", data, 4)[0]
    for index in range(struct.unpack_from("<H", data, start)[0]):
        at = start + 2 + 12 * index
        if struct.unpack_from("<H", data, at)[0] == code:
            return patched(data, at + 8, struct.pack("<I", value))
    raise KeyError(code)


def cyclic(data: bytes) -> bytes:
    start = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, start)[0]
    return patched(data, start + 2 + 12 * count, struct.pack("<I", start))


def two_sizes(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        writer.write(GREY, metadata=None)
        writer.write(GREY[:8], metadata=None)


OME = (
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" '
    'DimensionOrder="XYZCT" '
    'Type="uint8" SizeX="48" SizeY="40" SizeZ="{}" SizeC="1" SizeT="1"><Channel ID="C:0" SamplesPerPixel="1"/>'
    '<TiffData IFD="0" PlaneCount="1"/><TiffData FirstZ="1" PlaneCount="1"><UUID '
    'FileName="/etc/passwd">u:1</UUID></TiffData>'
    "</Pixels></Image></OME>"
)
bad("truncated.tif", "TIFF", put(tiff()[:-1000]))
bad("header-alone.tif", "broken TIFF", put(b"II*\0\x08\0\0\0"))
bad("directory-outside.tif", "broken TIFF", put(b"II*\0" + struct.pack("<I", 2**31) + bytes(100)))
bad("cyclic.tif", "", put(cyclic(tiff(GREY, compression="zlib"))[:120]))
bad("absurd.tif", "", put(entry(entry(tiff(GREY), 256, 2**30), 257, 2**30)))
bad("zero-size.tif", "", put(entry(tiff(GREY), 257, 0)))
bad("pixels-outside.tif", "TIFF", put(entry(tiff(GREY), 273, 2**31)))
bad("bits.tif", "", put(entry(tiff(GREY), 258, 13)))
bad("compression.tif", "TIFF", put(entry(tiff(GREY), 259, 60000)))
bad("complex.tif", "complex", put(tiff(GREY.astype(np.complex64))))
bad("wide-integers.tif", "int64", put(tiff(GREY.astype(np.int64))))
bad("lab.tif", "colour is not supported", put(picture("tiff", mode="LAB")))
bad("two-sizes.tif", "holds 2 images", two_sizes)
bad("nan.tif", "no pixel has a value", put(tiff(EMPTY)))
bad("infinite.tif", "no pixel has a value", put(tiff(np.full(GREY.shape, np.inf, np.float32))))
bad("bomb.tif", "stores only", put(entry(entry(tiff(GREY, compression="zlib"), 256, 20000), 257, 20000)))
bad("ome-elsewhere.tif", "never opened", put(tiff(GREY, description=OME.format(2))))
bad("ome-entities.tif", "OME-XML", put(tiff(GREY, description=ENTITIES)))
bad("big-header.tif", "broken TIFF", put(b"II+\0\x04\0\0\0" + bytes(40)))


# GeoTIFF
def scene(array: Any, **changes: Any) -> bytes:
    import rasterio

    profile = {"driver": "GTiff", "height": 40, "width": 48, "count": 1, "dtype": array.dtype.name, "crs": "EPSG:32621"}
    with rasterio.MemoryFile() as memory:
        with memory.open(**profile, transform=rasterio.Affine(30, 0, 5e5, 0, -30, 4e6), **changes) as file:
            file.write(array, 1)
        return bytes(memory.read())


def wrong_crs() -> bytes:
    """A scene whose geo keys have a key of a type that does not exist."""
    data = scene(GREY)
    return data.replace(struct.pack("<4H", 1026, 34737, 22, 0), struct.pack("<4H", 1026, 999, 22, 0))


bad("geo-crs.tif", "broken GeoTIFF", put(wrong_crs()))
bad("geo-truncated.tif", "", put(scene(GREY)[:700]))
bad("geo-all-nodata.tif", "no pixel has a value", put(scene(GREY * np.uint8(0), nodata=0)))
bad("geo-complex.tif", "complex", put(scene(GREY.astype(np.complex64))))
bad("geo-bands.tif", "42753 bands", put(entry(scene(GREY), 277, 42753)))
bad("geo-absurd.tif", "", put(entry(entry(scene(GREY), 256, 2**24), 257, 2**24)))


# NumPy
def npy(header: str, data: bytes = b"", version: int = 1) -> bytes:
    size = struct.pack("<H", len(header)) if version == 1 else struct.pack("<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + size + header.encode() + data


def shaped(shape: str, kind: str = "|u1", data: bytes = bytes(100)) -> bytes:
    return npy(f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}\n", data)


def archive(name: str = "a.npy", data: bytes = b"", **options: Any) -> bytes:
    def write(to: Any) -> None:
        with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr(name, data or saved(np.save, GREY))

    return saved(write)


def crc(data: bytes) -> bytes:
    at = data.find(b"PK\x03\x04") + 40
    return patched(data, at, bytes(8))


bad("pickled.npy", "no image format", put(TRAP))
bad("objects.npy", "never loaded", put(shaped("(1,)", "|O", TRAP)))
bad("code.npy", "broken npy", put(npy(f"__import__('os').system('touch {MARK}')\n")))
bad("negative.npy", "declares the sizes -4 x 5", put(shaped("(-4, 5)")))
bad("huge.npy", "stores only", put(shaped("(1000000, 1000000)")))
bad("overflow.npy", "stores only", put(shaped("(4611686018427387904, 4)")))
bad("short.npy", "bytes of", put(shaped("(40, 50)")))
bad("version.npy", "version 9.0", put(npy("{}\n", version=9)))
bad("no-keys.npy", "broken npy", put(npy("{'a': 1}\n")))
bad("deep.npy", "broken npy", put(npy("(" * 4000 + "\n")))
bad("complex.npy", "complex64", put(saved(np.save, GREY.astype(np.complex64))))
bad("structured.npy", "no defined range", put(saved(np.save, np.zeros(9, [("a", "u1"), ("b", "f4")]))))
bad("strings.npy", "no defined range", put(saved(np.save, np.array([["a", "b"]]))))
bad("empty-axis.npy", "the image is empty", put(saved(np.save, np.zeros((0, 5), np.uint8))))
bad("five-axes.npy", "not an image", put(saved(np.save, np.zeros((2, 2, 2, 4, 4), np.uint8))))
bad("nan.npy", "no pixel has a value", put(saved(np.save, EMPTY)))
bad("kspace-nan.npy", "NaN or infinite", put(saved(np.save, np.where(np.abs(KSPACE) > 2, np.nan, KSPACE))))
bad("objects.npz", "never loaded", put(archive(data=shaped("(1,)", "|O", TRAP))))
bad("bomb.npz", "stores only", put(archive(data=shaped("(300000000,)", data=bytes(3 * 10**8)))))
bad("checksum.npz", "broken npz", put(crc(archive())))
bad("encrypted.npz", "broken npz", lambda path: path.write_bytes(encrypted(archive())))
bad("several.npz", "holds 2 arrays", put(saved(np.savez, a=GREY, b=GREY)))
bad("no-array.npz", "empty zip", put(saved(np.savez)))
bad("outside.npz", "outside", put(archive("../../evil.npy")))
bad("no-npy.npz", "", put(archive("readme.txt", b"hello")))
bad("truncated.npz", "broken npz", put(archive()[:-40]))


def encrypted(data: bytes) -> bytes:
    """The bit that says that a member is encrypted, in both of its headers."""
    first, second = data.find(b"PK\x03\x04") + 6, data.find(b"PK\x01\x02") + 8
    return patched(patched(data, first, b"\x01\0"), second, b"\x01\0")
