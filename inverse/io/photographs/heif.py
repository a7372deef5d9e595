"""HEIC and HEIF of 8, 10 and 12 bit through pillow-heif, extra ``heif``.

It is written without losses: the identity matrix instead of YCbCr, no subsampling, in the depth and with the primaries
and the transfer curve that were read. libheif turns pictures upright, whatever EXIF says. Of several pictures the
primary one is read; depth maps, gain maps and thumbnails are not in the result. Source: ISO/IEC 23008-12.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pillow_heif

from inverse.errors import InputError, OutputError
from inverse.io.content import Array, Picture
from inverse.io.limits import bounded, reason
from inverse.io.photographs.boxes import largest
from inverse.io.photographs.metadata import exif_of, narrowed, picture_of, samples_of, widened, xmp_of

__all__ = ["decode", "encode", "facts"]

_AGAIN = "copy or export the file again"
_BROKEN = (OSError, ValueError, EOFError, SyntaxError, RuntimeError, LookupError, TypeError)


def decode(data: bytes, *, source: str) -> Picture:
    """A HEIC or HEIF as a `Picture`.

    Raises:
        InputError: The file is broken, truncated or too large, or compressed in a way that libheif cannot read here.
    """
    if (size := largest(data)) is not None:
        bounded((*size, 3), 1, len(data), source=source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
            bounded((*file.size[::-1], 3), 1, len(data), source=source)
            info, count = file.info, len(file)
            values = np.array(file)
    except _BROKEN as error:
        raise InputError(f"{source}: broken HEIF: {reason(error)}", _AGAIN) from error
    bits = int(info.get("bit_depth", 8 if values.dtype == np.uint8 else 10))
    values = values if values.dtype == np.uint8 else widened(values >> (16 - bits), bits)
    alpha = values[..., -1] if values.ndim == 3 and values.shape[2] in (2, 4) else None
    colours = values if alpha is None else values[..., :-1]
    colours = _whole(colours, alpha) if alpha is not None and file.premultiplied_alpha else colours
    beside = {"depth map": info.get("depth_images"), "auxiliary pictures (gain map)": _gains(info)}
    lost = tuple(f"its {name} is not in the result" for name, there in beside.items() if there)
    lost += (f"holds {count} pictures: the primary one is restored, the others are lost",) if count > 1 else ()
    light = {name: info.get("nclx_profile", {}).get(key) for name, key in _LIGHT.items()}
    return picture_of(
        colours[..., 0] if colours.ndim == 3 and colours.shape[2] == 1 else colours,
        alpha,
        form="heif",
        source=source,
        exif=info.get("exif"),
        turned=True,
        xmp=info.get("xmp"),
        icc=info.get("icc_profile"),
        extra={"depth": bits, **{name: int(value) for name, value in light.items() if value is not None}},
        lost=lost,
    )


_LIGHT = {"primaries": "color_primaries", "transfer": "transfer_characteristics"}


def _gains(info: Mapping[str, Any]) -> list[str]:
    return [name for name in info.get("aux", {}) if "gain" in str(name).lower()]


def _whole(colours: Array, alpha: Array) -> Array:
    """Colours that were stored times their alpha."""
    top = np.iinfo(alpha.dtype).max
    part = np.maximum(alpha[..., None].astype(np.float64) / top, 1e-9)
    return np.minimum(np.rint(colours / part), top).astype(colours.dtype)


def encode(picture: Picture, provenance: Mapping[str, str]) -> bytes:
    """The bytes of a HEIC without losses; provenance goes into EXIF's description."""
    samples, extra = samples_of(picture, "a HEIC", ("uint8", "uint16")), picture.extra
    if samples.ndim == 3 and samples.shape[2] == 2:
        samples = np.concatenate([np.repeat(samples[..., :1], 3, -1), samples[..., 1:]], -1)
    bits = 8 if samples.dtype == np.uint8 else min(12, max(10, int(extra.get("depth", 12))))
    mode = "L" if samples.ndim == 2 else "RGB" if samples.shape[2] == 3 else "RGBA"
    values = samples if bits == 8 else narrowed(samples, bits) << (16 - bits)
    exif, xmp = exif_of(picture, provenance), xmp_of(picture)
    options: dict[str, Any] = {"matrix_coefficients": 0} if mode != "L" else {}
    options |= {"color_primaries": extra.get("primaries", 1), "transfer_characteristics": extra.get("transfer", 13)}
    before, buffer = pillow_heif.options.SAVE_HDR_TO_12_BIT, io.BytesIO()
    try:
        pillow_heif.options.SAVE_HDR_TO_12_BIT = bits == 12
        file = pillow_heif.from_bytes(
            mode=mode if bits == 8 else f"{mode};16",
            size=picture.size[::-1],
            data=np.ascontiguousarray(values).tobytes(),
        )
        if picture.icc:
            file.info.update(icc_profile=picture.icc, icc_profile_type="prof")
        file.save(buffer, quality=-1, chroma=444, exif=exif, xmp=xmp, **options)
    except _BROKEN as error:
        raise OutputError(f"cannot be written as HEIC: {reason(error)}", "write a PNG or a TIFF instead") from error
    finally:
        pillow_heif.options.SAVE_HDR_TO_12_BIT = before
    return buffer.getvalue()


def facts(picture: Picture) -> dict[str, int]:
    """Bits of a sample, for `inverse info`."""
    return {"bits": int(picture.extra["depth"])}
