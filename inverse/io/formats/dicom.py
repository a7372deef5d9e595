"""DICOM, read only, through pydicom, extra ``medical``: a grey image, or the frames of one file as slices.

The result is a TIFF, or a multi-page TIFF, of the same name with ``.tif`` appended: float32 in rescaled units
(Hounsfield units of a CT) where the file has a rescale slope or intercept, else the type of the file. Nothing that
identifies the patient is copied; the pixel spacing is, as resolution. A series of files is a folder: each file is an
item. To write DICOM is a matter of regulation, and left to the systems that do it.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pydicom

from inverse.errors import InputError
from inverse.io.content import SAID, Picture, Volume
from inverse.io.formats.tiff_axes import Axes
from inverse.io.limits import bounded, reason

__all__ = ["decode"]

_AGAIN = "export it again"


def decode(data: bytes, *, source: str) -> Picture | Volume:
    """A DICOM file as a `Picture`, or as a `Volume` where it has several frames.

    Raises:
        InputError: The file is broken, has no pixels, is coloured, or compressed in a way that needs another package.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _content(pydicom.dcmread(io.BytesIO(data)), len(data), source)
    except InputError:
        raise
    except Exception as error:  # pydicom raises a dozen types on damaged files
        cause = reason(error, 140)
        hint = "pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg" if "plugin" in cause else _AGAIN
        raise InputError(f"{source}: broken DICOM: {cause}", hint) from error


def _content(file: Any, length: int, source: str) -> Picture | Volume:
    if "PixelData" not in file:
        raise InputError(f"{source}: a DICOM file without an image", "choose the file of an image")
    if int(file.get("SamplesPerPixel", 1)) != 1 or str(file.get("PhotometricInterpretation")) == "PALETTE COLOR":
        raise InputError(f"{source}: a coloured DICOM image", "export it as PNG or TIFF")
    shape = (int(file.get("NumberOfFrames", 1) or 1), int(file.Rows), int(file.Columns))
    bounded(shape, (int(file.BitsAllocated) + 7) // 8, length, source=source)
    pixels = file.pixel_array.reshape(shape)
    notes: tuple[str, ...] = ("written as TIFF",)
    slope, inter = float(file.get("RescaleSlope", 1) or 1), float(file.get("RescaleIntercept", 0) or 0)
    if (slope, inter) != (1.0, 0.0):
        pixels = (pixels * slope + inter).astype(np.float32)
        notes = (*notes, f"rescaled: times {slope:g} plus {inter:g}")
    elif str(file.get("PhotometricInterpretation")) == "MONOCHROME1":
        pixels = np.iinfo(pixels.dtype).max - pixels if pixels.dtype.kind == "u" else -1 - pixels
        notes = (*notes, "white is low, inverted")
    axes = Axes("YX" if len(pixels) == 1 else "ZYX", () if len(pixels) == 1 else (len(pixels),), shape[1:])
    extra: Mapping[str, Any] = {"layout": "contig", "axes": axes}
    pictures = tuple(
        Picture(
            array=np.ascontiguousarray(part),
            format="dicom",
            dpi=_dpi(file),
            extra=extra,
            notes=notes if len(pixels) == 1 else (),
            source=source,
        )
        for part in pixels
    )
    if len(pictures) == 1:
        return pictures[0]
    first = Picture(array=pictures[0].array[:0], format="dicom", dpi=_dpi(file), extra=extra)
    said = (*notes, f"{len(pictures)} frames", SAID)
    return Volume(slices=pictures, format="dicom", extra={"first": first}, notes=said, source=source)


def _dpi(file: Any) -> tuple[float, float] | None:
    """Pixels per inch, horizontal and vertical, from the spacing of rows and columns in mm."""
    spacing = file.get("PixelSpacing") or file.get("ImagerPixelSpacing")
    if spacing is None or len(spacing) != 2 or min(float(value) for value in spacing) <= 0:
        return None
    return 25.4 / float(spacing[1]), 25.4 / float(spacing[0])
