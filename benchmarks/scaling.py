"""How a run scales: two workers beside one, what the machinery costs beside the network, and a thousand tiny items.

    python benchmarks/scaling.py [--photos ../shared/data/photo] [--count 64] [--side 128]
        [--items 1000] [--recipe deblur]

All single-threaded, by the calls that the command makes. Crops of real photographs, four samples each:

* one run with one worker, one with two: seconds from start to end, starting the workers among them, and their ratio;
* some of the items in this process: seconds inside the network, the solver, the evidence, files, and what is none of
  these, the machinery;
* a thousand pictures of 16 x 16 pixels with an exact prior: seconds beside the sampling, what of them is not work on an
  item (reading, evidence, files), seconds to find that all is done, and the report's page.

The load of the machine is printed beside the seconds: on a busy one the ratio says little.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from inverse.priors.open import NetworkPrior
from inverse.runs import unit
from inverse.runs.run import Options, Run, restore
from inverse.runs.unit import Solver

TINY = {
    "operator": {"kind": "denoise"},
    "noise": {"sigma": 0.1},
    "prior": {"name": "gaussian"},
    "method": {"kind": "diffpir", "steps": 2},
    "run": {"samples": 2},
    "metrics": [],
}


def crops(source: Path, target: Path, count: int, side: int) -> None:
    """Crops of photographs, evenly taken."""
    target.mkdir(parents=True)
    names = sorted(source.glob("*.png"))
    for index in range(count):
        picture = Image.open(names[index % len(names)]).convert("RGB")
        left, top = 32 * (index // len(names)), 32
        picture.crop((left, top, left + side, top + side)).save(target / f"{index:04d}.png")


def timed(recipe: Any, inputs: Path, out: Path, **options: Any) -> tuple[float, Run]:
    """Seconds of a run, start to end."""
    began = time.perf_counter()
    done = restore(recipe, inputs, out=out, options=Options(progress="off", threads=1, **options))
    assert done.exit_code == 0
    return time.perf_counter() - began, done


def sampling(run: Run) -> float:
    """Seconds that were spent in drawing samples."""
    return float(sum(row["seconds"] for row in run.rows))


def load() -> str:
    """How busy the machine is."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def two_beside_one(recipe: str, photos: Path, folder: Path) -> None:
    """A run with one worker, and with two."""
    spent = {}
    for workers in (1, 2):
        spent[workers], done = timed(
            recipe, photos, folder / f"workers{workers}", executor="processes", workers=workers
        )
        print(
            f"{workers} workers: {spent[workers]:.1f} s, sampling {sampling(done):.1f} s in all; {load()}", flush=True
        )
    print(f"one worker / two workers: {spent[1] / spent[2]:.2f}", flush=True)


def machinery(recipe: str, photos: Path, folder: Path) -> None:
    """A run in this process, of which the parts are timed; the machinery is what is none of them.

    Plan, claims, hashes, markers, tables.
    """
    parts = {
        "network": [(NetworkPrior, "__call__")],
        "reading and preparing": [(Solver, "_open")],
        "sampling": [(unit, "solve")],
        "evidence": [(unit, "statistics"), (unit, "describe")],
        "figures and files": [(unit, "write_item")],
    }
    timed(recipe, next(iter(sorted(photos.iterdir()))), folder / "warm")  # imports
    with ExitStack() as stack:
        spent = {name: stack.enter_context(clocked(calls)) for name, calls in parts.items()}
        whole, _ = timed(recipe, photos, folder / "serial")
    network = spent.pop("network")[0]
    print(f"serial, {recipe}: {whole:.1f} s, network {network:.1f} s; {load()}; beside the network, in its time:")
    spent["sampling"][0] -= network
    for name, seconds in spent.items():
        print(f"    {name} {seconds[0] / network:.1%}")
    rest = whole - network - sum(seconds[0] for seconds in spent.values())
    print(f"    machinery {rest / network:.2%}, {1000 * rest / len(list(photos.iterdir())):.1f} ms an item", flush=True)


@contextmanager
def clocked(calls: list[tuple[Any, str]]) -> Iterator[list[float]]:
    """Seconds spent inside functions, not counted twice where one calls another."""
    total, depth = [0.0], [0]

    def timing(call: Any) -> Any:
        def own(*arguments: Any, **named: Any) -> Any:
            depth[0] += 1
            began = time.perf_counter()
            try:
                return call(*arguments, **named)
            finally:
                depth[0] -= 1
                total[0] += 0.0 if depth[0] else time.perf_counter() - began

        return own

    known = [(place, name, getattr(place, name)) for place, name in calls]
    for place, name, call in known:
        setattr(place, name, timing(call))
    try:
        yield total
    finally:
        for place, name, call in known:
            setattr(place, name, call)


def thousand(items: int, folder: Path) -> None:
    """So many tiny pictures."""
    from inverse.report.page import write_report

    (folder / "tiny").mkdir()
    for index in range(items):
        values = np.random.default_rng(index).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(values).save(folder / f"tiny/{index:05d}.png")
    keep = {"keep": "samples,mean,std"}
    timed(TINY, folder / "tiny/00000.png", folder / "warm-tiny", **keep)
    with clocked([(Solver, "__call__")]) as units:
        whole, done = timed(TINY, folder / "tiny", folder / "thousand", **keep)
    again, _ = timed(TINY, folder / "tiny", folder / "thousand", **keep)
    began = time.perf_counter()
    page = write_report(folder / "thousand")
    paged = time.perf_counter() - began
    drawn = sampling(done)
    print(f"{items} tiny items: {whole:.1f} s, sampling {drawn:.1f} s, beside it {whole - drawn:.1f} s; {load()}")
    print(f"of that start-up, manifest, merge and tables, all that is not done item by item: {whole - units[0]:.1f} s")
    print(f"the same command when all is done: {again:.1f} s")
    print(f"the report: {paged:.1f} s, {page.stat().st_size / 1e6:.1f} MB", flush=True)


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=Path(__file__).parents[2] / "shared/data/photo")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--recipe", default="deblur")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="scaling-"))
    if given.count:
        crops(given.photos, folder / "photos", given.count, given.side)
        two_beside_one(given.recipe, folder / "photos", folder)
        crops(given.photos, folder / "few", min(16, given.count), given.side)
        machinery(given.recipe, folder / "few", folder)
    if given.items:
        thousand(given.items, folder)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
