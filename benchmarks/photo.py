"""Photographs against classical peers: the shipped recipes' methods, in one run, with seconds and network counts.

    python benchmarks/photo.py [--data ../shared/data/photo] [--crop 256] [--samples K] [--task deblur] [--limit N]

Each photograph is degraded with keyed noise 0.02 and restored with the method of the shipped recipe, on the operator
named in the table. The peers get every advantage: circular boundaries, the true kernel, and their best parameter for
each image, chosen with the truth. Ours get none: no constant depends on the image, and no ground truth is read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

import inverse
from inverse.benchmark.peers.classical import bicubic, biharmonic, richardson_lucy, wiener
from inverse.benchmark.peers.setting import Counted, Setting
from inverse.io.content import to_unit
from inverse.io.read_write import read
from inverse.recipes.recipe import load

NOISE = 0.02
TASKS: dict[str, tuple[str, dict[str, object]]] = {
    "deblur": ("gaussian-blur", {"sigma": 2.0, "boundary": "circular"}),
    "super-resolution": ("downsample", {"factor": 4}),
    "inpaint": ("random-mask", {"missing": 0.7, "seed": 0}),
}
Array = np.ndarray
PEERS: Mapping[str, Mapping[str, Callable[[Setting], Iterator[tuple[str, Tensor]]]]] = {
    "deblur": {"Wiener": wiener, "Richardson-Lucy": richardson_lucy},
    "super-resolution": {"bicubic": bicubic},
    "inpaint": {"biharmonic": biharmonic},
}


def psnr(estimate: Array, truth: Array) -> float:
    """PSNR of a picture: clipped to [0, 1], as any picture that is shown; peak 1."""
    return float(-10 * np.log10(np.mean((np.clip(estimate, 0, 1) - truth) ** 2)))


def peers(task: str, y: Tensor, physics: object, truth: Array) -> dict[str, float]:
    """The best of each classical peer's results, by the truth; of bicubic interpolation the plain one too."""
    kind, params = TASKS[task]
    setting = Setting(
        y, physics, truth.shape, NOISE, Counted(lambda x, _: x), 0.5, 0.1, 1, None, operator={"kind": kind, **params}
    )
    scores = {}
    for name, function in PEERS[task].items():
        found = [psnr(estimate[0].numpy(), truth) for _, estimate in function(setting)]
        scores |= {f"{name}, plain": found[0]} if name == "bicubic" else {}
        scores[name] = max(found)
    return scores


def crop(image: Array, size: int, multiple: int = 4) -> Array:
    """The centre, ``size`` pixels high and wide (0: all of it), both divisible by ``multiple``."""
    height, width = image.shape[1:]
    rows, columns = (min(n, size or n) // multiple * multiple for n in (height, width))
    top, left = (height - rows) // 2, (width - columns) // 2
    return image[:, top : top + rows, left : left + columns]


@click.command()
@click.option("--data", default="../shared/data/photo", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--crop", "size", default=256, show_default=True, help="Centre crop in pixels; 0 for whole photographs.")
@click.option("--samples", default=0, help="Default: the recipe's.")
@click.option("--task", "tasks", multiple=True, type=click.Choice(list(TASKS)))
@click.option("--limit", default=0, help="Only the first N photographs.")
@click.option("-s", "--set", "overrides", multiple=True, help="key=value changes of the recipe.")
def main(data: Path, size: int, samples: int, tasks: tuple[str, ...], limit: int, overrides: tuple[str, ...]) -> None:
    """Print mean PSNR of ours and of the peers, task by task."""
    files = sorted(data.glob("*.png"))[: limit or None]
    prior = inverse.open_prior("photo")
    for task in tasks or tuple(TASKS):
        kind, params = TASKS[task]
        recipe = load(task, overrides)
        count = samples or recipe.run.samples
        scores: dict[str, list[float]] = {}
        seconds = forward = vjp = 0.0
        misfits = []
        for file in files:
            truth = crop(to_unit(read(file)), size)
            x = torch.from_numpy(truth)[None]
            physics = inverse.build_operator(kind, shape=truth.shape, noise=NOISE, **params)
            y: Tensor = inverse.simulate(x, physics, items=[file.name])
            began = time.perf_counter()
            post = inverse.sample(
                y,
                physics,
                prior,
                method=recipe.method.kind,
                samples=count,
                items=[file.name],
                shape=truth.shape,
                **recipe.params,
            )
            seconds += time.perf_counter() - began
            forward, vjp = post.cost.forward, post.cost.vjp
            misfits.append(float(post.misfit.mean()))
            row = {
                f"mean of {count}": psnr(post.mean[0].numpy(), truth),
                "one sample": psnr(post.samples[0, 0].numpy(), truth),
                **peers(task, y, physics, truth),
            }
            for name, value in row.items():
                scores.setdefault(name, []).append(value)
            print("  " + "  ".join(f"{name} {value:.2f}" for name, value in row.items()) + f"  {file.name}", flush=True)
        print(f"{task}: {kind} {params}, noise {NOISE}, {len(files)} photographs, method {recipe.method.kind}")
        for name, values in scores.items():
            print(f"  {name:<20}{np.mean(values):>7.2f} dB")
        print(
            f"  misfit {np.mean(misfits):.2f}, {seconds / len(files):.1f} s a photograph, "
            f"F {forward:.0f}, V {vjp:.0f} a photograph",
            flush=True,
        )


if __name__ == "__main__":
    main()
