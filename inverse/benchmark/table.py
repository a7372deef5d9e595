"""From cells to tables: means over images with bootstrap intervals, costs relative to the first row, and who wins.

Intervals are those of `inverse.numerics.statistics.mean_interval`, 95 %, over images. Winning and losing is decided by
the differences on the same images: if their interval holds 0 or there are fewer than
`inverse.benchmark.verdicts.FEWEST` images, neither. The best of ours stands against the best of the peers, metric by
metric.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from inverse.benchmark.run import Done
from inverse.benchmark.suite import Suite
from inverse.benchmark.verdicts import TaskVerdict, verdicts
from inverse.numerics.statistics import mean_interval
from inverse.storage.files import csv_bytes, plain

__all__ = ["COLUMNS", "Column", "Line", "SuiteTable", "make_table", "to_csv", "to_json", "to_markdown"]


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    key: str  # in cells
    title: str  # in tables
    digits: int  # behind the point; -1: two that count
    definition: str
    ratio: bool = False  # shown relative to the first row too
    interval: bool = False  # its interval is shown; files have all


COLUMNS = (
    Column(
        "psnr",
        "PSNR",
        2,
        "dB, of the samples' mean or the estimate; peak is the data range, nothing clipped; "
        "of complex images the magnitude",
        interval=True,
    ),
    Column("ssim", "SSIM", 3, "of the same, Gaussian window of 11 pixels", interval=True),
    Column(
        "crps",
        "CRPS",
        4,
        "fair estimate from the samples, mean over values, lower is better; "
        "of a point estimate its mean absolute error",
        interval=True,
    ),
    Column(
        "coverage90",
        "coverage",
        2,
        "true values in the 90 % intervals: 0.90 is right, less is overconfident; on exact posteriors expected",
        interval=True,
    ),
    Column("misfit", "misfit", 2, "chi^2 over the number of measured values: 1 for a posterior sample"),
    Column(
        "std_range", "std, range", 3, "standard deviation over the exact one in the range of the adjoint; 1 is right"
    ),
    Column("std_null", "std, null", 3, "the same in the null space"),
    Column(
        "mean_range",
        "mean, range",
        3,
        "error of the mean over the exact standard deviation; 0 is right but for 1 / sqrt(samples)",
    ),
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
)
#: What cells hold for the page, and files leave out.
PICTURES = ("picture", "truth", "measurement")


@dataclass(frozen=True)
class Line:
    """A row of a table."""

    task: str  # the table
    row: str  # the method
    ours: bool
    images: int  # how many it was measured on
    failed: int  # how many it failed on
    values: Mapping[str, tuple[float, float, float]]  # mean, lower and upper end, by column
    ratios: Mapping[str, float]  # of means to the first row's, by column
    note: str  # what was chosen with the truth, and why images failed


@dataclass(frozen=True)
class SuiteTable:
    """All tables of a suite."""

    name: str  # of the suite
    title: str
    facts: Mapping[str, str]  # versions, threads and how to make it again
    lines: tuple[Line, ...]  # the rows, task after task
    verdicts: Mapping[str, tuple[TaskVerdict, ...]]  # who wins, by task
    cells: tuple[Done, ...]

    @property
    def tasks(self) -> list[str]:
        """Their titles."""
        return list(dict.fromkeys(line.task for line in self.lines))

    def of(self, task: str) -> list[Line]:
        """The rows of a task."""
        return [line for line in self.lines if line.task == task]

    def columns(self, task: str | None = None) -> list[Column]:
        """The columns that a task has; None: that any has."""
        lines = self.lines if task is None else self.of(task)
        return [column for column in COLUMNS if any(column.key in line.values for line in lines)]

    @property
    def overall(self) -> str:
        """All comparisons with peers counted, the lost ones named."""
        decided = [
            (task, verdict) for task, verdicts in self.verdicts.items() for verdict in verdicts if verdict.result
        ]
        if not decided:
            return ""
        lost = [f"{task}: {verdict.metric}" for task, verdict in decided if verdict.result == "lost"]
        counts = ", ".join(
            f"{sum(verdict.result == word for _, verdict in decided)} {word}" for word in ("won", "lost", "undecided")
        )
        names = f" Lost: {'; '.join(lost)}." if lost else ""
        return f"Our best row against the best row of the peers, {len(decided)} comparisons: {counts}.{names}"


def make_table(suite: Suite, done: Sequence[Done], facts: Mapping[str, str]) -> SuiteTable:
    """The tables of cells, each task's rows in the order of the suite."""
    lines: list[Line] = []
    judged: dict[str, tuple[TaskVerdict, ...]] = {}
    for task in suite.tasks:
        rows = [
            _line(task.name, row.name, [d for d in done if (d.cell.task, d.cell.row) == (task, row)])
            for row in task.rows
        ]
        first = next((line for line in rows if line.values), None)
        lines += [_relative(line, first) for line in rows]
        judged[task.name] = verdicts([d for d in done if d.cell.task is task])
    return SuiteTable(suite.name, suite.title, facts, tuple(lines), judged, tuple(done))


