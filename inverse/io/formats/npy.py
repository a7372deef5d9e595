"""NumPy ``.npy`` and ``.npz``: uint8, uint16, other integers of up to 32 bits, or float; never pickled objects.

A npy file holds one image, (H, W) or (H, W, C), axes of one entry before it aside; a complex one of 3 or 4 axes is raw
k-space, (coils, H, W) or (slices, coils, H, W), centred, zero where nothing was measured. A npz archive holds one
array, or several of which ``FILE.npz::NAME`` names one; its axes are taken as `inverse.io.axes` says. The result holds
that array alone, under its name. Headers are checked against the bytes that are there before anything is allocated, and
no more of an archive is unpacked than its header declares.
"""

from __future__ import annotations

import io
import math
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from inverse.errors import InputError
from inverse.io.axes import MOST_CHANNELS, arranged, flattened
from inverse.io.content import Array, Picture, Scan, Volume, checked
from inverse.io.kspace.grid import recentred
from inverse.io.limits import bounded, reason
from inverse.storage.files import atomic_bytes

__all__ = ["decode", "decode_npz", "encode", "encode_npz", "facts_npz", "is_npz", "write_scan"]

_AGAIN = "save the array again"
_BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError)
_MEMBERS = 10_000
MOST_COILS = 256


def decode(data: bytes, *, source: str) -> Picture | Scan:
    """A npy file as a `Picture`, in native byte order, or as a `Scan`.

    Raises:
        InputError: The file is broken, holds objects, or not an image.
    """
    array = _array(data, source)
    if array.dtype.kind == "c" and array.ndim in (3, 4) and array.shape[-3] <= MOST_COILS:
        kspace = np.ascontiguousarray(array if array.ndim == 4 else array[None], np.complex64)
        note = "a complex array, taken as raw k-space: (coils, H, W)"
        kspace, _, moved = recentred(kspace, None)
        kspace = np.ascontiguousarray(kspace, np.complex64)
        return checked(Scan(kspace=kspace, shape=kspace.shape[2:], format="npy", notes=(note, *moved), source=source))
    array, ones = _without_ones(array)
    kept = {"ones": ones} if ones else {}
    if array.ndim not in (2, 3):
        hint = "arrays are (H, W) or (H, W, C): save one image a file"
        raise InputError(f"{source}: the array has shape {array.shape}, not an image", hint)
    if array.dtype.kind == "c":
        hint = "save the magnitude; raw k-space is (coils, H, W)"
        raise InputError(f"{source}: the array is {array.dtype}, an image file must be real", hint)
    if array.dtype == bool:
        array = array.astype(np.uint8) * np.uint8(255)
        return Picture(array=array, format="npy", extra=kept, notes=("boolean, converted to 8 bit",), source=source)
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return Picture(array=np.ascontiguousarray(native), format="npy", extra=kept, source=source)


def _without_ones(array: Array) -> tuple[Array, int]:
    """An array without its leading axes of one entry, and how many there were; a row of few channels stays one."""
    shape, count = array.shape, 0
    while len(shape) - count > 2 and shape[count] == 1 and (len(shape) - count > 3 or shape[-1] > MOST_CHANNELS):
        count += 1
    return array.reshape(shape[count:]), count


def _array(data: bytes, source: str) -> Array:
    """The array of a npy file's bytes, read only.

    Raises:
        InputError: Broken, shorter than its header declares, or of Python objects.
    """
    buffer = io.BytesIO(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            version = np.lib.format.read_magic(buffer)
            readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            if version not in readers:
                raise ValueError(f"version {version[0]}.{version[1]} of the format")
            shape, fortran, dtype = readers[version](buffer)
    except Exception as error:  # numpy hands the header to tokenize and ast, which raise what they like
        raise InputError(f"{source}: broken npy: {reason(error)}", _AGAIN) from error
    if dtype.hasobject:
        raise InputError(f"{source}: holds Python objects, which are never loaded", "save a plain array")
    start, size = buffer.tell(), bounded(shape, dtype.itemsize, len(data), source=source)
    if start + size > len(data):
        raise InputError(f"{source}: broken npy: {len(data) - start} bytes of {size} that shape {shape} takes", _AGAIN)
    if dtype.itemsize == 0 or dtype.names is not None:
        raise InputError(f"{source}: pixels of type {dtype} have no defined range", "save a plain array of numbers")
    flat = np.frombuffer(data, dtype, math.prod(shape), start)
    return flat.reshape(shape, order="F" if fortran else "C")


def encode(picture: Picture, provenance: Mapping[str, str]) -> bytes:
    """The bytes of a npy file; alpha, where there is one, is the last channel. It has no place for provenance."""
    array = picture.array
    if picture.alpha is not None:
        array = np.concatenate([array[..., None] if array.ndim == 2 else array, picture.alpha[..., None]], -1)
    return _bytes(array.reshape(*[1] * int(picture.extra.get("ones", 0)), *array.shape))


def write_scan(path: Path, images: Array, *, overwrite: bool, **unused: Any) -> None:
    """Write the images of raw k-space, (S, H, W) complex64, as `inverse.io.read_write.write_scan` says."""
    atomic_bytes(path, _bytes(np.ascontiguousarray(images, np.complex64)), overwrite=overwrite)


def _bytes(array: Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def is_npz(path: Path, inner: str | None, *, source: str) -> bool:
    """Whether a zip archive's members are npy files; of a broken one its suffix decides."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except _BROKEN_ZIP:
        return path.suffix.lower() == ".npz"
    return bool(names) and all(name.endswith(".npy") for name in names)


def decode_npz(path: Path, *, source: str, inner: str | None) -> Picture | Volume:
    """An array of a npz archive as a `Picture` or a `Volume`.

    Raises:
        InputError: The archive or the array is broken, encrypted or made to exhaust memory; or several arrays and none
            is named.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {part.filename.removesuffix(".npy"): part for part in archive.infolist()[:_MEMBERS]}
            name = _chosen(tuple(members), inner, source)
            member = members[name]
            bounded((member.file_size,), 1, member.compress_size, source=source)
            with archive.open(member) as file:
                data = file.read(member.file_size)
    except _BROKEN_ZIP as error:
        raise InputError(f"{source}: broken npz: {reason(error)}", _AGAIN) from error
    extra = {"name": name, "compressed": member.compress_type != zipfile.ZIP_STORED}
    return arranged(_array(data, source), format="npz", source=source, extra=extra)


def _chosen(names: tuple[str, ...], inner: str | None, source: str) -> str:
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    if any(".." in name.split("/") or name.startswith("/") for name in names):
        raise InputError(f"{source}: names in the archive lead outside it: {shown[:80]}", _AGAIN)
    if inner is None and len(names) == 1:
        return names[0]
    if inner is None:
        raise InputError(
            f"{source}: holds {len(names)} arrays: {shown}", f"name one: FILE.npz::{names[0] if names else 'NAME'}"
        )
    if inner not in names:
        raise InputError(f"{source}: no array '{inner}' in the archive", f"allowed: {shown}")
    return inner


def encode_npz(content: Picture | Volume, provenance: Mapping[str, str]) -> bytes:
    """The bytes of a npz archive of one array. It has no place for provenance."""
    buffer, extra = io.BytesIO(), content.extra
    kind = zipfile.ZIP_DEFLATED if extra["compressed"] else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        archive.writestr(zipfile.ZipInfo(f"{extra['name']}.npy"), _bytes(flattened(content)), compress_type=kind)
    return buffer.getvalue()


def facts_npz(content: Picture | Volume) -> dict[str, Any]:
    """The name of the array, for `inverse info`."""
    return {"array": content.extra["name"]}
