"""``inverse check RECIPE [INPUT]``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from inverse.cli import options

__all__ = ["check"]


@click.command()
@click.argument("recipe")
@click.argument("measurement", required=False, type=click.Path(path_type=Path), metavar="[INPUT]")
@options.overrides
@options.device
@options.json
def check(recipe: str, measurement: Path | None, overrides: tuple[str, ...], device: str, as_json: bool) -> int:
    """Check RECIPE, and whether it fits INPUT: operator, prior, noise level, memory and time. Nothing is written."""
    from inverse.restoration.options import Options
    from inverse.runs.check import check_recipe, exit_code

    rows = check_recipe(recipe, measurement, overrides=overrides, options=Options(device=device))
    if as_json:
        click.echo(json.dumps([row.as_dict() for row in rows], indent=1))
        return exit_code(rows)
    wide = max(len(row.name) for row in rows)
    for row in rows:
        click.echo(f"{row.verdict:5} {row.name:{wide}}  {row.value}" + (f": {row.note}" if row.note else ""))
    return exit_code(rows)
