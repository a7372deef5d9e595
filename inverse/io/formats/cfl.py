"""BART's pair of files: ``NAME.cfl``, complex64 in Fortran order, and ``NAME.hdr``, text with its 16 dimensions.

k-space is read from two of the dimensions 0, 1 and 2 (rows and columns: a slice of a 3-D scan has one entry along one
of them), 3 (coils) and 13 (slices); BART's Fourier transform is centred, as ours is. Images are written with the same
dimensions, less the coils (https://mrirecon.github.io/bart/, ``src/misc/mri.h``).

Samples (1, samples, spokes, coils) off the grid are read with BART's trajectory (3, samples, spokes), in cycles per
field of view, from ``NAME_traj.cfl`` or ``traj.cfl`` beside the file.
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
from inverse.io.kspace.grid import recentred
from inverse.io.kspace.points import in_cycles, matrix_of, planar
from inverse.storage.files import atomic_bytes

__all__ = ["decode", "header_of", "looks_like", "read_array", "write_array", "write_scan"]

_DIMENSIONS = 16
_COILS, _SLICES = 3, 13
_READ = {0, 1, 2, _COILS, _SLICES}
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
    """k-space of a ``.cfl``, whose ``.hdr`` is beside it; with a trajectory beside it, of samples off the grid.

    Raises:
        InputError: A pair that does not fit, dimensions other than those of the module's first lines, or a trajectory.
    """
    array = read_array(path, source=source)
    array = array.reshape(*array.shape, *[1] * (_DIMENSIONS - array.ndim))
    other = [i for i, n in enumerate(array.shape) if n > 1 and i not in _READ]
    if other:
        raise InputError(
            f"{source}: {array.shape[other[0]]} entries along dimension {other[0]}",
            "allowed: two of 0, 1, 2 (rows, columns), coils (3), slices (13); cut one out with bart slice",
        )
    if array.shape[0] == 3 and array.shape[_COILS] == array.shape[_SLICES] == 1 and not array.imag.any():
        raise InputError(f"{source}: a trajectory, not k-space", "give the .cfl of the samples, this one beside it")
    path_of = _beside(Path(path), array.shape, source)
    if path_of is not None:
        return _off_grid(array, *path_of, source)
    wide = [i for i in (0, 1, 2) if array.shape[i] > 1]
    if len(wide) == 3:
        raise InputError(
            f"{source}: three-dimensional k-space, {' x '.join(map(str, array.shape[:3]))}",
            "make slices of it: bart fft -iu 1 (of the readout), then bart slice 0 N",
        )
    plane = (wide + [i for i in (0, 1, 2) if i not in wide])[:2]
    plane = sorted(plane) if len(wide) == 2 else [0, 1]
    rows, columns = (array.shape[i] for i in plane)
    moved = np.moveaxis(array, (_SLICES, _COILS, *plane), (0, 1, 2, 3))
    kspace, _, notes = recentred(np.ascontiguousarray(moved.reshape(moved.shape[:4]), np.complex64), None)
    return checked(
        Scan(
            kspace=np.ascontiguousarray(kspace),
            shape=(rows, columns),
            format="cfl",
            extra={"plane": tuple(plane)},
            notes=notes,
            source=source,
        )
    )


def _beside(path: Path, shape: tuple[int, ...], source: str) -> tuple[npt.NDArray[np.complex64], str] | None:
    """The trajectory that lies beside samples and fits them, and its name; None where there is none."""
    if shape[0] != 1:
        return None
    for place in (path.with_name(f"{path.stem}_traj.cfl"), path.with_name("traj.cfl")):
        if not place.is_file() or place == path or not header_of(place).is_file():
            continue
        dimensions = _dimensions(header_of(place), source)
        if dimensions[:3] == (3, *shape[1:3]) and math.prod(dimensions[3:]) == 1:
            return read_array(place, source=place.name), place.name
        if place.name != "traj.cfl":
            said = " x ".join(map(str, dimensions[:3]))
            raise InputError(f"{source}: {place.name} is {said}, the samples are 1 x {shape[1]} x {shape[2]}")
    return None


def _off_grid(array: npt.NDArray[np.complex64], path: npt.NDArray[np.complex64], name: str, source: str) -> Scan:
    raw = path.real.reshape(3, -1, order="F").T
    points = planar(raw, source=source)
    size = matrix_of(points)
    cycles, unit = in_cycles(points, (size,) if size else (), source=source)
    samples = array.reshape(-1, array.shape[_COILS], array.shape[_SLICES], order="F")
    return checked(
        Scan(
            kspace=np.ascontiguousarray(samples.transpose(2, 1, 0)),
            shape=size or (0, 0),
            format="cfl",
            trajectory=np.ascontiguousarray(cycles[None]),
            notes=(f"trajectory of {name}, in {unit}",),
            source=source,
        )
    )


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
    path: Path,
    images: npt.NDArray[np.complex64],
    *,
    like: Scan,
    provenance: Mapping[str, str],
    overwrite: bool,
    **unused: Any,
) -> None:
    """Write images (S, H, W) as `inverse.io.read_write.write_scan` says: where k-space had its rows and columns."""
    shape = [1] * (_SLICES + 1)
    plane = like.extra.get("plane", (0, 1))
    shape[plane[0]], shape[plane[1]], shape[_SLICES] = images.shape[1], images.shape[2], images.shape[0]
    array = images.transpose(1, 2, 0).reshape(shape)
    write_array(path, array, provenance=provenance, overwrite=overwrite)
