"""fastMRI's HDF5 files (Zbontar et al. 2018, arXiv:1811.08839; ``fastmri/data/README.md``): k-space in, images out.

Read: ``kspace``, complex, (slices, coils, H, W), or (slices, H, W) of one coil; ``mask`` (W,) in test and challenge
files; ``ismrmrd_header``, XML with the sizes of the encoded and of the reconstructed matrix; the attributes. The
columns are the phase encoding. Readout oversampling is removed where the header tells of it and the rows are fully
sampled: the image is cropped along the rows, which halves the work and loses nothing inside.

Written: ``reconstruction`` (slices, h, w) float32, centre-cropped to the reconstructed matrix as fastMRI's targets are:
of several coils the root sum of squares that full k-space would have shown (``reconstruction_rss`` is its target), of
one coil or one draw the magnitude; ``reconstruction_complex``, uncropped, complex64; the header and the attributes.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from inverse.errors import InputError
from inverse.io.content import Scan, checked
from inverse.io.formats import hdf5
from inverse.io.formats.ismrmrd import cropped, image_fourier, matrices, xml_text
from inverse.storage.files import atomic_bytes

__all__ = ["decode", "looks_like", "write_scan"]


def looks_like(path: Path, inner: str | None, *, source: str) -> bool:
    """Whether no data set is named, and there is one ``kspace`` of complex numbers at the top."""
    with hdf5.unlinked(path, source) as file:
        if inner is not None or not isinstance(file.get("kspace", getlink=True), h5py.HardLink):
            return False
        item = file["kspace"]
        return isinstance(item, h5py.Dataset) and item.dtype.kind == "c" and len(item.shape or ()) in (3, 4)


def decode(path: Path, *, source: str) -> Scan:
    """k-space of a fastMRI file.

    Raises:
        InputError: A broken file, data outside the file, absurd sizes, a mask or a header that does not fit.
    """
    with hdf5.opened(path, source) as file:
        dataset = hdf5.checked(file, "kspace", source)
        if dataset.dtype.kind != "c" or dataset.ndim not in (3, 4):
            raise InputError(
                f"{source}: kspace is {dataset.dtype} of shape {dataset.shape}",
                "allowed: complex, (slices, coils, H, W) or (slices, H, W)",
            )
        kspace = dataset[()].astype(np.complex64)
        kspace = kspace[:, None] if kspace.ndim == 3 else kspace
        mask = hdf5.checked(file, "mask", source)[()] if "mask" in file else None
        header = xml_text(hdf5.checked(file, "ismrmrd_header", source)[()]) if "ismrmrd_header" in file else ""
        attributes = {name: _plain(value) for name, value in file.attrs.items()}
    rows, columns = kspace.shape[2:]
    notes = []
    if mask is not None:
        mask = np.asarray(mask).reshape(-1) != 0
        if len(mask) != columns:
            raise InputError(f"{source}: a mask of {len(mask)} columns for k-space of {columns}", "export it again")
        mask = np.broadcast_to(mask, (1, rows, columns)).copy()
    encoded, wanted = matrices(header, source=source) if header else ((rows, columns), (rows, columns))
    if encoded[0] == rows and wanted[0] < rows:
        sampled = (kspace != 0).any((0, 1))
        if bool(sampled[:, sampled.any(0)].mean() > 0.999):
            images = image_fourier(kspace, axis=2, inverse=True)
            kspace = image_fourier(cropped(images, (wanted[0], columns)), axis=2)
            mask = None if mask is None else mask[:, : wanted[0]]
            notes.append(f"readout oversampling removed: {rows} to {wanted[0]} rows")
    scan = Scan(
        kspace=np.ascontiguousarray(kspace, np.complex64),
        shape=(kspace.shape[2], columns),
        format="fastmri",
        mask=mask,
        extra={"header": header, "attributes": attributes, "recon": wanted},
        notes=tuple(notes),
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
    size = tuple(min(a, b) for a, b in zip(like.extra.get("recon", like.shape), magnitude.shape[1:], strict=True))
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
        file.attrs["max"], file.attrs["norm"] = float(magnitude.max()), float(np.linalg.norm(magnitude))
        for name, text in provenance.items():
            file.attrs[name] = text
    atomic_bytes(path, buffer.getvalue(), overwrite=overwrite)


def _plain(value: Any) -> Any:
    """Numbers and text; None for anything else."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str | int | float | np.number | np.bool_) else None
