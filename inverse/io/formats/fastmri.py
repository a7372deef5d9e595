"""fastMRI's HDF5 files (Zbontar et al. 2018, arXiv:1811.08839; ``fastmri/data/README.md``): k-space in, images out.

Read: ``kspace``, complex, or floats whose last axis is (real, imaginary); (slices, coils, H, W), or (slices, H, W) of
one coil; ``mask`` (W,) in test and challenge
files; ``ismrmrd_header``, XML with the sizes of the encoded and of the reconstructed matrix; the attributes. The
columns are the phase encoding. Rows and columns of exact zeros are padding, which nobody measured, also where the mask
runs over them. Readout oversampling is removed where the header tells of it and the rows are fully sampled: the image
is cropped along the rows, which halves the work and loses nothing inside. A header whose matrix is not the data's is
not believed.

With a ``trajectory`` (..., 2) of as many points as ``kspace`` has samples a coil (also called ``traj``, ``ktraj``,
``coords``; (2, ...); or complex, kx + i ky), in units that `inverse.io.kspace.points` knows, rows first, it is k-space
off the grid: ``kspace`` (slices, coils, ...), (coils, ...) or of one coil. The image's size is the header's, the
attribute ``matrix``, or what the trajectory reaches in cycles per field of view.

Written: ``reconstruction`` (slices, h, w) float32, centre-cropped to the reconstructed matrix as fastMRI's targets are:
of several coils the root sum of squares that full k-space would have shown (``reconstruction_rss`` is its target), of
one coil or one draw the magnitude; ``reconstruction_complex``, uncropped, complex64; the header and the attributes.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from inverse.errors import InputError
from inverse.io.content import Scan, checked
from inverse.io.formats import hdf5
from inverse.io.kspace.grid import cropped, holds_values, image_fourier, recentred
from inverse.io.kspace.header import Encoding, encodings, xml_text
from inverse.io.kspace.points import in_cycles, matrix_of, planar
from inverse.storage.files import atomic_bytes

__all__ = ["decode", "looks_like", "write_scan"]

Array = npt.NDArray[Any]
_PATHS = ("trajectory", "traj", "ktraj", "coords")


def looks_like(path: Path, inner: str | None, *, source: str) -> bool:
    """Whether no data set is named, and there is one ``kspace`` of complex numbers at the top."""
    with hdf5.unlinked(path, source) as file:
        if inner is not None or not isinstance(file.get("kspace", getlink=True), h5py.HardLink):
            return False
        item = file["kspace"]
        if not isinstance(item, h5py.Dataset) or not (item.dtype.kind == "c" or _in_two(item)):
            return False
        axes = len(item.shape or ()) - _in_two(item)
        return axes in (3, 4) or (axes > 0 and _trajectory(file) is not None)


def _in_two(dataset: h5py.Dataset) -> bool:
    """Whether complex numbers are pairs of floats along the last axis."""
    return bool(dataset.dtype.kind == "f" and len(dataset.shape or ()) > 1 and dataset.shape[-1] == 2)


def _trajectory(file: h5py.File) -> str | None:
    return next((name for name in _PATHS if isinstance(file.get(name, getlink=True), h5py.HardLink)), None)


def decode(path: Path, *, source: str) -> Scan:
    """k-space of a fastMRI file, or of one of its kind with a trajectory.

    Raises:
        InputError: A broken file, data outside the file, absurd sizes, a mask, a trajectory or a header that does not
            fit.
    """
    with hdf5.opened(path, source) as file:
        dataset, path_of = hdf5.checked(file, "kspace", source), _trajectory(file)
        two = _in_two(dataset)
        if not (two or dataset.dtype.kind == "c") or (dataset.ndim - two not in (3, 4) and path_of is None):
            raise InputError(
                f"{source}: kspace is {dataset.dtype} of shape {dataset.shape}",
                "allowed: complex, (slices, coils, H, W) or (slices, H, W)",
            )
        kspace = dataset[()]
        kspace = (kspace[..., 0] + 1j * kspace[..., 1] if two else kspace).astype(np.complex64)
        mask = hdf5.checked(file, "mask", source)[()] if "mask" in file and path_of is None else None
        points = None if path_of is None else hdf5.checked(file, path_of, source)[()]
        header = xml_text(hdf5.checked(file, "ismrmrd_header", source)[()]) if "ismrmrd_header" in file else ""
        attributes = {name: _plain(value) for name, value in file.attrs.items()}
        matrix = np.ravel(file.attrs["matrix"]) if "matrix" in file.attrs else None
    encoding = encodings(header, source=source)[0] if header else None
    known = {"header": header, "attributes": attributes}
    if points is not None:
        return _off_grid(kspace, points, encoding, matrix, known, source)
    return _on_grid(kspace[:, None] if kspace.ndim == 3 else kspace, mask, encoding, known, source)


def _on_grid(kspace: Array, mask: Array | None, encoding: Encoding | None, known: dict[str, Any], source: str) -> Scan:
    rows, columns = kspace.shape[2:]
    if mask is not None:
        mask = np.asarray(mask).reshape(-1) != 0
        if len(mask) != columns:
            raise InputError(f"{source}: a mask of {len(mask)} columns for k-space of {columns}", "export it again")
        mask = np.broadcast_to(mask, (1, rows, columns)).copy()
    kspace, mask, notes = recentred(kspace, mask)
    taken = holds_values(kspace.reshape(1, -1, rows, columns))
    wanted = kept = (rows, columns)
    if encoding is not None:
        wanted, kept, more = _by_header(encoding, taken[0], (rows, columns))
        notes += more
    padded = columns - int(taken[0].any(0).sum())
    if mask is not None and (mask & ~taken).any():
        notes += (f"{int((mask & ~taken).any((0, 1)).sum())} columns of the mask hold zeros alone: never measured",)
        mask = mask & taken
    elif mask is None and 0 < padded < columns:
        notes += (f"{padded} of {columns} columns hold zeros alone: never measured",)
    if kept[0] < rows:
        sampled = (kspace != 0).any((0, 1))
        if bool(sampled[:, sampled.any(0)].mean() > 0.999):
            images = image_fourier(kspace, axis=2, inverse=True)
            kspace = image_fourier(cropped(images, kept), axis=2)
            mask = None if mask is None else mask[:, : kept[0]]
            notes += (f"readout oversampling removed: {rows} to {kept[0]} rows",)
    scan = Scan(
        kspace=np.ascontiguousarray(kspace, np.complex64),
        shape=(kspace.shape[2], columns),
        format="fastmri",
        mask=mask,
        extra={**known, **_pixel(encoding, (rows, columns)), "recon": wanted},
        notes=notes,
        source=source,
    )
    return checked(scan)


def _pixel(encoding: Encoding | None, size: tuple[int, int]) -> dict[str, Any]:
    """Distance of rows and columns and thickness of a slice in mm, where the header says them of these data."""
    if encoding is None or encoding.encoded_view is None or size != encoding.encoded:
        return {}
    pixel = encoding.encoded_view[0] / size[0], encoding.encoded_view[1] / size[1]
    return {"pixel": pixel, "thickness": (encoding.recon_view or encoding.encoded_view)[2]}


def _by_header(
    encoding: Encoding, taken: npt.NDArray[np.bool_], size: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int], tuple[str, ...]]:
    """The matrix of the images, the part of the field of view that is kept, and where header and data disagree."""
    rows, columns = size
    if rows not in (encoding.encoded[0], encoding.recon[0]):
        said = " x ".join(map(str, encoding.encoded))
        return size, size, (f"the header's encoded matrix is {said}, the data's {rows} x {columns}: it is not used",)
    notes = []
    if encoding.encoded[1] != columns:
        notes.append(f"the header's encoded matrix has {encoding.encoded[1]} columns, the data {columns}")
    first, last = encoding.columns(columns)
    measured = np.flatnonzero(taken.any(0))
    if len(measured) and (measured[0] < first or measured[-1] >= last):
        notes.append(f"the header's encodingLimits are columns {first} to {last - 1}, the data reach beyond them")
    kept = encoding.kept(0) if rows == encoding.encoded[0] else rows
    return encoding.recon, (kept, columns), tuple(notes)


def _off_grid(
    kspace: Array, points: Array, encoding: Encoding | None, matrix: Array | None, known: dict[str, Any], source: str
) -> Scan:
    """k-space with a trajectory."""
    if points.dtype.kind == "c" and 2 not in (points.shape[0], points.shape[-1]) and 3 not in points.shape[-1:]:
        points = np.stack([points.real, points.imag], -1)
    points = np.asarray(points.real, np.float32)
    if points.ndim > 1 and points.shape[-1] not in (2, 3) and points.shape[0] in (2, 3):
        points = np.moveaxis(points, 0, -1)
    points = planar(points, source=source)
    path = points.shape[:-1]
    if kspace.ndim > 2 and kspace.shape[:1] + kspace.shape[2:] == path:  # each slice has its own
        kspace, points = kspace.reshape(*kspace.shape[:2], -1), points.reshape(len(kspace), -1, 2)
    else:
        lead = next((axes for axes in range(kspace.ndim) if math.prod(kspace.shape[axes:]) == math.prod(path)), None)
        if lead is None or lead > 2:
            raise InputError(
                f"{source}: a trajectory of {' x '.join(map(str, path))} points for kspace of shape {kspace.shape}",
                "allowed: one point a sample, kspace (slices, coils, ...) or (coils, ...)",
            )
        kspace = kspace.reshape(*[1] * (2 - lead), *kspace.shape[:lead], -1)
        points = points.reshape(1, -1, 2)
    size = None
    if encoding is not None:
        size = encoding.off_grid().encoded
    elif matrix is not None and matrix.dtype.kind in "iuf" and len(matrix) >= 2 and matrix[:2].min() >= 1:
        size = int(matrix[0]), int(matrix[1])
    size = size or matrix_of(points) or (0, 0)
    sizes = (size, *([encoding.encoded] if encoding else []))
    points, unit = in_cycles(points, sizes if min(size) else (), source=source)
    scan = Scan(
        kspace=np.ascontiguousarray(kspace, np.complex64),
        shape=size,
        format="fastmri",
        trajectory=points,
        extra=known,
        notes=(f"trajectory of the file, in {unit}",),
        source=source,
    )
    return checked(scan)


def write_scan(
    path: Path,
    images: npt.NDArray[np.complex64 | np.float32],
    *,
    like: Scan,
    magnitude: npt.NDArray[np.float32] | None,
    provenance: Mapping[str, str],
    overwrite: bool,
) -> None:
    """Write a reconstruction (S, H, W), and complex images, as `inverse.io.read_write.write_scan` says.

    The bytes depend on nothing but the arguments.
    """
    magnitude = np.abs(np.asarray(images, np.complex64)) if magnitude is None else np.asarray(magnitude, np.float32)
    shown = magnitude.shape[1:]
    size = tuple(min(a, b) for a, b in zip(like.extra.get("recon", shown), shown, strict=True))
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=("v110", "v110")) as file:
        file.create_dataset("reconstruction", data=cropped(magnitude, size), track_times=False)
        if np.iscomplexobj(images):
            file.create_dataset("reconstruction_complex", data=np.asarray(images, np.complex64), track_times=False)
        if like.extra.get("header"):
            file.create_dataset("ismrmrd_header", data=like.extra["header"], track_times=False)
        for name, value in like.extra.get("attributes", {}).items():
            if name not in ("max", "norm") and value is not None:
                file.attrs[name] = value
        known = magnitude[np.isfinite(magnitude)]  # a slice that was not restored has no standard deviation
        file.attrs["max"], file.attrs["norm"] = float(known.max(initial=0)), float(np.linalg.norm(known))
        for name, text in provenance.items():
            file.attrs[name] = text
    atomic_bytes(path, buffer.getvalue(), overwrite=overwrite)


def _plain(value: Any) -> Any:
    """Numbers and text; None for anything else."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str | int | float | np.number | np.bool_) else None
