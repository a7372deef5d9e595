"""What the two HDF5 formats of raw k-space share: the ISMRMRD header (XML), centre crops and the Fourier transform along one axis."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from inverse.errors import InputError

__all__ = ["cropped", "image_fourier", "matrices", "parsed", "xml_text"]

Array = npt.NDArray[Any]
_LARGEST = 100_000
_LONGEST = 2**24


def xml_text(value: Any) -> str:
    """A header as it is stored in HDF5: text, bytes, or an array of one of them."""
    if isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def parsed(header: str, *, source: str) -> ElementTree.Element:
    """The header without name spaces.

    Raises:
        InputError: No XML; or it declares entities, which a header never does.
    """
    if len(header) > _LONGEST or "<!DOCTYPE" in header or "<!ENTITY" in header:
        raise InputError(f"{source}: the ISMRMRD header declares a document type or is too long", "export it again")
    try:
        root = ElementTree.fromstring(header)
    except ElementTree.ParseError as error:
        raise InputError(f"{source}: the ISMRMRD header is not XML: {error}", "export it again") from None
    for element in root.iter():
        element.tag = element.tag.rsplit("}", 1)[-1]
    return root


def matrices(header: str, *, source: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """(rows, columns) of the encoded and of the reconstructed matrix: x is the readout, our rows.

    Raises:
        InputError: A header without them, with absurd ones, or with a third dimension.
    """
    root = parsed(header, source=source)
    return _matrix(root, "encodedSpace", source), _matrix(root, "reconSpace", source)


def _matrix(root: ElementTree.Element, space: str, source: str) -> tuple[int, int]:
    found = root.find(f"encoding/{space}/matrixSize")
    words = [found.findtext(axis, "") if found is not None else "" for axis in "xyz"]
    if not all(word.strip().isdecimal() and 0 < int(word) <= _LARGEST for word in words):
        raise InputError(f"{source}: the header's {space} has a matrix of {' x '.join(words)[:60]}", "export it again")
    return int(words[0]), int(words[1])


def cropped(array: Array, size: tuple[int, ...]) -> Array:
    """The centre of the last two axes: DC at ``n // 2`` stays at ``n // 2``."""
    tops = [n // 2 - m // 2 for n, m in zip(array.shape[-2:], size, strict=True)]
    return array[..., tops[0] : tops[0] + size[0], tops[1] : tops[1] + size[1]]


def image_fourier(array: Array, *, axis: int, inverse: bool = False) -> Array:
    """Centred, orthonormal Fourier transform along one axis."""
    transform = np.fft.ifft if inverse else np.fft.fft
    moved = transform(np.fft.ifftshift(array, axes=axis), axis=axis, norm="ortho")
    return np.asarray(np.fft.fftshift(moved, axes=axis))
