"""The images of raw k-space, written in the scan's own kind of file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inverse.errors import OutputError
from inverse.io.content import Scan
from inverse.storage.files import atomic_bytes

__all__ = ["write_scan"]


def write_scan(
    path: str | os.PathLike[str],
    images: npt.NDArray[np.complex64 | np.float32],
    *,
    like: Scan,
    magnitude: npt.NDArray[np.float32] | None = None,
    provenance: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write images, whole or not at all.

    Args:
        path: The file; missing folders are made.
        images: (S, H, W), complex, or real for an uncertainty map or a root sum of squares; in the units of the k-space.
        like: What was read: fastMRI files get a ``reconstruction``, ISMRMRD files an image group, a ``.cfl`` its ``.hdr``.
        magnitude: (S, H, W), what a fastMRI file's ``reconstruction`` is; None: that of the images.
        provenance: Text to embed.
        overwrite: Replace an existing file.

    Returns:
        The path.

    Raises:
        OutputError: The file exists or cannot be written, or the images are not (S, H, W).
    """
    array = np.asarray(images, np.complex64)
    if array.ndim != 3 or not array.size:
        raise OutputError(f"{path}: images of shape {array.shape}", "allowed: (slices, H, W)")
    stamp = dict(provenance or {})
    if like.format == "cfl":
        from inverse.io.formats import cfl

        cfl.write_images(path, array, provenance=stamp, overwrite=overwrite)
        return Path(path)
    if like.format == "fastmri":
        from inverse.io.formats import fastmri

        shown = np.abs(array) if magnitude is None else np.asarray(magnitude, np.float32)
        data = fastmri.encode(shown, array if np.iscomplexobj(images) else None, like, stamp)
    elif like.format == "ismrmrd":
        from inverse.io.formats import ismrmrd as mrd

        data = mrd.encode(array, like, stamp)
    elif like.format == "npy":
        from inverse.io.formats import npy as arrays

        data = arrays.encode_scan(array)
    else:
        raise OutputError(f"{path}: unknown scan format '{like.format}'", "allowed: fastmri, ismrmrd, cfl, npy")
    atomic_bytes(path, data, overwrite=overwrite)
    return Path(path)
