"""The other side of an executor: units solved in a process that is not the run's own.

What comes here is plain data: once a `Job` without its prior, then a `Task` for every unit (its item, and where the
input is). The prior is opened once for a process and kept. What is said meanwhile goes back through `tell`; results do
not, they are files and markers.

    python -c "from inverse.runs.worker import main; main()" FD    a worker of `inverse.runs.processes`, which made FD
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
import uuid
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from inverse.errors import InverseError, PriorError
from inverse.recipes.calibration_file import opened_calibration
from inverse.restoration.plan import Item, Job, Plan, Unit
from inverse.restoration.prior import open_recipe_prior
from inverse.restoration.truth import Truths
from inverse.runs.progress import Progress, Tell
from inverse.runs.unit import Solver

__all__ = ["Task", "main", "package", "solve", "task"]

_ONE_AT_A_TIME = threading.Lock()
_OPEN: dict[str, Solver] = {}
_PRIORS: dict[str, Any] = {}


@dataclass(frozen=True)
class Task:
    """A unit, and what solving it takes."""

    unit: Unit  # the unit
    item: Item  # its item as planned
    path: str  # the input file, absolute
    truth: str | None  # the truth, where there is one


def package(solver: Solver) -> tuple[str, bytes]:
    """A name no other run has, and the pickled job of a run's own solver."""
    job = replace(solver.job, out=solver.job.out.absolute(), prior=None, calibration=None)
    return uuid.uuid4().hex, pickle.dumps(job)


def task(solver: Solver, unit: Unit) -> Task:
    """What a worker must know of a unit."""
    item = solver.plan.item(unit.item)
    assert item is not None
    path, truth = solver.paths[item.source], solver.truths.paths.get(item.source)
    # absolute, but not resolved: messages name files as they were given
    return Task(unit, item, os.path.abspath(path), None if truth is None else os.path.abspath(truth))


def solve(name: str, job: bytes, given: Task, tell: Tell) -> tuple[Exception | None, float]:
    """Solve a unit as the run itself would.

    Args:
        name: Of the job: what one run opens is not taken for another's.
        job: Pickled.
        given: The unit.
        tell: Takes what is said.

    Returns:
        The error that ends the run, and the seconds that the unit took.
    """
    with _ONE_AT_A_TIME:
        began, progress = time.monotonic(), Progress(tell=tell)
        error: Exception | None = None
        try:
            solver = _opened(name, job)
            terms = solver.job.terms
            solver.serve(Plan(terms, (given.item,)), Path(given.path), given.truth, progress)
            torch.set_num_threads(terms.threads)
            solver(given.unit)
        except Exception as caught:
            error = _portable(caught)
        progress.flush(given.item.item)
        return error, time.monotonic() - began


def _opened(name: str, job: bytes) -> Solver:
    """The solver of a job; one is kept, and one prior."""
    if name in _OPEN:
        return _OPEN[name]
    shared: Job = pickle.loads(job)  # which came over the private socket of `main`, or over the user's own Dask cluster
    prior = _prior(shared)
    calibration, _ = opened_calibration(shared.recipe, prior.card)
    opened = replace(shared, prior=prior, calibration=calibration)
    solver = Solver(opened, Plan(opened.terms, ()), {}, Truths({}), Progress(mode="off"))
    _OPEN.clear()
    _OPEN[name] = solver
    return solver


def _prior(job: Job) -> Any:
    key = f"{job.terms.prior} {job.recipe.prior!r} {job.recipe.data.range} {job.recipe.files.get('prior.name')}"
    if key not in _PRIORS:
        prior = open_recipe_prior(job.recipe)
        found = (prior.card.sha256 or "") if prior.card else ""
        if found != job.terms.prior:
            raise PriorError(
                f"a worker has another prior file ({found[:12]}, the run has {job.terms.prior[:12]})",
                "use the same files on every machine",
            )
        _PRIORS.clear()
        _PRIORS[key] = prior
    return _PRIORS[key]


def _portable(error: Exception) -> Exception:
    """The error, or what can be said of it, so that it crosses processes; what caused it is said by its exit code.

    Without its causes and frames, which Dask would pickle too, and cannot where they point at each other.
    """
    if isinstance(error, InverseError):
        return type(error)(error.message, error.hint)
    error.__cause__ = error.__context__ = error.__traceback__ = None
    try:
        pickle.loads(pickle.dumps(error))  # its own bytes: whether it would arrive
    except Exception:  # pickling an error of a foreign package may raise anything
        return InverseError(f"{type(error).__name__}: {' '.join(str(error).split())}")
    return error


def main() -> None:
    """A worker process: solve what comes through a socket until it is closed or the process that made it has ended."""
    parent = os.getppid()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    link: Connection[Any, Any] = Connection(int(sys.argv[1]))
    try:
        name, job = link.recv()
        link.send(("ready", None))
        while True:
            given: Task | None = link.recv()
            if given is None:
                break
            error, seconds = solve(name, job, given, lambda kind, what: link.send((kind, what)))
            link.send(("ended", (error, seconds)))
    except (EOFError, OSError):
        pass
    os._exit(0)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.1)
    os._exit(1)
