"""Kernels, masks and matrices from files: .npy and .npz arrays of any real type, and images."""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from inverse.errors import InputError
from inverse.io.read_write import read_picture, whole
from inverse.operators.spec import PATH

__all__ = ["as_file", "is_array", "load_array", "load_plane", "with_files"]

#: What an array may be called where an operator has one file.
_NAMES = ("mask", "kernel", "array")

_MAGIC = {b"\x93NUMPY": "npy", b"PK\x03\x04": "npz"}


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Where arrays of this process are kept as files, until it ends."""
    return tempfile.TemporaryDirectory(prefix="inverse-arrays-")


def as_file(array: Any) -> str:
    """The path of a .npy file of an array, numpy or torch, for where a file is asked for; the same for the same values.

    A single plane loses its axes of one entry.
    """
    values = np.asarray(array.detach().cpu() if hasattr(array, "detach") else array)
    if values.ndim > 2:
        values = values.squeeze()
    values = np.ascontiguousarray(values)
    if values.dtype.kind not in "biufc":
        raise InputError(f"an array of type {values.dtype}, allowed: numbers", "give booleans, integers or floats")
    stream = BytesIO()
    np.save(stream, values, allow_pickle=False)
    content = stream.getvalue()
    path = Path(_folder().name) / f"array-{hashlib.sha256(content).hexdigest()[:16]}.npy"
    if not path.is_file():
        path.write_bytes(content)
    return str(path)


def is_array(value: Any) -> bool:
    """Whether a value is an array, numpy or torch."""
    return isinstance(value, np.ndarray) or (hasattr(value, "detach") and hasattr(value, "ndim"))


def with_files(values: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """The parameters of an operator, each array that stands for a file as one (`as_file`).

    Args:
        values: As given.
        model: What checks them.
    """
    files = [
        name
        for name, field in model.model_fields.items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get(PATH)
    ]
    made = {}
    for name, value in values.items():
        if not is_array(value):
            made[name] = value
            continue
        alias = name in _NAMES and name not in model.model_fields
        target = ("file" if "file" in files else files[0]) if alias and files else name
        made[target] = as_file(value) if target in files else value
    return made


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
