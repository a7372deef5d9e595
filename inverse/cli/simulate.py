"""``inverse simulate RECIPE TRUTH... -o DIR``."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import click

from inverse import recipes, restoration
from inverse.cli import options
from inverse.cli.echo import echo

__all__ = ["simulate"]

LOGGER = logging.getLogger("inverse")


@click.command()
@click.argument("recipe", shell_complete=options.recipe_names)
@click.argument("truths", nargs=-1, required=True, metavar="TRUTH...")
@options.output
@options.overrides
@options.mask
@options.sigma
@options.noise
@options.seed
@click.option(
    "--format",
    "form",
    type=click.Choice(["tiff", "same"]),
    default="tiff",
    show_default=True,
    help="Of the measurements: float32 TIFF, or the truth's own format, which rounds and clips.",
)
@options.overwrite
@options.json
def simulate(
    recipe: str,
    truths: tuple[str, ...],
    output: Path,
    overrides: tuple[str, ...],
    seed: int | None,
    form: str,
    overwrite: bool,
    as_json: bool,
    **given: Any,
) -> int:
    """Make measurements of known pictures: RECIPE's operator and noise applied to each TRUTH."""
    chosen = recipes.shortcuts(recipe, options.chosen(overrides, seed=seed), **given)
    made = restoration.simulate_files(recipe, truths, out=output, overrides=chosen, form=form, overwrite=overwrite)
    for line in made.notes:
        LOGGER.info(line)
    for failure in made.failures:
        LOGGER.warning(failure.line)
    if as_json:
        echo(json.dumps(made.as_dict(), indent=1))
    if made.rows:
        LOGGER.info("measured     %s", output / "measured")
        LOGGER.info("truth        %s", output / "truth")
        LOGGER.info("next: inverse restore %s %s -o RUN --truth %s", recipe, output / "measured", output / "truth")
    return made.exit_code
