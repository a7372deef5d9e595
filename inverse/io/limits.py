"""Declared sizes are checked before anything is allocated: a file of a kilobyte cannot ask for a terabyte."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from inverse.errors import InputError

__all__ = ["bounded"]

SMALL = 2**28
RATIO = 300


def bounded(shape: Sequence[int], itemsize: int, stored: int, *, source: str, whole: bool = True) -> int:
    """The bytes of an array whose header declares a shape, checked against what is stored and the machine's memory.

    Args:
        shape: As declared.
        itemsize: Bytes a value.
        stored: Bytes in the file, compressed or not.
        source: What messages call the file.
        whole: Whether all of it will be in memory.

    Raises:
        InputError: A negative size; more than half of the memory; over 256 MB and 300 times what is stored.
    """
    if any(size < 0 for size in shape):
        raise InputError(f"{source}: the header declares the sizes {_by(shape)}", "copy or export the file again")
    size = math.prod(shape) * itemsize
    if size > SMALL and size > RATIO * stored:
        raise InputError(
            f"{source}: declares {_by(shape)} values, {size:.3g} bytes, but stores only {stored} bytes",
            "it is damaged or made to exhaust memory; export it again",
        )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if whole and size > memory // 2:
        raise InputError(
            f"{source}: {_by(shape)} values are {size / 2**30:.0f} GB, this machine has {memory / 2**30:.0f} GB",
            "cut it into parts",
        )
    return size


def _by(shape: Sequence[int]) -> str:
    return " x ".join(str(size) for size in shape)
