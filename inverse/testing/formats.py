"""Assertion about a file format: what is written is what is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from inverse.io.content import Picture, Volume
from inverse.io.detect import sniff
from inverse.io.read_write import read, write, write_volume

__all__ = ["assert_round_trip"]

#: Of a picture, beside its array: what a format may keep, as it says in `inverse list formats`.
KEPT = ("alpha", "valid", "icc", "dpi", "description")


def assert_round_trip(
    content: Picture | Volume, path: Path, *, tolerance: float = 0.0, keeps: tuple[str, ...] = KEPT
) -> Picture | Volume:
    """Assert that a picture or volume survives its format: written, recognised by its content, read and compared.

    Args:
        content: What to write; its ``format`` chooses the writer.
        path: The file, which is replaced.
        tolerance: Largest difference of a stored value, 0 for a lossless format.
        keeps: Fields of a picture that must come back as they were; those that are None are not compared.

    Returns:
        What was read.

    Raises:
        AssertionError: Format, kind, number of slices, shape, type, values or a kept field differ.
        InverseError: The file could not be written or read.
    """
    label = f"{content.format} {path.name}"
    save: Any = write_volume if isinstance(content, Volume) else write
    path = save(path, content, overwrite=True)
    _equal(label, "the format that is recognised", sniff(path), content.format)
    back = read(path)
    _equal(label, "what is read", type(back).__name__, type(content).__name__)
    assert isinstance(back, Picture | Volume)
    before, after = (found.slices if isinstance(found, Volume) else (found,) for found in (content, back))
    _equal(label, "the number of slices", len(after), len(before))
    for first, second in zip(before, after, strict=True):
        _same_array(label, "array", first.array, second.array, tolerance)
        for name in keeps:
            value, other = getattr(first, name), getattr(second, name)
            if isinstance(value, np.ndarray):
                _same_array(label, name, value, other, tolerance)
            elif value is not None:
                _equal(label, name, other, value)
    return back


def _equal(label: str, what: str, found: object, expected: object) -> None:
    if found != expected:
        raise AssertionError(f"{label}: {what} is {found!r}, expected {expected!r}")


def _same_array(label: str, what: str, expected: Any, found: Any, tolerance: float) -> None:
    """Compare two arrays but for axes of length 1, which not every format keeps."""
    if found is None:
        raise AssertionError(f"{label}: {what} is lost")
    _equal(label, f"the type of {what}", found.dtype, expected.dtype)
    expected, found = np.squeeze(expected), np.squeeze(found)
    _equal(label, f"the shape of {what}", found.shape, expected.shape)
    same = np.isclose(expected, found, rtol=0, atol=tolerance, equal_nan=expected.dtype.kind in "fc")
    if not same.all():
        worst = np.abs(expected.astype(np.float64) - found.astype(np.float64)).max()
        raise AssertionError(f"{label}: {np.sum(~same)} values of {what} differ, by {worst:.3g}, allowed {tolerance:g}")
