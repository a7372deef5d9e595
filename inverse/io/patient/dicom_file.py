"""A restored DICOM file: the elements of the one that was read, and 16-bit pixels with a slope and an intercept.

Values in the file's own steps stay exact: the intercept is the file's, the slope the file's over a power of two, so
that the steps are as fine as 16 bits allow. Of frames with rescalings of their own, of tables and of standard
deviations, 16 bits span the values. Pixels without a value hold the padding value.

The instance and its series have identifiers of their own, derived from the input's and from the run: the same run makes
the same file. Patient, study, frame of reference, position and private elements are the input's. The image type is
DERIVED, with a reference to the source. On another grid spacing and position are scaled, and overlays are left out.
"""

from __future__ import annotations

import copy
import io
import math
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from pydicom.valuerep import DSfloat

from inverse.errors import OutputError
from inverse.io.content import Array

__all__ = [
    *("Stored", "decimal", "derived", "file_bytes", "identifier", "on_steps", "on_wide_steps", "set_floats"),
    *("set_pixels", "spanned"),
]

_MOST = 65535
_WIDEST = 2**31 - 1
_FINEST = 8  # a slope is halved at most so often
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
#: Elements that are wrong of other pixels.
_STALE = (
    *("PixelData", "FloatPixelData", "DoubleFloatPixelData", "ModalityLUTSequence", "ExtendedOffsetTable"),
    *("SmallestImagePixelValue", "LargestImagePixelValue", "SmallestPixelValueInSeries", "LargestPixelValueInSeries"),
    *("ExtendedOffsetTableLengths", "DigitalSignaturesSequence", "MACParametersSequence", "PixelPaddingRangeLimit"),
)
_WINDOWS = ("WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTSequence", "VOILUTFunction")


@dataclass(frozen=True)
class Stored:
    """Pixels as they are stored."""

    pixels: Array  # (S, H, W) integers
    slope: float | None  # None: the file has no rescaling
    intercept: float
    padding: tuple[int, int] | None  # the lowest and the highest stored value that marks padding


def identifier(*sources: str) -> str:
    """A unique identifier (2.25) that depends on the sources alone."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, chr(10).join(sources)).int}"


def decimal(value: float) -> DSfloat:
    """A number as a decimal string of at most 16 characters."""
    return DSfloat(float(value), auto_format=True)


def spanned(values: Array, valid: Array, *, low: float | None = None) -> Stored:
    """Values (S, H, W) on 16 bits, from the smallest valid one or ``low`` to the largest; others are padding, 0."""
    known = values[valid]
    bottom, top = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    bottom = bottom if low is None else low
    first = 0 if valid.all() else 1
    slope = float(decimal((top - bottom) / (_MOST - first))) or 1.0
    intercept = float(decimal(bottom - first * slope))
    codes = np.rint((np.where(valid, values, bottom).astype(np.float64) - intercept) / slope)
    pixels = np.where(valid, np.clip(codes, first, _MOST), 0).astype(np.uint16)
    return Stored(pixels, slope, intercept, None if first == 0 else (0, 0))


def on_steps(values: Array, slope: float, intercept: float, padding: tuple[int, int] | None) -> Stored | None:
    """Values (S, H, W) by a slope that is a power of two finer, so that the file's steps stay; None: out of range."""
    codes = (values.astype(np.float64) - intercept) / slope
    low, high = float(codes.min(initial=0)), float(codes.max(initial=0))
    if padding is not None:
        low, high = min(low, padding[0]), max(high, padding[1])
    signed = low < -0.25
    room = (-32768.0, 32767.0) if signed else (0.0, 65535.0)
    reach = max(low / room[0] if signed else 0.0, high / room[1])
    if not math.isfinite(reach) or reach > 1:
        return None
    fine = _finer(slope, reach)
    pixels = np.clip(np.rint(codes * fine), *room).astype(np.int16 if signed else np.uint16)
    marks = None if padding is None else (padding[0] * fine, padding[1] * fine)
    return Stored(pixels, slope / fine, intercept, marks)


