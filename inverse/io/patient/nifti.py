"""Images of raw k-space as a NIfTI-1 volume, through nibabel, extra ``medical``.

The voxel (i, j, k) is the pixel ``image[H - 1 - j, i]`` of slice k, as `inverse.io.formats.nifti` reads it. The affine
maps to RAS (NIfTI's axes; DICOM's first two are turned round). Without positions the file has voxel sizes alone, and
codes 0 (unknown).
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Mapping
from typing import Any, cast

import nibabel
import numpy as np
import numpy.typing as npt

from inverse.io.content import Array, Scan
from inverse.io.patient.placement import Ground, on_ground, step

__all__ = ["encode"]

_SCANNER = 1  # the code of coordinates in the scanner
_RAS = np.array([-1.0, -1.0, 1.0])


def encode(images: Array, *, like: Scan, provenance: Mapping[str, str]) -> bytes:
    """The bytes of a ``.nii.gz`` of images (S, H, W), of complex ones the magnitude, in float32.

    Raises:
        InputError: the slices are no volume.
    """
    values, ground = on_ground(images, like)
    order, onward = step(ground, len(values), source=like.source)
    voxels = values[order].transpose(2, 1, 0)[:, ::-1]
    image = cast(Any, nibabel.Nifti1Image)(np.asfortranarray(voxels), None)
    header = image.header
    spacing = ground.spacing or (1.0, 1.0)
    header.set_zooms((spacing[1], spacing[0], float(np.linalg.norm(onward))))
    header.set_xyzt_units("mm" if ground.spacing else "unknown")
    if ground.place is None:
        image.set_qform(None, 0)
        image.set_sform(None, 0)
    else:
        affine = _affine(ground, values.shape[1], int(order[0]), onward)
        image.set_sform(affine, _SCANNER)
        square = np.abs(np.cross(affine[:3, 2], np.cross(affine[:3, 0], affine[:3, 1]))).max() < 1e-3
        image.set_qform(affine if square else None, _SCANNER if square else 0)
    header["descrip"] = "; ".join(provenance.values()).encode("ascii", "replace")[:79]
    text = "\n".join(f"{key}={value}" for key, value in provenance.items())
    header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", text.encode()))
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as file:
        file.write(image.to_bytes())
    return buffer.getvalue()


def _affine(ground: Ground, rows: int, first: int, onward: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(4, 4): from voxels to mm to the right, front and head."""
    place, spacing = ground.place, ground.spacing
    assert place is not None
    assert spacing is not None
    down, across = place.down[first] * spacing[0], place.across[first] * spacing[1]
    affine = np.eye(4)
    affine[:3, :3] = np.stack([across, -down, onward], 1)
    affine[:3, 3] = place.origins[first] + (rows - 1) * down
    affine[:3] *= _RAS[:, None]
    return affine
