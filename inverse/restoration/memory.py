"""Back-off from a lack of memory: the same work again with less, until it fits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from inverse.errors import MemoryLimitError

__all__ = ["halved", "is_out_of_memory"]

T = TypeVar("T")
SAID = ("not enough memory", "can't allocate memory", "cannot allocate memory", "out of memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory did not suffice: Python's, an accelerator's, or torch's on the CPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in SAID)


def halved(
    work: Callable[[int], T],
    size: int,
    say: Callable[[int], object],
    *,
    least: int,
    failed: str,
    hint: str = "crop the image, or use a machine with more memory",
) -> T:
    """Do work of a size, of half of it while memory does not suffice.

    Args:
        work: Takes the size.
        size: To begin with.
        say: Takes each smaller one.
        least: The smallest; smaller ones are multiples of it.
        failed: What to say where even that does not fit.
        hint: What to do then.

    Raises:
        MemoryLimitError: ``least`` does not fit.
    """
    while True:
        try:
            return work(size)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if size <= least:
                raise MemoryLimitError(failed, hint) from error
        size = max(least, size // 2 // least * least)
        say(size)
