"""Readouts of an ISMRMRD file: which of them make the image, and where their samples belong.

Of several encoding spaces the first with image readouts is taken. Averages of a readout are averaged, and the noise
scan divided by the root of their mean number and by that of the ratio of dwell times; one contrast, phase, repetition
and set is read, the first or those that are named. Navigators, phase corrections, reference lines that the header calls
separate or external, feedback and dummies are skipped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from inverse.errors import InputError
from inverse.io.kspace.header import Encoding
from inverse.io.limits import bounded

__all__ = ["FRAMES", "Chosen", "along_path", "choose", "noise_of", "on_grid", "placement"]

Array = npt.NDArray[Any]
_NOISE = 19
_SKIPPED = {
    "navigation data": 23,
    "phase correction data": 24,
    "high-performance feedback": 26,
    "dummy scan": 27,
    "real-time feedback": 28,
    "surface coil correction": 29,
    "phase stabilisation reference": 30,
    "phase stabilisation": 31,
}
_REFERENCE, _REFERENCE_AND_IMAGE, _REVERSED = 20, 21, 22
#: Of each of these one is read.
FRAMES = ("contrast", "phase", "repetition", "set")
#: What an image takes over of the first readout of its slice.
_PLACES = (
    *("measurement_uid", "position", "read_dir", "phase_dir", "slice_dir", "patient_table_position"),
    *("acquisition_time_stamp", "physiology_time_stamp"),
)


@dataclass(frozen=True)
class Chosen:
    """The records of a file that are read."""

    image: Array  # readouts of the image
    noise: Array  # of noise alone
    encoding: Encoding  # of the image
    notes: tuple[str, ...]  # what was left out
    frame: Mapping[str, int]  # which of `FRAMES`


def choose(records: Array, spaces: Sequence[Encoding], source: str, wanted: Mapping[str, int] | None = None) -> Chosen:
    """The readouts of the image and of the noise scan; ``wanted`` says which of `FRAMES` are read, the first of others.

    Raises:
        InputError: There are none, or their encoding space is not in the header.
    """
    head = records["head"]
    flags = head["flags"].astype(np.uint64)
    skipped = {said: _flagged(flags, bit) for said, bit in _SKIPPED.items()}
    noise = _flagged(flags, _NOISE)
    reference = _flagged(flags, _REFERENCE) & ~_flagged(flags, _REFERENCE_AND_IMAGE)
    place = (
        head["encoding_space_ref"].astype(int)
        if "encoding_space_ref" in (head.dtype.names or ())
        else np.zeros(len(flags), int)
    )
    separate = [space.calibration in ("separate", "external") for space in spaces]
    apart = reference & np.isin(place, [index for index, value in enumerate(separate) if value])
    frame = {part: int((wanted or {}).get(part, 0)) for part in FRAMES}
    useful = ~noise & ~apart & ~np.any(list(skipped.values()), axis=0)
    first = np.all([head["idx"][part] == number for part, number in frame.items()], axis=0)
    image = first & useful
    held = {part: np.unique(head["idx"][part][useful]) for part in FRAMES}
    if not image.any() and useful.any():
        said = ", ".join(f"{part} {' '.join(map(str, numbers[:8]))}" for part, numbers in held.items())
        asked = ", ".join(f"{part} {number}" for part, number in frame.items())
        raise InputError(f"{source}: no readouts of {asked}", f"it holds {said}")
    if not image.any():
        raise InputError(f"{source}: no image readouts among {len(records)} acquisitions", "is it a noise scan alone?")
    notes = [f"{int(chosen.sum())} readouts of {said} skipped" for said, chosen in skipped.items() if chosen.any()]
    own = image & ~reference
    space = int(place[own if own.any() else image].min())
    if space >= len(spaces):
        raise InputError(
            f"{source}: readouts of encoding space {space}, the header has {len(spaces)}", "export it again"
        )
    for other in sorted(set(place[image].tolist()) - {space}):
        notes.append(f"{int((image & (place == other)).sum())} readouts of encoding space {other} skipped")
    for part, numbers in held.items():
        others = [str(number) for number in numbers if number != frame[part]]
        if others:
            named = f"{part}={others[0]}"
            notes.append(f"{part} {frame[part]} of {len(numbers)} was read: FILE::{named} reads another")
    return Chosen(records[image & (place == space)], records[noise], spaces[space], tuple(notes), frame)


def _flagged(flags: npt.NDArray[np.uint64], bit: int) -> npt.NDArray[np.bool_]:
    return np.asarray((flags & np.uint64(1 << (bit - 1))) != 0)


def _readout(record: Any, source: str) -> npt.NDArray[np.complex64]:
    """(coils, samples) without the discarded ends, in the order of time."""
    head = record["head"]
    coils, samples = int(head["active_channels"]), int(head["number_of_samples"])
    values = np.asarray(record["data"])
    if values.dtype.kind != "f" or values.size != 2 * coils * samples or not values.size:
        raise InputError(
            f"{source}: a readout of {values.size} numbers, its header says {coils} coils of {samples} samples",
            "export it again",
        )
    whole = values.astype(np.float32).view(np.complex64).reshape(coils, samples)
    before, after = int(head["discard_pre"]), int(head["discard_post"])
    return whole[:, before : samples - after] if before + after < samples else whole[:, :0]


def _coils(records: Array, source: str) -> int:
    channels = records["head"]["active_channels"]
    if (channels != channels[0]).any():
        raise InputError(f"{source}: readouts of different numbers of coils", "export it again")
    return int(channels[0])


def on_grid(
    chosen: Chosen, source: str
) -> tuple[npt.NDArray[np.complex64], npt.NDArray[np.int64], Encoding, tuple[str, ...]]:
    """k-space (S, coils, H, W), how often each sample was taken (S, H, W), its encoding, and what to say.

    Raises:
        InputError: Three-dimensional data, readouts that do not fit the header, absurd sizes.
    """
    records = chosen.image
    steps = records["head"]["idx"]
    if steps["kspace_encode_step_2"].any():
        raise InputError(f"{source}: a second phase encoding (3-D data)", "allowed: two-dimensional slices")
    encoding, notes = _fitted(chosen, source)
    rows, columns = encoding.encoded
    slices, coils = int(steps["slice"].max()) + 1, _coils(records, source)
    stored = sum(np.asarray(data).nbytes for data in records["data"])
    bounded((slices, coils, rows, columns), 8, stored, source=source)
    shift = columns // 2 - (columns // 2 if encoding.centre is None else encoding.centre)
    total = np.zeros((slices, coils, rows, columns), np.complex64)
    count = np.zeros((slices, rows, columns), np.int64)
    turned = 0
    for record in records:
        line = _readout(record, source)
        column = int(record["head"]["idx"]["kspace_encode_step_1"]) + shift
        start = rows // 2 - _centre(record["head"])
        if _flagged(np.asarray(record["head"]["flags"], np.uint64), _REVERSED):
            line, start, turned = line[:, ::-1], rows - start - line.shape[1], turned + 1
            start = 0 if start == -1 else start  # its centre was counted in the order of time
        if not 0 <= column < columns or start < 0 or start + line.shape[1] > rows:
            raise InputError(
                f"{source}: a readout of {line.shape[1]} samples at row {start}, column {column} of a {rows} x "
                f"{columns} k-space",
                "the header's matrix or limits do not fit the data",
            )
        place, samples = int(record["head"]["idx"]["slice"]), slice(start, start + line.shape[1])
        total[place, :, samples, column] += line
        count[place, samples, column] += 1
    total /= np.maximum(count, 1)[:, None].astype(np.float32)
    notes = (*notes, f"{turned} reversed readouts turned round") if turned else notes
    return total, count, encoding, notes


def _centre(head: Any) -> int:
    """The sample of DC, counted from the first that is not discarded; the middle where no readout says any."""
    centre, samples = int(head["center_sample"]), int(head["number_of_samples"])
    stated = centre if centre or samples < 2 else samples // 2
    return stated - int(head["discard_pre"])


def _fitted(chosen: Chosen, source: str) -> tuple[Encoding, tuple[str, ...]]:
    """The encoding with the matrix that the data have, where the header's is larger than its readouts reach."""
    encoding, records = chosen.encoding, chosen.image
    head, (rows, columns) = records["head"], chosen.encoding.encoded
    lines = head["idx"]["kspace_encode_step_1"].astype(int)
    left = np.array([_centre(one) for one in head])
    right = head["number_of_samples"].astype(int) - head["discard_pre"] - head["discard_post"] - left
    own = int(max(2 * left.max(), 2 * right.max() - 1, 1))
    if own % 2 and (own != left.max() + right.max() or own + 1 == rows):
        own += 1  # of an echo that is not sampled whole, the matrix is even
    first, last = encoding.columns(columns)
    if own >= rows:
        beyond = columns - (last - first)
        said = f"{beyond} of {columns} columns lie outside the header's encodingLimits: never measured"
        return encoding, (said,) if beyond else ()
    middle = columns // 2 if encoding.centre is None else encoding.centre
    count = int(lines.max()) + 1
    brightest = _brightest(records, source)
    if brightest == count // 2 and abs(middle - brightest) > 1:
        middle = brightest  # the header's centre is that of its matrix
    wide = min(columns, int(max(2 * (middle - lines.min()), 2 * (count - middle) - 1, 1)))
    fields = encoding.encoded_view
    if fields and encoding.recon_view and own == encoding.recon[0]:
        fields = (encoding.recon_view[0], *fields[1:])  # without oversampling, which the header still tells of
    said = f"the header's encoded matrix, {rows} x {columns}, is larger than the data: {own} x {wide} used"
    return replace(encoding, encoded=(own, wide), centre=middle, encoded_view=fields), (said,)


