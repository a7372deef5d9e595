"""``inverse tune RECIPE TRUTH --param name=lo:hi -o DIR``."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import click

from inverse import restoration, tuning
from inverse.cli import options
from inverse.cli.echo import echo

__all__ = ["tune"]

LOGGER = logging.getLogger("inverse")


@click.command()
@click.argument("recipe")
@click.argument("truth", type=click.Path(path_type=Path))
@click.option(
    "--param",
    "params",
    multiple=True,
    required=True,
    metavar="NAME=LO:HI[:log]|A,B",
    help="What may be set, and between what: --param lam=0.1:10:log --param steps=10:40.",
)
@click.option("--trials", type=click.IntRange(min=1), default=20, show_default=True, help="Settings to try.")
@click.option("--metric", default="crps", show_default=True, help="What to optimise (inverse list metrics).")
@click.option(
    "--measured",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Measurements of the truths, matched by name; default: simulated by the recipe.",
)
@click.option(
    "--search",
    type=click.Choice(["auto", "tpe", "plain"]),
    default="auto",
    show_default=True,
    help="optuna's estimator, or quasi-random with local refinement; auto: the first that is installed.",
)
@options.output
@options.overrides
@options.samples
@options.seed
@options.device
@options.json
def tune(
    recipe: str,
    truth: Path,
    output: Path,
    overrides: tuple[str, ...],
    samples: int | None,
    seed: int | None,
    device: str,
    as_json: bool,
    **search: Any,
) -> None:
    """Find RECIPE's parameters on the pictures of TRUTH, and check the gain on others of them.

    The pictures are split by file: half to tune on, half to evaluate on, never the same. Running the same command again
    goes on.
    """
    chosen = options.chosen(overrides, samples=samples, seed=seed)
    tuned = tuning.tune(
        recipe, truth, out=output, overrides=chosen, options=restoration.Options(device=device), **search
    )
    if as_json:
        echo(json.dumps(tuned.as_dict(), indent=1))
        return
    for line in tuned.says:
        echo(line)
    LOGGER.info("recipe       %s", output / "recipe.yaml")
    LOGGER.info("next: inverse restore %s INPUT -o RUN", output / "recipe.yaml")
