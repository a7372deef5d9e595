"""EXIF, XMP and depths of integers, as the formats of photographs have them in common.

Values of a depth between 8 and 16 bit are spread over all of uint16 on reading, so that white is 65535 whatever the
depth, and are put back on writing: both roundings are exact for values that were read. Orientation is undone on reading
and reset. Provenance and what the description says go into EXIF's ImageDescription.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from inverse.errors import OutputError
from inverse.io.content import Array, Picture, stamped, turn

__all__ = ["exif_of", "narrowed", "picture_of", "samples_of", "upright", "widened", "xmp_of"]

_ORIENTATION, _DESCRIPTION = 0x0112, 0x010E
_RESOLUTION, _UNIT = (0x011A, 0x011B), 0x0128
_PER_INCH = {2: 1.0, 3: 2.54}


def widened(values: Array, bits: int) -> Array:
    """Unsigned integers of a depth, 0 to ``2^bits - 1``, as uint8 or uint16 whose largest value is white."""
    kind: Any = np.uint8 if bits <= 8 else np.uint16
    return _rescaled(values, 2**bits - 1, int(np.iinfo(kind).max)).astype(kind)


def narrowed(values: Array, bits: int) -> Array:
    """uint8 or uint16 as integers of a depth of at most theirs: the inverse of `widened`."""
    return _rescaled(values, int(np.iinfo(values.dtype).max), 2**bits - 1).astype(values.dtype)


def _rescaled(values: Array, old: int, new: int) -> Array:
    return values if old == new else (values.astype(np.uint64) * np.uint64(new) + np.uint64(old // 2)) // np.uint64(old)


def picture_of(
    array: Array,
    alpha: Array | None = None,
    *,
    form: str,
    source: str,
    exif: bytes | None = None,
    turned: bool = False,
    xmp: bytes | str | None = None,
    icc: bytes | None = None,
    dpi: tuple[float, float] | None = None,
    extra: Mapping[str, Any] | None = None,
    notes: tuple[str, ...] = (),
    lost: tuple[str, ...] = (),
) -> Picture:
    """A picture of pixels and what is beside them, turned upright.

    Args:
        array: (H, W) or (H, W, C) as stored.
        alpha: (H, W) of the same type, or None.
        form: Its key of `inverse.io.registry.formats`.
        source: The file's name.
        exif: The block, with or without its ``Exif`` and two zeros.
        turned: Whether the pixels are upright already, whatever the block says.
        xmp: The packet.
        icc: The profile.
        dpi: Pixels per inch, across and down; None: as EXIF says.
        extra: What else the writer needs.
        notes: What was converted.
        lost: What of the file a result will not have.
    """
    block = _block(exif)
    orientation = int(block.get(_ORIENTATION, 1)) if isinstance(block.get(_ORIENTATION, 1), int) else 1
    if _ORIENTATION in block:
        block[_ORIENTATION] = 1
    resolution = _resolution(block) if dpi is None else dpi
    if orientation in range(2, 9):
        xmp = upright(xmp) if xmp else None
        if not turned:
            array, alpha = turn(array, orientation), None if alpha is None else turn(alpha, orientation)
            notes = (*notes, "turned upright as its EXIF orientation says")
            if orientation > 4 and resolution is not None:
                resolution = resolution[::-1]
    described = block.get(_DESCRIPTION)
    kept = {} if not xmp else {"xmp": xmp if isinstance(xmp, bytes) else xmp.encode()}
    return Picture(
        array=np.ascontiguousarray(array),
        alpha=None if alpha is None else np.ascontiguousarray(alpha),
        format=form,
        icc=icc or None,
        dpi=resolution,
        description=described if isinstance(described, str) and described else None,
        exif=block.tobytes() if len(block) else None,
        extra={**(extra or {}), **kept},
        notes=notes,
        lost=lost,
        source=source,
    )


def upright(xmp: bytes | str) -> bytes:
    """An XMP packet of a picture that was turned upright: it states the orientation again, as attribute or element."""
    packet = xmp if isinstance(xmp, bytes) else xmp.encode()
    packet = re.sub(rb"(\btiff:Orientation\s*=\s*[\"'])[2-8]([\"'])", rb"\g<1>1\g<2>", packet)
    return re.sub(rb"(<tiff:Orientation>\s*)[2-8](\s*</tiff:Orientation>)", rb"\g<1>1\g<2>", packet)


def _block(exif: bytes | None) -> Image.Exif:
    block = Image.Exif()
    if exif:
        try:
            block.load(exif)
        except Exception:  # Pillow raises a dozen types on damaged blocks, of which the pixels know nothing
            return Image.Exif()
    return block


def _resolution(block: Image.Exif) -> tuple[float, float] | None:
    try:
        pair = [float(block[code]) * _PER_INCH[int(block.get(_UNIT, 2))] for code in _RESOLUTION]
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (pair[0], pair[1]) if all(0 < value < 1e9 for value in pair) else None


def exif_of(picture: Picture, provenance: Mapping[str, str]) -> bytes | None:
    """The EXIF block of a picture with its resolution, description and provenance from its byte order on; or None."""
    block = _block(picture.exif)
    if text := stamped(picture.description, provenance):
        block[_DESCRIPTION] = text
    if picture.dpi is not None and picture.dpi != _resolution(block):
        for code, value in zip(_RESOLUTION, picture.dpi, strict=True):
            block[code] = value
        block[_UNIT] = 2
    return block.tobytes().removeprefix(b"Exif\0\0") if len(block) else None


def xmp_of(picture: Picture) -> bytes | None:
    """The XMP packet that was read, or None."""
    packet: bytes | None = picture.extra.get("xmp")
    return packet


def samples_of(picture: Picture, title: str, types: tuple[str, ...] = ("uint8",)) -> Array:
    """(H, W) or (H, W, samples) to be written, alpha the last sample.

    Raises:
        OutputError: pixels that a format called ``title`` cannot hold: neither grey nor RGB, or of another type.
    """
    array = picture.array
    if str(array.dtype) not in types or picture.channels not in (1, 3):
        raise OutputError(
            f"{title} cannot hold {picture.channels} channels of {array.dtype}", "write a TIFF or a npy instead"
        )
    if picture.alpha is None:
        return np.ascontiguousarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array)
    colours = array[..., None] if array.ndim == 2 else array
    return np.concatenate([colours, picture.alpha[..., None]], -1)
