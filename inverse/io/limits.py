"""What every reader needs against broken files: sizes checked before anything is allocated, short reasons, silence.

A file of a kilobyte cannot ask for a terabyte.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from inverse.errors import InputError

__all__ = ["bounded", "quiet", "reason"]

SMALL = 2**28
RATIO = 300


def bounded(shape: Sequence[int], itemsize: int, stored: int, *, source: str, whole: bool = True) -> int:
    """The bytes of an array whose header declares a shape, checked against what is stored and the machine's memory.

    ``stored`` counts the bytes in the file, compressed or not; ``whole``: whether all of the array will be in memory.

    Raises:
        InputError: A negative size; more than half of the memory; over 256 MB and 300 times what is stored.
    """
    sizes = " x ".join(str(size) for size in shape)
    if any(size < 0 for size in shape):
        raise InputError(f"{source}: the header declares the sizes {sizes}", "copy or export the file again")
    count = math.prod(shape) * itemsize
    if count > SMALL and count > RATIO * stored:
        raise InputError(
            f"{source}: declares {sizes} values, {count:.3g} bytes, but stores only {stored} bytes",
            "it is damaged or made to exhaust memory; export it again",
        )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if whole and count > memory // 2:
        raise InputError(
            f"{source}: {sizes} values are {count / 2**30:.0f} GB, this machine has {memory / 2**30:.0f} GB",
            "cut it into parts",
        )
    return count


def reason(error: BaseException, most: int = 120) -> str:
    """What a library says of a damaged file, its class where it says nothing: a line of at most so many characters."""
    return " ".join(str(error).split())[:most] or type(error).__name__


@contextmanager
def quiet(library: str) -> Iterator[None]:
    """A library's log of damaged files kept off the terminal; what matters is raised."""
    logger = logging.getLogger(library)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
