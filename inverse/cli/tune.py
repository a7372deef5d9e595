"""``inverse tune RECIPE TRUTH --param name=lo:hi -o DIR``."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import click

from inverse.cli import options

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
    params: tuple[str, ...],
    trials: int,
    metric: str,
    measured: Path | None,
    search: str,
    output: Path,
    overrides: tuple[str, ...],
    samples: int | None,
    seed: int | None,
    device: str,
    as_json: bool,
) -> None:
    """Find RECIPE's parameters on the pictures of TRUTH, and check the gain on others of them.

    The pictures are split by file: half to tune on, half to evaluate on, never the same. Running the same command again goes on.
    """
    from inverse.restoration.options import Options
    from inverse.tuning.tuner import tune as search_for

    chosen = [*overrides, *([f"run.samples={samples}"] if samples is not None else [])]
    chosen += [f"run.seed={seed}"] if seed is not None else []
    found = search_for(
        recipe, truth, params=params, out=output, trials=trials, metric=metric, measured=measured, overrides=chosen,
        search=search, options=Options(device=device),
    )  # fmt: skip
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=1))
        return
    for line in found.says:
        click.echo(line)
    LOGGER.info("recipe       %s", output / "recipe.yaml")
    LOGGER.info("next: inverse restore %s INPUT -o RUN", output / "recipe.yaml")
