"""NumPy ``.npy`` arrays: (H, W) or (H, W, C), uint8, uint16 or float; never pickled objects."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np

from inverse.errors import InputError
from inverse.io.picture import Picture

__all__ = ["decode", "encode"]


def decode(data: bytes, *, source: str) -> Picture:
    """A npy file as a `Picture`, in native byte order.

    Raises:
        InputError: The file is broken, holds objects, or not an image.
    """
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError, SyntaxError, TypeError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        if "allow_pickle" in reason:
            raise InputError(f"{source}: holds Python objects, which are never loaded", "save a plain array") from error
        raise InputError(f"{source}: broken npy: {reason}", "save the array again") from error
    if array.ndim not in (2, 3):
        hint = "arrays are (H, W) or (H, W, C): save one image a file"
        raise InputError(f"{source}: the array has shape {array.shape}, not an image", hint)
    if array.dtype.kind == "c":
        hint = "complex images are not images of light: save magnitude, or real and imaginary part as two channels"
        raise InputError(f"{source}: the array is {array.dtype}, an image file must be real", hint)
    if array.dtype == bool:
        array = array.astype(np.uint8) * np.uint8(255)
        return Picture(array=array, format="npy", notes=("boolean, converted to 8 bit",), source=source)
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return Picture(array=np.ascontiguousarray(native), format="npy", source=source)


def encode(picture: Picture, provenance: Mapping[str, str]) -> bytes:
    """The bytes of a npy file; alpha, where there is one, is the last channel. It has no place for provenance."""
    array = picture.array
    if picture.alpha is not None:
        array = np.concatenate([array[..., None] if array.ndim == 2 else array, picture.alpha[..., None]], -1)
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
