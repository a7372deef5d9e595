"""Errors a user can cause, and failures of items.

An error has at most three lines (what was given, what is allowed, what to try) and an exit code.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = [
    "Failure",
    "InputError",
    "InverseError",
    "MemoryLimitError",
    "OutputError",
    "PriorError",
    "RecipeError",
    "UsageError",
    "WorkerError",
    "did_you_mean",
    "exit_code",
    "printable",
]

#: What changes a terminal or the order of what it shows: control characters (line breaks too), separators of lines and
#: paragraphs, marks of direction, and bytes of a name that is no UTF-8.
_CONTROL = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ufeff\\ud800-\\udfff]"
)
_NAMES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str, *, lines: bool = False) -> str:
    """A text that a terminal shows as it is: control characters as escapes; with `lines` its line breaks stay."""

    def escaped(match: re.Match[str]) -> str:
        found = match.group()
        if lines and found == "\n":
            return found
        code = ord(found)
        if 0xDC80 <= code <= 0xDCFF:  # Python's stand-in for a byte
            code -= 0xDC00
        return _NAMES.get(found) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")

    return _CONTROL.sub(escaped, text)


class InverseError(Exception):
    """An error with a remedy.

    Args:
        message: What was given and what is allowed; one or two lines.
        hint: What to try; at most one line.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        # names of files and keys can hold anything, and errors end on terminals and in logs
        message, hint = (printable(str(text), lines=True) for text in (message, hint))
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """The message, then the hint on a line of its own."""
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[type[InverseError], tuple[str, str]]:
        """Pickle by message and hint, so that errors cross processes."""
        return type(self), (self.message, self.hint)


class UsageError(InverseError):
    """The call or the command line is wrong (exit code 2)."""

    exit_code = 2


class RecipeError(InverseError):
    """A recipe or one of its values is invalid, or a folder belongs to another recipe (exit code 3)."""

    exit_code = 3


class InputError(InverseError):
    """A measurement cannot be read or does not fit (exit code 4)."""

    exit_code = 4


class PriorError(InverseError):
    """A prior is missing, offline or does not match its hash (exit code 5)."""

    exit_code = 5


class MemoryLimitError(InverseError):
    """Out of memory after back-off (exit code 6)."""

    exit_code = 6


class OutputError(InverseError):
    """The output cannot be written (exit code 7)."""

    exit_code = 7


class WorkerError(InverseError):
    """A worker of an executor died, or cannot be reached (exit code 1)."""


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """A suggestion, ``did you mean 'x'?``, or the list of what is allowed."""
    names = sorted(allowed)
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean '{close[0]}'?" if close else f"allowed: {', '.join(names)}"


@dataclass(frozen=True)
class Failure:
    """Why an item failed."""

    item: str  # item id
    stage: str  # ``read``, ``prepare``, ``sample`` or ``write``
    error: str  # class of the error
    reason: str  # one line
    hint: str  # what to try
    code: int  # exit code of the cause

    @property
    def line(self) -> str:
        """The failure in one line, the item named once."""
        item = printable(self.item)
        named = self.reason if self.reason.startswith(f"{item}:") else f"{item}: {self.reason}"
        return printable(f"failed: {named}" + (f" ({self.hint})" if self.hint else ""))

    @classmethod
    def of(cls, item: str, stage: str, error: BaseException) -> Failure:
        """The failure that an exception means."""
        if isinstance(error, InverseError):
            return cls(item, stage, type(error).__name__, _line(error.message), _line(error.hint), error.exit_code)
        hint = "this looks like a defect of inverse: please report it with this line"
        return cls(item, stage, type(error).__name__, _line(str(error)) or "no message", hint, 1)


def exit_code(others: int, failures: Sequence[Failure]) -> int:
    """0 without failures; 1 if `others` did not fail or the causes differ; else the one cause's code."""
    codes = {failure.code for failure in failures}
    if not codes:
        return 0
    return 1 if others or len(codes) > 1 else codes.pop()


def _line(text: str) -> str:
    return printable(" ".join(text.split()))
