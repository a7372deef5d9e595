"""How a run scales: two workers beside one, what the machinery costs beside the network, and a thousand tiny items.

    python benchmarks/scaling.py [--photos ../shared/data/photo] [--count 64] [--side 128] [--items 1000] [--recipe deblur]

All single-threaded, by the calls that the command makes. Crops of real photographs, four samples each:

* one run with one worker, one with two: seconds from start to end, starting the workers among them, and their ratio;
* the same items in this process: seconds of the run, of sampling, and inside the network, whose calls are timed;
* a thousand pictures of 16 x 16 pixels with an exact prior: seconds beside the sampling, seconds to find that all is done, and the report's page.

The load of the machine is printed beside the seconds: on a busy one the ratio says little.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from inverse.priors.open import NetworkPrior
from inverse.run import Options, Run, restore

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
    """A run in this process, whose network is timed."""
    call, inside = NetworkPrior.__call__, [0.0]

    def clocked(self: NetworkPrior, *arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        estimate = call(self, *arguments, **named)
        inside[0] += time.perf_counter() - began
        return estimate

    NetworkPrior.__call__ = clocked  # type: ignore[method-assign]
    timed(recipe, next(iter(sorted(photos.iterdir()))), folder / "warm")  # imports
    inside[0] = 0.0
    whole, done = timed(recipe, photos, folder / "serial")
    NetworkPrior.__call__ = call  # type: ignore[method-assign]
    drawn, network = sampling(done), inside[0]
    print(f"serial: {whole:.1f} s, sampling {drawn:.1f} s, network {network:.1f} s; {load()}")
    print(
        f"beside the sampling {(whole - drawn) / network:.1%} of the network's time, with the sampler {(whole - network) / network:.1%}",
        flush=True,
    )


def thousand(items: int, folder: Path) -> None:
    """So many tiny pictures."""
    from inverse.report import write_report

    (folder / "tiny").mkdir()
    for index in range(items):
        values = np.random.default_rng(index).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(values).save(folder / f"tiny/{index:05d}.png")
    keep = {"keep": "samples,mean,std"}
    timed(TINY, folder / "tiny/00000.png", folder / "warm-tiny", **keep)
    whole, done = timed(TINY, folder / "tiny", folder / "thousand", **keep)
    again, _ = timed(TINY, folder / "tiny", folder / "thousand", **keep)
    began = time.perf_counter()
    page = write_report(folder / "thousand")
    paged = time.perf_counter() - began
    drawn = sampling(done)
    print(f"{items} tiny items: {whole:.1f} s, sampling {drawn:.1f} s, beside it {whole - drawn:.1f} s; {load()}")
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
