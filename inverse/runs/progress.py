"""Progress of a run: a bar on a terminal, one line every ten seconds in a log, JSON lines for a program, or nothing."""

from __future__ import annotations

import json
import logging
import sys
import time
from dataclasses import dataclass, field
from typing import Any, TextIO

from inverse.errors import UsageError, did_you_mean

__all__ = ["MODES", "Progress"]

MODES = ("auto", "json", "off")
PERIOD = 10.0
LOGGER = logging.getLogger("inverse")


@dataclass
class Progress:
    """Counts samples, in fractions as their levels are done; nothing goes to stdout.

    Attributes:
        total: Samples of the whole run.
        mode: ``auto``, ``json`` or ``off``.
        stream: Where the bar and JSON lines go.
    """

    total: int
    mode: str = "auto"
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    done: float = 0.0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UsageError(f"--progress {self.mode} is not valid", did_you_mean(self.mode, MODES))
        self._started = self._said = time.monotonic()
        self._bar: Any = None
        if self.mode == "auto" and self.stream.isatty() and self.total:
            from tqdm import tqdm

            self._bar = tqdm(total=self.total, file=self.stream, unit="sample", leave=False, dynamic_ncols=True)

    def say(self, line: str, *, level: int = logging.INFO) -> None:
        """One line of log, to the logger ``inverse``; above the bar where there is one."""
        if self.mode == "json":
            self._json("log", message=line)
        elif self._bar is None:
            LOGGER.log(level, line)
        elif LOGGER.isEnabledFor(level):
            self._bar.write(line, file=self.stream)

    def advance(self, item: str, count: float) -> None:
        """`count` more samples, or a fraction of one, were made for `item`."""
        self.done += count
        now = time.monotonic()
        if self._bar is not None:
            self._bar.set_postfix_str(item[-40:], refresh=False)
            self._bar.update(count)
        elif self.mode == "json":
            self._json("step", item=item, done=round(self.done, 4), total=self.total)
        elif self.mode == "auto" and now - self._said >= PERIOD:
            self._said = now
            spent = now - self._started
            left = spent * (self.total - self.done) / max(self.done, 1e-9)
            share = 100 * self.done / max(self.total, 1)
            self.say(f"{item}: {share:.0f} % of the run after {_clock(spent)}, about {_clock(left)} left")

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _json(self, event: str, **fields: Any) -> None:
        print(json.dumps({"event": event, **fields}), file=self.stream, flush=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
