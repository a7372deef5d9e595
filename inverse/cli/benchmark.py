"""``inverse benchmark SUITE``."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import click

from inverse import benchmark as suites
from inverse.cli import options
from inverse.cli.echo import echo

__all__ = ["benchmark"]

LOGGER = logging.getLogger("inverse")


@click.command()
@click.argument("suite")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the results [default: SUITE's name].",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N images of each task.")
@options.dry_run
@options.json
def benchmark(suite: str, output: Path | None, limit: int | None, dry_run: bool, as_json: bool) -> int:
    """Measure methods, ours and other packages', on the tasks and images of SUITE: one table, one page.

    SUITE is a shipped suite's name (inverse list suites) or a YAML file. Run the same command again to go on after an
    interruption; a cell that is done (one method on one task on one image) is not done twice.
    """
    loaded = suites.load_suite(suite)
    out = output or Path(loaded.name)
    if dry_run:
        estimate = suites.estimate_suite(loaded, out, limit=limit)
        echo(json.dumps(estimate.as_dict(), indent=1) if as_json else "\n".join(estimate.lines()))
        return 0
    table = suites.benchmark_suite(loaded, out, limit=limit)
    if as_json:
        echo((out / "table.json").read_text("utf-8"), nl=False)
    for line in _report(table, out):
        LOGGER.info(line)
    return 1 if any(cell.defect for cell in table.cells) else 0


def _report(table: suites.SuiteTable, out: Path) -> list[str]:
    """The verdicts, the failures, and where the table is."""
    lines = [
        f"{task}: {verdict.sentence.replace('**', '')}" for task in table.tasks for verdict in table.verdicts[task]
    ]
    failed = sum(1 for cell in table.cells if cell.failed)
    lines += [f"failed       {failed} of {len(table.cells)} cells; the tables say why"] if failed else []
    return [*lines, f"table        {out / 'table.md'}, table.csv, table.json", f"page         {out / 'page.html'}"]