def on_wide_steps(values: Array, slope: float) -> Stored:
    """Values (S, H, W) on 32 bits without an intercept, as doses are, by a slope that is a power of two finer."""
    codes = values.astype(np.float64) / slope
    signed = float(codes.min(initial=0)) < -0.25
    fine = _finer(slope, float(np.abs(codes).max(initial=0)) / _WIDEST)
    pixels = np.clip(np.rint(codes * fine), -_WIDEST if signed else 0, _WIDEST)
    return Stored(pixels.astype(np.int32 if signed else np.uint32), slope / fine, 0.0, None)


def _finer(slope: float, reach: float) -> int:
    """The power of two that a slope can be divided by where the values take a share of the range of the codes.

    The quotient is a decimal string without rounding, where there is one.
    """
    halvings = _FINEST if reach == 0 else max(0, min(_FINEST, math.floor(-math.log2(reach))))
    exact = (count for count in range(halvings, -1, -1) if slope / 2**count == float(decimal(slope / 2**count)))
    return int(2 ** next(exact, 0))


def derived(source: Dataset, *, role: str, provenance: Mapping[str, str]) -> Dataset:
    """The elements of a file that is made of another: identifiers, series, type, origin. ``role`` says what it is."""
    made = copy.deepcopy(source)
    for name in _STALE:
        if name in made:
            delattr(made, name)
    stamp = "\n".join(f"{key}={value}" for key, value in sorted(provenance.items()))
    if source.get("SOPInstanceUID"):
        origin = Dataset()
        origin.ReferencedSOPClassUID = source.get("SOPClassUID", "")
        origin.ReferencedSOPInstanceUID = source.SOPInstanceUID
        made.SourceImageSequence = Items([origin])
    made.SOPInstanceUID = identifier(str(source.get("SOPInstanceUID", "")), role, stamp)
    made.SeriesInstanceUID = identifier(str(source.get("SeriesInstanceUID", "")), role, stamp)
    said = " ".join(part for part in (str(source.get("SeriesDescription") or ""), role) if part)
    made.SeriesDescription = said[-64:]
    made.DerivationDescription = f"{role}; {'; '.join(provenance.values())}"[:1024]
    kinds = [str(part) for part in _several(source.get("ImageType"))]
    made.ImageType = ["DERIVED", *(kinds[1:] or ["PRIMARY"])]
    for group in _groups(made):
        for element in group:
            if element.keyword.endswith("FrameTypeSequence") and element.value and element.value[0].get("FrameType"):
                frame = element.value[0]
                frame.FrameType = ["DERIVED", *[str(part) for part in _several(frame.FrameType)][1:]]
    return made


def _several(value: Any) -> Sequence[Any]:
    return [value] if isinstance(value, str) else list(value or ())


def _groups(file: Dataset) -> Iterator[Dataset]:
    """All functional groups."""
    for name in _GROUPS:
        yield from file.get(name) or ()


def set_pixels(file: Dataset, stored: Stored, *, windows: bool) -> None:
    """Put pixels and their rescaling into a file, in place; ``windows``: whether its display windows fit them."""
    count, rows, columns = stored.pixels.shape
    _regrid(file, (rows, columns))
    dtype = stored.pixels.dtype
    file.Rows, file.Columns, file.SamplesPerPixel = rows, columns, 1
    if count > 1 or "NumberOfFrames" in file:
        file.NumberOfFrames = count
    bits = 8 * dtype.itemsize
    needed = bits if dtype.kind == "i" or stored.slope is not None else max(1, int(stored.pixels.max()).bit_length())
    own = int(file.get("BitsStored", bits))
    file.BitsStored = own if stored.slope is None and needed <= own <= bits else bits
    file.BitsAllocated, file.HighBit, file.PixelRepresentation = bits, file.BitsStored - 1, int(dtype.kind == "i")
    if stored.slope is not None:
        _remap(file, stored, deviation=not windows)
        _rescale(file, stored.slope, stored.intercept)
    if "PixelPaddingValue" in file:
        del file.PixelPaddingValue
    if stored.padding is not None:
        kind = "SS" if dtype.kind == "i" else "US"
        file.add_new("PixelPaddingValue", kind, stored.padding[0])
        if stored.padding[1] != stored.padding[0]:
            file.add_new("PixelPaddingRangeLimit", kind, stored.padding[1])
    if not windows:
        for name in _WINDOWS:
            if name in file:
                delattr(file, name)
        for group in _groups(file):
            if "FrameVOILUTSequence" in group:
                del group.FrameVOILUTSequence
        top = (stored.slope or 1.0) * float(stored.pixels.max()) + stored.intercept
        file.WindowCenter, file.WindowWidth = decimal(top / 2), decimal(top or 1.0)
    file.add_new(
        "PixelData", "OW" if bits > 8 else "OB", _even(stored.pixels.astype(dtype.newbyteorder("<")).tobytes())
    )


