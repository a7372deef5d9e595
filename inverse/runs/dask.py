"""Units on a Dask cluster: one of this machine, or any that `distributed` can reach.

    dask                    a cluster of this machine, one thread a worker process, on ``cuda`` one a GPU
    dask-threads            the same inside this process, one unit at a time: for tests
    dask://HOST:PORT        a scheduler that runs
    dask:SCHEDULER.json     the same, by its scheduler file

The scheduler gives the unit of a lost worker to another, and gives up after it has lost four
(``distributed.scheduler.allowed-failures``). All machines must see the run folder and the inputs under the same paths,
and have the same versions. A worker that was taken for lost but is still at a unit holds its claim: nobody does it
beside it.

Nothing is kept on workers, so that nothing is lost with one: the job (about 2 kB) goes with every task, for data that
were put on a worker that dies would take with them all tasks that need them; how a unit ended is told by an event, for
fetching results of a dead worker takes half a minute.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import pickle
import signal
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from inverse.errors import UsageError, WorkerError
from inverse.restoration.plan import Unit
from inverse.runs.processes import default_workers, gpu_of
from inverse.runs.progress import Speeds
from inverse.runs.unit import Solver
from inverse.runs.worker import Task, package, solve, task

__all__ = ["Dask"]

#: Units a scheduler knows of at a time: enough for it to see that more workers would help.
AHEAD = 1000
#: Seconds for which the file of a scheduler is waited for: it is often started in the line before.
WAIT = 30.0

PAUSE = 0.1


class Dask:
    """A Dask cluster.

    Args:
        name: ``dask``, ``dask-threads``, ``dask://HOST:PORT`` or ``dask:FILE``.
        workers: Of a cluster of this machine; None: one a core, or one a GPU.
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
        (name, job), speeds = package(solver), Speeds(solver.progress.say)
        news: SimpleQueue[Any] = SimpleQueue()  # what workers say, and keys of futures that are done
        with self._connected(solver) as client:
            client.subscribe_topic(name, lambda event: news.put(event[1]))
            under_way: dict[str, tuple[Unit, Any]] = {}
            try:
                while True:
                    while len(under_way) < AHEAD and (unit := take()) is not None:
                        key = f"{unit.name}-{'merge-' * unit.merge}{name}"
                        future = client.submit(
                            remote, key, name, job, task(solver, unit), key=key, pure=False, priority=int(unit.merge)
                        )
                        future.add_done_callback(lambda future: news.put(future.key))
                        under_way[key] = unit, future
                    if not under_way:
                        break
                    what = news.get()
                    told = isinstance(what, bytes)
                    ended = (
                        self._told(solver, what, under_way, speeds) if told else self._failed(solver, what, under_way)
                    )
                    if ended is not None:
                        yield ended
            finally:
                for _, future in under_way.values():
                    future.release()
                client.unsubscribe_topic(name)
        speeds.close()

    def _told(self, solver: Solver, told: bytes, under_way: dict[str, tuple[Unit, Any]], speeds: Speeds) -> Unit | None:
        """Pass on what a worker says of a unit; the unit, where it has ended."""
        key, worker, kind, what = pickle.loads(told)  # from the user's own cluster
        if key not in under_way:
            return None  # a worker that was taken for lost has ended it too
        unit = under_way[key][0]
        if kind == "say":
            solver.progress.say(what[0], level=what[1])
        elif kind == "advance":
            solver.progress.advance(*what)
        else:
            under_way.pop(key)[1].release()
            error, seconds = what
            if error is not None:
                raise error
            speeds.add(worker, unit, seconds)
            return unit
        return None

    def _failed(self, solver: Solver, key: str, under_way: dict[str, tuple[Unit, Any]]) -> Unit | None:
        """The unit of a future that has failed; None where a worker has told its end.

        Raises:
            WorkerError: If it did not fail by the death of its workers.
        """
        if key not in under_way or under_way[key][1].status in ("finished", "pending", "lost"):
            return None
        unit, future = under_way.pop(key)
        error = None if future.cancelled() else future.exception()
        if isinstance(error, _distributed().scheduler.KilledWorker):
            solver.lost(unit, f"{error.allowed_failures + 1} workers were lost at it")
            return unit
        if error is None:
            raise WorkerError(
                f"the Dask scheduler gave up {unit.item}", "see whether it still runs: the same command goes on"
            )
        raise WorkerError(
            f"a Dask worker failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}",
            "workers need this package in the same version, and the same folders",
        ) from error

    @contextmanager
    def _connected(self, solver: Solver) -> Iterator[Any]:
        """A client, its cluster with it where it is ours; both gone at once where the run is interrupted."""
        if self.client is not None:
            yield self.client
            return
        distributed, say = _distributed(), solver.progress.say
        if self.name not in ("dask", "dask-threads"):
            where = self.name.removeprefix("dask:")
            if not where.startswith("//"):
                _await_file(Path(where), say)
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
        device, processes = solver.job.terms.device, self.name == "dask"
        count = self.workers or (default_workers(device) if processes or not device.startswith("cuda") else 1)
        cluster = _local(count, processes=processes, device=device)
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


