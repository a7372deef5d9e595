"""``inverse compare RUN RUN...``."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inverse.cli import options

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

    With --truth the scores are computed afresh; else those that the runs recorded are compared, and without any their misfit, data share
    and cost.
    """
    from inverse.evaluation.compare_runs import compare as compute

    names = None if metrics is None else [name.strip() for name in metrics.split(",") if name.strip()]
    found = compute(runs, truth=truth, metrics=names)
    if csv_path is not None:
        found.to_csv(csv_path)
    for line in found.failures:
        LOGGER.warning("%s", line)
    click.echo(json.dumps(found.as_dict(), indent=1) if as_json else "\n".join(_lines(found)))
    return 1 if found.failures else 0


def _lines(found: Comparison) -> list[str]:
    """What differs, by how much, and where."""
    lines = [f"reference: {found.runs[0]}; {len(found.items)} paired items"]
    for run, items in found.unpaired.items():
        few = ", ".join(items[:LISTED])
        lines.append(f"only in some of the runs, of {run}: {len(items)}: {few}{' ...' if len(items) > LISTED else ''}")
    if found.recipes:
        lines += ["", "set differently:"]
        wide = max(len(key) for key in found.recipes)
        for key, values in found.recipes.items():
            lines.append(f"  {key:{wide}}  {' -> '.join(_value(value) for value in values)}")
    for run in found.runs[1:]:
        lines += ["", f"{run} - {found.runs[0]}"]
        rows = [one for one in found.differences if one.run == run]
        wide = max((len(one.metric) for one in rows), default=6)
        lines.append(
            f"  {'metric':{wide}} {'reference':>10} {'run':>10} {'difference':>11} {'95 % interval':>24} {'p':>7} better/worse"
        )
        for one in rows:
            interval = f"[{one.low:+.4g}, {one.high:+.4g}]" if one.low == one.low else "-"
            split = "" if one.better is None else f"{one.better}/{len(one.worse)}"
            lines.append(
                f"  {one.metric:{wide}} {one.reference_mean:10.4g} {one.mean:10.4g} {one.difference:+11.4g} {interval:>24} "
                f"{_p(one):>7} {split}".rstrip()
            )
        lines += _worse(rows)
    if found.definitions:
        lines += ["", *(f"{name}: {text}" for name, text in found.definitions.items())]
    return lines


def _worse(rows: list[Difference]) -> list[str]:
    """The images that got worse by the first metric with a direction; cost is none."""
    from inverse.evaluation.compare_runs import COST

    first = next((one for one in rows if one.better is not None and one.metric not in COST), None)
    if first is None:
        return []
    if not first.worse:
        return [f"  no image got worse in {first.metric}"]
    listed = ", ".join(f"{item} ({value:+.3g})" for item, value in first.worse[:LISTED])
    more = f", and {len(first.worse) - LISTED} more" if len(first.worse) > LISTED else ""
    return [f"  got worse in {first.metric}, worst first: {listed}{more}"]


def _p(one: Difference) -> str:
    return "-" if one.p != one.p else f"{one.p:.2g}" if one.p >= 1e-3 else "< 0.001"


def _value(value: Any) -> str:
    if value is None:
        return "-"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."
