"""Results of raw k-space in the formats that place images in the patient: a NIfTI file, or a folder of DICOM files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inverse.errors import InputError, OutputError
from inverse.io.content import Picture, Scan, Volume
from inverse.io.registry import formats, function
from inverse.storage.files import atomic_bytes

__all__ = ["placeable", "placed_path", "write_placed"]

#: Writers of images of raw k-space in another format than their own.
PLACED = {
    "nifti": "inverse.io.patient.nifti:encode",
    "dicom": "inverse.io.patient.dicom_series:encode",
}
_UNPLACEABLE = "inverse.io.patient.placement:unplaceable"


def write_placed(
    path: str | os.PathLike[str],
    images: npt.NDArray[np.complex64 | np.float32],
    *,
    like: Scan,
    form: str,
    deviation: bool = False,
    provenance: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """As `write_scan`, as ``nifti`` or as a folder of a ``dicom`` series (`placed_path`); returns the files' paths.

    Raises:
        OutputError: As `write_scan`; or an optional package is missing.
        InputError: The slices are no volume, or the file does not say where they lie (`placeable`).
    """
    target, stamp = placed_path(path, form), dict(provenance or {})
    encode = function(PLACED[form], title=formats()[form].title, source=str(path), error=OutputError)
    if form == "nifti":
        atomic_bytes(target, encode(images, like=like, provenance=stamp), overwrite=overwrite)
        return [target]
    files = encode(images, like=like, deviation=deviation, provenance=stamp)
    paths = [target / f"{number:04d}.dcm" for number in range(1, len(files) + 1)]
    for one, data in zip(paths, files, strict=True):
        atomic_bytes(one, data, overwrite=overwrite)
    return paths


def placed_path(path: str | os.PathLike[str], form: str) -> Path:
    """Where `write_placed` puts a scan's images: ``NAME.nii.gz``, or the folder ``NAME.dcm``."""
    target = Path(path)
    return target.with_name(f"{target.name}{'.nii.gz' if form == 'nifti' else '.dcm'}")


def placeable(content: Picture | Volume | Scan, form: str) -> None:
    """Refuse what `write_placed` cannot write, before any work.

    Raises:
        InputError: It is no raw k-space, its slices are no volume, or it does not say where they lie.
    """
    if not isinstance(content, Scan):
        if content.format == form:  # its results are
            return
        title = formats()[content.format].title
        hint = "leave output away, and convert the result"
        raise InputError(f"{content.source}: output: {form} is of raw k-space, this is {title}", hint)
    refused = function(_UNPLACEABLE, title=formats()[form].title, source=content.source)(content, form)
    if refused is not None:
        raise refused
