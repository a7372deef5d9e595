"""The outcome of a run, rebuilt from its markers: ``run.json``, ``items.csv``, ``failures.csv``, a notebook's page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inverse.errors import Failure, exit_code
from inverse.io.pages import template
from inverse.metrics.registry import metric
from inverse.posterior.display import BOX, CELL, QUIET
from inverse.priors.card import prior_facts
from inverse.recipes.recipe import Recipe
from inverse.restoration.plan import Plan, item_name, split
from inverse.restoration.result import COLUMNS, FINISHED, ItemResult
from inverse.restoration.truth import scale_factor
from inverse.runs.ledger import Ledger
from inverse.storage.files import csv_bytes, write_bytes, write_json

__all__ = ["Run", "collect", "write_summary"]

#: Said where `auto` took other methods than in the fit.
ANOTHER = "intervals are not recalibrated: the calibration is of another method"
#: Items that a notebook shows.
ROWS = 10


@dataclass(frozen=True)
class Run:
    """The outcome of a run.

    Attributes:
        out: The run folder.
        rows: One an item, as in ``items.csv``.
        failures: What failed, and why.
        pending: Items that are neither done nor failed: other shards have them.
    """

    out: Path
    rows: tuple[dict[str, Any], ...]
    failures: tuple[Failure, ...]
    pending: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<Run '{self.out.name}': {self._states}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: how many items are done, and what the first of them say."""

        def number(row: Mapping[str, Any], name: str, form: str) -> str:
            value = row.get(name)
            return format(value, form) if isinstance(value, int | float) else ""

        rows = [
            (
                row["item"],
                row["status"],
                number(row, "misfit", ".2f"),
                number(row, "data_share", ".2f"),
                number(row, "seconds", ".3g"),
                row.get("note") or "",
            )
            for row in self.rows[:ROWS]
        ]
        return template("inverse.runs", "run.html").render(
            name=self.out.name,
            states=self._states,
            columns=("item", "status", "misfit", "data share", "seconds", "note"),
            rows=rows,
            more=len(self.rows) - ROWS,
            box=BOX,
            cell=CELL,
            quiet=QUIET,
        )

    @property
    def _states(self) -> str:
        counts = {"done": 0} | Counter(str(row["status"]) for row in self.rows)
        order = sorted(counts, key=("done", "unusable", "empty", "failed", "pending").index)
        return ", ".join(f"{counts[state]} {state}" for state in order)

    @property
    def results(self) -> tuple[ItemResult, ...]:
        """The items that are done, unusable results included."""
        return tuple(ItemResult.from_row(row) for row in self.rows if row["status"] in FINISHED)

    @property
    def exit_code(self) -> int:
        """0 all done, 1 some failed or are unusable; where all failed for one cause, that cause's code."""
        if any(row["status"] == "unusable" for row in self.rows):
            return 1
        done = sum(row["status"] in ("done", "empty") for row in self.rows)
        return exit_code(done + len(self.pending), self.failures)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "items": list(self.rows),
            "failures": [asdict(failure) for failure in self.failures],
            "pending": list(self.pending),
            "exit_code": self.exit_code,
        }


def collect(out: Path, plan: Plan, ledger: Ledger) -> Run:
    """Read the state of a run from its markers."""
    rows, failures, pending = [], [], []
    for item in plan.items:
        names = [item_name(item.item), *(unit.name for unit in split(item, plan.terms.samples))]
        marker = ledger.marker(names[0])
        failed = next((found for found in map(ledger.failure, names) if found is not None), None)
        current = marker is not None and marker.get("input") == item.sha256 and "row" in marker
        if failed is not None:
            failures.append(failed)
            rows.append({"item": item.item, "status": "failed", "note": failed.reason})
        elif marker is not None and current:
            if left := marker.get("empty"):
                rows.append({"item": item.item, "status": "empty", "note": f"left as it is: {left}"})
                continue
            state = "unusable" if marker["row"].get("unusable") else "done"
            rows.append({"item": item.item, "status": state, **marker["row"]})
        else:
            pending.append(item.item)
            rows.append({"item": item.item, "status": "pending"})
    return Run(out, tuple(rows), tuple(failures), tuple(pending))


def _calibration(run: Run, recorded: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What was said of the calibration, and of how many results it holds: `auto` may have taken other methods."""
    if not recorded or not run.results:
        return dict(recorded) if recorded else None
    usable = [result for result in run.results if result.unusable is None]
    if not usable:
        return {**recorded, "applied": False, "says": "no result is usable: there are no intervals to speak of"}
    held = sum(result.calibrated for result in usable)
    if not recorded.get("applied") or held == len(usable):
        return dict(recorded)
    if not held:
        return {**recorded, "applied": False, "says": ANOTHER}
    return {**recorded, "says": f"{recorded['says']}; of {held} of {len(usable)} results"}


def _counts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many items are in which state; unusable and empty ones are named where there are such."""
    counts = {state: sum(row["status"] == state for row in rows) for state in ("done", "failed", "pending")}
    for state in ("unusable", "empty"):
        if number := sum(row["status"] == state for row in rows):
            counts[state] = number
    return counts


def write_summary(
    run: Run, plan: Plan, recipe: Recipe, card: Any, *, calibrated: Mapping[str, Any] | None = None
) -> None:
    """Write ``run.json``, ``items.csv`` and ``failures.csv``."""
    scores = [key for row in run.rows for key in row if key not in COLUMNS]
    columns = (*COLUMNS[:-1], *dict.fromkeys(scores), COLUMNS[-1])
    write_bytes(run.out / "items.csv", csv_bytes(run.rows, columns))
    fields = list(Failure.__dataclass_fields__)
    write_bytes(run.out / "failures.csv", csv_bytes((asdict(failure) for failure in run.failures), fields))
    done = [row for row in run.rows if row["status"] in FINISHED]
    low, high = recipe.data.range
    light = ", of values as stored, restored in linear light" if recipe.data.transfer == "linear" else ""
    summed = ("forward", "vjp", "a", "at", "seconds")
    write_json(
        run.out / "run.json",
        {
            "schema": 1,
            "recipe": recipe.resolved(),
            "recipe_hash": plan.terms.recipe,
            "prior": prior_facts(card),
            "calibration": _calibration(run, calibrated),
            "seed": recipe.run.seed,
            "samples": plan.terms.samples,
            "dtype": plan.terms.dtype,
            "device": plan.terms.device,
            "threads": plan.terms.threads,
            "versions": plan.terms.versions,
            "counts": _counts(run.rows),
            "cost": {key: sum(row.get(key, 0) for row in done) for key in summed}
            | {"peak_bytes": max((row.get("peak_bytes", 0) for row in done), default=0)},
            "noise": {row["item"]: {"sigma": row["noise_sigma"], "estimated": row["noise_estimated"]} for row in done},
            "evidence": {result.item: result.evidence for result in run.results},
            "tiles": {row["item"]: row["tiles"] for row in done if "tiles" in row},
            "inputs": {item.item: item.sha256 for item in plan.items},
            "metrics": {
                name: metric(name).define(high - low, ratio=scale_factor(recipe)) + light for name in recipe.metrics
            },
        },
    )
