"""``inverse calibrate RUN TRUTH``."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import click

from inverse import evaluation, runs, storage
from inverse.cli import options
from inverse.cli.echo import echo
from inverse.errors import OutputError

__all__ = ["calibrate"]

LOGGER = logging.getLogger("inverse")
SHOWN = (0.5, 0.8, 0.9, 0.95, 0.99)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("truth", type=click.Path(path_type=Path))
@click.option(
    "--save",
    "save",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Fit a recalibration, check it on images left out of the fit, and write it here.",
)
@click.option(
    "--guarantee",
    is_flag=True,
    help="Of FILE: intervals by conformal risk control, a little wider, instead of point estimates.",
)
@click.option("--overwrite", is_flag=True, help="Replace FILE.")
@options.json
def calibrate(run: Path, truth: Path, save: Path | None, guarantee: bool, overwrite: bool, as_json: bool) -> int:
    """Say whether the uncertainty of RUN, a run folder, holds beside TRUTH, a file or folder.

    Coverage of intervals at all levels, ranks (SBC, TARP), spread beside error, misfit, and error in what the data
    determine and in what they do not. Written to RUN/calibration.json and RUN/calibration.png. A FILE of --save is
    applied with -s calibration=FILE.
    """
    if save is not None and save.exists() and not overwrite:
        raise OutputError(f"{save}: exists", "choose another file, or give --overwrite")
    folder = runs.RunFolder.open(run)
    compared = evaluation.beside(folder, truth)
    for item, reason in compared.skipped:
        LOGGER.warning("left out: %s", reason if item in reason else f"{item}: {reason}")
    if compared.missing:
        LOGGER.warning("%d without a truth: %s", len(compared.missing), ", ".join(compared.missing))
    fitted = evaluation.make_file(folder, compared.predictions, guaranteed=guarantee) if save is not None else None
    low, high = folder.facts["recipe"]["data"]["range"]
    findings = evaluation.calibrate(compared.predictions, data_range=(float(low), float(high)), notes=compared.notes)
    left_out = [{"item": item, "reason": reason} for item, reason in compared.skipped]
    content = {**findings.as_dict(), "left_out": left_out}
    storage.write_json(run / "calibration.json", content)
    title = f"{folder.facts['recipe'].get('title') or 'run'}, {len(findings.per_item)} images"
    storage.write_bytes(run / "calibration.png", evaluation.draw(findings, title))
    if fitted is not None and save is not None:
        storage.write_bytes(save, fitted.to_json().encode())
    if as_json:
        echo(json.dumps(content, indent=1))
    else:
        for line in findings.says():
            echo(line)
        echo(f"{'level':>6} {'covers':>7}   {'95 % interval over images'}")
        for level in SHOWN:
            held, *ends = findings.coverage.at(level)
            span = "" if len(findings.per_item) < 2 else f"   {100 * ends[0]:5.1f} to {100 * ends[1]:5.1f} %"
            echo(f"{100 * level:4.0f} % {100 * held:6.1f} %{span}")
    if fitted is not None and fitted.after is not None and fitted.before is not None:
        LOGGER.info("%s (before %.1f %%)", fitted.says(), 100 * fitted.before.coverage90)
        LOGGER.info("calibration  %s   apply it with -s calibration=%s", save, save)
    LOGGER.info("written      %s, %s", run / "calibration.json", run / "calibration.png")
    return 1 if compared.skipped else 0
