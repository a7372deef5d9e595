"""JPEG 2000, a JP2 file or a bare codestream, of 1 to 16 bit and any number of bands, through imagecodecs (OpenJPEG).

It is written without losses (the 5-3 wavelet) in the depth that was read, in one tile; of a JP2 with its profile,
resolution, EXIF and XMP. Palettes and YCC colours are read by Pillow, in 8 bit. Where it lies on the ground is for GDAL
to say. Source: ISO/IEC 15444-1, the codestream in annex A, the file in annex I.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image

from inverse.errors import InputError, OutputError
from inverse.io.content import Array, Picture
from inverse.io.limits import bounded, quiet, reason
from inverse.io.photographs.boxes import box, boxes
from inverse.io.photographs.metadata import exif_of, narrowed, picture_of, widened, xmp_of
from inverse.io.sidecars import sidecars

__all__ = ["decode", "encode", "facts", "is_placed"]

_AGAIN = "copy or export the file again"
_SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
_EXIF, _XMP = b"JpgTiffExif->JP2", bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_GEO = bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03")
_SRGB, _GREY, _YCC = 16, 17, 18  # enumerated colours
_METRES = 0.0254
#: Bytes before the codestream in which a place is looked for.
_HEAD = 2**18


@dataclass(frozen=True)
class _Stream:
    """What the header of a codestream says."""

    height: int
    width: int
    bits: tuple[int, ...]  # of each component
    signed: bool
    even: bool  # whether all components have all pixels
    lossless: bool


def is_placed(path: Path, inner: str | None, *, source: str) -> bool:
    """Whether a JP2 says where it lies on the ground, in the boxes before its codestream or in files beside it."""
    del inner, source
    if sidecars(path):
        return True
    with open(path, "rb") as file:
        head = file.read(_HEAD).partition(b"jp2c")[0]
    return head.startswith(_SIGNATURE) and (_GEO in head or b"gml." in head)


def decode(data: bytes, *, source: str) -> Picture:
    """A JPEG 2000 as a `Picture`.

    Raises:
        InputError: The file is broken, truncated or too large, or its bands have several sizes or depths.
    """
    file = data.startswith(_SIGNATURE)
    try:
        parts = list(boxes(data)) if file else []
        code = next((body for name, body in parts if name == b"jp2c"), b"") if file else data
        stream = _parsed(code)
    except (ValueError, struct.error, IndexError) as error:
        raise InputError(f"{source}: broken JPEG 2000: {reason(error)}", _AGAIN) from error
    size = 1 if max(stream.bits) <= 8 else 2 if max(stream.bits) <= 16 else 4
    bounded((stream.height, stream.width, len(stream.bits)), size, len(data), source=source)
    head = list(_inside(next((body for name, body in parts if name == b"jp2h"), b"")))
    colour = next((_colour(body) for name, body in head if name == b"colr"), 0)
    converted = colour == _YCC or not stream.even or any(name == b"pclr" for name, _ in head)
    if len(set(stream.bits)) > 1 and not converted:
        raise InputError(f"{source}: its bands have depths of {stream.bits} bit", "save them as files of their own")
    try:
        values = _by_pillow(data) if converted else _values(data)
    except (OSError, ValueError, SyntaxError, RuntimeError, IndexError, Image.DecompressionBombError) as error:
        raise InputError(f"{source}: broken JPEG 2000: {reason(error)}", _AGAIN) from error
    bits = 8 if converted else stream.bits[0]
    values = widened(values, bits) if values.dtype.kind == "u" and bits <= 16 else values
    samples = 1 if values.ndim == 2 else values.shape[2]
    defined = next((body for name, body in head if name == b"cdef"), b"")
    hidden = samples in (2, 4) and (
        _opacity(defined, samples - 1) if defined else samples == {_SRGB: 4, _GREY: 2, _YCC: 4}.get(colour)
    )
    colours = values[..., :-1] if hidden else values
    beside = {body[:16]: body[16:] for name, body in parts if name == b"uuid"}
    lost = ("where it lies is not in the result: pip install 'inverse-imaging[geo]'",) if _GEO in beside else ()
    return picture_of(
        colours[..., 0] if colours.ndim == 3 and colours.shape[2] == 1 else colours,
        values[..., -1] if hidden else None,
        form="jpeg2000",
        source=source,
        exif=beside.get(_EXIF),
        xmp=beside.get(_XMP),
        icc=next((body[3:] for name, body in head if name == b"colr" and body[:1] in (b"\x02", b"\x03")), None),
        dpi=_dpi(head),
        extra={"depth": bits, "file": file, "compression": "lossless" if stream.lossless else "lossy"},
        notes=("palette or YCC colours, converted to 8-bit RGB",) if converted else (),
        lost=lost,
    )


def _inside(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    try:
        yield from boxes(body)
    except ValueError:
        return


def _parsed(code: bytes) -> _Stream:
    """The header of a codestream, all of whose tiles are there.

    Raises:
        ValueError: It is none, or ends early.
    """
    if code[:4] != b"\xff\x4f\xff\x51":
        raise ValueError("there is no codestream in it")
    _, x1, y1, x0, y0 = struct.unpack_from(">HIIII", code, 6)
    (count,) = struct.unpack_from(">H", code, 40)
    if not 1 <= count <= 16384 or x1 <= x0 or y1 <= y0:
        raise ValueError(f"{count} bands of {x1 - x0} x {y1 - y0} pixels")
    parts = [code[42 + 3 * index : 45 + 3 * index] for index in range(count)]
    lossless, position = True, 4 + struct.unpack_from(">H", code, 4)[0]
    while code[position : position + 2] not in (b"\xff\xd9", b""):
        marker, length = struct.unpack_from(">HH", code, position)
        if marker == 0xFF52:
            lossless = code[position + 13] == 1
        if marker == 0xFF90:
            (whole,) = struct.unpack_from(">I", code, position + 6)
            if whole and position + whole > len(code):
                raise ValueError("the codestream ends inside a tile")
            length = whole - 2 if whole else len(code)
        if marker < 0xFF00 or length < 2:
            raise ValueError("the codestream is damaged")
        position += 2 + length
    return _Stream(
        height=y1 - y0,
        width=x1 - x0,
        bits=tuple((part[0] & 0x7F) + 1 for part in parts),
        signed=any(part[0] & 0x80 for part in parts),
        even=all(part[1:] == b"\x01\x01" for part in parts),
        lossless=lossless,
    )


def _values(data: bytes) -> Array:
    with quiet("imagecodecs"):
        values: Array = imagecodecs.jpeg2k_decode(data, planar=False, numthreads=1)
    return values


def _by_pillow(data: bytes) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data), formats=["JPEG2000"]) as image:
            alpha = image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info
            grey = image.mode in ("L", "LA")
            return np.array(image.convert(("LA" if grey else "RGBA") if alpha else ("L" if grey else "RGB")))


def _colour(body: bytes) -> int:
    """The enumerated colours of a ``colr`` box; 0 for a profile."""
    return struct.unpack_from(">I", body, 3)[0] if body[:1] == b"\x01" and len(body) >= 7 else 0


def _opacity(body: bytes, channel: int) -> bool:
    """Whether a channel is opacity, by a ``cdef`` box."""
    entries = [struct.unpack_from(">HHH", body, 2 + 6 * index) for index in range((len(body) - 2) // 6)]
    return any(number == channel and kind == 1 for number, kind, _ in entries)


def _dpi(head: list[tuple[bytes, bytes]]) -> tuple[float, float] | None:
    """Pixels per inch by the resolution of capture, or else of display."""
    inner = dict(_inside(next((body for name, body in head if name == b"res "), b"")))
    body = inner.get(b"resc") or inner.get(b"resd") or b""
    if len(body) < 10:
        return None
    top, below, right, beside, up, across = struct.unpack_from(">HHHHbb", body)
    if not all((top, below, right, beside)):
        return None
    return right / beside * 10.0**across * _METRES, top / below * 10.0**up * _METRES


def encode(picture: Picture, provenance: Mapping[str, str]) -> bytes:
    """The bytes of a JPEG 2000 without losses, of a file with what is beside the pixels; provenance goes into EXIF."""
    array = picture.array
    planes = [array[..., None] if array.ndim == 2 else array]
    planes += [] if picture.alpha is None else [picture.alpha[..., None]]
    samples = np.concatenate(planes, -1)
    if samples.dtype not in (np.uint8, np.uint16, np.int8, np.int16):
        raise OutputError(f"a JPEG 2000 cannot hold pixels of {array.dtype}", "write a TIFF or a npy instead")
    full = 8 * samples.dtype.itemsize
    bits = min(full, int(picture.extra.get("depth", full))) if samples.dtype.kind == "u" else full
    bits = bits if (bits > 8) == (full > 8) else full
    values = narrowed(samples, bits) if samples.dtype.kind == "u" else samples
    try:
        code = imagecodecs.jpeg2k_encode(
            values[..., 0] if values.shape[2] == 1 else np.ascontiguousarray(values),
            level=0,
            codecformat="j2k",
            bitspersample=bits,
            reversible=True,
            planar=False,
            numthreads=1,
        )
    except (RuntimeError, ValueError) as error:
        raise OutputError(f"cannot be written as JPEG 2000: {reason(error)}", "write a TIFF instead") from error
    return _file(bytes(code), picture, provenance, bits) if picture.extra.get("file", True) else bytes(code)


def _file(code: bytes, picture: Picture, provenance: Mapping[str, str], bits: int) -> bytes:
    (height, width), channels = picture.size, picture.channels
    count = channels + (picture.alpha is not None)
    depth = (bits - 1) | (0x80 if picture.array.dtype.kind == "i" else 0)
    head = [box(b"ihdr", struct.pack(">IIHBBBB", height, width, count, depth, 7, 0, 0))]
    enumerated = struct.pack(">BBBI", 1, 0, 0, _SRGB if channels == 3 else _GREY)
    head.append(box(b"colr", b"\x02\0\0" + picture.icc if picture.icc else enumerated))
    if picture.alpha is not None:
        entries: list[Any] = [(index, 0, index + 1) for index in range(channels)] + [(channels, 1, 0)]
        head.append(box(b"cdef", struct.pack(">H", count), *(struct.pack(">HHH", *entry) for entry in entries)))
    if picture.dpi is not None and all(0.3 < value < 1.6e5 for value in picture.dpi):
        across, up = (round(value / _METRES * 100) for value in picture.dpi)
        power = 0
        while max(across, up) > 65535:
            across, up, power = across // 10, up // 10, power + 1
        captured = struct.pack(">HHHHbb", max(up, 1), 100, max(across, 1), 100, power, power)
        head.append(box(b"res ", box(b"resc", captured)))
    more = []
    for name, content in ((_EXIF, exif_of(picture, provenance)), (_XMP, xmp_of(picture))):
        more += [box(b"uuid", name, content)] if content else []
    start = _SIGNATURE + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
    return start + box(b"jp2h", *head) + b"".join(more) + box(b"jp2c", code)


def facts(picture: Picture) -> dict[str, object]:
    """Bits of a sample and how the file is compressed, for `inverse info`."""
    return {"bits": picture.extra["depth"], "compression": picture.extra["compression"]}
