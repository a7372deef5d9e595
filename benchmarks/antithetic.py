"""Antithetic samples beside independent ones: PSNR of the mean of 1, 2, 4 and 8, in one run.

    python benchmarks/antithetic.py [--data ../shared/data/photo] [--task deblur]        half an hour on one core

Four photographs, the middle 128 x 128; methods as in the shipped recipes, noise 0.02. Beside them the correlation of
the two samples of a pair, around their mean.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image

import inverse
from inverse.recipes.recipe import load

PICTURES = ("set14_monarch", "cbsd_189080", "set14_lenna", "cbsd_101085")
SIDE, SAMPLES = 128, 8
TASKS = {
    "deblur": ("gaussian-blur", {"sigma": 2.0, "boundary": "circular"}),
    "inpaint": ("random-mask", {"missing": 0.7, "seed": 0}),
    "super-resolution": ("downsample", {"factor": 4}),
}


def one(path: Path, task: str, *, antithetic: bool) -> list[float]:
    """PSNR of means of 1, 2, 4 and 8 samples, and the correlation of neighbours."""
    kind, params = TASKS[task]
    image = np.asarray(Image.open(path).convert("RGB"), np.float32) / 255
    top, left = ((n - SIDE) // 2 for n in image.shape[:2])
    truth = torch.from_numpy(image[top : top + SIDE, left : left + SIDE].copy()).movedim(-1, 0)[None]
    physics = inverse.build_operator(kind, shape=tuple(truth.shape[1:]), noise=0.02, **params)
    y = inverse.simulate(truth, physics, items=[path.stem])
    recipe = load(task)
    given = {name: value for name, value in recipe.params.items() if value is not None}
    post = inverse.sample(
        y,
        physics,
        "photo",
        method=recipe.method_kind,
        samples=SAMPLES,
        items=[path.stem],
        antithetic=antithetic,
        **given,
    )
    states = post.states[:, 0]
    found = [
        float(np.mean([psnr(states[i : i + k].mean(0), truth[0]) for i in range(0, SAMPLES, k)])) for k in (1, 2, 4, 8)
    ]
    first, second = (states[i::2] - states.mean(0) for i in (0, 1))
    return [*found, float((first * second).sum() / (first.square().sum() * second.square().sum()).sqrt())]


def psnr(image: torch.Tensor, truth: torch.Tensor) -> float:
    """PSNR in dB of a picture, clipped to [0, 1]."""
    return float(-10 * (image.clamp(0, 1) - truth).square().mean().log10())


@click.command()
@click.option("--data", default="../shared/data/photo", type=click.Path(path_type=Path, exists=True))
@click.option("--task", "tasks", multiple=True, type=click.Choice(sorted(TASKS)), help="Default: all.")
def main(data: Path, tasks: tuple[str, ...]) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print(f"{'task':<18}{'samples':<14}{'1':>7}{'2':>7}{'4':>7}{'8':>7}  correlation")
    for task in tasks or TASKS:
        for antithetic in (False, True):
            mean = np.mean([one(data / f"{name}.png", task, antithetic=antithetic) for name in PICTURES], 0)
            kind = "antithetic" if antithetic else "independent"
            print(f"{task:<18}{kind:<14}" + "".join(f"{v:7.2f}" for v in mean[:4]) + f"{mean[4]:10.2f}", flush=True)


if __name__ == "__main__":
    main()
