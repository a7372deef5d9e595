"""DICOM, read only, through pydicom, extra ``medical``: a grey image, or the frames of one file as slices.

The result is a TIFF, or a multi-page TIFF, of the same name with ``.tif`` appended: float32 in rescaled units
(Hounsfield units of a CT) where the file has a rescale slope or intercept or a table, else the type of the file.
Rescaling and spacing of multi-frame files are read from the functional groups, a frame's own before the shared ones
before the file's. Padding values are no measurement: those pixels are unobserved and are written as they were.

Nothing that identifies the patient is copied; the pixel spacing is, as resolution. A series of files is a folder: each
file is an item. To write DICOM is a matter of regulation, and left to the systems that do it.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pydicom
from pydicom.pixels.processing import apply_modality_lut

from inverse.errors import InputError
from inverse.io.content import SAID, Array, Picture, Volume
from inverse.io.formats import tiff
from inverse.io.formats.tiff_axes import Axes
from inverse.io.limits import bounded, reason

__all__ = ["decode", "encode", "float_map"]

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
    stored = file.pixel_array.reshape(shape)
    notes: tuple[str, ...] = ("written as TIFF",)
    padding = _padding(file, stored.dtype)
    valid = None if padding is None else (stored < padding[0]) | (stored > padding[1])
    if valid is not None and not valid.any():
        raise InputError(f"{source}: all pixels hold the padding value", "choose another file")
    pixels, more = _in_units(file, stored)
    notes += more
    if valid is not None and not valid.all():
        notes += (f"{(~valid).mean():.1%} of the pixels are padding, unobserved",)
    if (spacing := _spacing(file, 0)) is not None:
        notes += (f"pixel spacing {spacing[0]:g} x {spacing[1]:g} mm",)
    axes = Axes("YX" if len(pixels) == 1 else "ZYX", () if len(pixels) == 1 else (len(pixels),), shape[1:])
    extra: Mapping[str, Any] = {"layout": "contig", "axes": axes}
    pictures = tuple(
        Picture(
            array=np.ascontiguousarray(part),
            format="dicom",
            valid=None if valid is None or valid[index].all() else valid[index],
            dpi=_dpi(file, index),
            extra=extra if valid is None or valid[index].all() else {**extra, "padding": part},
            notes=notes if len(pixels) == 1 else (),
            source=source,
        )
        for index, part in enumerate(pixels)
    )
    if len(pictures) == 1:
        return pictures[0]
    first = Picture(array=pictures[0].array[:0], format="dicom", dpi=pictures[0].dpi, extra=extra)
    said = (*notes, f"{len(pictures)} frames", SAID)
    return Volume(slices=pictures, format="dicom", extra={"first": first}, notes=said, source=source)


def _groups(file: Any, index: int) -> list[Any]:
    """The functional groups of a frame, its own first, then the shared ones."""
    own, shared = (file.get(f"{kind}FunctionalGroupsSequence") for kind in ("PerFrame", "Shared"))
    return [*([own[index]] if own and index < len(own) else []), *([shared[0]] if shared else [])]


def _macro(file: Any, index: int, sequence: str) -> Any:
    """The item of a sequence of a frame's functional groups; the file itself where there is none."""
    found = (group[sequence].value for group in _groups(file, index) if sequence in group)
    return next((items[0] for items in found if items), file)


def _in_units(file: Any, stored: Array) -> tuple[Array, tuple[str, ...]]:
    """Frames in the units that the file says they have, and what was done."""
    scaled = [_macro(file, index, "PixelValueTransformationSequence") for index in range(len(stored))]
    low = str(file.get("PhotometricInterpretation")) == "MONOCHROME1"
    if "ModalityLUTSequence" in file:
        table = apply_modality_lut(stored, file).astype(np.float32)
        return table, ("values by the file's table",)
    pairs = [(float(part.get("RescaleSlope", 1) or 1), float(part.get("RescaleIntercept", 0) or 0)) for part in scaled]
    if any(pair != (1.0, 0.0) for pair in pairs):
        slopes, inters = (np.array(column).reshape(-1, 1, 1) for column in zip(*pairs, strict=True))
        said = f"times {pairs[0][0]:g} plus {pairs[0][1]:g}" if len(set(pairs)) == 1 else "each frame by its own"
        more = ("white is low, values kept",) if low else ()
        return (stored * slopes + inters).astype(np.float32), (f"rescaled: {said}", *more)
    if not low:
        return stored, ()
    top = -1 if stored.dtype.kind == "i" else 2 ** int(file.get("BitsStored", 8 * stored.dtype.itemsize)) - 1
    return (top - stored.astype(np.int64)).clip(*_ends(stored.dtype)).astype(stored.dtype), ("white is low, inverted",)


def _ends(dtype: Any) -> tuple[int, int]:
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def _padding(file: Any, dtype: Any) -> tuple[int, int] | None:
    """The lowest and the highest stored value that marks padding."""
    if file.get("PixelPaddingValue") is None or dtype.kind not in "iu":
        return None
    ends = [file.PixelPaddingValue]
    if file.get("PixelPaddingRangeLimit") is not None:
        ends.append(file.PixelPaddingRangeLimit)
    low, high = _ends(dtype)
    span = high - low + 1
    # writers that took a signed value for an unsigned one, or the other way
    values = sorted((int(end) - low) % span + low for end in ends)
    return values[0], values[-1]


def _spacing(file: Any, index: int) -> tuple[float, float] | None:
    """Distance of rows and of columns in mm."""
    macro = _macro(file, index, "PixelMeasuresSequence")
    spacing = macro.get("PixelSpacing") or file.get("PixelSpacing") or file.get("ImagerPixelSpacing")
    if spacing is None or len(spacing) != 2 or min(float(value) for value in spacing) <= 0:
        return None
    return float(spacing[0]), float(spacing[1])


def _dpi(file: Any, index: int) -> tuple[float, float] | None:
    """Pixels per inch, horizontal and vertical."""
    spacing = _spacing(file, index)
    return None if spacing is None else (25.4 / spacing[1], 25.4 / spacing[0])


def encode(content: Picture | Volume, provenance: Mapping[str, str]) -> bytes:
    """The bytes of a TIFF, its padding as it was."""
    if isinstance(content, Volume):
        return tiff.encode(replace(content, slices=tuple(map(_padded, content.slices))), provenance)
    return tiff.encode(_padded(content), provenance)


def _padded(picture: Picture) -> Picture:
    value = picture.extra.get("padding")
    if value is None or picture.valid is None:
        return picture
    value = np.asarray(value).astype(picture.array.dtype)
    if value.ndim and value.shape != picture.size:
        rows, columns = (np.arange(new) * old // new for new, old in zip(picture.size, value.shape, strict=True))
        value = value[rows[:, None], columns[None, :]]
    return replace(picture, array=np.where(picture.valid, picture.array, value))


def float_map(values: Array, like: Picture) -> Picture:
    """A map such as an uncertainty as a float32 picture of the kind of one; NaN where that is padding."""
    same = values.shape[:2] == like.size
    dpi = like.dpi
    if dpi is not None and not same:
        dpi = (dpi[0] * values.shape[1] / like.size[1], dpi[1] * values.shape[0] / like.size[0])
    array = np.ascontiguousarray(values, np.float32)
    valid = like.valid if same else None
    return replace(like, array=array, dpi=dpi, valid=valid, extra={**like.extra, "padding": float("nan")})
