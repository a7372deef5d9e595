"""A run of processes that is killed again and again ends with the bytes of one that was not."""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch
from test_executors import CONTEXT, FLAGS, RECIPE, picture

from inverse.runs import processes as executor_processes
from inverse.runs.run import Options, restore
from inverse.runs.worker import main as serve


def forked(crew: Any) -> Any:
    """`_Crew._start` without the seconds in which a fresh interpreter imports torch."""
    place = min({*range(crew.limit)} - {worker.place for worker in crew.workers})
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        ours.close()
        sys.argv = ["worker", str(theirs.fileno())]
        serve()
    theirs.close()
    found = executor_processes._Worker(place, Forked(pid), Connection(ours.detach()))
    crew.workers.append(found)
    found.link.send(crew.job)
    return found


class Forked:
    """Of `subprocess.Popen` what a crew calls."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def many(pictures: Path, out: Path, executor: str) -> None:
    """A run of all pictures, in a process that has imported the package."""
    torch.set_num_threads(1)
    executor_processes._Crew._start = forked
    workers = {"workers": 2} if executor == "processes" else {}
    options = Options(**{**FLAGS, "batch": 1, "keep": "samples,mean,std,misfit"}, executor=executor, **workers)
    restore({**RECIPE, "run": {"samples": 2, "seed": 3}}, pictures, out=out, options=options)


def left_by(out: Path) -> dict[str, bytes]:
    """The files of a result, and every data set of its HDF5 files."""
    found = {}
    for path in (path for name in ("restored", "std", "items") for path in (out / name).rglob("*") if path.is_file()):
        name = path.relative_to(out).as_posix()
        if path.suffix == ".h5":
            with h5py.File(path) as file:
                found |= {f"{name}/{key}": file[key][()].tobytes() for key in file}
        else:
            found[name] = path.read_bytes()
    assert not [*out.rglob("*.part*"), *(out / ".inverse/parts").glob("*"), *(out / ".inverse/claims").glob("*")]
    return found


@pytest.mark.slow
def test_killed_twenty_times_at_random_moments_and_resumed(tmp_path: Path) -> None:
    """A run is killed after random times, longer each time so that it ends on any machine.

    Then another one, until there were twenty kills.
    """
    for seed in range(20):
        picture(tmp_path / f"in/{seed}.png", seed, side=16)
    for name, executor in (("serial", "serial"), ("calm", "processes")):
        started = time.monotonic()
        process = CONTEXT.Process(target=many, args=(tmp_path / "in", tmp_path / name, executor))
        process.start()
        process.join()
        whole = time.monotonic() - started
        assert process.exitcode == 0
    undisturbed, generator, kills, ended = left_by(tmp_path / "serial"), random.Random(8), 0, 0
    assert len(undisturbed) == 20 * (2 + 4)
    assert left_by(tmp_path / "calm") == undisturbed
    while kills < 20:
        out, times = tmp_path / f"killed-{ended}", 0
        while True:
            process = CONTEXT.Process(target=many, args=(tmp_path / "in", out, "processes"))
            process.start()
            while not times and process.exitcode is None and not any((out / ".inverse").glob("done/*.json")):
                process.join(0.001)  # the first as soon as there is something to lose
            process.join(generator.uniform(0.05, 0.25) * whole * times)
            if process.exitcode is not None:
                break
            process.kill()
            process.join()
            times += 1
        assert process.exitcode == 0
        assert times > 0
        assert left_by(out) == undisturbed
        kills, ended = kills + times, ended + 1
