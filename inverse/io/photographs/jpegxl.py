"""JPEG XL of 8 to 16 bit and float: pixels through imagecodecs, all else through pyjpegxl, extra ``jxl``.

It is written without losses, in 8 bit, 16 bit or float, with the profile, EXIF and XMP that were read. The decoder
turns pictures upright, whatever EXIF says. Of an animation the first frame is read. Source: ISO/IEC 18181.
"""

from __future__ import annotations

from collections.abc import Mapping

import imagecodecs
import numpy as np
import pyjpegxl

from inverse.errors import InputError, OutputError
from inverse.io.content import Picture
from inverse.io.limits import bounded, quiet, reason
from inverse.io.photographs.boxes import boxes
from inverse.io.photographs.metadata import exif_of, picture_of, samples_of, widened, xmp_of

__all__ = ["decode", "encode", "facts"]

_AGAIN = "copy or export the file again"


def decode(data: bytes, *, source: str) -> Picture:
    """A JPEG XL as a `Picture`.

    Raises:
        InputError: The file is broken, truncated or too large, or has other colours than grey or RGB.
    """
    try:
        told = pyjpegxl.probe(data)
        bits, samples = int(told.bits_per_sample), int(told.num_color_channels)
        shape = (int(told.height), int(told.width), samples + 1)
        bounded(shape, 1 if bits <= 8 else 2 if bits <= 16 else 4, len(data), source=source)
        with quiet("imagecodecs"):
            values = imagecodecs.jpegxl_decode(data, index=0, numthreads=1)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise InputError(f"{source}: broken JPEG XL: {reason(error)}", _AGAIN) from error
    values = values[..., None] if values.ndim == 2 else values
    if samples not in (1, 3) or values.ndim != 3 or values.shape[2] not in (samples, samples + 1):
        raise InputError(f"{source}: a JPEG XL of {samples} colours", "convert it to RGB or grey first")
    values = widened(values, bits) if values.dtype.kind == "u" else values.astype(np.float32)
    alpha = values[..., samples] if values.shape[2] > samples else None
    colours = values[..., 0] if samples == 1 else values[..., :3]
    return picture_of(
        colours,
        alpha,
        form="jpegxl",
        source=source,
        exif=told.exif,
        turned=True,
        xmp=told.xmp,
        icc=told.icc,
        extra={"depth": bits, "intensity": float(told.intensity_target), **_kind(data)},
    )


def _kind(data: bytes) -> dict[str, str]:
    """Where the container says that it holds a JPEG, whose losses it has."""
    try:
        packed = any(name == b"jbrd" for name, _ in boxes(data)) if data.startswith(b"\0\0\0\x0cJXL ") else False
    except ValueError:
        packed = False
    return {"compression": "lossy: a JPEG, packed"} if packed else {}


def encode(picture: Picture, provenance: Mapping[str, str]) -> bytes:
    """The bytes of a JPEG XL without losses; provenance goes into EXIF's description."""
    samples = samples_of(picture, "a JPEG XL", ("uint8", "uint16", "float32"))
    try:
        return bytes(
            pyjpegxl.encode_from_numpy(
                np.ascontiguousarray(samples),
                lossless=True,
                exif=exif_of(picture, provenance),
                xmp=xmp_of(picture),
                icc=picture.icc,
                intensity_target=picture.extra.get("intensity"),
            )
        )
    except (RuntimeError, ValueError, TypeError) as error:
        raise OutputError(f"cannot be written as JPEG XL: {reason(error)}", "write a PNG or a TIFF instead") from error


def facts(picture: Picture) -> dict[str, object]:
    """Bits of a sample and what the file says of its compression, for `inverse info`."""
    said = picture.extra.get("compression")
    return {"bits": int(picture.extra["depth"]), **({"compression": said} if said else {})}
