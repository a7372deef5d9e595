"""``inverse info FILE``: what a file is, as it would be read, and which recipes fit it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from inverse import io, storage
from inverse.cli import options
from inverse.cli.echo import echo
from inverse.errors import printable

__all__ = ["info"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@options.json
def info(file: Path, as_json: bool) -> None:
    """Say what FILE is and which recipes fit it.

    FILE::NAME is one array of a file that holds several, such as scan.h5::/entry/data.
    """
    from inverse.cli.info.describe import describe  # loads NumPy and the recipes, which --help need not

    facts = describe(io.read(file))
    facts["bytes"] = _size(storage.locate(file)[0])
    if as_json:
        echo(json.dumps(facts, indent=2))
        return
    margin = max(len(key) for key in facts) + 2
    for key, value in facts.items():
        if key == "recipes":
            continue
        if value not in (None, "", [], {}):
            echo(f"{key.replace('_', ' '):{margin}}{_text(value)}")
    fits = [f"{row['name']}: {row['why']}" for row in facts["recipes"]] or ["none of the shipped ones fits"]
    echo(f"{'recipes':{margin}}" + f"\n{'':{margin}}".join(fits))


def _size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder that is one item."""
    if path.is_dir():
        return sum(part.stat().st_size for part in path.rglob("*") if part.is_file())
    return path.stat().st_size


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_text(part) for part in value)
    if isinstance(value, dict):
        return "; ".join(f"{printable(str(key))}: {_text(part)}" for key, part in value.items())
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.9g}"
    return printable(str(value))
