"""Denoising of the test photographs, files in and files out: the recipe `denoise` against BM3D.

    PYTHONPATH=... python benchmarks/denoise.py --work RUNS               whole pictures, hours
    python benchmarks/denoise.py --work RUNS --crop 160                   the middle 160 x 160 of each

BM3D (package bm3d, free for non-commercial use only, no dependency of this project) is told the noise level; so is the
recipe with ``--told``, else it estimates it. Measurements are 8-bit PNG files. PSNR of 8-bit results, CPU seconds of
the calls in one process and one thread, and the share of the truth in the 90 % intervals of the run.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image

import inverse
from inverse.runs.folder import RunFolder


@click.command()
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Where runs are kept.")
@click.option("--data", default="../shared/data/photo", type=click.Path(path_type=Path, exists=True))
@click.option("--level", "levels", type=float, multiple=True, default=(0.05, 0.1, 0.2), show_default=True)
@click.option("--crop", type=int, default=None, help="Side of the middle that is taken; default: all.")
@click.option("--limit", type=int, default=None, help="The first so many pictures.")
@click.option("--told", is_flag=True, help="Tell the recipe the level too.")
def main(work: Path, data: Path, levels: tuple[float, ...], crop: int | None, limit: int | None, told: bool) -> None:
    """Print a line a picture, and the means of each level."""
    import bm3d

    torch.set_num_threads(1)
    print(f"{'level':>5} {'picture':<16}{'noisy':>7}{'BM3D':>8}{'denoise':>8}{'CPU s':>11}{'denoise':>8}{'in 90 %':>8}")
    for level in levels:
        rows = []
        for path in sorted(data.glob("*.png"))[:limit]:
            truth = np.asarray(Image.open(path).convert("RGB"))
            if crop:
                top, left = ((side - crop) // 2 for side in truth.shape[:2])
                truth = truth[max(0, top) :][:crop, max(0, left) :][:, :crop]
            noisy = truth + 255 * level * np.random.default_rng(0).normal(size=truth.shape)
            measured = np.round(noisy.clip(0, 255)).astype(np.uint8)
            given, out = work / f"{path.stem}_{level}.png", work / f"{path.stem}_{level}_{crop}"
            work.mkdir(parents=True, exist_ok=True)
            Image.fromarray(measured).save(given)
            began = time.process_time()
            peer = np.round(255 * bm3d.bm3d_rgb(measured / 255, level).clip(0, 1))
            middle = time.process_time()
            if not (out / "items.csv").exists():
                inverse.restore("denoise", given, out=out, noise=level if told else "auto")
            took = time.process_time() - middle
            restored = np.asarray(Image.open(next((out / "restored").iterdir())))
            kept = RunFolder.open(out).kept(given.name)
            low, high = (np.moveaxis(kept.arrays["quantiles"][i], 0, -1) for i in (0, 2))
            inside = float(((truth / 255 >= low) & (truth / 255 <= high)).mean())
            scores = [
                -10 * np.log10(np.mean((image / 255.0 - truth / 255) ** 2)) for image in (measured, peer, restored)
            ]
            rows.append((*scores, middle - began, took, inside))
            print(_line(level, path.stem, rows[-1]), flush=True)
        print(_line(level, "mean", tuple(np.mean(rows, 0))), flush=True)


def _line(level: float, name: str, row: tuple[float, ...]) -> str:
    noisy, peer, ours, first, second, inside = row
    return f"{level:>5} {name:<16}{noisy:>7.2f}{peer:>8.2f}{ours:>8.2f}{first:>11.1f}{second:>8.1f}{inside:>8.3f}"


if __name__ == "__main__":
    main()
