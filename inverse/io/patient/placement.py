"""Where images lie in the patient, in mm along DICOM's axes: to the left, to the back, to the head (LPS).

An image (H, W) of a scan has rows along the readout and columns along the phase encoding. Its Fourier transform's
origin, pixel (H // 2, W // 2), lies at the position that the raw data state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inverse.errors import InputError
from inverse.io.content import Array, Scan
from inverse.io.formats.ismrmrd import on_recon_grid
from inverse.io.kspace.grid import cropped

__all__ = ["Ground", "Place", "on_ground", "step", "unplaceable"]

_SAME = 0.01  # share of the distance of slices, or length of a unit vector, by which numbers of a header may differ
_ALONE = "a series of slices that lie anywhere: -s output=dicom"


@dataclass(frozen=True)
class Place:
    """Where slices lie, each by the centre of its first pixel."""

    origins: npt.NDArray[np.float64]  # (S, 3)
    down: npt.NDArray[np.float64]  # (S, 3), unit vectors: where the row's number grows
    across: npt.NDArray[np.float64]  # (S, 3), unit vectors: where the column's number grows


@dataclass(frozen=True)
class Ground:
    """Sizes of the pixels, and where they lie where the file says so."""

    spacing: tuple[float, float] | None  # distance of rows, of columns
    thickness: float | None  # of a slice
    place: Place | None


def on_ground(images: Array, scan: Scan) -> tuple[Array, Ground]:
    """Images (S, H, W) on the matrix that the file's header reconstructs, and where they lie.

    Complex ones become magnitudes.
    """
    images, (x, y, z) = on_recon_grid(images, scan)
    spacing = (x / images.shape[1], y / images.shape[2]) if min(x, y) > 0 else scan.extra.get("pixel")
    if "recon" in scan.extra:
        images = cropped(images, tuple(min(a, b) for a, b in zip(scan.extra["recon"], images.shape[1:], strict=True)))
    values = np.abs(images).astype(np.float32)
    thickness = z or scan.extra.get("thickness") or None
    place = None if spacing is None else _place(scan, (values.shape[1], values.shape[2]), spacing)
    return np.ascontiguousarray(values), Ground(spacing, thickness, place)


def _place(scan: Scan, size: tuple[int, int], spacing: tuple[float, float]) -> Place | None:
    """None where positions or directions are missing, or no directions are at right angles."""
    fields = scan.extra.get("placement", {})
    if not {"position", "read_dir", "phase_dir"} <= set(fields):
        return None
    centre, down, across = (np.asarray(fields[name], np.float64) for name in ("position", "read_dir", "phase_dir"))
    lengths = np.linalg.norm([down, across], axis=-1)
    if not np.isfinite(centre).all() or not (np.abs(lengths - 1) < _SAME).all():
        return None
    if (np.abs((down * across).sum(-1)) > _SAME).any():
        return None
    down, across = down / lengths[0][:, None], across / lengths[1][:, None]
    rows, columns = (step * (count // 2) for step, count in zip(spacing, size, strict=True))
    return Place(centre - rows * down - columns * across, down, across)


def step(ground: Ground, count: int, *, source: str) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """The order of slices in space, the file's own where that is one, and the vector from one to the next in mm.

    Raises:
        InputError: they are turned against each other, or their distances differ.
    """
    place, order = ground.place, np.arange(count)
    if place is None:
        return order, np.array([0.0, 0.0, ground.thickness or 1.0])
    normal = np.cross(place.down[0], place.across[0])
    if count == 1:
        return order, normal * (ground.thickness or 1.0)
    turned = np.abs([place.down - place.down[0], place.across - place.across[0]]).max()
    if turned > _SAME:
        raise InputError(f"{source}: slices of several orientations are no volume", _ALONE)
    along = place.origins @ normal
    gaps = np.diff(along)
    if not ((gaps > 0).all() or (gaps < 0).all()):
        order = np.argsort(along, kind="stable")
    steps = np.diff(place.origins[order], axis=0)
    mean = steps.mean(0)
    length = abs(float(mean @ normal))
    if length == 0 or np.abs(steps - mean).max() > _SAME * length:
        raise InputError(f"{source}: the distances of the slices differ, or are 0: they are no volume", _ALONE)
    return order, mean


def unplaceable(scan: Scan, form: str) -> InputError | None:
    """Why images of a scan cannot be written as ``nifti`` or ``dicom``; None where they can."""
    _, ground = on_ground(np.zeros((1, *scan.shape), np.complex64), scan)
    if form == "dicom" and ground.place is None:
        return InputError(
            f"{scan.source}: it does not say where its slices lie, which DICOM must",
            "allowed: -s output=nifti, which has the sizes of the pixels alone",
        )
    if form == "nifti":
        try:
            step(ground, len(scan.kspace), source=scan.source)
        except InputError as error:
            return error
    return None
