"""Recipes against the strongest classical method a user would pick, on the test photographs, files in and files out.

    PYTHONPATH=... python benchmarks/classical.py --work RUNS --task denoise           whole pictures, hours
    python benchmarks/classical.py --work RUNS --task low-light --crop 160             the middle 160 x 160 of each

Peers are packages that are no dependency of this project: bm3d (free for non-commercial use only), and for demosaicking
colour-demosaicing. They are told the noise, and where they have a parameter it is the best by the truth; the recipes
estimate it, but for demosaicking (told) and with ``--told``. Tasks:

* denoise: Gaussian noise of each ``--level``, 8-bit files; BM3D;
* low-light: a tenth of the light, 100 photons at white, electronics 0.002, 8-bit files; the generalised Anscombe
  transform, BM3D and the exact unbiased inverse;
* demosaic: RGGB, noise 0.01, 16-bit files; Menon (2007), then BM3D at the best of three levels;
* inpaint: 70 % of the pixels missing by a mask of the user's, noise 0.02, 8-bit files; biharmonic interpolation, then
  BM3D at the best of three levels.

PSNR of 8-bit results, CPU seconds of the calls in one process and one thread, and the share of the truth in the 90 %
intervals of the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.restoration import inpaint_biharmonic

import inverse
from inverse.operators.noise.stabilise import Stabilised
from inverse.runs.folder import RunFolder

Array = NDArray[np.float64]
GAIN, ELECTRONICS, EXPOSURE = 0.001, 0.002, 0.1
MOSAIC, INPAINT = 0.01, 0.02


@dataclass(frozen=True)
class Task:
    """A recipe's measurement of (H, W, 3) in [0, 1] at a level, its bits, and what the peers make of it."""

    measure: Callable[[Array, float, np.random.Generator, Path], tuple[Array, list[str]]]
    peer: Callable[[Array, float, Path], Sequence[Array]]
    levels: tuple[float, ...]
    bits: int = 8


def _noisy(truth: Array, level: float, rng: np.random.Generator, mask: Path) -> tuple[Array, list[str]]:
    return truth + level * rng.normal(size=truth.shape), []


def _bm3d(image: Array, level: float) -> Array:
    import bm3d

    return np.asarray(bm3d.bm3d_rgb(image, level))


def _dark(truth: Array, level: float, rng: np.random.Generator, mask: Path) -> tuple[Array, list[str]]:
    photons = rng.poisson(EXPOSURE * truth / level) * level
    return photons + ELECTRONICS * rng.normal(size=truth.shape), [f"operator.exposure={EXPOSURE}"]


def _stabilised(image: Array, level: float, mask: Path) -> Sequence[Array]:
    one = torch.ones(1, dtype=torch.float64)
    stabilised = Stabilised(level, ELECTRONICS**2, EXPOSURE, one, clipped=bool(image.min() == 0))
    state = stabilised.state(torch.from_numpy(image)).numpy()
    return [stabilised.image(torch.from_numpy(_bm3d(state, stabilised.sigma))).numpy()]


def _mosaic(truth: Array, level: float, rng: np.random.Generator, mask: Path) -> tuple[Array, list[str]]:
    plane = np.empty(truth.shape[:2])
    for row, column, colour in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        plane[row::2, column::2] = truth[row::2, column::2, colour]
    return plane + level * rng.normal(size=plane.shape), ["operator.pattern=RGGB", f"noise.sigma={level}"]


def _menon(image: Array, level: float, mask: Path) -> Sequence[Array]:
    from colour_demosaicing import demosaicing_CFA_Bayer_Menon2007

    colours = np.asarray(demosaicing_CFA_Bayer_Menon2007(image, "RGGB"))
    return [colours, *(_bm3d(colours, factor * level) for factor in (0.8, 1.0, 1.5))]


def _holes(truth: Array, level: float, rng: np.random.Generator, mask: Path) -> tuple[Array, list[str]]:
    kept = rng.random(truth.shape[:2]) > 0.7
    Image.fromarray(np.where(kept, 255, 0).astype(np.uint8)).save(mask)
    return (truth + level * rng.normal(size=truth.shape)) * kept[..., None], [
        f"operator={{kind: file-mask, file: {mask}}}"
    ]


