"""A short run of one item, somewhere else, to know what a whole one takes: its sampling in a few evaluations, and all that comes before and after."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inverse.ledger import Ledger
from inverse.plan import Item, Plan, Terms, Unit
from inverse.progress import Progress
from inverse.recipe import Recipe, load
from inverse.store import read_json
from inverse.truth import Truths

__all__ = ["Trial", "trial"]

STEPS = 2
QUICK = 15.0
"""Seconds of a trial below which it is made again: the first one also imports what it needs."""


@dataclass(frozen=True)
class Trial:
    """What was measured.

    Attributes:
        sampling: Seconds of drawing.
        rest: Seconds of reading, preparing, statistics, the figure and writing.
        imports: Seconds that only the first item of a process takes.
        samples: That were drawn.
        params: Parameters of the method, with fewer steps.
    """

    sampling: float
    rest: float
    imports: float
    samples: int
    params: dict[str, Any]


class _Silent(Progress):
    def say(self, line: str, *, level: int = 0) -> None:
        """What is said of an item is said when it is run."""


def trial(recipe: Recipe, prior: Any, terms: Terms, item: Item, path: Path) -> Trial | None:
    """Run an item with two steps and the samples of one block; nothing is left of it.

    Returns:
        None where the number of steps is not the recipe's, as with a budget or a closed form.
    """
    from inverse.solve import Solver

    if terms.evaluations is not None or not isinstance(recipe.params.get("steps"), int):
        return None
    short = load(recipe, [f"method.steps={min(STEPS, recipe.params['steps'])}"])
    count = min(item.block, terms.samples)
    plan = Plan(replace(terms, samples=count), (replace(item, block=count),))
    paths, off = {item.source: path}, _Silent(0, "off")
    made = Trial(0.0, 0.0, 0.0, count, short.params)
    for first in (True, False):
        with tempfile.TemporaryDirectory(prefix="inverse-trial-") as folder:
            ledger = Ledger.of(Path(folder), plan.terms)
            solver = Solver(Path(folder), plan, short, prior, paths, ledger, Truths({}), off, strict=True)
            began = time.perf_counter()
            solver(Unit(item.item, 0, count))
            whole = time.perf_counter() - began
            (marker,) = (read_json(done) for done in ledger.done.glob("*.json"))
        drawn = float((marker or {})["row"]["seconds"])
        if first and whole > QUICK:
            return replace(made, sampling=drawn, rest=whole - drawn)
        if first:
            made = replace(made, imports=whole)
    made = replace(made, sampling=drawn, rest=whole - drawn, imports=max(0.0, made.imports - whole))
    return made
