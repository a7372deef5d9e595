"""``inverse check RECIPE [INPUT]``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from inverse import recipes, restoration, runs
from inverse.cli import options
from inverse.cli.echo import echo

__all__ = ["check"]


@click.command()
@click.argument("recipe", shell_complete=options.recipe_names)
@click.argument("measurement", required=False, type=click.Path(path_type=Path), metavar="[INPUT]")
@options.overrides
@options.mask
@options.sigma
@options.gsd
@options.noise
@options.method
@options.device
@options.json
def check(
    recipe: str, measurement: Path | None, overrides: tuple[str, ...], device: str, as_json: bool, **given: Any
) -> int:
    """Check RECIPE, and whether it fits INPUT: operator, prior, noise level, memory and time. Nothing is written."""
    chosen = recipes.shortcuts(recipe, overrides, **given)
    rows = runs.check_recipe(recipe, measurement, overrides=chosen, options=restoration.Options(device=device))
    if as_json:
        echo(json.dumps([row.as_dict() for row in rows], indent=1))
        return runs.exit_code(rows)
    wide = max(len(row.name) for row in rows)
    for row in rows:
        echo(f"{row.verdict:5} {row.name:{wide}}  {row.value}" + (f": {row.note}" if row.note else ""))
    return runs.exit_code(rows)
