"""Where units run. An executor maps a function over units and yields what it returns, in any order.

`Serial` runs them here, one after the other. A shard is not an executor: it is a subset of the units
(`inverse.plan.units`), so it combines with any of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from inverse.errors import UsageError
from inverse.plan import Unit

__all__ = ["Executor", "Serial", "executor", "parse_shard"]

Done = TypeVar("Done")


class Executor(Protocol):
    """Runs units somewhere."""

    def map(self, fn: Callable[[Unit], Done], units: Iterable[Unit]) -> Iterator[Done]:
        """Yield ``fn(unit)`` for every unit."""
        ...


class Serial:
    """One unit after the other, in this process."""

    def map(self, fn: Callable[[Unit], Done], units: Iterable[Unit]) -> Iterator[Done]:
        """Yield ``fn(unit)`` for every unit, in order."""
        return map(fn, units)


def executor(name: str) -> Executor:
    """The executor of that name.

    Raises:
        UsageError: If there is none; the message says what is available.
    """
    if name == "serial":
        return Serial()
    raise UsageError(
        f"executor '{name}' is not available; allowed: serial", "start N processes with --shard 1/N ... --shard N/N"
    )


def parse_shard(text: str | tuple[int, int] | None) -> tuple[int, int] | None:
    """``"2/5"`` to (2, 5): the second of five parts.

    Raises:
        UsageError: If it is not I/N with 1 <= I <= N.
    """
    if text is None or isinstance(text, tuple):
        return text
    found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise UsageError(f"--shard {text} is not valid; allowed: I/N with I from 1 to N", "try --shard 1/2")
    return int(found[1]), int(found[2])
