"""WebP, GIF and BMP through Pillow.

WebP is written without losses, with its ICC profile, EXIF and XMP; colours under alpha 0 stay. GIF holds 256 colours,
so its result is a PNG. BMP has a place for resolution alone. Of an animation the first frame is read. Sizes in a header
are checked before Pillow makes room for them.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from inverse.errors import InputError, OutputError
from inverse.io.content import Array, Picture
from inverse.io.formats.raster import encode_png
from inverse.io.limits import bounded, reason
from inverse.io.photographs.metadata import exif_of, picture_of, samples_of, xmp_of

__all__ = ["decode_bmp", "decode_gif", "decode_webp", "encode_bmp", "encode_gif", "encode_webp", "facts"]

_BROKEN = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, MemoryError, struct.error, zlib.error)
_AGAIN = "copy or export the file again"


def decode_webp(data: bytes, *, source: str) -> Picture:
    """A WebP as a `Picture`.

    Raises:
        InputError: The file is broken, truncated or too large.
    """
    if (size := _webp_size(data)) is not None:
        bounded((*size, 4), 1, len(data), source=source)
    compression = "lossless" if _webp_chunk(data, b"VP8L") else "lossy"
    return _decode(data, "webp", "WEBP", source, {"compression": compression})


def decode_gif(data: bytes, *, source: str) -> Picture:
    """The first frame of a GIF as a `Picture`; errors as those of `decode_webp`."""
    return _decode(data, "gif", "GIF", source, {})


def decode_bmp(data: bytes, *, source: str) -> Picture:
    """A BMP as a `Picture`; errors as those of `decode_webp`."""
    return _decode(data, "bmp", "BMP", source, {})


def _decode(data: bytes, form: str, title: str, source: str, extra: Mapping[str, Any]) -> Picture:
    name = {"WEBP": "WebP"}.get(title, title)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=[title]) as image:
                return _picture(image, data, form, source, extra)
    except Image.DecompressionBombError as error:
        raise InputError(f"{source}: {str(error).split('(')[-1].split(')')[0]}", "cut it into parts") from error
    except UnidentifiedImageError:
        raise InputError(f"{source}: broken {name}: the header is damaged", _AGAIN) from None
    except _BROKEN as error:
        raise InputError(f"{source}: broken {name}: {reason(error)}", _AGAIN) from error


def _picture(image: Image.Image, data: bytes, form: str, source: str, extra: Mapping[str, Any]) -> Picture:
    bounded((image.height, image.width, len(image.getbands())), 1, len(data), source=source)
    mode, frames = image.mode, int(getattr(image, "n_frames", 1))
    converted = {"P": "palette, converted to RGB", "1": "1 bit, converted to 8-bit grey"}
    notes: tuple[str, ...] = (converted[mode],) if mode in converted else ()
    lost: tuple[str, ...] = (
        (f"animated: the first of {frames} frames is restored, the others are lost",) if frames > 1 else ()
    )
    lost += ("a GIF holds 256 colours: the result is a PNG",) if form == "gif" else ()
    array, alpha = _pixels(image)
    return picture_of(
        array,
        alpha,
        form=form,
        source=source,
        exif=image.info.get("exif"),
        xmp=image.info.get("xmp"),
        icc=image.info.get("icc_profile"),
        dpi=_dpi(image),
        extra=extra,
        notes=notes,
        lost=lost,
    )


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    pair = image.info.get("dpi")
    return (float(pair[0]), float(pair[1])) if pair and min(pair) > 0 else None


def _pixels(image: Image.Image) -> tuple[Array, Array | None]:
    """Colour (H, W) or (H, W, 3) and alpha (H, W) or None; a palette of greys is grey."""
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        values = np.array(image.convert("RGBA"))
        if image.mode == "RGBA" and image.format == "BMP" and not values[..., 3].any():
            return values[..., :3], None  # 32 bit whose fourth byte nobody filled
        grey = image.mode in ("L", "LA")
        return (values[..., 0] if grey else values[..., :3]), values[..., 3]
    return np.array(image.convert("L" if image.mode in ("1", "L") else "RGB")), None


def _webp_chunk(data: bytes, name: bytes) -> bool:
    """Whether a chunk of a name is among those of the file."""
    position = 12
    while position + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, position + 4)
        if data[position : position + 4] == name:
            return True
        position += 8 + length + length % 2
    return False


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Height and width that the first chunk declares."""
    kind, body = data[12:16], data[20:30]
    if len(body) < 10:
        return None
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[7:10], "little"), 1 + int.from_bytes(body[4:7], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF)
    width, height = struct.unpack_from("<HH", body, 6)
    return height & 0x3FFF, width & 0x3FFF


def encode_webp(picture: Picture, provenance: Mapping[str, str]) -> bytes:
    """The bytes of a WebP without losses; provenance goes into EXIF's description."""
    options = {"icc_profile": picture.icc, "exif": exif_of(picture, provenance), "xmp": xmp_of(picture)}
    kept = {name: value for name, value in options.items() if value}
    return _saved(picture, "WebP", lossless=True, exact=True, quality=80, method=4, **kept)


def encode_bmp(picture: Picture, provenance: Mapping[str, str]) -> bytes:
    """The bytes of a BMP, which has no place for provenance."""
    del provenance
    return _saved(picture, "BMP", **({"dpi": picture.dpi} if picture.dpi else {}))


def encode_gif(picture: Picture, provenance: Mapping[str, str]) -> bytes:
    """The bytes of a PNG: a GIF would hold 256 of the colours."""
    return encode_png(picture, provenance)


def _saved(picture: Picture, title: str, **options: Any) -> bytes:
    samples = samples_of(picture, f"a {title}")
    if title == "BMP" and samples.ndim == 3 and samples.shape[2] == 2:
        samples = np.concatenate([np.repeat(samples[..., :1], 3, -1), samples[..., 1:]], -1)
    buffer = io.BytesIO()
    try:
        Image.fromarray(samples).save(buffer, title.upper(), **options)
    except (OSError, ValueError, struct.error) as error:
        raise OutputError(f"cannot be written as {title}: {reason(error)}", "write a PNG or a TIFF instead") from error
    return buffer.getvalue()


def facts(picture: Picture) -> dict[str, str]:
    """How the file is compressed, for `inverse info`."""
    said: str | None = picture.extra.get("compression")
    return {"compression": said} if said else {}