def remote(key: str, name: str, job: bytes, given: Task) -> None:
    """A unit, on a worker.

    What is said, and how it ended, goes by the scheduler at once: a result would stay on the worker, and go with it.
    """
    worker = _distributed().get_worker()

    def tell(kind: str, what: Any) -> None:
        worker.log_event(name, pickle.dumps((key, f"worker {worker.name}", kind, what)))

    tell("ended", solve(name, job, given, tell))


def _distributed() -> Any:
    """The package, which is optional and has no types."""
    return importlib.import_module("distributed")


def _await_file(path: Path, say: Callable[[str], None]) -> None:
    """Wait for the file of a scheduler that was started just now; distributed would wait for ever.

    Raises:
        WorkerError: If it does not come.
    """
    end = time.monotonic() + WAIT
    if not path.is_file():
        say(f"waiting for {path}")
    while not path.is_file():
        if time.monotonic() >= end:
            raise WorkerError(
                f"no Dask scheduler at {path}: there is no such file",
                f"start one with 'dask scheduler --scheduler-file {path}', then 'dask worker'",
            )
        time.sleep(PAUSE)


def _local(count: int, *, processes: bool, device: str = "cpu") -> Any:
    """A cluster of this machine; on ``cuda`` each worker process has its own GPU.

    Memory is not limited: what torch holds is not what Dask counts.
    """
    distributed, shown = _distributed(), {"dashboard_address": "127.0.0.1:0"}
    worker = {"memory_limit": 0, "silence_logs": logging.CRITICAL}
    own = [gpu_of(device, place, os.environ) for place in range(count)]
    try:
        if not processes or not any(own):
            return distributed.LocalCluster(
                n_workers=count, processes=processes, threads_per_worker=1, **shown, **worker
            )
        local = {"host": "127.0.0.1"}
        options = [{**worker, **local, "nthreads": 1, "env": gpu} for gpu in own]
        return distributed.SpecCluster(
            scheduler={"cls": distributed.Scheduler, "options": {**local, "port": 0, "dashboard": True, **shown}},
            workers={place: {"cls": distributed.Nanny, "options": named} for place, named in enumerate(options)},
            silence_logs=logging.CRITICAL,
        )
    except RuntimeError as error:
        raise WorkerError(
            f"Dask workers end as they start: {error}", "run the same command again: it goes on"
        ) from error


def _kill(cluster: Any) -> None:
    """Its worker processes, without waiting for what they do."""
    for nanny in cluster.workers.values():
        process = getattr(getattr(nanny, "process", None), "process", None)
        if process is not None and process.pid:
            with suppress(OSError):
                os.kill(process.pid, signal.SIGKILL)
