"""What a suite would take: its cells, and about how many minutes from one timed forward pass of each prior. Nothing is written."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inverse.case import forward_seconds, method_kind
from inverse.dryrun import VJP_COST
from inverse.methods import method_spec
from inverse.suite import Suite
from inverse.suite_cells import Bench
from inverse.suite_run import Cell, Keys, cells_of, kept, truth_of

__all__ = ["SuiteEstimate", "estimate_suite"]

_CLASSICAL = 5.0
"""Seconds of one reconstruction without our prior, for a million values: amid those measured."""
_PROBLEM = 1e-3
"""Seconds of an evaluation of a closed-form prior for one sample: likewise."""


@dataclass(frozen=True)
class SuiteEstimate:
    """What a suite would take.

    Attributes:
        rows: Task, method, cells left and seconds they take; what cannot run here has a reason.
        cells: How many there are.
        done: How many of them are done.
        minutes: About, for the others.
    """

    rows: tuple[dict[str, Any], ...]
    cells: int
    done: int
    minutes: float

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For a person."""
        wide = max(len(f"{row['task']}, {row['method']}") for row in self.rows)
        found = []
        for row in self.rows:
            told = row["reason"] or f"{row['left']:3d} cells left, {row['seconds'] / 60:6.1f} min"
            found.append(f"{row['task'] + ', ' + row['method']:{wide}}  {told}")
        total = f"{self.cells} cells, {self.done} of them done, about {self.minutes:.0f} minutes for the others"
        return [*found, total, "nothing was written"]


def estimate_suite(suite: Suite, out: Path, *, limit: int | None = None) -> SuiteEstimate:
    """Estimate a suite; arguments as `inverse.suite_run.run_suite`."""
    bench = Bench()
    keys, cells = Keys(bench), cells_of(suite, limit=limit)
    sizes: dict[tuple[str, str], tuple[int, ...]] = {}
    passes: dict[tuple[str, tuple[int, ...]], float] = {}
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    done = 0
    for cell in cells:
        names = cell.task.name, cell.row.name
        reason = _reason(cell)
        row = rows.setdefault(
            names, {"task": names[0], "method": names[1], "left": 0, "seconds": 0.0, "reason": reason}
        )
        if kept(cell, out, keys.of(cell)) is not None:
            done += 1
            continue
        row["left"] += 1
        if reason:
            continue
        place = (cell.task.name, cell.image)
        if cell.path is not None and place not in sizes:
            sizes[place] = tuple(truth_of(cell).shape[1:])
        row["seconds"] += _seconds(cell, sizes.get(place, ()), bench, passes)
    return SuiteEstimate(tuple(rows.values()), len(cells), done, sum(row["seconds"] for row in rows.values()) / 60)


def _reason(cell: Cell) -> str:
    peer = cell.row.peer
    return "" if peer is None else peer.missing or peer.refuses(str(cell.row.recipe.operator.model_dump()["kind"]))


def _seconds(
    cell: Cell, shape: tuple[int, ...], bench: Bench, passes: dict[tuple[str, tuple[int, ...]], float]
) -> float:
    recipe, peer = cell.row.recipe, cell.row.peer
    if cell.task.problem:
        return _PROBLEM * recipe.run.samples * _passes(cell)
    if not cell.uses_prior:
        assert peer is not None
        return _CLASSICAL * peer.chosen * math.prod(shape) / 1e6
    key = (str(recipe.prior), shape)
    if key not in passes:
        prior, dtype = bench.fitted(recipe, shape[0])
        passes[key] = forward_seconds(prior, shape, dtype=dtype, device="cpu")
    return passes[key] * _passes(cell) * (recipe.run.samples if peer is None or peer.samples else 1)


def _passes(cell: Cell) -> float:
    """Forward passes of a sample, those that are as expensive counted in."""
    recipe, peer = cell.row.recipe, cell.row.peer
    if peer is None:
        forward, vjp = method_spec(method_kind(recipe)).cost(recipe.params)
        return forward + VJP_COST * vjp
    return (cell.row.evaluations or peer.default) * (1 + VJP_COST * peer.gradient) * peer.chosen
