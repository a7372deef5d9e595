"""What a command prints: names and texts of files are shown as they are, and never command the terminal."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

import click

from inverse.errors import printable

__all__ = ["coloured", "echo", "painted"]

#: Labels at the beginning of a line of a report, and the colour of what they name.
_LABEL = re.compile(r"(failed|unusable|doubtful|[a-z]+)(:? {2,})")
_COLOURS = {"failed": "red", "unusable": "red", "doubtful": "yellow", "fail": "red", "warn": "yellow", "ok": "green"}


def coloured(stream: Any) -> bool:
    """Whether a stream takes colours: a terminal that is not dumb, unless ``NO_COLOR`` is set (no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(getattr(stream, "isatty", lambda: False)())


def painted(line: str, *, failed: bool = False) -> str:
    """A line with the colours of a terminal: all of one that says a failure red, else the label in front."""
    if failed or line.startswith("error:"):
        return click.style(line, fg="red")
    if "unusable: " in line:
        return click.style(line, fg="yellow")
    label = _LABEL.match(line)
    if label is None:
        return line
    return click.style(label[1], fg=_COLOURS.get(label[1]), bold=True) + line[len(label[1]) :]


def echo(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Print lines, their control characters as escapes; text of our own with colours goes to `click.echo`."""
    stream = sys.stderr if err else sys.stdout
    shown = printable(str(text), lines=True)
    if coloured(stream):
        shown = "\n".join(painted(line) for line in shown.split("\n"))
    click.echo(shown, err=err, nl=nl)