def _brightest(records: Array, source: str) -> int:
    """The phase encoding step of the readout with the largest sample."""
    largest = [float(np.abs(_readout(record, source)).max(initial=0)) for record in records]
    return int(records["head"]["idx"]["kspace_encode_step_1"][int(np.argmax(largest))])


def along_path(chosen: Chosen, source: str) -> tuple[npt.NDArray[np.complex64], npt.NDArray[np.float32]]:
    """Samples (S, coils, n) and where they were taken (S, n, 2 or 3), in the file's units; slices without any are 0.

    Raises:
        InputError: Readouts without a trajectory, or slices of different numbers of samples.
    """
    records, kind = chosen.image, chosen.encoding.trajectory
    named = {*(records.dtype.names or ()), *(records["head"].dtype.names or ())}
    if not named >= {"traj", "trajectory_dimensions"}:
        raise InputError(f"{source}: a {kind} trajectory, and readouts without one", "export it with the trajectory")
    _coils(records, source)
    place = records["head"]["idx"]["slice"].astype(int)
    found: dict[int, tuple[Array, Array]] = {}
    for index in sorted(set(place.tolist())):
        lines, paths = [], []
        for record in records[place == index]:
            head, path = record["head"], np.asarray(record["traj"], np.float32)
            samples, axes = int(head["number_of_samples"]), int(head["trajectory_dimensions"])
            if axes < 2 or path.size != axes * samples:
                raise InputError(
                    f"{source}: a {kind} readout of {samples} samples with {path.size} numbers of trajectory",
                    "export it with the trajectory",
                )
            line, before = _readout(record, source), int(head["discard_pre"])
            lines.append(line)
            paths.append(path.reshape(samples, axes)[before : before + line.shape[1]])
        found[index] = np.concatenate(lines, 1), np.concatenate(paths, 0)
    counts = {line.shape[1] for line, _ in found.values()}
    if len(counts) != 1:
        raise InputError(f"{source}: slices of {min(counts)} to {max(counts)} samples", "export it again")
    slices, (some, way) = int(place.max()) + 1, next(iter(found.values()))
    bounded((slices, *some.shape), 8, sum(line.nbytes for line, _ in found.values()), source=source)
    kspace = np.zeros((slices, *some.shape), np.complex64)
    points = np.repeat(way[None], slices, 0)
    for index, (line, way) in found.items():
        kspace[index], points[index] = line, way
    return kspace, points


