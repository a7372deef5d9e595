"""DICOM through pydicom, extra ``medical``: a grey image, or the frames of one file as slices.

Values are in rescaled units (Hounsfield units of a CT), float32, where the file has a rescale slope or intercept or a
table, else of the type of the file; doses are in their units, and floats stay floats. Rescaling and spacing of
multi-frame files are read from the functional groups, a frame's own before the shared ones before the file's. Padding
values are no measurement: those pixels are unobserved and are written as they were. A series of files is a folder: each
file is an item.

The result is DICOM (`inverse.io.patient.dicom_file`): 16 bits with slope and intercept, an instance of its own with the
patient and the place of the input. It is marked as derived, and is not for diagnosis.
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

from inverse.errors import InputError, OutputError
from inverse.io.content import LARGEST_PIXEL, SAID, Array, Picture, Volume
from inverse.io.limits import bounded, reason
from inverse.io.patient import dicom_file

__all__ = ["decode", "encode", "facts", "float_map"]

_AGAIN = "export it again"
_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_FLOATS = ("FloatPixelData", "DoubleFloatPixelData")


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
    if not any(name in file for name in ("PixelData", *_FLOATS)):
        raise InputError(f"{source}: a DICOM file without an image", "choose the file of an image")
    if int(file.get("SamplesPerPixel", 1)) != 1 or str(file.get("PhotometricInterpretation")) == "PALETTE COLOR":
        raise InputError(f"{source}: a coloured DICOM image", "export it as PNG or TIFF")
    shape = (int(file.get("NumberOfFrames", 1) or 1), int(file.Rows), int(file.Columns))
    bounded(shape, (int(file.BitsAllocated) + 7) // 8, length, source=source)
    stored = file.pixel_array.reshape(shape)
    notes: tuple[str, ...] = ()
    padding = _padding(file, stored.dtype)
    valid = None if padding is None else (stored < padding[0]) | (stored > padding[1])
    if stored.dtype.kind == "f" and (blank := _blank(file)) is not None:
        valid = stored != stored.dtype.type(blank)
    if valid is not None and not valid.any():
        raise InputError(f"{source}: all pixels hold the padding value", "choose another file")
    pixels, more = _in_units(file, stored)
    notes += more
    if valid is not None and not valid.all():
        notes += (f"{(~valid).mean():.1%} of the pixels are padding, unobserved",)
    spacing = _spacing(file, 0)
    if spacing is not None:
        notes += (f"pixel spacing {spacing[0]:g} x {spacing[1]:g} mm",)
    kept = pydicom.Dataset()
    kept.update({tag: element for tag, element in file.items() if tag not in _PIXELS})
    small = spacing is not None and 1e6 * max(spacing) <= LARGEST_PIXEL
    optics = {"optics": {"pixel": (1e6 * spacing[0], 1e6 * spacing[1])}} if small and spacing else {}
    extra: Mapping[str, Any] = {"dataset": kept, "floats": stored.dtype.kind == "f", **optics}
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
    said = (*notes, f"{len(pictures)} frames", SAID)
    return Volume(slices=pictures, format="dicom", extra=extra, notes=said, source=source)


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
    pairs = [_scale(file, part) for part in scaled]
    if any(pair != (1.0, 0.0) for pair in pairs):
        slopes, inters = (np.array(column).reshape(-1, 1, 1) for column in zip(*pairs, strict=True))
        said = f"times {pairs[0][0]:g} plus {pairs[0][1]:g}" if len(set(pairs)) == 1 else "each frame by its own"
        more = ("white is low, values kept",) if low else ()
        return (stored * slopes + inters).astype(np.float32), (f"rescaled: {said}", *more)
    if not low or stored.dtype.kind == "f":
        return stored, ()
    turned = (_white(file, stored.dtype) - stored.astype(np.int64)).clip(*_ends(stored.dtype))
    return turned.astype(stored.dtype), ("white is low, inverted",)


def _scale(file: Any, part: Any) -> tuple[float, float]:
    """Slope and intercept of stored values; of a dose its grid's scaling, in ``DoseUnits``."""
    if dose := float(file.get("DoseGridScaling", 0) or 0):
        return dose, 0.0
    return float(part.get("RescaleSlope", 1) or 1), float(part.get("RescaleIntercept", 0) or 0)


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


