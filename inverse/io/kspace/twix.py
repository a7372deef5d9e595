"""Siemens raw data, ``meas_*.dat`` (twix) of VB, VD and VE, extra ``twix``: made records of ISMRMRD, and read as those.

The layout of headers and the names of flags are twixtools'. Of several measurements in a file the last with image
readouts is read; where it has no noise scan of its own, that of an earlier one with as many coils is taken. Field of
view, matrices, dwell time and sequence come from the protocol, positions and directions from the readouts: Siemens'
patient axes are DICOM's, and the columns of the quaternion's rotation are phase encoding, readout, slice. Columns are
placed by the line of the centre (partial Fourier). The rest is `inverse.io.formats.ismrmrd`'s.

Twix files have no trajectory: radial and spiral ones are refused, and so are three-dimensional ones. Phase correction
of echo-planar data and regridding of readouts on gradient ramps are not done, which is said.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt
from twixtools import mdh_def

from inverse.errors import InputError
from inverse.io.content import Scan
from inverse.io.formats.ismrmrd import scan_of

__all__ = ["decode"]

_AGAIN = "export it from the scanner again"
_LONGEST = 2**25  # bytes of a header
_FLAGS = {
    "NOISEADJSCAN": 19,
    "PATREFSCAN": 20,
    "PATREFANDIMASCAN": 21,
    "REFLECT": 22,
    "PHASCOR": 24,
    "HPFEEDBACK": 26,
    "RETRO_DUMMYSCAN": 27,
    "RTFEEDBACK": 28,
    "REFPHASESTABSCAN": 30,
    "PHASESTABSCAN": 31,
}
_COUNTERS = {
    "kspace_encode_step_1": "Lin",
    "kspace_encode_step_2": "Par",
    "average": "Ave",
    "slice": "Sli",
    "contrast": "Eco",
    "phase": "Phs",
    "repetition": "Rep",
    "set": "Set",
    "segment": "Seg",
}
_HEAD = np.dtype(
    [
        *(("flags", "<u8"), ("measurement_uid", "<u4"), ("acquisition_time_stamp", "<u4")),
        *((name, "<i8") for name in ("number_of_samples", "active_channels", "discard_pre", "discard_post")),
        *(("center_sample", "<i8"), ("centre_line", "<i8"), ("encoding_space_ref", "<u2"), ("sample_time_us", "<f4")),
        *((name, "<f4", (3,)) for name in ("position", "read_dir", "phase_dir", "slice_dir")),
        ("idx", [(name, "<u2") for name in _COUNTERS]),
    ]
)
_RECORD = np.dtype([("head", _HEAD), ("data", object)])
_TRAJECTORIES = {2: "radial", 4: "spiral", 8: "blade"}
_FREQUENCY = "sTXSPEC.asNucleusInfo[0].lFrequency"
_SEQUENCE = {"TR": ("alTR[0]", 1000), "TE": ("alTE[0]", 1000), "TI": ("alTI[0]", 1000)}
_CALIBRATION = {2: "embedded", 4: "separate"}


@dataclass(frozen=True)
class _Measurement:
    protocol: str  # its ASCCONV text and what lies around it
    records: npt.NDArray[Any]
    ended: bool  # it ends as the scanner ends it

    def text(self, key: str) -> str:
        found = re.search(rf"^{re.escape(key)}\s*=\s*(\S[^\n]*)$", self.protocol, re.MULTILINE)
        return found[1].strip().strip('"') if found else ""

    def number(self, key: str) -> float:
        """A value of the protocol; NaN where there is none."""
        word = self.text(key).split("#")[0].strip()
        try:
            return float(int(word, 16)) if word.startswith("0x") else float(word)
        except ValueError:
            return float("nan")


def decode(path: Path, *, source: str) -> Scan:
    """k-space of a twix file.

    Raises:
        InputError: A broken file, no image readouts, a protocol without sizes, three dimensions, or a trajectory.
    """
    content = np.memmap(path, np.uint8, mode="r")
    measurements = [_measurement(content, start, stop, new, source) for start, stop, new in _parts(content, source)]
    read = [one for one in measurements if _is_image(one.records).any()]
    if not read:
        raise InputError(f"{source}: no image readouts in its {len(measurements)} measurements", "choose another file")
    chosen = read[-1]
    image, records = chosen.records[_is_image(chosen.records)], chosen.records
    notes = [f"the last of {len(measurements)} measurements is read"] if len(measurements) > 1 else []
    if not _flagged(records, "NOISEADJSCAN").any():
        coils = int(image["head"]["active_channels"][0])
        for other in (one for one in reversed(measurements) if one is not chosen):
            noise = other.records[_flagged(other.records, "NOISEADJSCAN")]
            noise = noise[noise["head"]["active_channels"] == coils]
            if len(noise):
                records = np.concatenate([noise, records])
                notes.append("noise scan of an earlier measurement")
                break
    if not chosen.ended:
        notes.append("the file ends before the measurement does")
    if (image["head"]["flags"] & np.uint64(1 << (_FLAGS["REFLECT"] - 1))).any():
        notes.append("echo-planar: neither phase correction nor regridding of ramps")
    return scan_of(records, _header(chosen, image, source), form="twix", source=source, notes=tuple(notes))


def _parts(content: npt.NDArray[np.uint8], source: str) -> Iterator[tuple[int, int, bool]]:
    """First byte, one past the last, and whether it is VD or newer, of each measurement."""
    if bytes(content[8:14]) == b"Config":
        yield 0, len(content), False
        return
    count = int(np.array(content[4:8]).view("<u4")[0])
    for index in range(count):
        entry = 8 + 152 * index
        start, length = (int(value) for value in np.array(content[entry + 8 : entry + 24]).view("<u8"))
        stop = start + length if length else len(content)
        if start + 8 > len(content):
            raise InputError(f"{source}: broken twix: measurement {index + 1} of {count} is outside the file", _AGAIN)
        yield start, min(stop, len(content)), True


def _measurement(content: npt.NDArray[np.uint8], start: int, stop: int, new: bool, source: str) -> _Measurement:
    length = int(np.array(content[start : start + 4]).view("<u4")[0])
    if not 8 <= length <= min(_LONGEST, stop - start):
        raise InputError(f"{source}: broken twix: a header of {length} bytes", _AGAIN)
    text = bytes(content[start : start + length]).decode("latin-1")
    blocks = list(_blocks(content, start + length, stop, new))
    ended = bool(blocks) and blocks[-1] is None
    kept = [block for block in blocks if block is not None]
    protocol = text[max(0, text.find("### ASCCONV BEGIN")) :]
    made = _Measurement(protocol, np.zeros(len(kept), _RECORD), ended)
    dwell = made.number("sRXSPEC.alDwellTime[0]") / 1000  # from ns
    for record, (header, samples) in zip(made.records, kept, strict=True):
        record["head"] = _head(header, samples.shape, dwell)
        record["data"] = samples.view(np.float32).ravel()
    return made


def _blocks(
    content: npt.NDArray[np.uint8], place: int, stop: int, new: bool
) -> Iterator[tuple[Any, npt.NDArray[np.complex64]] | None]:
    """Headers and samples (coils, n); None at the end that the scanner writes."""
    kind = mdh_def.Scan_header if new else mdh_def.VB17_header
    size = ctypes.sizeof(kind)
    front = size if new else 0
    each = ctypes.sizeof(mdh_def.Channel_header) if new else size
    while place + size <= stop:
        header = kind.from_buffer_copy(bytes(content[place : place + size]))
        if mdh_def.is_flag_set(header, "ACQEND"):
            yield None
            return
        coils, samples = int(header.UsedChannels), int(header.SamplesInScan)
        if mdh_def.is_flag_set(header, "SYNCDATA"):
            length = int(mdh_def.get_dma_len(header))
        else:
            length = front + coils * (each + 8 * samples)
        if length < size or place + length > stop:
            return
        if not mdh_def.is_flag_set(header, "SYNCDATA") and coils and samples:
            rows = np.array(content[place + front : place + length]).reshape(coils, each + 8 * samples)
            yield header, np.ascontiguousarray(rows[:, each:]).view(np.complex64)
        place += length


def _head(header: Any, shape: tuple[int, ...], dwell: float) -> npt.NDArray[Any]:
    head = np.zeros((), _HEAD)
    for name, bit in _FLAGS.items():
        if mdh_def.is_flag_set(header, name):
            head["flags"] |= np.uint64(1 << (bit - 1))
    head["active_channels"], head["number_of_samples"] = shape
    head["measurement_uid"], head["acquisition_time_stamp"] = header.MeasUID & 0xFFFFFFFF, header.TimeStamp
    head["discard_pre"], head["discard_post"] = header.CutOff.Pre, header.CutOff.Post
    head["center_sample"], head["centre_line"] = header.CenterCol, header.CenterLin
    head["sample_time_us"] = dwell if dwell > 0 else 0
    for name, counter in _COUNTERS.items():
        head["idx"][name] = getattr(header.Counter, counter)
    place = header.SliceData.SlicePos
    head["position"] = place.Sag, place.Cor, place.Tra
    head["phase_dir"], head["read_dir"], head["slice_dir"] = _directions(header.SliceData.Quaternion)
    return head


def _directions(quaternion: Any) -> npt.NDArray[np.float64]:
    """The columns of a rotation, from its quaternion, the scalar first; zeros where that is none."""
    w, x, y, z = (float(value) for value in quaternion)
    if not abs(w * w + x * x + y * y + z * z - 1) < 1e-3:
        return np.zeros((3, 3))
    rotation = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.array(rotation).T


def _flagged(records: npt.NDArray[Any], name: str) -> npt.NDArray[np.bool_]:
    return np.asarray((records["head"]["flags"] & np.uint64(1 << (_FLAGS[name] - 1))) != 0)


def _is_image(records: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Readouts of an image, reference lines beside it left out."""
    other = ("NOISEADJSCAN", "PHASCOR", "HPFEEDBACK", "RETRO_DUMMYSCAN", "RTFEEDBACK")
    others = [_flagged(records, name) for name in (*other, "REFPHASESTABSCAN", "PHASESTABSCAN")]
    reference = _flagged(records, "PATREFSCAN") & ~_flagged(records, "PATREFANDIMASCAN")
    return np.asarray(~np.any(others, axis=0) & ~reference)