def noise_of(chosen: Chosen, coils: int, averages: float, bandwidth: float, source: str) -> tuple[Array | None, str]:
    """Samples (coils, n) of noise alone at the level that the image's readouts have, and what was done to them."""
    lines = [line for line in (_readout(record, source) for record in chosen.noise) if line.shape[0] == coils]
    if not lines:
        return None, ""
    factor, said = 1 / np.sqrt(averages * bandwidth), []
    if bandwidth != 1:
        said.append(f"relative noise bandwidth {bandwidth:g}")
    dwell = [float(records["head"]["sample_time_us"][0]) for records in _timed(chosen)]
    if len(dwell) == 2 and min(dwell) > 0 and dwell[0] != dwell[1]:
        factor *= np.sqrt(dwell[0] / dwell[1])
        said.append(f"dwell time {dwell[0]:g} us, images {dwell[1]:g} us")
    noise = np.concatenate(lines, axis=1) * np.float32(factor)
    return noise, f"noise scan scaled: {', '.join(said)}" if said else ""


def _timed(chosen: Chosen) -> tuple[Array, ...]:
    named = "sample_time_us" in (chosen.image["head"].dtype.names or ())
    return (chosen.noise, chosen.image) if named else ()


def placement(chosen: Chosen, slices: int) -> dict[str, Array]:
    """Where the slices lie in the patient, and when they were taken: fields of an image's header, one entry a slice.

    A slice without readouts lies on the line through the others.
    """
    head = chosen.image["head"]
    place = head["idx"]["slice"].astype(int)
    known, first = np.unique(place, return_index=True)
    fields: dict[str, Array] = {}
    for name in _PLACES:
        if name not in (head.dtype.names or ()):
            continue
        values = np.repeat(head[name][first[:1]], slices, 0)
        values[known] = head[name][first]
        if name == "position" and 1 < len(known) < slices:
            missing = np.setdiff1d(np.arange(slices), known)
            slope, start = np.polyfit(known, values[known], 1)
            values[missing] = start + missing[:, None] * slope
        fields[name] = values
    return fields
