"""``inverse compare RUN RUN...``."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inverse import evaluation
from inverse.cli import options
from inverse.cli.echo import echo

if TYPE_CHECKING:
    from inverse.evaluation.compare_runs import Comparison, Difference

__all__ = ["compare"]

LOGGER = logging.getLogger("inverse")
LISTED = 5


@click.command()
@click.argument("runs", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="RUN RUN...")
@options.truth
@click.option("-m", "--metrics", metavar="A,B,...", help="Metrics (default: those of the recipes).")
@click.option("--csv", "csv_path", type=click.Path(path_type=Path), metavar="FILE", help="Write every difference here.")
@options.json
def compare(
    runs: tuple[Path, ...], truth: str | None, metrics: str | None, csv_path: Path | None, as_json: bool
) -> int:
    """Compare runs of the same inputs with the first RUN, image by image.

    With --truth the scores are computed afresh; else those that the runs recorded are compared, and without any their
    misfit, data share and cost.
    """
    names = None if metrics is None else [name.strip() for name in metrics.split(",") if name.strip()]
    comparison = evaluation.compare(runs, truth=truth, metrics=names)
    if csv_path is not None:
        comparison.to_csv(csv_path)
    for line in comparison.failures:
        LOGGER.warning("%s", line)
    echo(json.dumps(comparison.as_dict(), indent=1) if as_json else "\n".join(_lines(comparison)))
    return 1 if comparison.failures else 0


def _lines(comparison: Comparison) -> list[str]:
    """The differences: of settings, then of each metric of each run, and where they are worst."""
    reference, *others = comparison.runs
    lines = [f"reference: {reference}; {len(comparison.items)} paired items"]
    for run, items in comparison.unpaired.items():
        few = ", ".join(items[:LISTED])
        lines.append(f"only in some of the runs, of {run}: {len(items)}: {few}{' ...' if len(items) > LISTED else ''}")
    if comparison.recipes:
        lines += ["", "set differently:"]
        wide = max(len(key) for key in comparison.recipes)
        for key, values in comparison.recipes.items():
            lines.append(f"  {key:{wide}}  {' -> '.join(_value(value) for value in values)}")
    for run in others:
        rows = [row for row in comparison.differences if row.run == run]
        wide = max((len(row.metric) for row in rows), default=6)
        heading = f"{'reference':>10} {'run':>10} {'difference':>11} {'95 % interval':>24} {'p':>7} better/worse"
        lines += ["", f"{run} - {reference}", f"  {'metric':{wide}} {heading}"]
        for row in rows:
            interval = f"[{row.low:+.4g}, {row.high:+.4g}]" if row.low == row.low else "-"
            chance = "-" if row.p != row.p else f"{row.p:.2g}" if row.p >= 1e-3 else "< 0.001"
            split = "" if row.better is None else f"{row.better}/{len(row.worse)}"
            means = f"{row.reference_mean:10.4g} {row.mean:10.4g} {row.difference:+11.4g}"
            lines.append(f"  {row.metric:{wide}} {means} {interval:>24} {chance:>7} {split}".rstrip())
        lines += _worse(rows)
    if comparison.definitions:
        lines += ["", *(f"{name}: {text}" for name, text in comparison.definitions.items())]
    return lines


def _worse(rows: list[Difference]) -> list[str]:
    """The images that got worse by the first metric with a direction; cost is none."""
    first = next((row for row in rows if row.better is not None and row.metric not in evaluation.COST), None)
    if first is None:
        return []
    if not first.worse:
        return [f"  no image got worse in {first.metric}"]
    listed = ", ".join(f"{item} ({value:+.3g})" for item, value in first.worse[:LISTED])
    more = f", and {len(first.worse) - LISTED} more" if len(first.worse) > LISTED else ""
    return [f"  got worse in {first.metric}, worst first: {listed}{more}"]


def _value(value: Any) -> str:
    if value is None:
        return "-"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."
