"""The outcome of an evaluation: rows, failures, summary; as text, CSV and plain data."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

from inverse.bootstrap import mean_interval
from inverse.ledger import Failure
from inverse.store import plain

__all__ = ["Table"]

LEVEL = 0.95


@dataclass(frozen=True)
class Table:
    """Metrics of a set of images.

    Attributes:
        rows: One an image: ``item``, then the metrics, and ``note`` where one has no value.
        metrics: Their names.
        definitions: What exactly each one computes.
        row_definitions: The same for each row: the data range, or the share of pixels left out, can differ.
        unmatched_predictions: Predictions without a truth; they are failures too.
        unmatched_truths: Truths without a prediction.
        failures: Items that could not be compared, and why.
        protocol: Whose convention.
        sets: Metrics of all images together.
        left_out: Metrics that ``all`` could not compute, and why.
    """

    rows: tuple[dict[str, Any], ...]
    metrics: tuple[str, ...]
    definitions: Mapping[str, str]
    unmatched_predictions: tuple[str, ...] = ()
    unmatched_truths: tuple[str, ...] = ()
    row_definitions: tuple[Mapping[str, str], ...] = ()
    failures: tuple[Failure, ...] = ()
    protocol: str = "default"
    sets: Mapping[str, float] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 all compared, 1 some failed; where all failed for one cause, that cause's code."""
        from inverse.summary import exit_code

        return exit_code(len(self.rows), self.failures)

    def values(self, name: str) -> list[float]:
        """The finite values of a metric, by row."""
        return [row[name] for row in self.rows if name in row and math.isfinite(row[name])]

    def summary(self) -> dict[str, dict[str, float]]:
        """Of each metric over the images: mean, median, standard deviation, 95 % bootstrap interval of the mean (``low``, ``high``), count.

        Values that are not finite are left out: ``count`` says how many there are.
        """
        found = {}
        for name in self.metrics:
            values = self.values(name)
            low, high = mean_interval(values, level=LEVEL)
            found[name] = {
                "mean": fmean(values) if values else math.nan,
                "median": median(values) if values else math.nan,
                "std": stdev(values) if len(values) > 1 else math.nan,
                "low": low,
                "high": high,
                "count": len(values),
            }
        return found

    def to_csv(self, path: str | Path | None = None) -> str:
        """The rows as CSV, each with the definitions of its metrics; written to `path` if one is given."""
        from inverse.store import write_bytes

        notes = ["note"] if any("note" in row for row in self.rows) else []
        columns = ["item", *(key for name in self.metrics for key in (name, f"{name}_definition")), *notes]
        stream = io.StringIO()
        writer = csv.DictWriter(stream, columns, lineterminator="\n", extrasaction="ignore", restval="")
        writer.writeheader()
        own = self.row_definitions or tuple(self.definitions for _ in self.rows)
        for row, definitions in zip(self.rows, own, strict=True):
            writer.writerow({**row, **{f"{name}_definition": text for name, text in definitions.items()}})
        if path is not None:
            write_bytes(Path(path), stream.getvalue().encode())
        return stream.getvalue()

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``; values that are not finite are None."""
        rows: list[dict[str, Any]] = [dict(row) for row in self.rows]
        shared = self.definitions
        for row, own in zip(rows, self.row_definitions, strict=False):
            different = {name: text for name, text in own.items() if shared.get(name) != text}
            row |= {"definitions": different} if different else {}
        found: dict[str, Any] = plain(
            {
                "protocol": self.protocol,
                "rows": rows,
                "failures": [asdict(failure) for failure in self.failures],
                "summary": self.summary(),
                "sets": dict(self.sets),
                "definitions": dict(shared),
                "left_out": dict(self.left_out),
                "unmatched_predictions": list(self.unmatched_predictions),
                "unmatched_truths": list(self.unmatched_truths),
                "exit_code": self.exit_code,
            }
        )
        return found
