"""AVIF of 8, 10 and 12 bit: pixels through imagecodecs, what is beside them through Pillow.

It is written without losses: the identity matrix instead of YCbCr, no subsampling, the quantiser at zero, in the depth
and with the primaries and the transfer curve that were read. imagecodecs writes pixels alone; profile, EXIF and XMP are
put into its file by `inverse.io.photographs.boxes`. Source: the AV1 image file format, ISO/IEC 23008-12.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Mapping
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image

from inverse.errors import InputError, OutputError
from inverse.io.content import Array, Picture
from inverse.io.limits import bounded, quiet, reason
from inverse.io.photographs.boxes import largest, property_of, with_metadata
from inverse.io.photographs.metadata import exif_of, narrowed, picture_of, samples_of, widened, xmp_of

__all__ = ["decode", "encode", "facts"]

_AGAIN = "copy or export the file again"
#: Flags of a configuration of AV1: more than 8 bit, without colours.
_DEEP, _GREY = 0x40, 0x10


def decode(data: bytes, *, source: str) -> Picture:
    """An AVIF as a `Picture`, of a sequence its first frame.

    Raises:
        InputError: The file is broken, truncated or too large.
    """
    if (size := largest(data)) is not None:
        bounded((*size, 3), 1, len(data), source=source)
    try:
        with warnings.catch_warnings(), quiet("imagecodecs"):
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=["AVIF"]) as image:
                bounded((image.height, image.width, 3), 1, len(data), source=source)
                info, frames = dict(image.info), int(getattr(image, "n_frames", 1))
                values = _pixels(data, image, frames, source)
    except (OSError, ValueError, SyntaxError, EOFError, RuntimeError, Image.DecompressionBombError) as error:
        raise InputError(f"{source}: broken AVIF: {reason(error)}", _AGAIN) from error
    bits = _depth(data, values.dtype)
    values = widened(values, bits)
    samples = 1 if values.ndim == 2 else values.shape[2]
    colours = values if samples in (1, 3) else values[..., 0] if samples == 2 else values[..., :3]
    return picture_of(
        colours,
        values[..., -1] if samples in (2, 4) else None,
        form="avif",
        source=source,
        exif=info.get("exif"),
        xmp=info.get("xmp"),
        icc=info.get("icc_profile"),
        extra={"depth": bits, **_light(data)},
        lost=(f"a sequence: the first of {frames} frames is restored, the others are lost",) if frames > 1 else (),
    )


def _pixels(data: bytes, image: Image.Image, frames: int, source: str) -> Array:
    """(H, W) or (H, W, samples), of a sequence its first frame.

    Of a sequence imagecodecs writes all frames into the room of the first (2026.3.6), so it is asked for all of them;
    and only for more than 8 bit, which Pillow does not read.
    """
    if frames == 1:
        return np.asarray(imagecodecs.avif_decode(data, index=0, numthreads=1))
    told = property_of(data, b"av1C") or b"\0\0\0"
    if len(told) > 2 and told[2] & _DEEP:
        bounded((frames, image.height, image.width, 3), 2, len(data), source=source)
        return np.asarray(imagecodecs.avif_decode(data, numthreads=1)[0])
    values = np.asarray(image)
    if len(told) > 2 and told[2] & _GREY:
        values = values[..., 0] if values.shape[2] == 3 else values[..., [0, 3]]
    return np.ascontiguousarray(values)


def _depth(data: bytes, dtype: np.dtype[Any]) -> int:
    """Bits of a sample, as the configuration of AV1 says."""
    told = property_of(data, b"av1C")
    if dtype.itemsize == 1 or told is None or len(told) < 3:
        return 8 if dtype.itemsize == 1 else 10
    return (12 if told[2] & 0x20 else 10) if told[2] & _DEEP else 8


def _light(data: bytes) -> dict[str, int]:
    """Primaries and transfer curve by their numbers in ISO/IEC 23091-2."""
    told = property_of(data, b"colr", b"nclx")
    if told is None or len(told) < 8:
        return {}
    primaries, transfer = struct.unpack_from(">HH", told, 4)
    return {"primaries": primaries, "transfer": transfer}


def encode(picture: Picture, provenance: Mapping[str, str]) -> bytes:
    """The bytes of an AVIF without losses; provenance goes into EXIF's description."""
    samples, extra = samples_of(picture, "an AVIF", ("uint8", "uint16")), picture.extra
    bits = 8 if samples.dtype == np.uint8 else min(12, max(10, int(extra.get("depth", 12))))
    grey = samples.ndim == 2 or samples.shape[2] == 2
    matrices = imagecodecs.AVIF.MATRIX_COEFFICIENTS
    try:
        plain = imagecodecs.avif_encode(
            narrowed(samples, bits),
            level=imagecodecs.AVIF.QUALITY.LOSSLESS,
            bitspersample=bits,
            speed=6,
            pixelformat="yuv400" if grey else "yuv444",
            matrix=matrices.BT601 if grey else matrices.IDENTITY,
            primaries=extra.get("primaries", 1),
            transfer=extra.get("transfer", 13),
            numthreads=1,
        )
        return with_metadata(bytes(plain), icc=picture.icc, exif=exif_of(picture, provenance), xmp=xmp_of(picture))
    except (RuntimeError, ValueError) as error:
        raise OutputError(f"cannot be written as AVIF: {reason(error)}", "write a PNG or a TIFF instead") from error


def facts(picture: Picture) -> dict[str, int]:
    """Bits of a sample, for `inverse info`."""
    return {"bits": int(picture.extra["depth"])}
