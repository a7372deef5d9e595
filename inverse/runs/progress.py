"""Progress of a run, and the speed of its workers.

Progress is a bar on a terminal, one line every ten seconds in a log, JSON lines for a program, or nothing.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TextIO

from inverse.errors import UsageError, did_you_mean, printable
from inverse.restoration.plan import Unit

__all__ = ["MODES", "Progress", "Speeds", "Tell"]

#: Takes ``("say", (line, level))`` and ``("advance", (item, samples))``.
Tell = Callable[[str, Any], object]

MODES = ("auto", "json", "off")
#: Seconds between two lines of a log, of progress passed on, and on the speed of workers.
PERIOD, RELAYED, SPEEDS = 10.0, 0.5, 30.0
#: Seconds until the first line of a log.
FIRST = 1.0
LOGGER = logging.getLogger("inverse")


@dataclass
class Progress:
    """Counts samples, in fractions as their levels are done; nothing goes to stdout."""

    total: int = 0  # samples of the whole run
    mode: str = "auto"  # ``auto``, ``json`` or ``off``
    stream: TextIO = field(default_factory=lambda: sys.stderr)  # where the bar and JSON lines go
    done: float = 0.0
    tell: Tell | None = None  # takes everything instead, samples a few times a second: of a worker, whose run says it

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UsageError(f"--progress {self.mode} is not valid", did_you_mean(self.mode, MODES))
        self._started = time.monotonic()
        self._said = self._started - PERIOD + FIRST  # the first line of a log comes early
        if self.tell is not None:
            self._said = self._started
        self._bar: Any = None
        self._first: tuple[float, float] | None = None  # when the first levels were done, and how many of the samples
        self._untold = 0.0
        if self.tell is None and self.mode == "auto" and self.stream.isatty() and self.total:
            from tqdm import tqdm

            self._bar = tqdm(
                total=self.total, file=self.stream, leave=False, dynamic_ncols=True,
                bar_format="{percentage:3.0f} % |{bar}| {elapsed}, {remaining} left{postfix}",
            )  # fmt: skip
            self._bar.refresh()

    def say(self, line: str, *, level: int = logging.INFO) -> None:
        """One line of log, to the logger ``inverse``; above the bar where there is one."""
        line = printable(line)
        if self.tell is not None:
            self.tell("say", (line, level))
        elif self.mode == "json":
            self._json("log", message=line)
        elif self._bar is None:
            LOGGER.log(level, line)
        elif LOGGER.isEnabledFor(level):
            self._bar.write(line, file=self.stream)

    def advance(self, item: str, count: float) -> None:
        """`count` more samples, or a fraction of one, were made for `item`."""
        self.done += count
        now = time.monotonic()
        if self.tell is not None:
            self._untold += count
            if now - self._said >= RELAYED:
                self.flush(item)
        elif self._bar is not None:
            self._bar.set_postfix_str(printable(item[-40:]), refresh=False)
            if self._first is None:  # opening files took its time, which says nothing of what is left
                self._bar.n = self._bar.initial = self.done
                self._bar.unpause()
            else:
                self._bar.update(count)
        elif self.mode == "json":
            self._json("step", item=item, done=round(self.done, 4), total=self.total)
        elif self.mode == "auto" and now - self._said >= PERIOD and self._first is not None:
            self._said = now
            since, before = self._first
            left = (now - since) * (self.total - self.done) / max(self.done - before, 1e-9)
            share = 100 * self.done / max(self.total, 1)
            spent = _clock(now - self._started)
            self.say(f"{item}: {share:.0f} % of the run after {spent}, about {_clock(left)} left")
        self._first = self._first or (now, self.done)

    def flush(self, item: str) -> None:
        """Pass on the samples that were not yet told."""
        if self.tell is not None:
            self.tell("advance", (item, self._untold))
            self._untold, self._said = 0.0, time.monotonic()

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _json(self, event: str, **fields: Any) -> None:
        print(json.dumps({"event": event, **fields}), file=self.stream, flush=True)


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
        if time.monotonic() - self._said >= SPEEDS:
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


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
