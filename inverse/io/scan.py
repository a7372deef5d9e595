"""Raw k-space of a scanner file, and what must survive until the image is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from inverse.errors import InputError

__all__ = ["Scan", "checked"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Scan:
    """The slices of one raw-data file.

    Attributes:
        kspace: (S, coils, H, W) complex64, centred (DC at size // 2), orthonormal Fourier transform, zero where nothing was sampled; with a
            ``trajectory`` (S, coils, n).
        mask: (S or 1, H, W) bool, which samples were taken; None: where any coil is not zero. Unused with a trajectory.
        trajectory: (S or 1, n, 2) float32 in cycles per pixel, rows then columns, in [-0.5, 0.5); None for Cartesian data.
        shape: (H, W) of the image.
        noise: (coils, n) complex64 samples of noise alone; None where the file has none.
        format: ``fastmri``, ``ismrmrd``, ``cfl`` or ``npy``; `inverse.io.write_scan` writes the images in this kind of file.
        extra: What the format needs to write an image (header, attributes, dimensions).
        notes: What was done on reading (oversampling removed, averages combined).
        source: The path as it was given, for messages.
    """

    kspace: npt.NDArray[np.complex64]
    shape: tuple[int, int]
    format: str
    mask: npt.NDArray[np.bool_] | None = None
    trajectory: npt.NDArray[np.float32] | None = None
    noise: npt.NDArray[np.complex64] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    source: str = ""


def checked(scan: Scan) -> Scan:
    """The scan itself.

    Raises:
        InputError: no samples, values that are not finite, or zeros alone.
    """
    if scan.kspace.size == 0 or min(scan.shape) < 1:
        raise InputError(f"{scan.source}: k-space of shape {scan.kspace.shape} is empty")
    bad = int(scan.kspace.size - np.isfinite(scan.kspace).sum())
    if bad:
        raise InputError(f"{scan.source}: {bad} of {scan.kspace.size} samples of k-space are NaN or infinite")
    if not scan.kspace.any():
        raise InputError(f"{scan.source}: all of k-space is zero", "nothing was measured")
    return scan
