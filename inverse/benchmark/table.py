"""From cells to tables: means over images with bootstrap intervals, costs relative to the first row, and who wins, in sentences.

Intervals are those of `inverse.numerics.statistics.mean_interval`, 95 %, over images. Winning and losing is decided by the differences on the same images: if their interval
holds 0 or there are fewer than `inverse.benchmark.verdicts.FEWEST` images, neither. The best of ours stands against the best of the peers, metric by metric.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from inverse.benchmark.run import Done
from inverse.benchmark.suite import Suite
from inverse.benchmark.verdicts import Verdict, verdicts
from inverse.numerics.statistics import mean_interval
from inverse.storage.files import plain

__all__ = ["COLUMNS", "Column", "Line", "Table", "make_table", "to_csv", "to_json", "to_markdown"]


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        key: In cells.
        title: In tables.
        digits: Behind the point; -1: two that count.
        definition: What it is.
        ratio: Whether it is shown relative to the first row too.
        interval: Whether its interval is shown; files have all.
    """

    key: str
    title: str
    digits: int
    definition: str
    ratio: bool = False
    interval: bool = False


COLUMNS = (
    Column("psnr", "PSNR", 2, "dB, of the samples' mean or the estimate; peak is the data range, nothing clipped; of complex images the magnitude", interval=True),
    Column("ssim", "SSIM", 3, "of the same, Gaussian window of 11 pixels", interval=True),
    Column("crps", "CRPS", 4, "fair estimate from the samples, mean over values, lower is better; of a point estimate its mean absolute error", interval=True),
    Column("coverage90", "coverage", 2, "true values in the 90 % intervals: 0.90 is right, less is overconfident; on exact posteriors expected", interval=True),
    Column("misfit", "misfit", 2, "chi^2 over the number of measured values: 1 for a posterior sample"),
    Column("std_range", "std, range", 3, "standard deviation over the exact one in the range of the adjoint; 1 is right"),
    Column("std_null", "std, null", 3, "the same in the null space"),
    Column("mean_range", "mean, range", 3, "error of the mean over the exact standard deviation; 0 is right but for 1 / sqrt(samples)"),
    Column("mean_null", "mean, null", 3, "the same in the null space"),
    Column("chi2", "chi^2", 3, "over its exact posterior expectation; 1 is right"),
    Column("eigen", "eigen", 3, "largest distance from 1 of the std ratio in groups of eigen-directions"),
    Column("wasserstein", "sliced W1", 3, "distance from exact samples"),
    Column("wasserstein_floor", "W1 of exact", 3, "the same for as many exact samples: what nobody beats"),
    Column("weights", "TV", 3, "total variation between the weights of the modes"),
    Column("F", "F", 0, "network evaluations, all samples of an image; of a problem a sample", ratio=True),
    Column("V", "V", 0, "vector-Jacobian products of the network"),
    Column("seconds", "s", -1, "wall seconds for all samples of an image", ratio=True),
    Column("cpu", "cpu s", -1, "processor seconds, all threads, which other programs on the machine disturb less"),
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """A row of a table.

    Attributes:
        task: The table.
        row: The method.
        ours: Whether it is ours.
        images: How many images it was measured on.
        failed: How many it failed on.
        values: Mean, lower and upper end, by column.
        ratios: Of means to the first row's, by column.
        note: What was chosen with the truth, and why images failed.
    """

    task: str
    row: str
    ours: bool
    images: int
    failed: int
    values: Mapping[str, tuple[float, float, float]]
    ratios: Mapping[str, float]
    note: str


@dataclass(frozen=True)
class Table:
    """All tables of a suite.

    Attributes:
        name: Of the suite.
        title: Its title.
        facts: Versions, threads and how to make it again.
        lines: The rows, task after task.
        verdicts: Who wins, by task.
        cells: The cells.
    """

    name: str
    title: str
    facts: Mapping[str, str]
    lines: tuple[Line, ...]
    verdicts: Mapping[str, tuple[Verdict, ...]]
    cells: tuple[Done, ...]

    @property
    def tasks(self) -> list[str]:
        """Their titles."""
        return list(dict.fromkeys(line.task for line in self.lines))

    def of(self, task: str) -> list[Line]:
        """The rows of a task."""
        return [line for line in self.lines if line.task == task]

    def columns(self, task: str) -> list[Column]:
        """The columns that a task has."""
        return [column for column in COLUMNS if any(column.key in line.values for line in self.of(task))]

    @property
    def overall(self) -> str:
        """All comparisons with peers counted, the lost ones named."""
        decided = [(task, one) for task, found in self.verdicts.items() for one in found if one.result]
        if not decided:
            return ""
        lost = [f"{task}: {one.metric}" for task, one in decided if one.result == "lost"]
        counts = ", ".join(
            f"{sum(one.result == word for _, one in decided)} {word}" for word in ("won", "lost", "undecided")
        )
        names = f" Lost: {'; '.join(lost)}." if lost else ""
        return f"Our best row against the best row of the peers, {len(decided)} comparisons: {counts}.{names}"


def make_table(suite: Suite, done: Sequence[Done], facts: Mapping[str, str]) -> Table:
    """The tables of cells, each task's rows in the order of the suite."""
    lines: list[Line] = []
    found: dict[str, tuple[Verdict, ...]] = {}
    for task in suite.tasks:
        own = [
            _line(task.name, row.name, [d for d in done if (d.cell.task, d.cell.row) == (task, row)])
            for row in task.rows
        ]
        first = next((line for line in own if line.values), None)
        lines += [_relative(line, first) for line in own]
        found[task.name] = verdicts([d for d in done if d.cell.task is task])
    return Table(suite.name, suite.title, facts, tuple(lines), found, tuple(done))


def _line(task: str, row: str, done: Sequence[Done]) -> Line:
    good = [one for one in done if not one.failed]
    values = {}
    for column in COLUMNS:
        numbers = [float(one.numbers[column.key]) for one in good if column.key in one.numbers]
        numbers = [number for number in numbers if math.isfinite(number)]
        if numbers:
            values[column.key] = (math.fsum(numbers) / len(numbers), *mean_interval(numbers))
    peer = done[0].cell.row.peer if done else None
    notes = [f"best of {peer.chosen} by the truth"] if peer is not None and peer.chosen > 1 and good else []
    reasons = list(dict.fromkeys(one.failed for one in done if one.failed))
    if reasons:
        which = "" if not good else f"{len(done) - len(good)} of {len(done)} images failed: "
        notes.append(which + "; ".join(reasons))
    return Line(task, row, peer is None, len(good), len(done) - len(good), values, {}, "; ".join(notes))


def _relative(line: Line, first: Line | None) -> Line:
    ratios = {}
    for column in COLUMNS:
        base = first.values.get(column.key, (0.0,))[0] if first is not None else 0.0
        if column.ratio and base > 0 and column.key in line.values:
            ratios[column.key] = line.values[column.key][0] / base
    return Line(**{**vars(line), "ratios": ratios})


def shown(line: Line, column: Column) -> str:
    """A cell of a table as text."""
    if column.key not in line.values:
        return ""
    mean, low, high = line.values[column.key]
    text = f"{mean:.{column.digits}f}" if column.digits >= 0 else f"{mean:.2g}" if mean < 10 else f"{mean:.0f}"
    if math.isfinite(low) and column.interval:
        text += f" [{low:.{column.digits}f}, {high:.{column.digits}f}]"
    ratio = line.ratios.get(column.key)
    return text + (f" ({ratio:.2g}x)" if ratio and not math.isclose(ratio, 1, rel_tol=0.005) else "")


def to_markdown(table: Table, *, level: int = 1) -> str:
    """The tables, what they say, and what the columns are."""
    mark = "#" * level
    lines = [f"{mark} {table.title or table.name}", ""]
    lines += [f"{', '.join(f'{key} {value}' for key, value in table.facts.items())}.", ""]
    lines += [table.overall, ""] if table.overall else []
    for task in table.tasks:
        columns, rows = table.columns(task), table.of(task)
        images = max((line.images for line in rows), default=0)
        lines += [
            f"{mark}# {task}",
            "",
            f"{images} image{'s' * (images != 1)}, means with 95 % intervals over images.",
            "",
        ]
        lines.append("| method | " + " | ".join(column.title for column in columns) + " | note |")
        lines.append("|---" * (len(columns) + 2) + "|")
        for line in rows:
            name = f"**{line.row}**" if line.ours else line.row
            cells = " | ".join(shown(line, column) for column in columns)
            lines.append(f"| {name} | {cells} | {line.note.replace('|', '/')} |")
        lines.append("")
        lines += [f"* {one.sentence}" for one in table.verdicts[task]]
        lines.append("")
    used = {column.key for task in table.tasks for column in table.columns(task)}
    lines += ["Ours are bold. " + " ".join(f"**{c.title}**: {c.definition}." for c in COLUMNS if c.key in used), ""]
    return "\n".join(lines)


def to_csv(table: Table) -> str:
    """One line a task and row."""
    keys = [column.key for column in COLUMNS if any(column.key in line.values for line in table.lines)]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    ends = ("", "_low", "_high")
    writer.writerow(["task", "method", "ours", "images", "failed", *(k + end for k in keys for end in ends), "note"])
    for line in table.lines:
        numbers = (plain(v) for key in keys for v in line.values.get(key, (math.nan,) * 3))
        cells = ("" if number is None else f"{number:.6g}" for number in numbers)
        writer.writerow([line.task, line.row, int(line.ours), line.images, line.failed, *cells, line.note])
    return stream.getvalue()


def to_json(table: Table) -> str:
    """Tables, sentences and cells."""
    lines = [{**vars(line), "values": {k: plain(v) for k, v in line.values.items()}} for line in table.lines]
    content = {
        "schema": 1,
        "suite": table.name,
        "title": table.title,
        "facts": dict(table.facts),
        "lines": lines,
        "overall": table.overall,
        "verdicts": {task: [asdict(one) for one in found] for task, found in table.verdicts.items()},
        "columns": {column.key: column.definition for column in COLUMNS},
        "cells": [_cell(one) for one in table.cells],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


_PICTURES: Iterable[str] = ("picture", "truth", "measurement")


def _cell(one: Done) -> dict[str, Any]:
    numbers = plain({key: value for key, value in one.numbers.items() if key not in _PICTURES})
    place = {"task": one.cell.task.name, "method": one.cell.row.name, "image": one.cell.image}
    return {**place, **numbers, **({"failed": one.failed} if one.failed else {})}
