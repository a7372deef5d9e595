"""NIfTI-1 and NIfTI-2 through nibabel: slices along the third axis, shown upright for a file in RAS order.

Slice k of voxels (i, j, k) is the picture with ``picture[H - 1 - j, i]``: columns run along the first axis, rows
against the second. A fourth axis (time, echoes) gives further slices, the third axis running fastest. Integers of up to
32 bits and floats keep their type; wider ones and scaled values become float32, and the result is written so. On a
finer grid the affine is scaled so that the extent stays: new voxel i' lies at ``(i' + 1/2) n / n' - 1/2``.

Provenance: ``descrip`` (79 bytes) and, whole, a header extension of type comment.
"""

from __future__ import annotations

import gzip
import io
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import nibabel
import numpy as np
from nibabel.orientations import aff2axcodes

from inverse.errors import InputError, OutputError
from inverse.io.content import LARGEST_PIXEL, SAID, Array, Volume, slices_of, stack
from inverse.io.limits import bounded, quiet, reason

__all__ = ["decode", "encode", "facts"]

_AGAIN = "copy or export the file again"
_EXPANSION = 1032  # deflate's limit


def decode(path: Path, *, source: str) -> Volume:
    """A NIfTI file as a `Volume`.

    Raises:
        InputError: The file is broken, truncated, too large, complex or coloured, or has a fifth axis.
    """
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            return _volume(cast(BinaryIO, file), path.stat().st_size, packed, source)
    except (EOFError, zlib.error, OSError, gzip.BadGzipFile) as error:
        raise InputError(f"{source}: truncated or damaged NIfTI: {reason(error)}", _AGAIN) from error


def _volume(file: BinaryIO, length: int, packed: bool, source: str) -> Volume:
    header, shape = _header(file, source)
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf":
        kind = "complex" if dtype.kind == "c" else "coloured" if dtype.names else str(dtype)
        hint = "save the magnitude" if dtype.kind == "c" else "save one channel a file"
        raise InputError(f"{source}: the voxels are {kind} ({dtype}), expected real numbers", hint)
    offset, count = int(header.get_data_offset()), math.prod(shape)
    bounded(shape, dtype.itemsize, length, source=source)
    if offset + count * dtype.itemsize > length * (_EXPANSION if packed else 1):
        raise InputError(f"{source}: truncated NIfTI: the header declares {count * dtype.itemsize} bytes", _AGAIN)
    file.seek(offset)
    content = file.read(count * dtype.itemsize)
    if len(content) < count * dtype.itemsize:
        raise InputError(f"{source}: truncated NIfTI: {len(content)} of {count * dtype.itemsize} bytes", _AGAIN)
    raw = np.frombuffer(content, dtype).reshape(shape, order="F")
    values, notes = _scaled(raw, header, source)
    slices = np.moveaxis(values.reshape(*shape[:2], -1, order="F"), -1, 0)
    pictures = slices_of(np.swapaxes(slices, 1, 2)[:, ::-1], format="nifti", source=source)
    if len(shape) > 3 and shape[3] > 1:
        notes = (*notes, f"{shape[3]} volumes of {shape[2]} slices")
    return Volume(
        slices=pictures,
        format="nifti",
        extra={"header": header, "packed": packed, "shape": shape, **_optics(header)},
        notes=(*notes, SAID),
        source=source,
    )


def _optics(header: Any) -> dict[str, Any]:
    """The pixel size, rows and columns apart, as the fact ``optics`` of a measurement, where it is a microscope's."""
    unit = {"meter": 1e9, "mm": 1e6, "micron": 1e3}.get(header.get_xyzt_units()[0])
    width, height = (float(size) for size in header["pixdim"][1:3])
    if unit is None or min(width, height) <= 0 or max(width, height) * unit > LARGEST_PIXEL:
        return {}
    return {"optics": {"pixel": (height * unit, width * unit)}}


def _header(file: BinaryIO, source: str) -> tuple[Any, tuple[int, ...]]:
    """The checked header and the shape: (X, Y[, Z[, T]]), any further axes of size 1."""
    start = file.read(4)
    file.seek(0)
    second = 540 in (int.from_bytes(start, "little"), int.from_bytes(start, "big"))
    kind: Any = nibabel.Nifti2Header if second else nibabel.Nifti1Header
    broken = (ValueError, TypeError, LookupError, ArithmeticError, nibabel.spatialimages.HeaderDataError)
    try:
        with quiet(nibabel.imageglobals.logger.name):
            header = kind.from_fileobj(file)
            shape = tuple(int(size) for size in header.get_data_shape())
            header.get_best_affine()
            header.get_slope_inter()
    except broken as error:
        raise InputError(f"{source}: broken NIfTI header: {reason(error)}", _AGAIN) from error
    if len(shape) < 2 or math.prod(shape[4:]) != 1:
        raise InputError(f"{source}: {len(shape)} axes of sizes {shape}, expected 2 to 4", "save one channel a file")
    if min(shape) < 1:
        raise InputError(f"{source}: broken NIfTI header: sizes {shape}", _AGAIN)
    if not np.isfinite(header.get_best_affine()).all():
        raise InputError(f"{source}: broken NIfTI header: the affine is not finite", _AGAIN)
    return header, shape


