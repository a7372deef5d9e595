"""A large scene by tiles: peak memory, time, seams; and how far independent tiles are from coupled ones.

Run from the repository with ../shared/data/satellite. The Landsat 8 scene is mirrored to so many pixels, Landsat 7's
gaps are cut into it (22 %), and it is restored by the command line (``--quality draft``: 20 evaluations a sample) in a
process of its own, one thread.

    python benchmarks/scene.py 1024 2048          peak RSS and seconds a pixel: constant, and linear
    python benchmarks/scene.py 1024 --untiled     the same scene in memory too: jumps of the picture's own
    python benchmarks/scene.py 1024 --independent  by independent tiles too, and the distance
    python benchmarks/scene.py 10000 --dry-run    the estimate alone
    python benchmarks/scene.py 10000 --samples 1 --workers 2 --out DIR     all of it; the same command there goes on

Seams: mean absolute jump between the lines on both sides of tile borders, over that between all other neighbouring
lines. A grid of a few lines is a small sample of a picture, so beside it stands what grids at other places show (5 to
95 %), and the ratio to the four lines beside each border, which are of the same part of the picture (at 10,000 pixels
all column borders lie on one column of the scene, for its mirror images have 2,048): a seam is a ratio above those.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "satellite"
SCENE = DATA / "landsat8_224077_b432.tif"
STRIP = 256


def mirrored(path: Path, side: int) -> Path:
    """The scene continued by its mirror images to ``side`` x ``side`` pixels, with gaps; written in strips."""
    from inverse.operators.image.masks import slc_off

    with rasterio.open(SCENE) as file:
        whole, profile = file.read(), file.profile
    rows, columns = (np.pad(np.arange(size), (0, max(0, side - size)), "symmetric")[:side] for size in whole.shape[1:])
    profile |= {"height": side, "width": side, "bigtiff": "if_safer"}
    with rasterio.open(path, "w", **profile) as file:
        for top in range(0, side, STRIP):
            own = rows[top : top + STRIP]
            values = np.maximum(whole[:, own][:, :, columns], 1)
            file.write(
                np.where(slc_off((len(own), side), first=top), values, 0), window=((top, top + len(own)), (0, side))
            )
    return path


def restored(scene: Path, out: Path, tile: str, samples: int, *more: str) -> tuple[float, int]:
    """Restore it; CPU seconds and peak resident bytes."""
    settings = [
        *([] if "--max-evaluations" in more else ["--quality", "draft"]),
        "--samples",
        str(samples),
        "--threads",
        "1",
        "--progress",
        "off",
        "--keep",
        "samples,misfit,figure",
    ]
    command = [
        sys.executable,
        "-c",
        "from inverse.cli.main import main; main()",
        "restore",
        "cloud-gapfill",
        str(scene),
        "-o",
        str(out),
    ]
    process = subprocess.Popen([*command, "--tile", tile, *settings, *more])
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    return used.ru_utime + used.ru_stime, 1024 * used.ru_maxrss


def strips(path: Path) -> Iterator[NDArray[Any]]:
    """(C, rows, W) with one line of the next strip each; of a raster, or of the first sample in a ``posterior.h5``."""
    if path.suffix == ".h5":
        import h5py

        with h5py.File(path) as file:
            for top in range(0, file["samples"].shape[-2] - 1, STRIP):
                yield file["samples"][0, :, top : top + STRIP + 1]
        return
    with rasterio.open(path) as file:
        for top in range(0, file.height - 1, STRIP):
            stop = min(file.height, top + STRIP + 1)
            values = file.read(window=((top, stop), (0, file.width)), masked=True)
            yield values.astype(np.float64).filled(np.nan)


def jumps(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean absolute jump from each row, and from each column, to the next.

    NaN where the scene was mirrored, for the same pixel is on both sides.
    """
    down, across, count = [], 0.0, 0
    for strip in strips(path):
        down.append(np.nanmean(np.abs(np.diff(strip, axis=1)), (0, 2)))
        lines = np.abs(np.diff(strip[:, : STRIP if strip.shape[1] > STRIP else None], axis=2))
        across, count = across + np.nan_to_num(lines).sum((0, 1)), count + np.isfinite(lines).sum((0, 1))
    found = np.concatenate(down), across / np.maximum(count, 1)
    with rasterio.open(SCENE) as file:
        for line, period in zip(found, file.shape, strict=True):
            line[period - 1 :: period] = np.nan
    return found


