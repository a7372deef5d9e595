"""Camera shake of any shape: photographs blurred by random paths, restored by the recipe `deblur-shake`.

    python benchmarks/shake.py --work RUNS              four pictures, PNG and JPEG of quality 85; 40 minutes
    python benchmarks/shake.py --work RUNS --limit 1

Files in and out. Paths are those of deepinv's generator (Gaussian processes), 17 x 17 pixels, noise 0.01, pictures 320
x 320 from the middle. Peers: the file itself, and the recipe told the true path. A shake is known up to a shift: PSNR
at the best of the shifts by at most 8 pixels, without 16 pixels of the frame. Correlation with the true path likewise.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch
from deepinv.physics.generator import MotionBlurGenerator
from numpy.typing import NDArray
from PIL import Image
from scipy.signal import fftconvolve

import inverse
from inverse.io.read_write import read
from inverse.operators.blur.shake import _correlation
from inverse.recipes.recipe import load
from inverse.restoration.case import open_case
from inverse.restoration.frame import frame

PICTURES = ("set14_monarch", "cbsd_189080", "set14_lenna", "cbsd_101085")
SIDE, PATH, NOISE, REACH, FRAME = 320, 17, 0.01, 8, 16


@click.command()
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Where runs are kept.")
@click.option("--data", default="../shared/data/photo", type=click.Path(path_type=Path, exists=True))
@click.option("--limit", type=int, default=None, help="The first so many pictures.")
def main(work: Path, data: Path, limit: int | None) -> None:
    """Print a line a file."""
    torch.set_num_threads(1)
    work.mkdir(parents=True, exist_ok=True)
    print(f"{'file':<22}{'correlation':>12}{'file dB':>9}{'restored':>9}{'path told':>10}{'misfit':>8}")
    for seed, name in enumerate(PICTURES[:limit]):
        path = MotionBlurGenerator((PATH, PATH)).step(1, seed=seed)["filter"][0, 0].double().numpy()
        np.save(work / f"{name}.npy", path)
        whole = np.asarray(Image.open(data / f"{name}.png").convert("RGB")) / 255
        top, left = (max(0, (side - SIDE - PATH + 1) // 2) for side in whole.shape[:2])
        sharp = whole[top : top + SIDE + PATH - 1, left : left + SIDE + PATH - 1]
        blurred = np.stack([fftconvolve(plane, path, "valid") for plane in np.moveaxis(sharp, -1, 0)], -1)
        noisy = blurred + np.random.default_rng(seed).normal(0, NOISE, blurred.shape)
        pixels = np.round(255 * noisy.clip(0, 1)).astype(np.uint8)
        truth = sharp[PATH // 2 : -(PATH // 2), PATH // 2 : -(PATH // 2)]
        for kind, options in (("png", {}), ("jpg", {"quality": 85})):
            given = work / f"{name}.{kind}"
            Image.fromarray(pixels).save(given, **options)  # type: ignore[arg-type]
            case = open_case(load("deblur-shake"), frame(read(given), 0, load("deblur-shake").data))
            found = getattr(case.physics, "kernel", None)
            known = f"{{kind: kernel-blur, file: {(work / f'{name}.npy').resolve()}, boundary: free}}"
            images, misfits = [np.asarray(Image.open(given))], []
            for out, overrides in (("blind", []), ("told", [f"operator={known}"])):
                folder = work / f"{name}_{kind}_{out}"
                run = inverse.restore("deblur-shake", given, out=folder, overrides=overrides)
                images.append(np.asarray(Image.open(next((folder / "restored").iterdir()))))
                misfits.append(run.results[0].misfit)
            scores = [_psnr(image / 255, truth) for image in images]
            matched = float("nan") if found is None else _correlation(np.asarray(found), path)
            print(f"{given.name:<22}{matched:>12.2f}" + "".join(f"{score:>9.2f}" for score in scores[:2])
                  + f"{scores[2]:>10.2f}{misfits[0]:>8.2f}", flush=True)  # fmt: skip


def _psnr(image: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    height, width = truth.shape[:2]
    inner = truth[FRAME : height - FRAME, FRAME : width - FRAME]
    errors = [
        np.mean((image[FRAME + i : height - FRAME + i, FRAME + j : width - FRAME + j] - inner) ** 2)
        for i in range(-REACH, REACH + 1)
        for j in range(-REACH, REACH + 1)
    ]
    return float(-10 * np.log10(min(errors)))


if __name__ == "__main__":
    main()
