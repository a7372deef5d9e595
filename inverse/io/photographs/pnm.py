r"""Netpbm: PBM, PGM and PPM as text or bytes (P1 to P6), and PAM (P7) with alpha, of 1 to 16 bit.

A header is numbers in decimal, with comments from ``#`` to the end of a line; samples above 255 are two bytes, the high
one first. Whatever the largest value is, white is white (`inverse.io.photographs.metadata.widened`); it is written as
it was read. P1 to P3 are written as bytes, P4 as P5. Provenance is a comment. Source: netpbm.sourceforge.net/doc.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from inverse.errors import InputError
from inverse.io.content import Array, Picture
from inverse.io.limits import bounded
from inverse.io.photographs.metadata import samples_of

__all__ = ["decode", "encode", "facts"]

_SPACE = rb"(?:[ \t\r\n\f\v]|#[^\n]*\n)+"
_PAM = re.compile(rb"P7\s(.{0,4000}?)\bENDHDR\r?\n", re.DOTALL)
_AGAIN = "copy or export the file again"


def decode(data: bytes, *, source: str) -> Picture:
    """A file of Netpbm as a `Picture`.

    Raises:
        InputError: The header is damaged, or the pixels end early.
    """
    kind = int(data[1:2])
    start, width, height, samples, top, alpha = _pam(data, source) if kind == 7 else _header(data, kind, source)
    if not 1 <= top <= 65535 or min(width, height) < 1:
        raise InputError(f"{source}: {width} x {height} pixels of 0 to {top}, a Netpbm file has 1 to 65535", _AGAIN)
    count = width * height * samples
    bounded((height, width, samples), 2 if top > 255 else 1, len(data), source=source)
    if kind in (1, 2, 3):
        values = _text(data[start:], count, digits=kind == 1)
    elif kind == 4:
        rows = np.frombuffer(data, np.uint8, min(len(data) - start, height * ((width + 7) // 8)), start)
        values = np.unpackbits(rows.reshape(-1, (width + 7) // 8), axis=1)[:, :width].ravel() if len(rows) else rows
    else:
        size = 2 if top > 255 else 1
        values = np.frombuffer(data, ">u2" if size == 2 else "u1", min((len(data) - start) // size, count), start)
    if len(values) < count:
        raise InputError(f"{source}: truncated: {len(values)} of {count} samples are there", _AGAIN)
    if int(values.max()) > top:
        raise InputError(f"{source}: a sample of {values.max()}, the header says at most {top}", _AGAIN)
    notes = ("1 bit, converted to 8-bit grey",) if top == 1 else ()
    values = 1 - values if kind in (1, 4) else values  # 1 is black
    white = np.uint64(255 if top <= 255 else 65535)
    pixels: Array = (values.astype(np.uint64) * white + np.uint64(top // 2)) // np.uint64(top)
    pixels = pixels.astype(np.uint8 if top <= 255 else np.uint16).reshape(height, width, samples)
    colours = pixels[..., :-1] if alpha else pixels
    return Picture(
        array=np.ascontiguousarray(colours[..., 0] if colours.shape[2] == 1 else colours),
        alpha=np.ascontiguousarray(pixels[..., -1]) if alpha else None,
        format="pnm",
        extra={"top": 255 if top == 1 else top},
        notes=notes,
        source=source,
    )


def _header(data: bytes, kind: int, source: str) -> tuple[int, int, int, int, int, bool]:
    """Where the pixels start, width, height, samples of a pixel, the largest value, and that there is no alpha."""
    numbers = _SPACE.join([rb"([0-9]{1,9})"] * (2 if kind in (1, 4) else 3))
    found = re.compile(rb"P." + _SPACE + numbers + rb"\s").match(data)
    if found is None:
        raise InputError(f"{source}: the header of the Netpbm file is damaged", _AGAIN)
    width, height, *top = (int(number) for number in found.groups())
    return found.end(), width, height, 3 if kind in (3, 6) else 1, top[0] if top else 1, False


def _pam(data: bytes, source: str) -> tuple[int, int, int, int, int, bool]:
    found = _PAM.match(data)
    lines = [] if found is None else [line.split() for line in found[1].splitlines() if not line.startswith(b"#")]
    given = {line[0]: line[1] for line in lines if len(line) == 2}
    try:
        width, height, samples, top = (int(given[name]) for name in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    except (KeyError, ValueError):
        raise InputError(f"{source}: the header of the PAM file is damaged", _AGAIN) from None
    alpha = given.get(b"TUPLTYPE", b"").endswith(b"_ALPHA")
    if samples - alpha not in (1, 3):
        raise InputError(f"{source}: a PAM of {samples} samples a pixel", "convert it to RGB or grey first")
    assert found is not None
    return found.end(), width, height, samples, top, alpha


def _text(data: bytes, count: int, *, digits: bool) -> Array:
    """The first numbers of a text; of ``digits`` each is 0 or 1 and needs no space after it."""
    plain = re.sub(rb"#[^\n]*", b" ", data)
    words = list(re.sub(rb"\s", b"", plain)[:count].decode("ascii")) if digits else plain.split(None, count)[:count]
    return np.array([int(word) for word in words], np.int64)


def encode(picture: Picture, provenance: Mapping[str, str]) -> bytes:
    """The bytes of a PGM or a PPM, of a PAM with alpha; provenance is a comment."""
    samples = samples_of(picture, "a Netpbm file", ("uint8", "uint16"))
    height, width = picture.size
    full = int(np.iinfo(samples.dtype).max)
    top = int(picture.extra.get("top", full))
    top = top if (top > 255) == (full > 255) else full
    scaled = (samples.astype(np.uint64) * np.uint64(top) + np.uint64(full // 2)) // np.uint64(full)
    values = scaled.astype(">u2" if top > 255 else "u1")
    lines = (f"# {key}={' '.join(value.split())}\n" for key, value in provenance.items())
    said = "".join(lines).encode("ascii", "replace")
    if picture.alpha is not None:
        name = "RGB_ALPHA" if picture.channels == 3 else "GRAYSCALE_ALPHA"
        depth = samples.shape[-1]
        fields = f"WIDTH {width}\nHEIGHT {height}\nDEPTH {depth}\nMAXVAL {top}\nTUPLTYPE {name}\nENDHDR\n"
        return b"P7\n" + said + fields.encode() + values.tobytes()
    head = b"P6\n" if picture.channels == 3 else b"P5\n"
    return head + said + f"{width} {height}\n{top}\n".encode() + values.tobytes()


def facts(picture: Picture) -> dict[str, int]:
    """The largest value of the file, for `inverse info`."""
    return {"white": int(picture.extra["top"])}
