"""Images of raw k-space as a DICOM series, through pydicom, extra ``medical``: one MR image a slice.

All slices share slope and window; values are in the units of the k-space. Positions are the raw data's (their axes are
DICOM's); instances are numbered in the order of the slices in space. Patient, study and what is known of the sequence
come from the ISMRMRD header. Identifiers depend on the raw data and on the run alone, so that the same run makes the
same files; the restored images and their standard deviation are two series of one study and one frame of reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from xml.etree import ElementTree

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from inverse.errors import InputError
from inverse.io.content import Array, Scan
from inverse.io.kspace.header import parsed
from inverse.io.patient.dicom_file import decimal, file_bytes, identifier, set_pixels, spanned
from inverse.io.patient.placement import Ground, on_ground, step

__all__ = ["encode"]

#: DICOM's elements of patient, study, series and equipment, by the path of their text in an ISMRMRD header.
_TEXTS = {
    "PatientName": "subjectInformation/patientName",
    "PatientID": "subjectInformation/patientID",
    "PatientSex": "subjectInformation/patientGender",
    "PatientWeight": "subjectInformation/patientWeight_kg",
    "StudyID": "studyInformation/studyID",
    "AccessionNumber": "studyInformation/accessionNumber",
    "StudyDescription": "studyInformation/studyDescription",
    "ReferringPhysicianName": "studyInformation/referringPhysicianName",
    "ProtocolName": "measurementInformation/protocolName",
    "PatientPosition": "measurementInformation/patientPosition",
    "Manufacturer": "acquisitionSystemInformation/systemVendor",
    "ManufacturerModelName": "acquisitionSystemInformation/systemModel",
    "InstitutionName": "acquisitionSystemInformation/institutionName",
    "StationName": "acquisitionSystemInformation/stationName",
}
_DATES = {
    "PatientBirthDate": "subjectInformation/patientBirthdate",
    "StudyDate": "studyInformation/studyDate",
    "SeriesDate": "measurementInformation/seriesDate",
}
_TIMES = {"StudyTime": "studyInformation/studyTime", "SeriesTime": "measurementInformation/seriesTime"}
_NUMBERS = {
    "RepetitionTime": "sequenceParameters/TR",
    "EchoTime": "sequenceParameters/TE",
    "InversionTime": "sequenceParameters/TI",
    "FlipAngle": "sequenceParameters/flipAngle_deg",
    "MagneticFieldStrength": "acquisitionSystemInformation/systemFieldStrength_T",
}
#: Elements that the standard wants even where they are empty.
_EMPTY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime", "EchoTime"),
    *("ReferringPhysicianName", "AccessionNumber", "Manufacturer", "PatientPosition", "PositionReferenceIndicator"),
    *("RepetitionTime", "EchoTrainLength", "ScanOptions"),
)
_TEXT = 64


def encode(images: Array, *, like: Scan, deviation: bool, provenance: Mapping[str, str]) -> list[bytes]:
    """The bytes of a file for each slice of images (S, H, W), of complex ones the magnitude, in the order in space.

    ``deviation``: they are standard deviations. Slices that are no volume keep their order.
    """
    values, ground = on_ground(images, like)
    assert ground.place is not None
    order, gap = _order(ground, len(values), like)
    known = np.isfinite(values)
    stored = spanned(values, known, low=0.0)
    first = _of_scan(like, "standard deviation" if deviation else "restored", provenance)
    low, high = np.percentile(values[known], (1, 99.5)) if known.any() else (0.0, 1.0)
    first.WindowCenter, first.WindowWidth = decimal((low + high) / 2), decimal(max(high - low, 1e-12))
    assert ground.spacing is not None
    first.PixelSpacing = [decimal(value) for value in ground.spacing]
    first.SliceThickness = "" if ground.thickness is None else decimal(ground.thickness)
    if gap is not None:
        first.SpacingBetweenSlices = decimal(gap)
    files = []
    for number, index in enumerate(order, 1):
        made = Dataset()
        made.update(first)
        place = ground.place
        made.ImagePositionPatient = [decimal(value) for value in place.origins[index]]
        made.ImageOrientationPatient = [decimal(value) for value in (*place.across[index], *place.down[index])]
        made.InstanceNumber = number
        made.SOPInstanceUID = identifier(str(first.SeriesInstanceUID), str(index))
        made.Rows, made.Columns = values.shape[1:]
        part = type(stored)(stored.pixels[index][None], stored.slope, stored.intercept, stored.padding)
        set_pixels(made, part, windows=True)
        files.append(file_bytes(made))
    return files


def _order(ground: Ground, count: int, like: Scan) -> tuple[Array, float | None]:
    """Slices in their order in space, and their distance; the file's order where they are no volume."""
    try:
        order, onward = step(ground, count, source=like.source)
    except InputError:
        return np.arange(count), None
    return order, float(np.linalg.norm(onward)) if count > 1 else None


def _of_scan(scan: Scan, role: str, provenance: Mapping[str, str]) -> Dataset:
    """What all slices have in common."""
    text = str(scan.extra.get("header", ""))
    header = parsed(text, scan.source) if text else ElementTree.Element("none")
    file = Dataset()
    file.SpecificCharacterSet = "ISO_IR 192"
    for name in _EMPTY:
        setattr(file, name, None)
    for name, path in _TEXTS.items():
        if said := header.findtext(path, "").strip():
            setattr(file, name, said[:_TEXT])
    for name, path in (_DATES | _TIMES).items():
        digits = "".join(letter for letter in header.findtext(path, "") if letter.isdigit())
        if len(digits) >= (8 if name in _DATES else 6):
            setattr(file, name, digits[: 8 if name in _DATES else 6])
    for name, path in _NUMBERS.items():
        try:
            setattr(file, name, decimal(float(header.findtext(path, ""))))
        except (ValueError, OverflowError):
            continue
    stamp = "\n".join(f"{key}={value}" for key, value in sorted(provenance.items()))
    scanned = sha256(text.encode() + np.ascontiguousarray(scan.kspace).tobytes()).hexdigest()
    study = header.findtext("studyInformation/studyInstanceUID", "").strip()
    frame = header.findtext("measurementInformation/frameOfReferenceUID", "").strip()
    file.SOPClassUID, file.Modality = MRImageStorage, "MR"
    file.StudyInstanceUID = study if _is_identifier(study) else identifier("study", scanned)
    file.FrameOfReferenceUID = frame if _is_identifier(frame) else identifier("frame of reference", scanned)
    file.SeriesInstanceUID = identifier("series", scanned, role, stamp)
    file.SeriesNumber = 1002 if role == "standard deviation" else 1001
    named = header.findtext(_TEXTS["ProtocolName"], "").strip()
    file.SeriesDescription = f"{named} {role}".strip()[-_TEXT:]
    file.ImageType = ["DERIVED", "PRIMARY", "OTHER"]
    file.DerivationDescription = f"{role}, from raw data; {'; '.join(provenance.values())}"[:1024]
    file.ScanningSequence, file.SequenceVariant, file.MRAcquisitionType = "RM", "NONE", "2D"
    file.PhotometricInterpretation = "MONOCHROME2"
    return file


def _is_identifier(text: str) -> bool:
    parts = text.split(".")
    return 0 < len(text) <= 64 and len(parts) > 1 and all(part.isdigit() and len(part) < 40 for part in parts)
