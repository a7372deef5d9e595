"""``inverse restore RECIPE INPUT... -o DIR``."""

from __future__ import annotations

import json
import logging
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inverse import recipes, runs, storage
from inverse.cli import options
from inverse.cli.echo import echo
from inverse.errors import printable
from inverse.posterior import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inverse.restoration.result import ItemResult
    from inverse.runs.run import Run

__all__ = ["restore"]

LOGGER = logging.getLogger("inverse")


@click.command()
@click.argument("recipe", shell_complete=options.recipe_names)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@options.output
@options.overrides
@options.mask
@options.sigma
@options.gsd
@options.noise
@options.method
@options.truth
@options.samples
@options.seed
@options.quality
@options.max_evaluations
@options.time_budget
@options.device
@options.batch
@options.tile
@options.shard
@options.executor
@options.workers
@options.threads
@options.keep
@options.dry_run
@options.overwrite
@options.strict
@options.json
@options.progress
def restore(
    recipe: str,
    inputs: tuple[str, ...],
    output: Path,
    overrides: tuple[str, ...],
    truth: Path | None,
    samples: int | None,
    seed: int | None,
    quality: str | None,
    max_evaluations: int | None,
    time_budget: float | None,
    dry_run: bool,
    as_json: bool,
    **flags: Any,
) -> int:
    """Restore INPUTs by RECIPE: posterior mean, uncertainty and evidence for each, in a run folder.

    INPUT is a file, a folder, a glob in quotes, or @list.txt with one path a line. Run the same command again to go
    on after an interruption; nothing that is done is done twice.
    """
    if flags.get("progress") == "auto" and sys.stderr.isatty():  # libraries take seconds to load
        shown = inputs[0] + (f" and {len(inputs) - 1} more" if len(inputs) > 1 else "")
        LOGGER.info("%s: reading %s", recipe, shown)
    chosen = options.chosen(overrides, samples=samples, seed=seed)
    given = {name: flags.pop(name) for name in ("mask", "sigma", "gsd", "noise", "method")}
    chosen = recipes.shortcuts(recipe, chosen, **given)
    automatic = {"quality": quality, "max_evaluations": max_evaluations}
    automatic = {name: value for name, value in automatic.items() if value is not None}
    if automatic or time_budget is not None:
        choice = (f"method.{name}={value}" for name, value in automatic.items())
        chosen = ["method.steps=null", *chosen, "method.kind=auto", *choice]
    settings = runs.Options(
        time_budget=time_budget, **{name: value for name, value in flags.items() if value is not None}
    )
    if dry_run:
        estimate = runs.estimate(recipe, inputs, out=output, overrides=chosen, options=settings)
        echo(json.dumps(estimate.as_dict(), indent=1) if as_json else "\n".join(estimate.lines()))
        return 0
    done = runs.restore(recipe, inputs, out=output, overrides=chosen, truth=truth, options=settings)
    if as_json:
        echo(json.dumps(done.as_dict(), indent=1))
    for line in _report(done):
        LOGGER.info(line)
    return done.exit_code


def _report(done: Run) -> list[str]:
    """Where things are, in a few lines."""
    finished = done.results
    lines = []
    if len(finished) == 1:
        result = finished[0]
        first, *rest = result.evidence
        lines += [f"{printable(result.item)}: {first}", *rest]
        lines.append(f"restored     {done.out / result.restored}")
        if "psnr" in result.scores:
            psnr, ssim = result.scores["psnr"], result.scores.get("ssim", float("nan"))
            lines.append(f"scores       PSNR {psnr:.2f} dB, SSIM {ssim:.3f}")
    elif finished:
        lines.append(f"restored     {len(finished)} of {len(done.rows)} items, in {done.out / 'restored'}")
        lines += words.in_doubt(finished)
        lines += _scores(finished)
    if finished:
        lines += [intervals] if (intervals := _intervals(done)) else []
        if (done.out / "std").is_dir():  # one draw has no spread
            lines.append(f"uncertainty  {done.out / 'std'}")
        lines.append(f"figures      {done.out / 'items'}")
        lines.append(f"next: inverse report {done.out}")
    if left := [printable(row["item"]) for row in done.rows if row["status"] == "empty"]:
        shown = ", ".join(left[:3]) + (", ..." if len(left) > 3 else "")
        lines.append(f"left         {len(left)} empty slices, as they were: {shown}")
    if done.failures:
        lines.append(f"failed       {len(done.failures)}, see {done.out / 'failures.csv'}")
    if done.pending:
        shown = ", ".join(done.pending[:3]) + (", ..." if len(done.pending) > 3 else "")
        lines.append(f"missing      {len(done.pending)} items, the other shards': {shown}")
    return lines


def _scores(results: Sequence[ItemResult]) -> list[str]:
    """The mean and the ends of the scores over the items that have a truth."""
    parts = []
    for name, unit, digits in (("psnr", " dB", 2), ("ssim", "", 3)):
        values = [result.scores[name] for result in results if math.isfinite(result.scores.get(name, math.nan))]
        if values:
            mean, low, high = (f"{value:.{digits}f}" for value in (sum(values) / len(values), min(values), max(values)))
            parts.append(f"{name.upper()} {mean}{unit} ({low} to {high})")
    held = [result.coverage90 for result in results if result.coverage90 is not None]
    parts += [f"90 % intervals hold {100 * sum(held) / len(held):.0f} %"] if held else []
    return [f"scores       mean {', '.join(parts)}"] if parts else []


def _intervals(done: Run) -> str:
    """What the recalibration of the intervals is worth; empty without one."""
    facts = (storage.read_json(done.out / "run.json") or {}).get("calibration") or {}
    return str(facts.get("says", ""))