def set_floats(file: Dataset, values: Array) -> None:
    """Put floats (S, H, W) into a file that had floats, in place: they are in its units, without rescaling."""
    count, rows, columns = values.shape
    _regrid(file, (rows, columns))
    file.Rows, file.Columns, file.SamplesPerPixel = rows, columns, 1
    if count > 1 or "NumberOfFrames" in file:
        file.NumberOfFrames = count
    for name in ("BitsStored", "HighBit", "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "RescaleType"):
        if name in file:
            delattr(file, name)
    for group in _groups(file):
        if "PixelValueTransformationSequence" in group:
            del group.PixelValueTransformationSequence
    double = values.dtype.itemsize == 8
    file.BitsAllocated = 64 if double else 32
    data = values.astype("<f8" if double else "<f4").tobytes()
    file.add_new("DoubleFloatPixelData" if double else "FloatPixelData", "OD" if double else "OF", data)


def _even(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)


def _remap(file: Dataset, stored: Stored, *, deviation: bool) -> None:
    """Mappings of stored values to real-world ones, of the new steps; tables, and those of frames apart, are left out.

    A standard deviation has the factor of its values, never their offset.
    """
    holders = [file, *_groups(file)]
    shared = list(file.get(_GROUPS[0]) or ())
    old = set()
    for holder in holders:
        above = (holder, *shared, file)
        slope, start = (
            _found(name, "PixelValueTransformationSequence", above) for name in ("RescaleSlope", "RescaleIntercept")
        )
        old.add((float(slope or 1), float(start or 0)))
    signed = stored.pixels.dtype.kind == "i"
    ends = (int(np.iinfo(stored.pixels.dtype).min), int(np.iinfo(stored.pixels.dtype).max))
    for holder in holders:
        items = holder.get("RealWorldValueMappingSequence")
        if not items:
            continue
        kept = [item for item in items if len(old) == 1 and item.get("RealWorldValueSlope") is not None]
        for item in kept:
            (slope, start), factor = next(iter(old)), float(item.RealWorldValueSlope)
            offset = 0.0 if deviation else float(item.get("RealWorldValueIntercept", 0)) - factor * start / slope
            item.RealWorldValueSlope = factor / slope * (stored.slope or 1.0)
            item.RealWorldValueIntercept = offset + factor / slope * stored.intercept
            for name in ("DoubleFloatRealWorldValueFirstValueMapped", "DoubleFloatRealWorldValueLastValueMapped"):
                if name in item:
                    delattr(item, name)
            for name, end in zip(("First", "Last"), ends, strict=True):
                narrow = min(max(end, -32768), 32767 if signed else _MOST)
                item.add_new(f"RealWorldValue{name}ValueMapped", "SS" if signed else "US", narrow)
        holder.RealWorldValueMappingSequence = Items(kept)
        if not kept:
            del holder.RealWorldValueMappingSequence


def _rescale(file: Dataset, slope: float, intercept: float) -> None:
    if "DoseGridScaling" in file:  # of doses the only factor, without an offset
        file.DoseGridScaling = decimal(slope)
        return
    groups = list(_groups(file))
    kinds = [part[0].get("RescaleType") for part in (g.get("PixelValueTransformationSequence") for g in groups) if part]
    for group in groups:
        if "PixelValueTransformationSequence" in group:
            del group.PixelValueTransformationSequence
    place = file
    if groups:
        place = Dataset()
        shared = file.get("SharedFunctionalGroupsSequence")
        if not shared:
            file.SharedFunctionalGroupsSequence = shared = Items([Dataset()])
        shared[0].PixelValueTransformationSequence = Items([place])
        for name in ("RescaleSlope", "RescaleIntercept"):
            if name in file:
                delattr(file, name)
    place.RescaleSlope, place.RescaleIntercept = decimal(slope), decimal(intercept)
    place.RescaleType = str(place.get("RescaleType") or next((kind for kind in kinds if kind), "US"))


def _regrid(file: Dataset, size: tuple[int, int]) -> None:
    """Spacing and position on a grid of another size, the extent unchanged; no overlays, which are of the old one."""
    old = int(file.Rows), int(file.Columns)
    if size == old:
        return
    steps, shared = (old[0] / size[0], old[1] / size[1]), list(file.get(_GROUPS[0]) or ())
    for holder in (file, *_groups(file)):
        position, above = (holder.get("PlanePositionSequence") or [holder])[0], (holder, *shared, file)
        spacing = _found("PixelSpacing", "PixelMeasuresSequence", above)
        axes = _found("ImageOrientationPatient", "PlaneOrientationSequence", above)
        if spacing is None or axes is None or not position.get("ImagePositionPatient"):
            continue
        rows, columns = (float(distance) * (step - 1) / 2 for distance, step in zip(spacing, steps, strict=True))
        moved = np.array(position.ImagePositionPatient, float)
        moved += columns * np.array(axes[:3], float) + rows * np.array(axes[3:], float)
        position.ImagePositionPatient = [decimal(value) for value in moved]
    measures = [group.PixelMeasuresSequence[0] for group in _groups(file) if group.get("PixelMeasuresSequence")]
    for place in (file, *measures):
        for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
            spacing = place.get(name)
            if spacing is not None and len(spacing) == 2:
                scaled = [decimal(float(value) * step) for value, step in zip(spacing, steps, strict=True)]
                setattr(place, name, scaled)
    for region in file.get("SequenceOfUltrasoundRegions") or ():
        _regrid_region(region, steps)
    for element in list(file):
        if 0x6000 <= element.tag.group <= 0x60FF:
            del file[element.tag]


def _regrid_region(region: Dataset, steps: tuple[float, float]) -> None:
    """A region of an ultrasound image, its corners and the distances of its pixels, on a grid of other steps."""
    for axis, step in zip("YX", steps, strict=True):
        for name, shift in (("RegionLocationMin{}0", 0), ("RegionLocationMax{}1", 1)):
            key = name.format(axis)
            if region.get(key) is not None:
                setattr(region, key, max(0, round((int(region[key].value) + shift) / step) - shift))
        for key, factor in ((f"PhysicalDelta{axis}", step), (f"ReferencePixel{axis}0", 1 / step)):
            if region.get(key) is not None:
                scaled = float(region[key].value) * factor
                setattr(region, key, round(scaled) if key.startswith("Reference") else scaled)


def _found(name: str, sequence: str, holders: Iterable[Dataset]) -> Any:
    """The first of some values, each in a sequence of a functional group or at the top; None where there is none."""
    places = ((holder.get(sequence) or [holder])[0] for holder in holders)
    return next((place.get(name) for place in places if place.get(name)), None)


def file_bytes(file: Dataset) -> bytes:
    """The bytes of a DICOM file.

    Raises:
        OutputError: an element of the input cannot be written again.
    """
    if not file.get("SOPClassUID"):
        file.SOPClassUID = SecondaryCaptureImageStorage
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = file.SOPClassUID, file.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.file_meta = meta
    buffer = io.BytesIO()
    try:
        file.save_as(buffer, enforce_file_format=True, implicit_vr=False, little_endian=True)
    except Exception as error:  # pydicom raises a dozen types on damaged elements
        raise OutputError(f"an element of the DICOM input cannot be written again: {str(error)[:100]}") from error
    return buffer.getvalue()
