"""``inverse evaluate PRED TRUTH``."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import click

from inverse.cli import options

__all__ = ["evaluate"]

LOGGER = logging.getLogger("inverse")


@click.command()
@click.argument("prediction", type=click.Path(path_type=Path))
@click.argument("truth", type=click.Path(path_type=Path))
@click.option("-m", "--metrics", default="psnr,ssim", show_default=True, metavar="A,B,...", help="Metrics.")
@click.option("--data-range", default=1.0, show_default=True, help="White minus black, in data units.")
@click.option("--csv", "csv_path", type=click.Path(path_type=Path), metavar="FILE", help="Write the rows here.")
@options.json
def evaluate(
    prediction: Path, truth: Path, metrics: str, data_range: float, csv_path: Path | None, as_json: bool
) -> None:
    """Compare PREDICTION with TRUTH, files or folders; a run folder stands for what it restored.

    Files are matched by relative path, then by stem. What has no partner is listed.
    """
    from inverse.evaluation import evaluate as compare

    names = [name.strip() for name in metrics.split(",") if name.strip()]
    table = compare(prediction, truth, metrics=names, data_range=data_range)
    if csv_path is not None:
        table.to_csv(csv_path)
    for what, alone in (("prediction", table.unmatched_predictions), ("truth", table.unmatched_truths)):
        if alone:
            LOGGER.warning("%d without a partner (%s): %s", len(alone), what, ", ".join(alone))
    if as_json:
        click.echo(json.dumps(table.as_dict(), indent=1))
        return
    wide = max(len(row["item"]) for row in table.rows)
    click.echo(" ".join([f"{'item':{wide}}", *(f"{name:>9}" for name in names)]))
    for row in table.rows:
        click.echo(" ".join([f"{row['item']:{wide}}", *(f"{row[name]:9.4f}" for name in names)]))
    if len(table.rows) > 1:
        for statistic in ("mean", "median", "std"):
            values = (table.summary()[name][statistic] for name in names)
            click.echo(" ".join([f"{statistic:{wide}}", *(f"{value:9.4f}" for value in values)]))
    for name, definition in table.definitions.items():
        click.echo(f"{name}: {definition}")
