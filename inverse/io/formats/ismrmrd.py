"""ISMRMRD files: ``/dataset/xml`` and ``/dataset/data``, one record for each readout.

Inati et al. 2017, Magn. Reson. Med. 77:411. Read with h5py, two-dimensional; a third dimension is refused with its
name. Which readouts make the image, and where: `inverse.io.kspace.readouts`. On a grid readouts go to the rows, the
phase encoding steps to the columns (placed by the header's centre), slices stay. Rows and columns of exact zeros are
padding, which nobody measured. Readout oversampling is removed as the header tells. Readouts of any other trajectory
are read with the trajectory that they carry.

Written: an image group, as ISMRMRD's tools write them, with the header, on the reconstructed matrix of the header;
field of view, position and directions are in each image's header.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from inverse.errors import InputError
from inverse.io.content import Scan, checked
from inverse.io.formats import hdf5
from inverse.io.kspace.grid import cropped, holds_values, image_fourier, recentred, resampled
from inverse.io.kspace.header import Encoding, encodings, noise_bandwidth, xml_text
from inverse.io.kspace.points import in_cycles, planar
from inverse.io.kspace.readouts import FRAMES, Chosen, along_path, choose, noise_of, on_grid, placement
from inverse.storage.files import atomic_bytes

__all__ = ["decode", "looks_like", "on_recon_grid", "scan_of", "write_scan"]

Array = npt.NDArray[Any]
_GROUP = "dataset"
_NAMED = re.compile(rf"(?:{'|'.join(FRAMES)})=\d{{1,5}}(?:,(?:{'|'.join(FRAMES)})=\d{{1,5}})*")
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
        return (inner is None or _NAMED.fullmatch(inner) is not None) and _group(file) is not None


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


def decode(path: Path, *, source: str, inner: str | None = None) -> Scan:
    """k-space of an ISMRMRD file; ``inner`` is such as ``contrast=1,repetition=3``, the numbers of what is read.

    Raises:
        InputError: A broken file, data outside the file, absurd sizes, three-dimensional data, no image readouts, or
            readouts off the grid without a trajectory.
    """
    with hdf5.opened(path, source) as file:
        name = _group(file)
        if name is None:
            raise InputError(f"{source}: no ISMRMRD acquisitions", "expected a group with xml and data")
        header = xml_text(hdf5.checked(file, f"{name}/xml", source)[()])
        data = hdf5.checked(file, f"{name}/data", source)
        hdf5.check_lengths(data, {part: 4 for part in ("traj", "data") if part in data.dtype.names}, source)
        records = data[()]
    pairs = (part.split("=") for part in (inner or "").split(",") if part)
    wanted = {name: int(number) for name, number in pairs}
    return scan_of(records, header, form="ismrmrd", source=source, wanted=wanted)


def scan_of(
    records: npt.NDArray[Any],
    header: str,
    *,
    form: str,
    source: str,
    notes: tuple[str, ...] = (),
    wanted: Mapping[str, int] | None = None,
) -> Scan:
    """k-space of records as ISMRMRD has them: ``head`` with its fields, and ``data``, real and imaginary parts in turn.

    ``wanted`` says which contrast, phase, repetition and set is read, the first of those that it does not name.

    Raises:
        InputError: As `decode`.
    """
    chosen = choose(records, encodings(header, source=source), source, wanted)
    bandwidth = noise_bandwidth(header, source=source) if len(chosen.noise) else 1.0
    make = _grid if chosen.encoding.trajectory == "cartesian" else _path
    scan, encoding, averages = make(chosen, source)
    noise, said = noise_of(chosen, scan.kspace.shape[1], averages, bandwidth, source)
    return checked(
        Scan(
            kspace=scan.kspace,
            shape=scan.shape,
            format=form,
            mask=scan.mask,
            trajectory=scan.trajectory,
            noise=noise,
            extra={
                "header": header,
                "encoding": encoding,
                "placement": placement(chosen, len(scan.kspace)),
                "frame": chosen.frame,
            },
            notes=(*notes, *chosen.notes, *scan.notes, *([said] if said else [])),
            source=source,
        )
    )


def _grid(chosen: Chosen, source: str) -> tuple[Scan, Encoding, float]:
    """Samples on a grid, its encoding, and how often each was taken in the mean."""
    kspace, count, encoding, notes = on_grid(chosen, source)
    averages = float(count[count > 0].mean())
    if averages > 1:
        notes = (*notes, "averages combined")
    mask = (count > 0) & holds_values(kspace)
    if (padded := int((count > 0).sum() - mask.sum())) and kspace.any((1, 2, 3)).all():
        notes = (*notes, f"{padded} samples are padding with zeros, not measured")
    kspace, moved, more = recentred(kspace, mask)
    mask, wanted = mask if moved is None else moved, encoding.kept(0)
    if wanted < encoding.encoded[0] and mask.all(1).any():
        images = image_fourier(kspace, axis=2, inverse=True)
        kspace = image_fourier(cropped(images, (wanted, kspace.shape[3])), axis=2)
        mask = mask[:, :wanted]
        more = (*more, f"readout oversampling removed: {encoding.encoded[0]} to {wanted} rows")
    size = (int(kspace.shape[2]), int(kspace.shape[3]))
    kspace = np.ascontiguousarray(kspace, np.complex64)
    scan = Scan(kspace=kspace, shape=size, format="ismrmrd", mask=mask, notes=(*notes, *more), source=source)
    return scan, encoding, averages


def _path(chosen: Chosen, source: str) -> tuple[Scan, Encoding, float]:
    """As `_grid`, of samples that are not on one."""
    kspace, points = along_path(chosen, source)
    encoding = chosen.encoding.off_grid()
    size = encoding.encoded
    points, unit = in_cycles(planar(points, source=source), (size, chosen.encoding.encoded), source=source)
    said = f"{encoding.trajectory} trajectory of the file, in {unit}"
    scan = Scan(kspace=kspace, shape=size, format="ismrmrd", trajectory=points, notes=(said,), source=source)
    return scan, encoding, 1.0


def write_scan(
    path: Path, images: Array, *, like: Scan, provenance: Mapping[str, str], overwrite: bool, **unused: Any
) -> None:
    """Write images (S, H, W) on the reconstructed matrix, as `inverse.io.read_write.write_scan` says."""
    data, view = on_recon_grid(images, like)
    data = data.astype(np.complex64)
    slices, rows, columns = data.shape
    heads = np.zeros(slices, _IMAGE_HEAD)
    heads["version"], heads["data_type"], heads["image_type"], heads["channels"] = 1, 7, 5, 1
    # ISMRMRD counts x, the readout, first, and stores it as the fastest axis
    heads["matrix_size"] = (rows, columns, 1)
    heads["field_of_view"] = view
    heads["slice"] = heads["image_index"] = np.arange(slices)
    for name, values in {**like.extra.get("placement", {}), **like.extra.get("frame", {})}.items():
        heads[name] = values
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


def on_recon_grid(images: Array, like: Scan) -> tuple[Array, tuple[float, float, float]]:
    """Images (S, H, W) on the matrix that the header's scan is reconstructed to, and their field of view in mm.

    The field of view is 0 along axes whose header does not state one.
    """
    encoding: Encoding | None = like.extra.get("encoding")
    if encoding is None:
        return images, (0.0, 0.0, 0.0)
    kept = tuple(min(encoding.kept(axis), images.shape[axis + 1]) for axis in (0, 1))
    fine = tuple(round(count * encoding.pixel_ratio(axis, count)) for axis, count in enumerate(kept))
    data = resampled(cropped(images, kept), (fine[0], fine[1]))
    data = np.ascontiguousarray(cropped(data, tuple(min(a, b) for a, b in zip(encoding.recon, fine, strict=True))))
    if encoding.recon_view is None:
        return data, (0.0, 0.0, 0.0)
    x, y = (encoding.recon_view[axis] / encoding.recon[axis] * data.shape[axis + 1] for axis in (0, 1))
    return data, (x, y, encoding.recon_view[2])
