"""Calibrations of the shipped recipes.

Fitted on simulated measurements of held-out crops, checked by cross-fitting on crops of other source images.

    python benchmarks/calibrations.py --work RUNS      all recipes, hours on one core; interrupted, it goes on
    python benchmarks/calibrations.py --work RUNS deblur inpaint      some of them
    python benchmarks/calibrations.py --work RUNS --no-runs           fit and print from the runs that are there

Writes recipes/calibrations/RECIPE.json and prints the table of docs/calibration.md: coverage of 90 % intervals as
sampled and recalibrated by maps fitted to other sources, with 95 % bootstrap intervals over source images. What is
simulated is in `calibration_runs.py`, the crops are in `calibration_crops.py`. No recipe's method or its settings were
chosen by these numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
from calibration_runs import ALONE, TASKS, runs

from inverse.calibration.statistics import Prediction
from inverse.errors import InputError
from inverse.evaluation.calibration_fit import make_file
from inverse.evaluation.calibration_pairs import beside
from inverse.recipes.calibration_file import CalibrationFile, IntervalCheck, read_calibration
from inverse.runs.folder import RunFolder
from inverse.storage.files import write_bytes

SAID = "crops, restored {height} x {width}, of {images}; {count} of {sources} source images"


HEAD = (
    "| recipe | images | 90 % intervals hold, as sampled | recalibrated | worst and best condition as sampled | "
    "recalibrated | 50 % | data, prior as sampled "
    "| recalibrated | CRC | per image | varied |"
)


def source(item: str) -> str:
    """Of ``fit/NAME-0.tif`` its source image."""
    return item.rsplit("-", 1)[0]


def made(recipe: str, folders: Iterator[tuple[Path, Path]]) -> CalibrationFile:
    """Fit and check from finished runs."""
    predictions: list[Prediction] = []
    conditions: list[str] = []
    noise: list[float] = []
    last = None
    for folder, truth in folders:
        last = RunFolder.open(folder)
        noise += [float(row["noise_sigma"]) for row in last.done]
        predictions += beside(last, truth).predictions
        number = int(folder.parent.name) % ALONE % len(TASKS[recipe].conditions)
        conditions += [str(number)] * (len(predictions) - len(conditions))
    if last is None:
        raise InputError(f"{recipe}: no finished run")
    clusters = [source(one.item) for one in predictions]
    height, width = predictions[0].truth.shape[-2:]
    said = SAID.format(
        height=height, width=width, images=TASKS[recipe].images, count=len(predictions), sources=len(set(clusters))
    )
    return make_file(
        last,
        predictions,
        noise=noise,
        truths=said,
        varied=TASKS[recipe].varied,
        clusters=clusters,
        conditions=conditions,
    )


def finished(recipe: str, work: Path) -> Iterator[tuple[Path, Path]]:
    """The runs that are there, with their truths."""
    for folder in sorted((work / recipe).glob("*/run/items.csv")):
        yield folder.parent, folder.parent.parent / "sim" / "truth"


def row(recipe: str, made: CalibrationFile) -> str:
    """A line of the table."""
    before, after = made.before, made.after
    assert before is not None
    assert after is not None

    def share(check: IntervalCheck) -> str:
        span = f" ({100 * (check.coverage90_low or 0):.1f} to {100 * (check.coverage90_high or 0):.1f})"
        return f"{100 * check.coverage90:.1f}{span}"

    image = "-" if after.images90 is None else f"{100 * after.images90:.0f}"
    sure = "-" if after.guaranteed90 is None else f"{100 * after.guaranteed90:.1f}"

    def spread(check: IntervalCheck) -> str:
        return (
            "-" if check.conditions90 is None else "{:.0f} to {:.0f}".format(*(100 * end for end in check.conditions90))
        )

    def parts(check: IntervalCheck) -> str:
        return (
            "-"
            if check.data90 is None or check.prior90 is None
            else f"{100 * check.data90:.0f}, {100 * check.prior90:.0f}"
        )

    columns = (
        recipe,
        str(made.images),
        share(before),
        share(after),
        spread(before),
        spread(after),
        f"{100 * after.coverage50:.1f}",
        parts(before),
        parts(after),
        sure,
        image,
        made.varied,
    )
    return f"| {' | '.join(columns)} |"


@click.command()
@click.argument("recipes", nargs=-1, type=click.Choice(list(TASKS)))
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Where runs are kept.")
@click.option("--data", default="../shared/data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--out", default="recipes/calibrations", type=click.Path(path_type=Path))
@click.option("--runs/--no-runs", "do", default=True, help="Do the runs, or take those that are there.")
@click.option("--table", is_flag=True, help="Only print the table of the files in OUT.")
def main(recipes: tuple[str, ...], work: Path, data: Path, out: Path, do: bool, table: bool) -> None:
    """Make calibrations and print their table."""
    print(HEAD)
    print("|---" * 12 + "|")
    for recipe in recipes or tuple(TASKS):
        path = out / f"{recipe}.json"
        if table:
            if path.is_file():
                print(row(recipe, read_calibration(path)))
            continue
        found = made(recipe, runs(recipe, data, work) if do else finished(recipe, work))
        write_bytes(path, found.to_json().encode())
        print(row(recipe, found), flush=True)


if __name__ == "__main__":
    main()
