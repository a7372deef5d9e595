"""Where units run. An executor takes units from a schedule until there are none, and says which have ended.

`Serial` runs them here, one after the other; `inverse.runs.processes` on processes of this machine and `inverse.runs.dask` on a Dask
cluster do the same units with as many threads each, and write the same bytes. A shard is not an executor: it is a subset of the units
(`inverse.restoration.plan.units`), so it combines with any of them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Protocol

from inverse.errors import UsageError
from inverse.restoration.options import Options
from inverse.restoration.plan import Unit

if TYPE_CHECKING:
    from inverse.runs.unit import Solver

__all__ = ["NAMES", "Executor", "Serial", "Speeds", "executor", "opened_executor", "parse_shard"]

NAMES = "serial, processes, dask, dask://HOST:PORT, dask:SCHEDULER.json"

PERIOD = 30.0
"""Seconds between two lines on the speed of the workers."""


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


class Speeds:
    """Samples a second of every worker, of the time it was at work.

    Args:
        say: Takes a line now and then.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self._done: dict[str, tuple[int, int, float]] = {}
        self._said = time.monotonic()

    def add(self, worker: str, unit: Unit, seconds: float) -> None:
        """A worker has ended a unit."""
        units, samples, spent = self._done.get(worker, (0, 0, 0.0))
        made = 0 if unit.merge else unit.stop - unit.start
        self._done[worker] = units + 1, samples + made, spent + seconds
        if time.monotonic() - self._said >= PERIOD:
            self._said = time.monotonic()
            self.say(self.line)

    @property
    def line(self) -> str:
        """All workers in one line; of many the slowest and the fastest."""
        rates = {name: samples / max(spent, 1e-9) for name, (_, samples, spent) in self._done.items()}
        names = sorted(rates, key=lambda name: (len(name), name))
        if len(names) > 8:
            names = sorted(rates, key=lambda name: rates[name])
            names = [names[0], names[-1]]
        shown = ", ".join(f"{name}: {self._done[name][0]} units, {rates[name]:.3g} samples/s" for name in names)
        return f"{len(rates)} worker{'s' * (len(rates) != 1)}: {shown}"

    def close(self) -> None:
        """Say it once more, at the end."""
        if self._done:
            self.say(self.line)


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
        from inverse.runs.processes import Processes

        return Processes(workers)
    if here or re.fullmatch(r"dask:(//\S+:\d+|[^/].*|/[^/].*)", name):
        from inverse.runs.dask import Dask

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
