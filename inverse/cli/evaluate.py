"""``inverse evaluate PRED TRUTH``."""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

import inverse
from inverse import evaluation
from inverse.cli import options
from inverse.cli.echo import echo
from inverse.errors import UsageError, printable

__all__ = ["evaluate"]

LOGGER = logging.getLogger("inverse")
LISTED = 20
STATISTICS = {"mean": "mean", "low": "95 % low", "high": "95 % high", "median": "median", "std": "std"}


def _range(context: click.Context, parameter: click.Parameter, value: str | None) -> float | str | None:
    if value is None or value == "max":
        return value
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise UsageError(f"--data-range {value}", "allowed: a number above 0, or max: the truth's largest value")
    return number


@click.command()
@click.argument("prediction", type=click.Path(path_type=Path))
@click.argument("truth", type=click.Path(path_type=Path))
@click.option("-m", "--metrics", metavar="A,B,...", help="Metrics, or all (default: psnr,ssim, or the protocol's).")
@click.option(
    "--protocol",
    type=click.Choice(["default", "skimage", "fastmri", "sr-y"]),
    default="default",
    show_default=True,
    help="Whose convention the numbers follow.",
)
@click.option(
    "--data-range",
    callback=_range,
    metavar="R|max",
    help="White minus black in stored values, or max: the truth's largest (default: by the file's type).",
)
@click.option("--crop", type=click.IntRange(min=0), default=0, metavar="N", help="Leave out N pixels of the border.")
@click.option("--scale", type=click.FloatRange(min=1), metavar="S", help="Scale factor, for ergas and sr-y.")
@click.option("--mask", type=click.Path(path_type=Path), metavar="PATH", help="Leave out pixels that are 0 here.")
@click.option(
    "--ms", type=click.Path(path_type=Path), metavar="PATH", help="Multispectral image, for d-lambda and qnr."
)
@click.option("--pan", type=click.Path(path_type=Path), metavar="PATH", help="Panchromatic image, for qnr.")
@click.option("--csv", "csv_path", type=click.Path(path_type=Path), metavar="FILE", help="Write the rows here.")
@options.json
def evaluate(
    prediction: Path,
    truth: Path,
    metrics: str | None,
    protocol: str,
    csv_path: Path | None,
    as_json: bool,
    **choices: Any,
) -> int:
    """Compare PREDICTION with TRUTH: files, FILE.h5::NAME, folders, or a run folder for what it restored.

    Files are matched by relative path, then by stem; volumes are compared slice by slice. What has no partner is
    listed, what cannot be compared is named with its reason, and the rest is compared: exit code 1 if anything failed.
    """
    names = None if metrics is None else [name.strip() for name in metrics.split(",") if name.strip()]
    table = inverse.evaluate(prediction, truth, metrics=names, protocol=protocol, **choices)
    if csv_path is not None:
        table.to_csv(csv_path)
    for failure in table.failures:
        LOGGER.warning("%s", failure.line)
    if table.unmatched_truths:
        few = ", ".join(map(printable, table.unmatched_truths[:LISTED]))
        more = f" and {len(table.unmatched_truths) - LISTED} more" if len(table.unmatched_truths) > LISTED else ""
        LOGGER.warning("%d truths without a prediction: %s%s", len(table.unmatched_truths), few, more)
    if as_json:
        echo(json.dumps(table.as_dict(), indent=1))
    else:
        echo("\n".join(_lines(table)))
    return table.exit_code


def _lines(table: evaluation.Table) -> list[str]:
    """The table, its summary, and what the numbers are."""
    wide = max((len(printable(row["item"])) for row in table.rows), default=0)
    wide = max(wide, len("95 % high"))
    fitting = max(1, (shutil.get_terminal_size((120, 24)).columns - wide) // 11)
    lines = []
    for first in range(0, len(table.metrics), fitting):
        lines += [*_block(table, table.metrics[first : first + fitting], wide), ""]
    lines += [f"{name}: {_cell(value)} (all images together)" for name, value in table.sets.items()]
    failed = len(table.failures)
    lines.append(
        f"{len(table.rows)} compared" + (f", {failed} failed" if failed else "") + f"; protocol {table.protocol}"
    )
    lines += [f"{name}: {text}" for name, text in table.definitions.items()]
    lines += [f"left out: {reason}" for reason in table.left_out.values()]
    notes = dict.fromkeys(part for row in table.rows for part in str(row.get("note", "")).split("; ") if part)
    return lines + [f"note: {note}" for note in list(notes)[:LISTED]]


def _block(table: evaluation.Table, names: Sequence[str], wide: int) -> list[str]:
    """Some of the columns."""

    def line(label: str, cells: Iterable[str]) -> str:
        return " ".join([f"{label:{wide}}", *(f"{cell:>10}" for cell in cells)])

    lines = [line("item", names)]
    lines += [line(printable(row["item"]), (_cell(row.get(name)) for name in names)) for row in table.rows]
    if len(table.rows) > 1:
        summary = table.summary()
        lines.append("-" * len(lines[0]))
        for key, label in STATISTICS.items():
            lines.append(line(label, (_cell(summary[name][key]) for name in names)))
    return lines


def _cell(value: Any) -> str:
    """Four decimals, or four digits where those would say nothing."""
    if not isinstance(value, float) or math.isnan(value):
        return "-"
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.3e}"
