"""Recipes on files that were saved as JPEG of quality 85: what is measured there, beside the simplest peers.

    python benchmarks/jpeg_recipes.py --work RUNS                       four photographs, the middle 128 x 128
    python benchmarks/jpeg_recipes.py --work RUNS --task deblur --side 192

Files by Pillow, 4:2:0. Noise levels and blurs are not told; the recipes are as they are shipped. PSNR of 8-bit values
against the truth, mean over the photographs; peers have their best parameter by the truth. Interrupted, it goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from jpeg_blur import Array, best_classical, psnr
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage import restoration

import inverse

PICTURES = ("set14_monarch", "cbsd_189080", "set14_lenna", "cbsd_101085")
QUALITY = 85
WEIGHTS = tuple(np.geomspace(0.005, 0.3, 10))


def tv(y: Array, truth: Array) -> float:
    """Total variation at its best weight."""
    return max(psnr(restoration.denoise_tv_chambolle(y, weight, channel_axis=-1), truth) for weight in WEIGHTS)


def blurred(truth: Array, rng: np.random.Generator) -> Array:
    """A Gaussian of 1.6 pixels, noise 0.01."""
    return gaussian_filter(truth, (1.6, 1.6, 0), mode="reflect") + rng.normal(0, 0.01, truth.shape)


def smaller(truth: Array, rng: np.random.Generator) -> Array:
    """Means of 2 x 2 pixels, noise 0.01."""
    side = len(truth)
    means = truth.reshape(side // 2, 2, side // 2, 2, 3).mean((1, 3))
    return means + rng.normal(0, 0.01, means.shape)


def dark(truth: Array, rng: np.random.Generator) -> Array:
    """A tenth of the light, 1,000 photons at white."""
    return rng.poisson(100 * truth) / 1000 + rng.normal(0, 0.002, truth.shape)


def noisy(truth: Array, rng: np.random.Generator) -> Array:
    """Noise 0.05."""
    return truth + rng.normal(0, 0.05, truth.shape)


def clean(truth: Array, rng: np.random.Generator) -> Array:
    """As it is."""
    del rng
    return truth


def bicubic(y: Array, truth: Array) -> float:
    """Bicubic interpolation."""
    image = Image.fromarray(np.round(255 * y).astype(np.uint8)).resize(truth.shape[1::-1], Image.Resampling.BICUBIC)
    return psnr(np.asarray(image) / 255, truth)


Degrade = Callable[[Array, np.random.Generator], Array]
Peer = Callable[[Array, Array], float]
#: By name: recipe, overrides, the degradation, what it is worth as it is, the peer and its name.
TASKS: dict[str, tuple[str, list[str], Degrade, Peer, Peer, str]] = {
    "deblur": ("deblur", ["operator.sigma=auto"], blurred, psnr, lambda y, x: max(best_classical(y, x)), "Wiener, RL"),
    "super-resolution": ("super-resolution", ["operator.factor=2"], smaller, bicubic, bicubic, "bicubic"),
    "low-light": ("low-light", [], dark, lambda y, x: psnr(10 * y, x), lambda y, x: tv(10 * y, x), "TV"),
    "denoise": ("denoise", [], noisy, psnr, tv, "TV"),
    "jpeg": ("jpeg", [], clean, psnr, tv, "TV"),
}


def middle(path: Path, side: int) -> Array:
    """The middle of a photograph (side, side, 3), values 0 to 1."""
    image: NDArray[np.uint8] = np.asarray(Image.open(path).convert("RGB"))
    top, left = ((n - side) // 2 for n in image.shape[:2])
    return image[top : top + side, left : left + side].astype(float) / 255


@click.command()
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Where runs are kept.")
@click.option("--data", default="../shared/data/photo", type=click.Path(path_type=Path, exists=True))
@click.option("--task", "tasks", multiple=True, type=click.Choice(sorted(TASKS)), help="Default: all.")
@click.option("--side", type=int, default=128, show_default=True, help="Side of the middle, a multiple of 2.")
def main(work: Path, data: Path, tasks: tuple[str, ...], side: int) -> None:
    """Print a line a recipe."""
    print(f"{'recipe':<18}{'as it is':>9}{'peer':>8}{'recipe':>8}{'CPU s':>7}")
    for task in tasks or TASKS:
        recipe, overrides, degrade, plain, peer, name = TASKS[task]
        rows = []
        for number, picture in enumerate(PICTURES):
            truth = middle(data / f"{picture}.png", side)
            measured = degrade(truth, np.random.default_rng(number)).clip(0, 1)
            path, out = work / f"{task}-{side}" / f"{picture}.jpg", work / f"{task}-{side}" / picture
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.round(255 * measured).astype(np.uint8)).save(path, quality=QUALITY)
            began = time.process_time()
            if not (out / "run.json").exists():
                inverse.restore(recipe, path, out=out, overrides=overrides)
            took = time.process_time() - began
            y = np.asarray(Image.open(path)) / 255
            restored = np.asarray(Image.open(next((out / "restored").iterdir()))) / 255
            rows.append((plain(y, truth), peer(y, truth), psnr(restored, truth), took))
        mean = np.mean(rows, 0)
        print(f"{task:<18}" + "".join(f"{v:>8.2f}" for v in mean[:3]) + f"{mean[3]:>8.1f}  {name}", flush=True)


if __name__ == "__main__":
    main()