def seam(path: Path, tile: int) -> tuple[float, float, float, float]:
    """The ratio at tile borders, its 5 and 95 % on grids elsewhere, and the ratio to the lines beside a border."""
    lines = jumps(path)

    def ratio(offset: int) -> float:
        on = [np.arange(offset + tile - 1, len(line), tile) for line in lines]
        at = np.concatenate([line[own] for line, own in zip(lines, on, strict=True)])
        off = np.concatenate([np.delete(line, own) for line, own in zip(lines, on, strict=True)])
        return float(np.nanmean(at) / np.nanmean(off))

    places = [np.arange(tile - 1, len(line) - 2, tile) for line in lines]
    border = np.concatenate([line[own] for line, own in zip(lines, places, strict=True)])
    near = [np.stack([line[own + step] for step in (-2, -1, 1, 2)]) for line, own in zip(lines, places, strict=True)]
    beside = np.concatenate(near, 1).mean(0)
    known = np.isfinite(border) & np.isfinite(beside)
    others = [ratio(-offset) for offset in range(1, tile - 1) if tile - offset > 1]
    low, high = (float(np.quantile(others, q)) for q in (0.05, 0.95))
    return ratio(0), low, high, float(border[known].sum() / beside[known].sum())


def distance(first: Path, second: Path) -> tuple[float, float]:
    """Root mean square difference of two restored rasters, and of what their standard deviations say there.

    The file's units.
    """
    total = spread = count = 0.0
    for a, b, s in zip(
        *(
            strips(run / name)
            for run, name in ((first, "restored/scene.tif"), (second, "restored/scene.tif"), (first, "std/scene.tif"))
        ),
        strict=True,
    ):
        known = np.isfinite(a) & np.isfinite(b)
        total, spread, count = total + ((a - b)[known] ** 2).sum(), spread + (s[known] ** 2).sum(), count + known.sum()
    return float(np.sqrt(total / count)), float(np.sqrt(spread / count))


def measured(
    side: int, folder: Path, tile: int, samples: int, shared: tuple[str, ...], *, independent: bool, untiled: bool
) -> None:
    """Print what is known of one size."""
    scene, out = mirrored(folder / "scene.tif", side), folder / "coupled"
    seconds, peak = restored(scene, out, str(tile), samples, *shared)
    pixels = samples * side**2
    print(
        f"{side} x {side}: peak {peak / 2**30:.2f} GiB, {seconds:.0f} s of CPU, {1e6 * seconds / pixels:.1f} us a "
        f"pixel and sample",
        flush=True,
    )
    if untiled:
        restored(scene, folder / "untiled", "off", samples)
    for name, path in (
        ("restored", "restored/scene.tif"),
        ("sample", "items/scene.tif/posterior.h5"),
        *([("std", "std/scene.tif")] if samples > 1 else []),
    ):
        at, low, high, near = seam(out / path, tile)
        print(
            f"  {name:9} jump at tile borders over elsewhere {at:.4f}; grids at other places {low:.3f} to "
            f"{high:.3f}; over the lines beside {near:.4f}"
            + (f"; without tiles {seam(folder / 'untiled' / path, tile)[0]:.4f}" if untiled else ""),
            flush=True,
        )
    if independent:
        seconds, peak = restored(scene, folder / "independent", "independent", samples)
        apart, spread = distance(out, folder / "independent")
        print(
            f"  independent tiles: {seconds:.0f} s of CPU; restored differs from coupled by {apart:.1f} (rms, "
            f"file's units), std is {spread:.1f}"
        )


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sides", nargs="+", type=int)
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument(
        "--workers", type=int, default=1, help="that share the tiles of a step; memory is that of the largest"
    )
    parser.add_argument(
        "--evaluations",
        type=int,
        default=20,
        help="of a sample; fewer show memory, time and seams sooner, not a restoration",
    )
    parser.add_argument("--independent", action="store_true")
    parser.add_argument("--untiled", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--out", type=Path, help="keep the runs there")
    given = parser.parse_args()
    shared = ("--executor", "processes", "--workers", str(given.workers)) if given.workers > 1 else ()
    shared += ("--max-evaluations", str(given.evaluations)) if given.evaluations != 20 else ()
    for side in given.sides:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) if given.out is None else given.out / str(side)
            folder.mkdir(parents=True, exist_ok=True)
            if given.dry_run:
                restored(
                    mirrored(folder / "scene.tif", side), folder / "out", str(given.tile), given.samples, "--dry-run"
                )
            else:
                measured(
                    side,
                    folder,
                    given.tile,
                    given.samples,
                    shared,
                    independent=given.independent,
                    untiled=given.untiled,
                )


if __name__ == "__main__":
    main()