def _scaled(raw: Array, header: Any, source: str) -> tuple[Array, tuple[str, ...]]:
    if np.isinf(header["scl_slope"]):
        raise InputError(f"{source}: broken NIfTI header: the values are scaled by {header['scl_slope']}", _AGAIN)
    slope, inter = (
        default if value is None else float(value)
        for value, default in zip(header.get_slope_inter(), (1.0, 0.0), strict=True)
    )
    native = raw.dtype.newbyteorder("=")
    if (slope, inter) == (1.0, 0.0):
        if native.itemsize <= (8 if native.kind == "f" else 4):
            return raw.astype(native, copy=False), ()
        return raw.astype(np.float32), (f"{native}, converted to float32",)
    said = f"{native} times {slope:.6g} plus {inter:.6g}, converted to float32"
    return (raw.astype(np.float64) * slope + inter).astype(np.float32), (said,)


def encode(volume: Volume, provenance: Mapping[str, str]) -> bytes:
    """The bytes of a NIfTI file with the header of the one that was read."""
    values = stack(volume)
    shape = tuple(volume.extra["shape"])
    if values.ndim != 3 or len(values) != math.prod(shape[2:]):
        raise OutputError(
            f"a NIfTI file of sizes {shape} cannot hold slices of {values.shape}", "write one grey picture a slice"
        )
    height, width = values.shape[1:]
    voxels = np.moveaxis(values[:, ::-1], 0, -1).swapaxes(0, 1).reshape(width, height, *shape[2:], order="F")
    header = volume.extra["header"].copy()
    header.set_data_dtype(values.dtype.newbyteorder("="))
    zooms = header["pixdim"].copy()
    header.set_data_shape(voxels.shape)
    header["pixdim"] = zooms
    header["scl_slope"], header["scl_inter"], header["cal_max"], header["cal_min"] = 1, 0, 0, 0
    if (width, height) != shape[:2]:
        _rescale(header, (shape[0] / width, shape[1] / height))
    text = "\n".join(f"{key}={value}" for key, value in provenance.items())
    if text:
        header["descrip"] = "; ".join(provenance.values()).encode("ascii", "replace")[:79]
        old = [part for part in header.extensions if not _ours(part, provenance)]
        header.extensions[:] = [*old, nibabel.nifti1.Nifti1Extension("comment", text.encode())]
    header["vox_offset"] = 0
    out = io.BytesIO()
    header.write_to(out)
    out.write(voxels.astype(header.get_data_dtype(), copy=False).tobytes(order="F"))
    content = out.getvalue()
    if not volume.extra["packed"]:
        return content
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as file:
        file.write(content)
    return buffer.getvalue()


def _rescale(header: Any, steps: tuple[float, float]) -> None:
    """Voxels of `steps` times the old ones along the first two axes, the extent unchanged."""
    change = np.diag([*steps, 1.0, 1.0])
    change[:2, 3] = [(step - 1) / 2 for step in steps]
    codes = {name: int(header[f"{name}_code"]) for name in ("qform", "sform")}
    qform, sform = header.get_qform() @ change, header.get_sform() @ change
    header["pixdim"][1:3] *= steps
    if codes["qform"] > 0:
        header.set_qform(qform, codes["qform"])
    if codes["sform"] > 0:
        header.set_sform(sform, codes["sform"])


def _ours(extension: Any, provenance: Mapping[str, str]) -> bool:
    content = extension.get_content()
    content = content if isinstance(content, bytes) else str(content).encode()
    return extension.get_code() == 6 and content.startswith(tuple(f"{key}=".encode() for key in provenance))


def facts(volume: Volume) -> dict[str, Any]:
    """Sizes of voxels and how they lie in the body, for `inverse info`."""
    header = volume.extra["header"]
    affine, names = header.get_best_affine(), {int(header["qform_code"]): "qform", int(header["sform_code"]): "sform"}
    names.pop(0, None)
    return {
        "voxel": [float(size) for size in header.get_zooms()],
        "orientation": "".join(str(code) for code in cast(Any, aff2axcodes)(affine)),
        "affine": "; ".join(" ".join(f"{value:.4g}" for value in row) for row in affine[:3]),
        "codes": ", ".join(f"{name} {code}" for code, name in names.items()),
    }
