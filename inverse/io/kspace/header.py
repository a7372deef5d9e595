"""The XML header of ISMRMRD files, which fastMRI's files carry too: matrices, fields of view, limits of each encoding.

x is the readout, our rows; y the phase encoding, our columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any
from xml.etree import ElementTree

import numpy as np

from inverse.errors import InputError

__all__ = ["Encoding", "encodings", "noise_bandwidth", "parsed", "xml_text"]

_LARGEST = 100_000
_LONGEST = 2**24
_SAME = 0.01  # pixels whose sizes differ by less are of one size


@dataclass(frozen=True)
class Encoding:
    """One encoding space of a header, and the space that is reconstructed from it."""

    encoded: tuple[int, int]  # rows, columns of k-space
    recon: tuple[int, int]  # rows, columns of the image that the scanner makes of it
    encoded_view: tuple[float, float, float] | None  # field of view in mm along x, y, z; None: not stated
    recon_view: tuple[float, float, float] | None
    limits: tuple[int, int] | None  # first and last phase encoding step
    centre: int | None  # the step of the centre of k-space
    trajectory: str  # ``cartesian``, ``radial``, ``spiral``, ...
    calibration: str  # how reference lines were taken: ``embedded``, ``separate``, ...; "" where it is not said

    def kept(self, axis: int) -> int:
        """Rows or columns of the encoded matrix that lie in the field of view that is reconstructed."""
        count, wanted = self.encoded[axis], self.recon[axis]
        if self.encoded_view and self.recon_view:
            share = self.recon_view[axis] / self.encoded_view[axis]
            if abs(share - 1) > _SAME:
                return min(count, round(count * share))
        return min(count, wanted) if axis == 0 or self.pixel_ratio(axis, count) == 1 else count

    def pixel_ratio(self, axis: int, count: int) -> float:
        """Pixels of the reconstructed matrix in one of a grid of ``count`` that covers `kept`'s field of view."""
        if not (self.encoded_view and self.recon_view):
            return max(1.0, self.recon[axis] / count)
        view = min(self.encoded_view[axis], self.recon_view[axis])
        ratio = (view / count) / (self.recon_view[axis] / self.recon[axis])
        return 1.0 if abs(ratio - 1) < _SAME else ratio

    def off_grid(self) -> Encoding:
        """Of samples off the grid: their k-space has the readout's pixels, over the reconstructed field of view."""
        size = self.recon
        if self.encoded_view and self.recon_view:
            pixel = self.encoded_view[0] / self.encoded[0]
            size = max(1, round(self.recon_view[0] / pixel)), max(1, round(self.recon_view[1] / pixel))
        return replace(self, encoded=size, encoded_view=self.recon_view)

    def columns(self, width: int) -> tuple[int, int]:
        """The first and one past the last column, of so many, that the limits and the centre say can be measured."""
        if self.limits is None or self.centre is None:
            return 0, width
        shift = width // 2 - self.centre
        return max(0, self.limits[0] + shift), min(width, self.limits[1] + shift + 1)


def xml_text(value: Any) -> str:
    """A header as it is stored in HDF5: text, bytes, or an array of one of them."""
    if isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def encodings(header: str, *, source: str) -> tuple[Encoding, ...]:
    """The encoding spaces in the order of ``encoding_space_ref``, at least one.

    Raises:
        InputError: No XML; entities, which a header never declares; matrices that are missing or absurd.
    """
    spaces = parsed(header, source).findall("encoding")
    if not spaces:
        raise InputError(f"{source}: the ISMRMRD header has no encoding", "export it again")
    return tuple(_encoding(space, source) for space in spaces)


def noise_bandwidth(header: str, *, source: str) -> float:
    """The receiver's effective noise bandwidth over its nominal one; 1 where the header does not say."""
    word = parsed(header, source).findtext("acquisitionSystemInformation/relativeReceiverNoiseBandwidth", "")
    value = _number(word)
    return value if value is not None and 0 < value <= 1 else 1.0


def parsed(header: str, source: str) -> ElementTree.Element:
    """The elements of a header, without name spaces.

    Raises:
        InputError: No XML; entities, which a header never declares.
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


def _encoding(space: ElementTree.Element, source: str) -> Encoding:
    steps = "encodingLimits/kspace_encoding_step_1"
    first, last, centre = (_whole(space.findtext(f"{steps}/{name}", "")) for name in ("minimum", "maximum", "center"))
    return Encoding(
        encoded=_matrix(space, "encodedSpace", source),
        recon=_matrix(space, "reconSpace", source),
        encoded_view=_view(space, "encodedSpace"),
        recon_view=_view(space, "reconSpace"),
        limits=None if first is None or last is None or last < first else (first, last),
        centre=centre,
        trajectory=space.findtext("trajectory", "cartesian").strip().lower() or "cartesian",
        calibration=space.findtext("parallelImaging/calibrationMode", "").strip().lower(),
    )


def _matrix(space: ElementTree.Element, name: str, source: str) -> tuple[int, int]:
    words = [space.findtext(f"{name}/matrixSize/{axis}", "").strip() for axis in "xyz"]
    sizes = [_whole(word) or 0 for word in words]
    if not all(0 < size <= _LARGEST for size in sizes):
        raise InputError(f"{source}: the header's {name} has a matrix of {' x '.join(words)[:60]}", "export it again")
    return sizes[0], sizes[1]


def _view(space: ElementTree.Element, name: str) -> tuple[float, float, float] | None:
    sizes = [_number(space.findtext(f"{name}/fieldOfView_mm/{axis}", "")) for axis in "xyz"]
    x, y, z = sizes
    if x is None or y is None or x <= 0 or y <= 0:
        return None
    return x, y, z if z is not None and z > 0 else 0.0


def _whole(word: str) -> int | None:
    return int(word) if len(word.strip()) < 20 and word.strip().isdecimal() else None


def _number(word: str) -> float | None:
    try:
        value = float(word)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
