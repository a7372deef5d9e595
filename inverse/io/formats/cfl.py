"""BART's pair of files: ``NAME.cfl``, complex64 in Fortran order, and ``NAME.hdr``, text with its 16 dimensions.

k-space is read from dimensions 0 (rows, the readout), 1 (columns, the phase encoding), 3 (coils) and 13 (slices);
BART's Fourier transform is centred, as ours is. Images are written with dimensions 0, 1 and 13
(https://mrirecon.github.io/bart/, ``src/misc/mri.h``).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inverse.errors import InputError, OutputError
from inverse.io.content import Scan, checked
from inverse.storage.files import atomic_bytes

__all__ = ["decode", "header_of", "looks_like", "read_array", "write_array", "write_scan"]

_DIMENSIONS = 16
_COILS, _SLICES = 3, 13
_READ = {0, 1, _COILS, _SLICES}
_LONGEST_HEADER = 65_536


def header_of(path: str | os.PathLike[str]) -> Path:
    """The ``.hdr`` beside a ``.cfl``."""
    return Path(path).with_suffix(".hdr")


def looks_like(path: Path, inner: str | None, *, source: str) -> bool:
    """Whether a ``.cfl`` has its header beside it."""
    return header_of(path).is_file()


def _dimensions(path: Path, source: str) -> tuple[int, ...]:
    try:
        with open(path, "rb") as file:
            text = file.read(_LONGEST_HEADER).decode("ascii")
    except FileNotFoundError:
        raise InputError(f"{source}: there is no {path.name} beside it", "a .cfl needs its .hdr") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{source}: {path.name} cannot be read: {error}", "write it again with BART") from None
    lines = [line.strip() for line in text.splitlines()]
    if "# Dimensions" not in lines[:-1]:
        raise InputError(f"{source}: {path.name} has no '# Dimensions'", "write it again with BART")
    words = lines[lines.index("# Dimensions") + 1].split()
    if not words or len(words) > 64 or not all(word.isdecimal() and 0 < int(word) < 2**40 for word in words):
        raise InputError(f"{source}: {path.name} has dimensions '{' '.join(words)[:60]}'", "allowed: numbers from 1")
    return tuple(int(word) for word in words)


def read_array(path: str | os.PathLike[str], *, source: str | None = None) -> npt.NDArray[np.complex64]:
    """All dimensions of a ``.cfl``, complex64.

    Raises:
        InputError: A header that is missing or does not fit the file, or values that are not finite.
    """
    name = os.fspath(path) if source is None else source
    dimensions = _dimensions(header_of(path), name)
    needed = 8 * math.prod(dimensions)
    try:
        held = os.path.getsize(path)
        if held != needed:
            shape = " x ".join(str(n) for n in dimensions if n > 1)
            raise InputError(f"{name}: {held} bytes, its header says {shape or 1} ({needed} bytes)", "copy it again")
        values = np.fromfile(path, dtype="<c8")
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or error}") from None
    return values.reshape(dimensions, order="F")


def decode(path: str | os.PathLike[str], *, source: str) -> Scan:
    """k-space of a ``.cfl``, whose ``.hdr`` is beside it.

    Raises:
        InputError: A pair that does not fit, or dimensions other than rows, columns, coils and slices.
    """
    array = read_array(path, source=source)
    dimensions = (*array.shape, *[1] * (_DIMENSIONS - array.ndim))
    other = [i for i, n in enumerate(dimensions) if n > 1 and i not in _READ]
    if other:
        raise InputError(
            f"{source}: {dimensions[other[0]]} entries along dimension {other[0]}",
            "allowed: rows (0), columns (1), coils (3), slices (13); cut one out with bart slice",
        )
    rows, columns = dimensions[:2]
    kspace = array.reshape(rows, columns, dimensions[_COILS], dimensions[_SLICES], order="F").transpose(3, 2, 0, 1)
    kspace = np.ascontiguousarray(kspace, dtype=np.complex64)
    return checked(Scan(kspace=kspace, shape=(rows, columns), format="cfl", source=source))


def write_array(
    path: str | os.PathLike[str],
    array: npt.NDArray[np.complex64],
    *,
    provenance: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> None:
    """Write an array of up to 16 dimensions; the ``.cfl``, which is what is read, comes last.

    Raises:
        OutputError: A file exists, or cannot be written.
    """
    target, header = Path(path), header_of(path)
    if not overwrite and os.path.lexists(target):
        raise OutputError(f"{path}: already exists", "choose another name, or give --overwrite")
    dimensions = (*array.shape, *[1] * (_DIMENSIONS - array.ndim))
    said = [f"{key}: {' '.join(value.split())}" for key, value in (provenance or {}).items()]
    text = ["# Dimensions", " ".join(map(str, dimensions)), *(["# Creator", *said] if said else []), ""]
    atomic_bytes(header, "\n".join(text).encode("ascii", "replace"), overwrite=overwrite)
    atomic_bytes(target, np.asarray(array, "<c8").tobytes(order="F"), overwrite=overwrite)


def write_scan(
    path: Path, images: npt.NDArray[np.complex64], *, provenance: Mapping[str, str], overwrite: bool, **unused: Any
) -> None:
    """Write images (S, H, W) as `inverse.io.read_write.write_scan` says: rows, columns, and slices in dimension 13."""
    slices, rows, columns = images.shape
    array = images.transpose(1, 2, 0).reshape(rows, columns, *[1] * (_SLICES - 2), slices)
    write_array(path, array, provenance=provenance, overwrite=overwrite)
