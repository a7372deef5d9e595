"""Runs killed again and again, in every executor: is the result the one of a run that was left alone?

    python benchmarks/chaos.py [--kills 200] [--items 8] [--executors serial,processes,dask] [--seed 0]

The kills are shared among the executors. Each is a SIGKILL at a random moment: of the whole run, which is then started
again, or of one of its two workers, with which the run goes on. One moment in six is taken of the start of a run, the
others while it is at its units. A run that has ended is compared with a serial one that nobody killed, byte for byte
(restored, std, posterior.h5), and the next one starts from nothing.

Runs are forked from a server that has imported everything; workers are started as ever. Prints one row an executor:
kills of runs and of workers, runs started, complete results, those that were identical, results with a unit that was
given up because its workers died each time (the same command does it then), and workers that outlived a killed run by
ten seconds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

RECIPE = {
    "operator": {"kind": "denoise"},
    "noise": {"sigma": 0.1},
    "prior": {"name": "gaussian"},
    "method": {"kind": "diffpir", "steps": 6},
    "run": {"samples": 6, "seed": 3},
}
MARK = "INVERSE_CHAOS"
CONTEXT = multiprocessing.get_context("forkserver")
PRELOADED = [
    "inverse.sampling.posterior_samples",
    "inverse.runs.run",
    "inverse.operators.build",
    "inverse.io.formats.tiff",
    "h5py",
    "distributed",
]


def work(folder: Path, out: Path, executor: str, mark: str) -> None:
    """One run, in a process of its own."""
    from inverse.runs.run import Options, restore

    os.environ[MARK] = mark  # so that its workers are known for its own
    options = Options(
        progress="off",
        batch=2,
        threads=1,
        keep="samples,mean,std,quantiles,misfit",
        executor=executor,
        workers=None if executor == "serial" else 2,
    )
    raise SystemExit(restore(RECIPE, folder / "in", out=out, options=options).exit_code)


def start(*arguments: Any) -> Any:
    process = CONTEXT.Process(target=work, args=arguments)
    process.start()
    return process


def contents(out: Path) -> dict[str, bytes]:
    names = [path for part in ("restored", "std", "items") for path in (out / part).rglob("*") if path.is_file()]
    left = [*out.rglob("*.part*"), *(out / ".inverse/parts").glob("*"), *(out / ".inverse/claims").glob("*")]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in [*names, *left]}


def workers(mark: str) -> list[int]:
    """The processes that were started by the runs of this mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            own = f"{MARK}={mark}".encode() in (path / "environ").read_bytes().split(b"\0")
            if own and b"resource_tracker" not in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue  # it has ended
    return found


def until(true: Callable[[], Any], seconds: float) -> bool:
    """Whether something comes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.01)
    return False


def markers(out: Path) -> set[str]:
    return {path.name for part in ("done", "claims") for path in (out / ".inverse" / part).glob("*")}


def stirs(process: Any, out: Path, before: set[str]) -> bool:
    """Whether a run has come to its units, or has ended."""
    return bool(markers(out) - before) or process.exitcode is not None


def torture(folder: Path, executor: str, kills: int, whole: dict[str, bytes], calm: float, seed: int) -> Counter[str]:
    """Kill runs of an executor until there were so many kills, and let the last one end."""
    dice, out, mark, said = random.Random(f"{executor}{seed}"), folder / executor, executor, Counter[str]()
    process, before = None, set[str]()
    while True:
        if process is None:
            before, process = markers(out), start(folder, out, executor, mark)
            said["runs"] += 1
        ending = said["kills"] >= kills
        if not ending and dice.random() > 1 / 6:  # at work: something new is being done, or is done
            until(partial(stirs, process, out, before), 120)
        process.join(None if ending else dice.uniform(0, calm))
        if process.exitcode is not None:
            code, process = process.exitcode, None
            if code == 0:
                said["complete"] += 1
                said["identical"] += contents(out) == whole
                shutil.rmtree(out)
                if ending:
                    return said
            elif code == 1:
                said["given up"] += 1
            else:
                raise SystemExit(f"{executor}: a run ended with code {code}")
            continue
        crew = workers(mark)
        before = markers(out)
        said["kills"] += 1
        if crew and dice.random() < 0.5:
            said["of workers"] += 1
            try:
                os.kill(dice.choice(crew), signal.SIGKILL)
            except ProcessLookupError:
                said["kills"] -= 1
                said["of workers"] -= 1
            continue
        process.kill()
        process.join()
        process = None
        if not until(lambda: not workers(mark), 10):
            said["orphans"] += len(workers(mark))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="of all executors together")
    parser.add_argument("--items", type=int, default=8)
    parser.add_argument("--executors", default="serial,processes,dask")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    CONTEXT.set_forkserver_preload(PRELOADED)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    (folder / "in").mkdir()
    for index in range(given.items):
        values = np.random.default_rng(index).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(values).save(folder / f"in/{index}.png")
    start(folder, folder / "warm", "serial", "warm").join()
    began = time.monotonic()
    process = start(folder, folder / "whole", "serial", "whole")
    process.join()
    whole, calm = contents(folder / "whole"), time.monotonic() - began
    print(
        json.dumps(
            {"items": given.items, "files": len(whole), "calm run": round(calm, 2), "at": time.strftime("%H:%M:%S")}
        ),
        flush=True,
    )
    print("executor   kills  of workers  runs  complete  identical  given up  orphans  seconds", flush=True)
    executors = given.executors.split(",")
    for index, executor in enumerate(executors):
        kills = given.kills // len(executors) + (index < given.kills % len(executors))
        began = time.monotonic()
        said = torture(folder, executor, kills, whole, calm / 2, given.seed)
        row = [said[name] for name in ("kills", "of workers", "runs", "complete", "identical", "given up", "orphans")]
        print(
            "{:10s} {:5d}  {:10d}  {:4d}  {:8d}  {:9d}  {:8d}  {:7d}".format(executor, *row),
            f" {time.monotonic() - began:.0f}",
            flush=True,
        )
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
