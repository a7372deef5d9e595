"""Where units run. An executor takes units from a schedule until there are none, and says which have ended.

`Serial` runs them here, one after the other; `inverse.runs.processes` on processes of this machine and
`inverse.runs.dask` on a Dask cluster do the same units with as many threads each, and write the same bytes. A shard is
not an executor: it is a subset of the units (`inverse.restoration.plan.units`), so it combines with any of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import Protocol

from inverse.errors import UsageError
from inverse.restoration.options import Options
from inverse.restoration.plan import Unit
from inverse.runs.dask import Dask
from inverse.runs.processes import Processes
from inverse.runs.unit import Solver

__all__ = ["NAMES", "Executor", "Serial", "executor", "opened_executor", "parse_shard"]

NAMES = "serial, processes, dask, dask://HOST:PORT, dask:SCHEDULER.json"


class Executor(Protocol):
    """Runs units somewhere.

    Attributes:
        threads: Threads of a unit in a new plan; None: as many as torch takes.
    """

    threads: int | None

    def map(self, solver: Solver, take: Callable[[], Unit | None]) -> Generator[Unit, None, None]:
        """Solve what `take` gives until it gives None and nothing is under way; yield every unit that has ended."""
        ...


class Serial:
    """One unit after the other, in this process."""

    threads: int | None = None

    def map(self, solver: Solver, take: Callable[[], Unit | None]) -> Generator[Unit, None, None]:
        """Solve every unit, in order."""
        while (unit := take()) is not None:
            solver(unit)
            yield unit


def executor(name: str, workers: int | None = None) -> Executor:
    """The executor of that name.

    Args:
        name: As on the command line.
        workers: Processes of this machine; None: one a core, or one a GPU.

    Raises:
        UsageError: If there is none; the message says what is available.
    """
    here = name in ("processes", "dask", "dask-threads")
    if workers is not None and not here:
        raise UsageError(
            f"--workers {workers} is not for the executor '{name}'", "add --executor processes, or --executor dask"
        )
    if name == "serial":
        return Serial()
    if name == "processes":
        return Processes(workers)
    if here or re.fullmatch(r"dask:(//\S+:\d+|[^/].*|/[^/].*)", name):
        return Dask(name, workers)
    raise UsageError(f"executor '{name}' is not available; allowed: {NAMES}", "try --executor processes")


def opened_executor(options: Options) -> Executor:
    """The executor that the options name.

    Raises:
        UsageError: If there is none of that name, or its package is not installed.
    """
    named: str | Executor = options.executor
    return executor(named, options.workers) if isinstance(named, str) else named


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
