"""PNG (ISO/IEC 15948) where Pillow stops: 16-bit colour, both ways.

Pillow reads 16-bit RGB as 8 bit and cannot write it. Reading here covers bit depth 16, all colour types, all five
filters and Adam7; writing covers 8 and 16 bit. A filtered pixel depends on its left, upper and upper-left neighbours,
so decoding runs over anti-diagonals, each one numpy expression: seconds for a 16 megapixel scan, no compiled code.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

__all__ = ["bit_depth", "decode16", "encode"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SAMPLES = {0: 1, 2: 3, 4: 2, 6: 4}
_COLOUR = {samples: colour for colour, samples in _SAMPLES.items()}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))

Bytes = npt.NDArray[np.uint8]


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = len(SIGNATURE)
    while True:
        if position + 12 > len(data):
            raise ValueError("the file ends before its IEND chunk")
        (length,) = struct.unpack_from(">I", data, position)
        name, body = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        position += 12 + length
        if position > len(data):
            raise ValueError("the file ends inside a chunk")
        if zlib.crc32(name + body) != int.from_bytes(data[position - 4 : position], "big"):
            raise ValueError(f"wrong checksum in chunk {name.decode('latin-1')}")
        yield name, body
        if name == b"IEND":
            return


def bit_depth(data: bytes) -> int:
    """The bit depth in the header, 0 if there is no header."""
    return data[24] if len(data) > 24 and data[12:16] == b"IHDR" else 0


def _unfilter(filters: Bytes, coded: Bytes) -> Bytes:
    """Undo the row filters: `filters` (H,), `coded` (H, W, bytes per pixel)."""
    if filters.max(initial=0) > 4:
        raise ValueError("unknown row filter")
    height, width, depth = coded.shape
    if not filters.any():
        return coded
    plain = np.zeros((height + 1, width + 1, depth), np.int16)
    flat, source = plain.reshape(-1, depth), coded.astype(np.int16).reshape(-1, depth)
    for diagonal in range(height + width - 1):
        first, last = max(0, diagonal - width + 1), min(height - 1, diagonal)
        count = last - first + 1
        kind = filters[first : last + 1, None]

        def take(corner: int, first: int = first, count: int = count) -> npt.NDArray[np.int16]:
            start = corner + first * width
            return flat[start : start + (count - 1) * width + 1 : width]

        left, up, corner = take(width + 1 + diagonal), take(diagonal + 1), take(diagonal)
        to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
        nearest = np.where(to_up <= to_corner, up, corner)
        paeth = np.where((to_left <= to_up) & (to_left <= to_corner), left, nearest)
        guess = np.select([kind == 1, kind == 2, kind == 3, kind == 4], [left, up, (left + up) >> 1, paeth], 0)
        step = max(width - 1, 1)
        start = first * width + diagonal - first
        here = source[start : start + (count - 1) * step + 1 : step]
        take(width + 2 + diagonal)[:] = (here + guess) & 255
    return plain[1:, 1:].astype(np.uint8)


def decode16(data: bytes) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16] | None]:
    """The pixels of a PNG of bit depth 16.

    Returns:
        Colour (H, W) or (H, W, 3), and alpha (H, W) or None; a transparent colour (tRNS) becomes alpha.

    Raises:
        ValueError: The file is broken; zlib.error if the compressed stream is.
    """
    header, key, packed = b"", b"", []
    for name, body in _chunks(data):
        if name == b"IHDR":
            header = body
        elif name == b"tRNS":
            key = body
        elif name == b"IDAT":
            packed.append(body)
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if bits != 16 or colour not in _SAMPLES or not width or not height:
        raise ValueError("not a 16-bit PNG")
    samples = _SAMPLES[colour]
    most = 2 * height * (1 + 2 * width * samples) + 64 * height
    stream = np.frombuffer(zlib.decompressobj().decompress(b"".join(packed), most), np.uint8)
    pixels = np.zeros((height, width, 2 * samples), np.uint8)
    position = 0
    for left, top, across, down in _ADAM7 if interlaced else ((0, 0, 1, 1),):
        part = pixels[top::down, left::across]
        rows, columns = part.shape[:2]
        if not rows or not columns:
            continue
        size = rows * (1 + columns * 2 * samples)
        if position + size > len(stream):
            raise ValueError("the pixel data end early")
        lines = stream[position : position + size].reshape(rows, -1)
        part[:] = _unfilter(lines[:, 0], lines[:, 1:].reshape(rows, columns, 2 * samples))
        position += size
    values = pixels.view(">u2").astype(np.uint16)
    if samples in (2, 4):
        return np.squeeze(values[..., :-1], -1) if samples == 2 else values[..., :-1], values[..., -1]
    alpha = None
    if len(key) == 2 * samples:
        opaque = (values != np.frombuffer(key, ">u2")).any(-1)
        alpha = np.where(opaque, 65535, 0).astype(np.uint16)
    return (values[..., 0] if samples == 1 else values), alpha


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _text(key: str, value: str) -> bytes:
    name = key.encode("latin-1", "replace")
    if value.isascii() and not key.startswith("XML:"):
        return _chunk(b"tEXt", name + b"\0" + value.encode())
    return _chunk(b"iTXt", name + b"\0\0\0\0\0" + value.encode())


def _filter(raw: Bytes, depth: int, block: int = 64) -> Bytes:
    """Filter each row by the one of four filters with the smallest sum of absolute differences."""
    height, width = raw.shape
    rows = np.empty((height, width + 1), np.uint8)
    for top in range(0, height, block):
        here = raw[top : top + block]
        padded = np.zeros((len(here) + 1, width + depth), np.int16)
        padded[1:, depth:] = here
        if top:
            padded[0, depth:] = raw[top - 1]
        left, up = padded[1:, :width], padded[:-1, depth:]
        coded = [here, *((here - guess).astype(np.uint8) for guess in (left, up, (left + up) >> 1))]
        cost = [np.abs(values.view(np.int8).astype(np.int16)).sum(1, dtype=np.int64) for values in coded]
        best = np.argmin(cost, 0)
        rows[top : top + block, 0] = best
        rows[top : top + block, 1:] = np.choose(best[:, None], coded)
    return rows


def encode(
    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16],
    *,
    icc: bytes | None = None,
    dpi: tuple[float, float] | None = None,
    exif: bytes | None = None,
    text: Mapping[str, str] | None = None,
) -> bytes:
    """A PNG of (H, W, samples) pixels, uint8 or uint16; samples 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA."""
    height, width, samples = pixels.shape
    bits = 8 * pixels.dtype.itemsize
    raw = np.ascontiguousarray(pixels.astype(">u2") if bits == 16 else pixels).view(np.uint8).reshape(height, -1)
    parts = [SIGNATURE, _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, _COLOUR[samples], 0, 0, 0))]
    if icc:
        parts.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)))
    if dpi:
        parts.append(_chunk(b"pHYs", struct.pack(">IIB", *(round(value / 0.0254) for value in dpi), 1)))
    if exif:
        parts.append(_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    parts += [_text(key, value) for key, value in (text or {}).items()]
    parts.append(_chunk(b"IDAT", zlib.compress(_filter(raw, samples * bits // 8).tobytes(), 6)))
    parts.append(_chunk(b"IEND", b""))
    return b"".join(parts)