def _biharmonic(image: Array, level: float, mask: Path) -> Sequence[Array]:
    missing = np.asarray(Image.open(mask)) == 0
    filled = np.asarray(inpaint_biharmonic(image, missing, channel_axis=-1))
    return [filled, *(_bm3d(filled, factor * level) for factor in (0.5, 1.0, 2.0))]


TASKS = {
    "denoise": Task(_noisy, lambda image, level, mask: [_bm3d(image, level)], (0.05, 0.1, 0.2)),
    "low-light": Task(_dark, _stabilised, (GAIN,)),
    "demosaic": Task(_mosaic, _menon, (MOSAIC,), bits=16),
    "inpaint": Task(_holes, _biharmonic, (INPAINT,)),
}


@click.command()
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Where runs are kept.")
@click.option("--data", default="../shared/data/photo", type=click.Path(path_type=Path, exists=True))
@click.option("--task", type=click.Choice(list(TASKS)), default="denoise", show_default=True)
@click.option("--level", "levels", type=float, multiple=True, help="Of the noise; default: the task's.")
@click.option("--crop", type=int, default=None, help="Side of the middle that is taken, even; default: all.")
@click.option("--every", type=int, default=1, show_default=True, help="Every so many pictures.")
@click.option("--told", is_flag=True, help="Tell the recipe the level of Gaussian noise too.")
def main(
    work: Path, data: Path, task: str, levels: tuple[float, ...], crop: int | None, every: int, told: bool
) -> None:
    """Print a line a picture, and the means of each level."""
    torch.set_num_threads(1)
    work.mkdir(parents=True, exist_ok=True)
    print(f"{'level':>5} {'picture':<16}{'peer':>8}{task:>11}{'CPU s':>9}{task:>11}{'in 90 %':>9}")
    chosen = TASKS[task]
    for level in levels or chosen.levels:
        rows = []
        for path in sorted(data.glob("*.png"))[::every]:
            picture = _middle(np.asarray(Image.open(path).convert("RGB")), crop) / 255
            rows.append(_row(work / f"{task}_{path.stem}_{level}_{crop}", picture, task, level, told=told))
            print(_line(level, path.stem, rows[-1]), flush=True)
        print(_line(level, "mean", tuple(np.mean(rows, 0))), flush=True)


def _middle(image: NDArray[np.uint8], crop: int | None) -> NDArray[np.uint8]:
    """The middle of a picture, its sides even."""
    height, width = (min(side, crop or side) // 2 * 2 for side in image.shape[:2])
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def _row(place: Path, truth: Array, task: str, level: float, *, told: bool) -> tuple[float, ...]:
    """PSNR of the peer at its best and of the recipe, CPU seconds of both, share inside."""
    chosen, mask, given = TASKS[task], place.with_name(f"{place.name}-mask.png"), place.with_name(f"{place.name}.png")
    measured, overrides = chosen.measure(truth, level, np.random.default_rng(0), mask)
    top = 2**chosen.bits - 1
    stored = np.round(top * measured.clip(0, 1)).astype(np.uint8 if chosen.bits == 8 else np.uint16)
    Image.fromarray(stored).save(given)
    began = time.process_time()
    peer = max(_psnr(image, truth) for image in chosen.peer(stored / top, level, mask))
    middle = time.process_time()
    if not (place / "items.csv").exists():
        overrides += [f"noise.sigma={level}"] if told else []
        inverse.restore(task, given, out=place, overrides=overrides)
    took = time.process_time() - middle
    kept = RunFolder.open(place).kept(given.name)
    low, high = (np.moveaxis(kept.arrays["quantiles"][i], 0, -1) for i in (0, 2))
    written = Image.open(next((place / "restored").iterdir()))
    restored = np.asarray(written) / 255 if chosen.bits == 8 else np.moveaxis(kept.arrays["mean"], 0, -1)
    inside = float(((truth >= low) & (truth <= high)).mean())
    return peer, _psnr(restored, truth), middle - began, took, inside


def _psnr(image: Array, truth: Array) -> float:
    """Of 8-bit values."""
    return float(-10 * np.log10(np.mean((np.round(255 * image.clip(0, 1)) / 255 - truth) ** 2)))


def _line(level: float, name: str, row: tuple[float, ...]) -> str:
    peer, ours, first, second, inside = row
    return f"{level:>5} {name:<16}{peer:>8.2f}{ours:>11.2f}{first:>9.1f}{second:>11.1f}{inside:>9.3f}"


if __name__ == "__main__":
    main()
