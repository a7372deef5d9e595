"""``inverse benchmark SUITE``."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inverse.cli import options

if TYPE_CHECKING:
    from inverse.benchmark.table import Table

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

    SUITE is a shipped suite's name (inverse list suites) or a YAML file. Run the same command again to go on after an interruption; a cell that is
    done (one method on one task on one image) is not done twice.
    """
    from inverse.benchmark.suite import load_suite

    loaded = load_suite(suite)
    out = output or Path(loaded.name)
    if dry_run:
        from inverse.benchmark.run import estimate_suite

        found = estimate_suite(loaded, out, limit=limit)
        click.echo(json.dumps(found.as_dict(), indent=1) if as_json else "\n".join(found.lines()))
        return 0
    from inverse.benchmark.page import benchmark_suite

    table = benchmark_suite(loaded, out, limit=limit)
    if as_json:
        click.echo((out / "table.json").read_text("utf-8"), nl=False)
    for line in _report(table, out):
        LOGGER.info(line)
    return 1 if any(one.defect for one in table.cells) else 0


def _report(table: Table, out: Path) -> list[str]:
    """What was found, and where it is."""
    lines = [f"{task}: {one.sentence.replace('**', '')}" for task in table.tasks for one in table.verdicts[task]]
    failed = sum(1 for one in table.cells if one.failed)
    lines += [f"failed       {failed} of {len(table.cells)} cells; the tables say why"] if failed else []
    return [*lines, f"table        {out / 'table.md'}, table.csv, table.json", f"page         {out / 'page.html'}"]