def _blank(file: Any) -> float | None:
    """The value of floats that marks padding."""
    value = file.get("FloatPixelPaddingValue", file.get("DoubleFloatPixelPaddingValue"))
    return None if value is None else float(value)


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


def _white(file: Any, dtype: Any) -> int:
    """What a value and its inverse sum up to where white is low."""
    return -1 if dtype.kind == "i" else 2 ** int(file.get("BitsStored", 8 * dtype.itemsize)) - 1


def encode(content: Picture | Volume, provenance: Mapping[str, str]) -> bytes:
    """The bytes of a DICOM file, its padding as it was.

    Raises:
        OutputError: the result has colours, or an element of the input cannot be written again.
    """
    pictures = content.slices if isinstance(content, Volume) else (content,)
    if pictures[0].channels != 1:
        raise OutputError("a coloured result cannot be written as DICOM", "convert the input to PNG or TIFF first")
    source, deviation = content.extra["dataset"], bool(content.extra.get("deviation"))
    values = np.stack([_padded(picture).array.reshape(picture.size) for picture in pictures])
    valid = np.stack([np.ones(p.size, bool) if p.valid is None else p.valid.reshape(p.size) for p in pictures])
    made = dicom_file.derived(source, role="standard deviation" if deviation else "restored", provenance=provenance)
    if content.extra.get("floats"):
        blank = _blank(source)
        values = np.where(valid, values, np.nan if blank is None or deviation else blank).astype(values.dtype)
        dicom_file.set_floats(made, values)
        return dicom_file.file_bytes(made)
    if deviation:
        stored = dicom_file.spanned(values, np.isfinite(values) & valid, low=0.0)
        made.PhotometricInterpretation = "MONOCHROME2"
    elif values.dtype.kind in "iu":
        stored = _own(source, made, values)
    else:
        stored = _rescaled(source, values, valid)
    dicom_file.set_pixels(made, stored, windows=not deviation)
    return dicom_file.file_bytes(made)


def _own(source: Any, made: Any, values: Array) -> dicom_file.Stored:
    """Integers of a file without rescaling."""
    padding = _padding(source, values.dtype)
    if str(source.get("PhotometricInterpretation")) == "MONOCHROME1":
        turned = _white(source, values.dtype) - values.astype(np.int64)
        low, high = _ends(values.dtype)
        if turned.min() >= low and turned.max() <= high:
            values = turned.astype(values.dtype)
        else:  # brighter than the white of its bits: shown alike with white high
            made.PhotometricInterpretation, padding = "MONOCHROME2", None
            for name in ("WindowCenter", "WindowWidth"):
                if name in made:
                    delattr(made, name)
    return dicom_file.Stored(values, None, 0.0, padding)


def _rescaled(source: Any, values: Array, valid: Array) -> dicom_file.Stored:
    """Values of a file with rescaling: in its own steps or finer ones where all frames have the same."""
    scaled = [_macro(source, index, "PixelValueTransformationSequence") for index in range(len(values))]
    pairs = {_scale(source, part) for part in scaled}
    if "DoseGridScaling" in source:
        return dicom_file.on_wide_steps(values, next(iter(pairs))[0])
    stored = None
    if len(pairs) == 1 and "ModalityLUTSequence" not in source:
        padding = _padding(source, np.dtype(np.int16 if source.get("PixelRepresentation") else np.uint16))
        stored = dicom_file.on_steps(values, *next(iter(pairs)), padding)
    return dicom_file.spanned(values, valid) if stored is None else stored


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
    extra = {**like.extra, "padding": float("nan"), "deviation": True}
    return replace(like, array=array, dpi=dpi, valid=valid, extra=extra)


def facts(content: Picture | Volume) -> dict[str, Any]:
    """Modality and sizes of pixels, for `inverse info`."""
    file = content.extra["dataset"]
    spacing = _spacing(file, 0)
    stated = {"modality": str(file.get("Modality") or ""), "spacing_mm": spacing and list(spacing)}
    return {name: value for name, value in stated.items() if value}
