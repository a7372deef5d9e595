"""Blurred photographs saved as JPEG: `inverse restore auto` against Wiener and Richardson-Lucy at their best.

    python benchmarks/jpeg_blur.py --work RUNS            four pictures, six qualities; hours on one core
    python benchmarks/jpeg_blur.py --work RUNS --quality 85 --samples 1

Pictures of scikit-image, 256 x 256: a Gaussian blur of 1.6 pixels, noise 0.01, saved as JPEG (4:2:0). Wiener and
Richardson-Lucy are told the true width, and their parameter is the best by the truth; `auto` is told nothing. PSNR of
8-bit files against the truth; ``inside`` is whether the true width lies in the stated 95 % interval.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage import data, restoration

import inverse

WIDTH, NOISE = 1.6, 0.01
PICTURES = {
    "astronaut": lambda: data.astronaut()[:256, 100:356],
    "cat": lambda: data.chelsea()[20:276, 100:356],
    "coffee": lambda: data.coffee()[80:336, 150:406],
    "rocket": lambda: data.rocket()[100:356, 200:456],
}
Array = NDArray[np.float64]


def psnr(image: Array, truth: Array) -> float:
    """PSNR in dB of values of 0 to 1, as 8 bits hold them."""
    return float(-10 * np.log10(np.mean((np.round(255 * image.clip(0, 1)) / 255 - truth) ** 2)))


def best_classical(y: Array, truth: Array) -> tuple[float, float]:
    """Wiener and Richardson-Lucy, told the blur, with the parameter that is best by the truth; mirrored borders."""
    side = int(4 * WIDTH + 0.5)
    line = np.exp(-0.5 * (np.arange(-side, side + 1) / WIDTH) ** 2)
    kernel, margin = np.outer(line, line) / line.sum() ** 2, 32
    wide = np.pad(y, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")

    def score(solve) -> float:
        planes = [solve(wide[..., c])[margin:-margin, margin:-margin] for c in range(3)]
        return psnr(np.stack(planes, -1), truth)

    wiener = max(
        score(lambda plane, b=balance: restoration.wiener(plane, kernel, b, clip=False))
        for balance in np.geomspace(1e-3, 1, 13)
    )
    lucy = max(
        score(lambda plane, n=count: restoration.richardson_lucy(plane.clip(1e-3), kernel, n, clip=False))
        for count in (2, 4, 6, 8, 12, 16, 24, 32)
    )
    return wiener, lucy


@click.command()
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Where runs are kept.")
@click.option("--quality", "qualities", type=int, multiple=True, default=(70, 80, 85, 90, 95, 98), show_default=True)
@click.option("--samples", type=int, default=4, show_default=True)
def main(work: Path, qualities: tuple[int, ...], samples: int) -> None:
    """Print PSNR by quality and picture, and their means."""
    print(f"{'quality':>7} {'picture':<10}{'file':>7}{'Wiener':>8}{'RL':>7}{'auto':>7}  stated (true {WIDTH})")
    for quality in qualities:
        rows = []
        for number, (name, picture) in enumerate(PICTURES.items()):
            truth = picture().astype(float) / 255
            noise = np.random.default_rng(number).normal(0, NOISE, truth.shape)
            blurred = gaussian_filter(truth, (WIDTH, WIDTH, 0), mode="reflect") + noise
            work.mkdir(parents=True, exist_ok=True)
            path, out = work / f"{name}_q{quality}.jpg", work / f"{name}_q{quality}_{samples}"
            if not path.exists():
                Image.fromarray(np.round(255 * blurred.clip(0, 1)).astype(np.uint8)).save(path, quality=quality)
            if not (out / "items.csv").exists():
                inverse.restore("auto", path, out=out, samples=samples)
            y = np.asarray(Image.open(path)) / 255
            restored = np.asarray(Image.open(next((out / "restored").iterdir()))) / 255
            with (out / "items.csv").open() as file:
                said = next(csv.DictReader(file))["note"]
            found = re.search(r"sigma ([\d.e+-]+) \+- ([\d.e+-]+)", said)
            width = tuple(map(float, found.groups())) if found else (0.0, 0.0)
            row = (psnr(y, truth), *best_classical(y, truth), psnr(restored, truth))
            inside = abs(width[0] - WIDTH) <= 1.96 * width[1]
            rows.append((*row, float(inside)))
            stated = f"{width[0]:.3g} +- {width[1]:.2g}" if found else "no Gaussian"
            print(f"{quality:>7} {name:<10}" + "".join(f"{v:>7.2f}" for v in row) + f"  {stated}", flush=True)
        mean = np.mean(rows, 0)
        print(f"{quality:>7} {'mean':<10}" + "".join(f"{v:>7.2f}" for v in mean[:4]) + f"  {mean[4]:.0%} inside")


if __name__ == "__main__":
    main()
