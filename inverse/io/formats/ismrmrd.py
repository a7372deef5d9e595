"""ISMRMRD files: ``/dataset/xml`` and ``/dataset/data``, one record for each readout.

Inati et al. 2017, Magn. Reson. Med. 77:411. Read with h5py: Cartesian, two-dimensional; other trajectories and a third
dimension are refused with their name. Readouts go to the rows, the phase encoding steps to the columns (placed by the
header's centre), slices stay. Averages of a readout are averaged, and the noise scan divided by the root of their mean
number; only the first contrast, phase, repetition and set are read. Noise scans become `Scan.noise`; navigators, phase
corrections, reference lines that the header calls separate or external, feedback and dummies are skipped. Readout
oversampling is removed as the header tells. Written: an image group, as ISMRMRD's tools write them, with the header.

fastMRI's files have the same header: its parsing, centre crops and the Fourier transform along one axis serve both.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import h5py
import numpy as np
import numpy.typing as npt

from inverse.errors import InputError
from inverse.io.content import Scan, checked
from inverse.io.formats import hdf5
from inverse.io.limits import bounded
from inverse.storage.files import atomic_bytes

__all__ = ["cropped", "decode", "image_fourier", "looks_like", "matrices", "parsed", "write_scan", "xml_text"]

Array = npt.NDArray[Any]
_LARGEST = 100_000
_LONGEST = 2**24
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
_FIRST_ONLY = ("contrast", "phase", "repetition", "set")
_GROUP = "dataset"
_COMPLEX = np.dtype([("real", "<f4"), ("imag", "<f4")])
_IMAGE_HEAD = np.dtype(
    [
        ("version", "<u2"),
        ("data_type", "<u2"),
        ("flags", "<u8"),
        ("measurement_uid", "<u4"),
        ("matrix_size", "<u2", (3,)),
        ("field_of_view", "<f4", (3,)),
        ("channels", "<u2"),
        ("position", "<f4", (3,)),
        ("read_dir", "<f4", (3,)),
        ("phase_dir", "<f4", (3,)),
        ("slice_dir", "<f4", (3,)),
        ("patient_table_position", "<f4", (3,)),
        ("average", "<u2"),
        ("slice", "<u2"),
        ("contrast", "<u2"),
        ("phase", "<u2"),
        ("repetition", "<u2"),
        ("set", "<u2"),
        ("acquisition_time_stamp", "<u4"),
        ("physiology_time_stamp", "<u4", (3,)),
        ("image_type", "<u2"),
        ("image_index", "<u2"),
        ("image_series_index", "<u2"),
        ("user_int", "<i4", (8,)),
        ("user_float", "<f4", (8,)),
        ("attribute_string_len", "<u4"),
    ]
)


def looks_like(path: Path, inner: str | None, *, source: str) -> bool:
    """Whether no data set is named, and a group at the top has ``xml`` and acquisitions in ``data``."""
    with hdf5.unlinked(path, source) as file:
        return inner is None and _group(file) is not None


def _group(file: h5py.File) -> str | None:
    for name in file:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink) or not isinstance(file[name], h5py.Group):
            continue
        group = file[name]
        inside = [group.get(part, getlink=True) for part in ("xml", "data")]
        if not all(isinstance(link, h5py.HardLink) for link in inside):
            continue
        data = group["data"]
        if isinstance(data, h5py.Dataset) and set(data.dtype.names or ()) >= {"head", "data"}:
            return str(name)
    return None


def decode(path: Path, *, source: str) -> Scan:
    """k-space of an ISMRMRD file.

    Raises:
        InputError: A broken file, data outside the file, absurd sizes, non-Cartesian or three-dimensional data, no
            image readouts.
    """
    with hdf5.opened(path, source) as file:
        name = _group(file)
        if name is None:
            raise InputError(f"{source}: no ISMRMRD acquisitions", "expected a group with xml and data")
        header = xml_text(hdf5.checked(file, f"{name}/xml", source)[()])
        data = hdf5.checked(file, f"{name}/data", source)
        hdf5.check_lengths(data, {part: 4 for part in ("traj", "data") if part in data.dtype.names}, source)
        records = data[()]
    return _scan(records, header, source)


def _scan(records: npt.NDArray[Any], header: str, source: str) -> Scan:
    root = parsed(header, source=source)
    kind = root.findtext("encoding/trajectory", "cartesian").strip().lower()
    if kind != "cartesian":
        raise InputError(f"{source}: a {kind} trajectory", "allowed in ISMRMRD files: cartesian")
    encoded, wanted = matrices(header, source=source)
    head = records["head"]
    flags = head["flags"].astype(np.uint64)
    skipped = {said: _flagged(flags, bit) for said, bit in _SKIPPED.items()}
    noise = _flagged(flags, _NOISE)
    apart = _flagged(flags, _REFERENCE) & ~_flagged(flags, _REFERENCE_AND_IMAGE)
    if root.findtext("encoding/parallelImaging/calibrationMode", "").strip().lower() not in ("separate", "external"):
        apart[:] = False
    first = np.all([head["idx"][part] == 0 for part in _FIRST_ONLY], axis=0)
    image = first & ~noise & ~apart & ~np.any(list(skipped.values()), axis=0)
    if not image.any():
        raise InputError(f"{source}: no image readouts among {len(records)} acquisitions", "is it a noise scan alone?")
    notes = [f"{int(chosen.sum())} readouts of {said} skipped" for said, chosen in skipped.items() if chosen.any()]
    if (~first).any():
        notes.append("only the first contrast, phase, repetition and set were read")
    kspace, count = _placed(records[image], root, encoded, source)
    mask, averages = count > 0, float(count[count > 0].mean())
    if averages > 1:
        notes.append("averages combined")
    if encoded[0] == kspace.shape[2] and wanted[0] < encoded[0] and mask.all(1).any():
        images = image_fourier(kspace, axis=2, inverse=True)
        kspace = image_fourier(cropped(images, (wanted[0], kspace.shape[3])), axis=2)
        mask = mask[:, : wanted[0]]
        notes.append(f"readout oversampling removed: {encoded[0]} to {wanted[0]} rows")
    scan = Scan(
        kspace=np.ascontiguousarray(kspace, np.complex64),
        shape=(kspace.shape[2], kspace.shape[3]),
        format="ismrmrd",
        mask=mask,
        noise=_noise(records[noise], kspace.shape[1], averages, source),
        extra={"header": header, "recon": wanted},
        notes=tuple(notes),
        source=source,
    )
    return checked(scan)


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


def _placed(
    records: npt.NDArray[Any], root: Any, encoded: tuple[int, int], source: str
) -> tuple[npt.NDArray[np.complex64], npt.NDArray[np.int64]]:
    """k-space (S, coils, H, W), and how often each sample was taken (S, H, W)."""
    head, steps = records["head"], records["head"]["idx"]
    if steps["kspace_encode_step_2"].any():
        raise InputError(f"{source}: a second phase encoding (3-D data)", "allowed: two-dimensional slices")
    rows, columns = encoded
    slices = int(steps["slice"].max()) + 1
    coils = int(head["active_channels"][0])
    stored = sum(np.asarray(data).nbytes for data in records["data"])
    bounded((slices, coils, rows, columns), 8, stored, source=source)
    if (head["active_channels"] != coils).any():
        raise InputError(f"{source}: readouts of different numbers of coils", "export it again")
    limits = root.find("encoding/encodingLimits/kspace_encoding_step_1")
    word = limits.findtext("center", "") if limits is not None else ""
    shift = columns // 2 - (int(word) if word.strip().isdecimal() else columns // 2)
    total = np.zeros((slices, coils, rows, columns), np.complex64)
    count = np.zeros((slices, rows, columns), np.int64)
    for record in records:
        line = _readout(record, source)
        column = int(record["head"]["idx"]["kspace_encode_step_1"]) + shift
        start = rows // 2 - (int(record["head"]["center_sample"]) - int(record["head"]["discard_pre"]))
        if _flagged(np.asarray(record["head"]["flags"], np.uint64), _REVERSED):
            line = line[:, ::-1]
            start = rows - start - line.shape[1]
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
    return total, count


def _noise(records: npt.NDArray[Any], coils: int, averages: float, source: str) -> npt.NDArray[np.complex64] | None:
    lines = [line for line in (_readout(record, source) for record in records) if line.shape[0] == coils]
    return np.concatenate(lines, axis=1) / np.float32(np.sqrt(averages)) if lines else None


def write_scan(
    path: Path, images: Array, *, like: Scan, provenance: Mapping[str, str], overwrite: bool, **unused: Any
) -> None:
    """Write images (S, H, W), cropped to the reconstructed matrix, as `inverse.io.read_write.write_scan` says."""
    wanted = tuple(min(a, b) for a, b in zip(like.extra.get("recon", like.shape), images.shape[1:], strict=True))
    data = np.ascontiguousarray(cropped(images, wanted)).astype(np.complex64)
    slices, rows, columns = data.shape
    heads = np.zeros(slices, _IMAGE_HEAD)
    heads["version"], heads["data_type"], heads["image_type"], heads["channels"] = 1, 7, 5, 1
    # ISMRMRD counts x, the readout, first, and stores it as the fastest axis
    heads["matrix_size"] = (rows, columns, 1)
    heads["slice"] = heads["image_index"] = np.arange(slices)
    text = h5py.string_dtype("utf-8")
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=("v110", "v110")) as file:
        group = file.create_group(_GROUP)
        header = np.array([like.extra.get("header", "")], object)
        group.create_dataset("xml", data=header, dtype=text, track_times=False)
        image = group.create_group("image_0")
        image.create_dataset("data", data=data.transpose(0, 2, 1)[:, None, None].view(_COMPLEX), track_times=False)
        image.create_dataset("header", data=heads, track_times=False)
        image.create_dataset("attributes", data=np.array([""] * slices, object), dtype=text, track_times=False)
        for name, said in provenance.items():
            file.attrs[name] = said
    atomic_bytes(path, buffer.getvalue(), overwrite=overwrite)


def xml_text(value: Any) -> str:
    """A header as it is stored in HDF5: text, bytes, or an array of one of them."""
    if isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def parsed(header: str, *, source: str) -> ElementTree.Element:
    """The header without name spaces.

    Raises:
        InputError: No XML; or it declares entities, which a header never does.
    """
    if len(header) > _LONGEST or "<!DOCTYPE" in header or "<!ENTITY" in header:
        raise InputError(f"{source}: the ISMRMRD header declares a document type or is too long", "export it again")
    try:
        root = ElementTree.fromstring(header)
    except ElementTree.ParseError as error:
        raise InputError(f"{source}: the ISMRMRD header is not XML: {error}", "export it again") from None
    for element in root.iter():
        element.tag = element.tag.rsplit("}", 1)[-1]
    return root


def matrices(header: str, *, source: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """(rows, columns) of the encoded and of the reconstructed matrix: x is the readout, our rows.

    Raises:
        InputError: A header without them, with absurd ones, or with a third dimension.
    """
    root = parsed(header, source=source)
    return _matrix(root, "encodedSpace", source), _matrix(root, "reconSpace", source)


def _matrix(root: ElementTree.Element, space: str, source: str) -> tuple[int, int]:
    sizes = root.find(f"encoding/{space}/matrixSize")
    words = [sizes.findtext(axis, "") if sizes is not None else "" for axis in "xyz"]
    if not all(word.strip().isdecimal() and 0 < int(word) <= _LARGEST for word in words):
        raise InputError(f"{source}: the header's {space} has a matrix of {' x '.join(words)[:60]}", "export it again")
    return int(words[0]), int(words[1])


def cropped(array: Array, size: tuple[int, ...]) -> Array:
    """The centre of the last two axes: DC at ``n // 2`` stays at ``n // 2``."""
    tops = [n // 2 - m // 2 for n, m in zip(array.shape[-2:], size, strict=True)]
    return array[..., tops[0] : tops[0] + size[0], tops[1] : tops[1] + size[1]]


def image_fourier(array: Array, *, axis: int, inverse: bool = False) -> Array:
    """Centred, orthonormal Fourier transform along one axis."""
    transform = np.fft.ifft if inverse else np.fft.fft
    moved = transform(np.fft.ifftshift(array, axes=axis), axis=axis, norm="ortho")
    return np.asarray(np.fft.fftshift(moved, axes=axis))
