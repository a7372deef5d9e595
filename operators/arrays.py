"""Kernels, masks and matrices from files: .npy and .npz arrays of any real type, and images."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inverse.errors import InputError
from inverse.io.read_write import read_picture, whole

__all__ = ["load_array", "load_plane"]

_MAGIC = {b"\x93NUMPY": "npy", b"PK\x03\x04": "npz"}


def _form(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            head = file.read(6)
    except OSError as error:
        raise InputError(f"{Path(path).name}: cannot be read: {error.strerror}", "check the path") from None
    return next((form for magic, form in _MAGIC.items() if head.startswith(magic)), None)


def load_array(path: str, *, kinds: str = "biuf") -> NDArray[Any]:
    """An array from a .npy file, or from a .npz file with one array; the content decides, not the suffix.

    Args:
        path: The file.
        kinds: NumPy's letters of the types that are allowed; ``c`` adds complex numbers.

    Raises:
        InputError: a file that is missing, broken or of another kind, objects, other types or non-finite values.
    """
    name, form = Path(path).name, _form(path)
    if form is None:
        raise InputError(f"{name}: not a .npy or .npz file", "save it with numpy.save")
    try:
        loaded = np.load(path, allow_pickle=False)
        if form == "npz":
            with loaded:
                if len(loaded.files) != 1:
                    raise InputError(f"{name}: {len(loaded.files)} arrays, allowed: one", "save it with numpy.save")
                loaded = loaded[loaded.files[0]]
    except (ValueError, EOFError, OSError, SyntaxError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{name}: broken {form}: {' '.join(str(error).split())[:100]}", "save it again") from None
    array = np.asarray(loaded)
    if array.dtype.kind not in kinds:
        allowed = "numbers" if "c" in kinds else "real numbers"
        raise InputError(f"{name}: values of type {array.dtype}, allowed: {allowed}", "save it as float32")
    if not np.isfinite(array).all():
        raise InputError(f"{name}: {int((~np.isfinite(array)).sum())} values are NaN or infinite", "save it again")
    return array


def load_plane(path: str, *, reduce: Callable[..., Any]) -> tuple[NDArray[Any], bool]:
    """A 2-D array from a .npy file or from an image.

    Args:
        path: The file.
        reduce: Makes one plane of an image's channels: called with the array and ``axis=2``.

    Returns:
        The array in the file's own type, and whether it comes from an array file (its numbers are meant as they are).

    Raises:
        InputError: a file that cannot be read, or an array that is not 2-D.
    """
    if _form(path) is None:
        image = np.asarray(whole(read_picture(path, name=Path(path).name)).array)
        return (reduce(image, axis=2) if image.ndim == 3 else image), False
    array = load_array(path)
    if array.ndim != 2 or array.size == 0:
        raise InputError(f"{Path(path).name}: an array of shape {array.shape}, allowed: 2-D", "save one plane")
    return array, True