def _line(task: str, row: str, done: Sequence[Done]) -> Line:
    good = [cell for cell in done if not cell.failed]
    values = {}
    for column in COLUMNS:
        numbers = [float(cell.numbers[column.key]) for cell in good if column.key in cell.numbers]
        numbers = [number for number in numbers if math.isfinite(number)]
        if numbers:
            values[column.key] = (math.fsum(numbers) / len(numbers), *mean_interval(numbers))
    peer = done[0].cell.row.peer if done else None
    notes = [f"best of {peer.chosen} by the truth"] if peer is not None and peer.chosen > 1 and good else []
    reasons = list(dict.fromkeys(cell.failed for cell in done if cell.failed))
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
    return replace(line, ratios=ratios)


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


def to_markdown(table: SuiteTable, *, level: int = 1) -> str:
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
        lines += [f"* {verdict.sentence}" for verdict in table.verdicts[task]]
        lines.append("")
    lines += ["Ours are bold. " + " ".join(f"**{c.title}**: {c.definition}." for c in table.columns()), ""]
    return "\n".join(lines)


def to_csv(table: SuiteTable) -> bytes:
    """The tables as CSV, one line a task and row."""
    numbers = [f"{column.key}{end}" for column in table.columns() for end in ("", "_low", "_high")]
    rows = []
    for line in table.lines:
        row = {"task": line.task, "method": line.row, "ours": int(line.ours), "images": line.images, "note": line.note}
        row["failed"] = line.failed
        for key, values in line.values.items():
            ends = zip(("", "_low", "_high"), values, strict=True)
            row |= {f"{key}{end}": f"{value:.6g}" for end, value in ends if math.isfinite(value)}
        rows.append(row)
    return csv_bytes(rows, ["task", "method", "ours", "images", "failed", *numbers, "note"])


def to_json(table: SuiteTable) -> str:
    """Tables, sentences and cells."""
    lines = [{**vars(line), "values": {k: plain(v) for k, v in line.values.items()}} for line in table.lines]
    content = {
        "schema": 1,
        "suite": table.name,
        "title": table.title,
        "facts": dict(table.facts),
        "lines": lines,
        "overall": table.overall,
        "verdicts": {task: [asdict(verdict) for verdict in judged] for task, judged in table.verdicts.items()},
        "columns": {column.key: column.definition for column in COLUMNS},
        "cells": [_cell(cell) for cell in table.cells],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _cell(done: Done) -> dict[str, Any]:
    numbers = plain({key: value for key, value in done.numbers.items() if key not in PICTURES})
    place = {"task": done.cell.task.name, "method": done.cell.row.name, "image": done.cell.image}
    return {**place, **numbers, **({"failed": done.failed} if done.failed else {})}
