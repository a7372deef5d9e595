"""``inverse report RUN``."""

from __future__ import annotations

from pathlib import Path

import click

from inverse import report as pages
from inverse.cli import options
from inverse.cli.echo import echo

__all__ = ["report"]


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="The page; default RUN/report.html."
)
@options.truth
@click.option(
    "--figures",
    type=click.Choice(["png", "pdf"]),
    help="Also draw a figure of each item, and of the calibration, into RUN/figures.",
)
@click.option(
    "--max-mb",
    type=click.FloatRange(min=1),
    default=28.0,
    show_default=True,
    metavar="N",
    help="Size to keep the page under.",
)
@options.overwrite
def report(
    run: Path, output: Path | None, truth: Path | None, figures: str | None, max_mb: float, overwrite: bool
) -> None:
    """Make a page of a run: one HTML file to look through, send and archive; it loads nothing.

    Pictures before and after, uncertainty, what came from the prior, residuals, samples, scores, and how it was made,
    worst item first.
    """
    echo(pages.write_report(run, out=output, truth=truth, max_megabytes=max_mb, overwrite=overwrite))
    if figures is not None:
        for path in pages.write_figures(run, kind=figures, truth=truth):
            echo(path)
