"""What a command prints: names and texts of files are shown as they are, and never command the terminal."""

from __future__ import annotations

import click

from inverse.errors import printable

__all__ = ["echo"]


def echo(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Print lines, their control characters as escapes; text of our own with colours goes to `click.echo`."""
    click.echo(printable(str(text), lines=True), err=err, nl=nl)
