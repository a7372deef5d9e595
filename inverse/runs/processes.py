"""Units on processes of this machine, one thread each.

A worker is a fresh interpreter (no fork: torch and its threads do not survive one) that never imports the caller's
script. A worker that dies is replaced and its unit done again; after `ATTEMPTS` deaths the unit has failed. Workers are
in a session of their own, so that Ctrl-C reaches only the run, which then kills them: all they write is whole or
absent. They end by themselves where the run was killed.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from inverse.errors import WorkerError
from inverse.restoration.plan import Unit
from inverse.runs.progress import Speeds
from inverse.runs.unit import Solver
from inverse.runs.worker import Task, package, task

__all__ = ["ATTEMPTS", "Processes", "default_workers", "gpu_of"]

ATTEMPTS = 3

WORKER = "from inverse.runs.worker import main; main()"


class Processes:
    """Processes of this machine.

    Args:
        workers: How many; None: one a core, or one a GPU.
    """

    threads: int | None = 1

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers

    def map(self, solver: Solver, take: Callable[[], Unit | None]) -> Generator[Unit, None, None]:
        """Solve every unit; they end in any order."""
        device = solver.job.terms.device
        crew = _Crew(package(solver), self.workers or default_workers(device), device)
        again: deque[Unit] = deque()
        deaths: Counter[Unit] = Counter()
        speeds = Speeds(solver.progress.say)
        try:
            while True:
                while crew.free and (unit := again.popleft() if again else take()) is not None:
                    crew.give(task(solver, unit))
                if not crew.busy:
                    break
                for worker, unit, kind, what in crew.messages():
                    if kind == "say":
                        solver.progress.say(what[0], level=what[1])
                    elif kind == "advance":
                        solver.progress.advance(*what)
                    elif kind == "lost":
                        deaths[unit] += 1
                        if deaths[unit] < ATTEMPTS:
                            solver.progress.say(f"{worker} was lost ({what}): its work is done again")
                            again.append(unit)
                        else:
                            solver.lost(unit, f"{ATTEMPTS} workers were lost at it, the last one {what}")
                            yield unit
                    else:
                        error, seconds = what
                        if error is not None:
                            raise error
                        speeds.add(worker, unit, seconds)
                        yield unit
        finally:
            crew.close()
        speeds.close()


@dataclass
class _Worker:
    place: int
    process: subprocess.Popen[bytes]
    link: Connection[Any, Any]
    unit: Unit | None = None


class _Crew:
    """Workers, started as there is work for them."""

    def __init__(self, job: tuple[str, bytes], limit: int, device: str) -> None:
        self.job, self.limit, self.device = job, limit, device
        self.workers: list[_Worker] = []
        self._lost, self._any_ready = 0, False

    @property
    def busy(self) -> list[_Worker]:
        return [worker for worker in self.workers if worker.unit is not None]

    @property
    def free(self) -> bool:
        """Whether one more task can be given."""
        return len(self.busy) < self.limit

    def give(self, given: Task) -> None:
        """Hand a task to an idle worker, or to a new one."""
        idle = next((worker for worker in self.workers if worker.unit is None), None)
        worker = self._start() if idle is None else idle
        worker.unit = given.unit
        with suppress(OSError):  # it has died: `messages` will say so
            worker.link.send(given)

    def messages(self) -> Iterator[tuple[str, Unit, str, Any]]:
        """What workers say, once any does: worker, unit, kind, content.

        Raises:
            WorkerError: If workers die as they start.
        """
        busy = self.busy
        ready = wait([worker.link for worker in busy])
        for worker in [worker for worker in busy if worker.link in ready]:
            unit, name = worker.unit, f"worker {worker.place + 1}"
            assert unit is not None
            try:
                kind, what = worker.link.recv()
            except (EOFError, OSError):
                self.workers.remove(worker)
                how = _end(worker)
                self._lost += 1
                if not self._any_ready and self._lost >= ATTEMPTS:
                    raise WorkerError(f"workers end as they start: {how}", "try --executor serial") from None
                yield name, unit, "lost", how
                continue
            if kind == "ready":
                self._any_ready = True
                continue
            if kind == "ended":
                worker.unit = None
            yield name, unit, kind, what

    def close(self) -> None:
        """End all, now."""
        for worker in self.workers:
            worker.process.kill()
        for worker in self.workers:
            _end(worker)
        self.workers = []

    def _start(self) -> _Worker:
        taken = {worker.place for worker in self.workers}
        place = next(place for place in range(self.limit) if place not in taken)
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", WORKER, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=_environment(place, self.device),
                start_new_session=True,
            )
        worker = _Worker(place, process, Connection(ours.detach()))
        self.workers.append(worker)
        with suppress(OSError):
            worker.link.send(self.job)
        return worker


def _environment(place: int, device: str) -> dict[str, str]:
    """The caller's, with its import path, and one thread from the start: what torch sets up it does not take down."""
    return {
        **os.environ,
        **gpu_of(device, place, os.environ),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "OMP_NUM_THREADS": "1",
    }


def _end(worker: _Worker) -> str:
    """Wait for a worker to be gone, and say how it went."""
    worker.link.close()
    try:
        code = worker.process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        worker.process.kill()
        code = worker.process.wait()
    if code >= 0:
        return f"ended with code {code}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"


def default_workers(device: str) -> int:
    """One a core that this process may use; of an accelerator, one a GPU."""
    if device.startswith("cuda"):
        return max(1, torch.cuda.device_count()) if device == "cuda" else 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpu_of(device: str, place: int, environment: Mapping[str, str]) -> dict[str, str]:
    """What shows a worker its own GPU only, in turn, where the run is on ``cuda``."""
    if device != "cuda":
        return {}
    names = environment.get("CUDA_VISIBLE_DEVICES")
    all_of_them = range(max(1, torch.cuda.device_count()))
    visible = [str(index) for index in all_of_them] if names is None else [name for name in names.split(",") if name]
    return {"CUDA_VISIBLE_DEVICES": visible[place % len(visible)]} if visible else {}