def _header(measurement: _Measurement, image: npt.NDArray[Any], source: str) -> str:
    """The protocol as an ISMRMRD header.

    Raises:
        InputError: the protocol has no sizes, or the scan is not a Cartesian one of slices.
    """
    number = measurement.number
    first = "sSliceArray.asSlice[0]"
    base, lines = number("sKSpace.lBaseResolution"), number("sKSpace.lPhaseEncodingLines")
    views = [number(f"{first}.{name}") for name in ("dReadoutFOV", "dPhaseFOV", "dThickness")]
    if not (1 <= base <= 65535 and 1 <= lines <= 65535 and all(0 < view < 1e5 for view in views)):
        raise InputError(f"{source}: broken twix: a protocol without matrix or field of view", _AGAIN)
    if number("sKSpace.ucDimension") == 4 or image["head"]["idx"]["kspace_encode_step_2"].any():
        raise InputError(f"{source}: a second phase encoding (3-D data)", "allowed: two-dimensional slices")
    if (kind := _TRAJECTORIES.get(int(np.nan_to_num(number("sKSpace.ucTrajectory"))))) is not None:
        hint = "convert it to ISMRMRD with its trajectory, or give k-space and trajectory in HDF5 (docs/mri.md)"
        raise InputError(f"{source}: a {kind} trajectory, which twix files do not hold", hint)
    head = image["head"]
    left = head["center_sample"] - head["discard_pre"]
    right = head["number_of_samples"] - head["discard_pre"] - head["discard_post"] - left
    rows = int(max(2 * left.max(), 2 * right.max() - 1, 1))
    over = 1 + max(0.0, float(np.nan_to_num(number("sKSpace.dPhaseOversamplingForDialog"))))
    steps = head["idx"]["kspace_encode_step_1"].astype(int)
    centre = int(head["centre_line"][0]) or round(lines * over) // 2
    columns = max(round(lines * over), 2 * (centre - int(steps.min())), 2 * (int(steps.max()) - centre) + 1)
    recon = round(base), max(1, round(base * views[1] / views[0]))
    views_of_all = [views[0] * rows / base, views[1] * columns / lines, views[2]]
    spaces = _space("encodedSpace", (rows, columns), views_of_all) + _space("reconSpace", recon, views)
    mode = _CALIBRATION.get(int(np.nan_to_num(number("sPat.ucRefScanMode"))), "")
    parallel = f"<parallelImaging><calibrationMode>{mode}</calibrationMode></parallelImaging>" if mode else ""
    limits = f"<minimum>{steps.min()}</minimum><maximum>{steps.max()}</maximum><center>{centre}</center>"
    return (
        '<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">'
        f"{_context(measurement)}<encoding>{spaces}<encodingLimits><kspace_encoding_step_1>{limits}"
        f"</kspace_encoding_step_1></encodingLimits><trajectory>cartesian</trajectory>{parallel}</encoding>"
        f"{_sequence(measurement)}</ismrmrdHeader>"
    )


