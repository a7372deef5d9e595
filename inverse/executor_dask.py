"""Units on a Dask cluster: one of this machine, or any that `distributed` can reach.

    dask                    a cluster of this machine, one thread a worker process
    dask-threads            the same inside this process, one unit at a time: for tests
    dask://HOST:PORT        a scheduler that runs
    dask:SCHEDULER.json     the same, by its scheduler file

The scheduler gives the unit of a lost worker to another, and gives up after it has lost four (``distributed.scheduler.allowed-failures``). All machines
must see the run folder and the inputs under the same paths, and have the same versions. A worker that was taken for lost but is still at a unit
holds its claim: nobody does it beside it.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from inverse.errors import UsageError, WorkerError
from inverse.executor_processes import default_workers
from inverse.executors import Speeds
from inverse.plan import Unit
from inverse.worker import Task, package, solve, task

if TYPE_CHECKING:
    from inverse.solve import Solver

__all__ = ["Dask"]

AHEAD = 1000
"""Units a scheduler knows of at a time: enough for it to see that more workers would help."""


class Dask:
    """A Dask cluster.

    Args:
        name: ``dask``, ``dask-threads``, ``dask://HOST:PORT`` or ``dask:FILE``.
        workers: Of a cluster of this machine; None: one a core; on a GPU one.
        client: A client to use, and to leave open; `name` and `workers` are not looked at then.

    Raises:
        UsageError: If the package distributed is not installed.
    """

    threads: int | None = 1

    def __init__(self, name: str = "dask", workers: int | None = None, *, client: Any = None) -> None:
        if importlib.util.find_spec("distributed") is None:
            raise UsageError(f"the executor '{name}' needs distributed", "pip install 'inverse-imaging[cluster]'")
        self.name, self.workers, self.client = name, workers, client

    def map(self, solver: Solver, take: Callable[[], Unit | None]) -> Generator[Unit, None, None]:
        """Solve every unit; they end in any order.

        Raises:
            WorkerError: If the cluster cannot be reached, or cannot run this package.
        """
        job, speeds = package(solver), Speeds(solver.progress.say)
        with self._connected(solver) as client:
            shared = client.scatter(job[1], broadcast=False, hash=False, direct=False)
            under_way: dict[Any, Unit] = {}
            ended = _distributed().as_completed()
            while True:
                while len(under_way) < AHEAD and (unit := take()) is not None:
                    future = client.submit(
                        remote, job[0], shared, task(solver, unit),
                        key=f"{unit.name}-{'merge-' * unit.merge}{job[0]}", pure=False, priority=int(unit.merge),
                    )  # fmt: skip
                    under_way[future] = unit
                    ended.add(future)
                if not under_way:
                    break
                future = next(ended)
                unit = under_way.pop(future)
                self._ended(solver, unit, future, speeds)
                yield unit
        speeds.close()

    def _ended(self, solver: Solver, unit: Unit, future: Any, speeds: Speeds) -> None:
        from distributed.scheduler import KilledWorker

        try:
            worker, said, done, error, seconds = future.result()
        except KilledWorker as killed:
            solver.lost(unit, f"{killed.allowed_failures + 1} workers were lost at it")
            return
        except Exception as failed:
            text = " ".join(str(failed).split())[:200]
            raise WorkerError(
                f"a Dask worker failed: {type(failed).__name__}: {text}",
                "workers need this package in the same version, and the same folders",
            ) from failed
        for line, level in said:
            solver.progress.say(line, level=level)
        solver.progress.advance(unit.item, done)
        if error is not None:
            raise error
        speeds.add(worker, unit, seconds)

    @contextmanager
    def _connected(self, solver: Solver) -> Iterator[Any]:
        """A client, its cluster with it where it is ours; both gone at once where the run is interrupted."""
        if self.client is not None:
            yield self.client
            return
        distributed, say = _distributed(), solver.progress.say
        if self.name not in ("dask", "dask-threads"):
            where = self.name.removeprefix("dask:")
            try:
                client = (
                    distributed.Client(f"tcp:{where}", timeout=10)
                    if where.startswith("//")
                    else distributed.Client(scheduler_file=where, timeout=10)
                )
            except (OSError, ValueError) as error:
                raise WorkerError(
                    f"no Dask scheduler at {where}: {error}", "start one with 'dask scheduler', then 'dask worker'"
                ) from error
            say(f"Dask scheduler with {len(client.nthreads())} workers, dashboard {client.dashboard_link}")
            with client:
                yield client
            return
        device = solver.plan.terms.device  # workers of a local cluster would all take the first GPU
        count = self.workers or (1 if device.startswith("cuda") else default_workers(device))
        cluster = _local(count, processes=self.name == "dask")
        client = distributed.Client(cluster)
        say(f"Dask cluster of {count} workers, dashboard {client.dashboard_link}")
        try:
            yield client
        except BaseException:
            _kill(cluster)
            raise
        finally:
            with suppress(Exception):
                client.close(timeout=1)
            with suppress(Exception):
                cluster.close(timeout=1)


def remote(name: str, job: bytes, given: Task) -> tuple[str, list[tuple[str, int]], float, Exception | None, float]:
    """A unit, on a worker: its name, what was said, samples made, the error that ends the run, seconds."""
    from distributed import get_worker

    said: list[tuple[str, int]] = []
    made: list[float] = []

    def tell(kind: str, what: Any) -> None:
        if kind == "say":
            said.append(what)
        else:
            made.append(what[1])

    error, seconds = solve(name, job, given, tell)
    return f"worker {get_worker().name}", said, sum(made), error, seconds


def _distributed() -> Any:
    """The package, which is optional and has no types."""
    return importlib.import_module("distributed")


def _local(count: int, *, processes: bool) -> Any:
    """A cluster of this machine. Memory is not limited: what torch holds is not what Dask counts."""
    settings = {
        "threads_per_worker": 1,
        "memory_limit": 0,
        "dashboard_address": "127.0.0.1:0",
        "silence_logs": logging.CRITICAL,
    }
    return _distributed().LocalCluster(n_workers=count, processes=processes, **settings)


def _kill(cluster: Any) -> None:
    """Its worker processes, without waiting for what they do."""
    for nanny in cluster.workers.values():
        process = getattr(getattr(nanny, "process", None), "process", None)
        if process is not None and process.pid:
            with suppress(OSError):
                os.kill(process.pid, signal.SIGKILL)