def _space(name: str, matrix: tuple[int, int], views: Sequence[float]) -> str:
    sizes = "".join(f"<{axis}>{size}</{axis}>" for axis, size in zip("xyz", (*matrix, 1), strict=True))
    fields = "".join(f"<{axis}>{view:.9g}</{axis}>" for axis, view in zip("xyz", views, strict=True))
    return f"<{name}><matrixSize>{sizes}</matrixSize><fieldOfView_mm>{fields}</fieldOfView_mm></{name}>"


def _context(measurement: _Measurement) -> str:
    """What was measured, and with which scanner."""
    field, frequency = (measurement.number(key) for key in ("sProtConsistencyInfo.flNominalB0", _FREQUENCY))
    name = escape(measurement.text("tProtocolName").strip('"'))
    strength = f"<systemFieldStrength_T>{field:g}</systemFieldStrength_T>" if field > 0 else ""
    hertz = round(frequency) if frequency > 0 else 0
    return (
        f"<measurementInformation><protocolName>{name}</protocolName></measurementInformation>"
        f"<acquisitionSystemInformation><systemVendor>SIEMENS</systemVendor>{strength}</acquisitionSystemInformation>"
        f"<experimentalConditions><H1resonanceFrequency_Hz>{hertz}</H1resonanceFrequency_Hz></experimentalConditions>"
    )


def _sequence(measurement: _Measurement) -> str:
    """Times in ms, and the flip angle."""
    values = {name: measurement.number(key) / scale for name, (key, scale) in _SEQUENCE.items()}
    values["flipAngle_deg"] = measurement.number("adFlipAngleDegree[0]")
    known = "".join(f"<{name}>{value:g}</{name}>" for name, value in values.items() if value > 0)
    return f"<sequenceParameters>{known}</sequenceParameters>" if known else ""
