"""Real 8-coil brain k-space beside BART's `pics` and SENSE: 4x and 6x equispaced, 8x variable-density Poisson disc.

    python benchmarks/mri.py [--data ../shared/data/mri] [--task 4x] [--samples K] [-s key=value]

The fully sampled slice is undersampled with 24 calibration lines (24 x 24 samples for the disc); coil maps come from those alone, ours by our ESPIRiT, BART's
by its own. Ours is the shipped recipe `mri-multicoil`, noise level and scale from the data. BART has its best regularisation and its best choice of support
(`ecalib` with its default crop and with `-c 0`), chosen with the truth; SENSE is `pics -l2`.

The reference is the root sum of squares (RSS) of the fully sampled coil images, the data range its maximum. Maps of ours and of BART have sum of
squares 1, so ``|x|`` is the RSS of noiseless coil images: there is no shading between them.
The noise of the reference does not cancel in its RSS: where there is no signal it is
about ``sqrt(2 C) sigma``, 3 % of the maximum here, and no estimate of the image has it. So every method, BART's too, is compared three ways:

* ``floor``: ``sqrt(|x|^2 + 2 C sigma^2)``, what the RSS of noisy coils is expected to be given ``x``, against the RSS.
* ``combined``: ``|x|`` against the magnitude of the fully sampled coil images combined by ESPIRiT maps (of its central 24 x 24 samples), which has hardly a floor.
* ``plain``: ``|x|`` against the RSS, without correction; ours is below BART's l1 here. Rewards noise that is left in the background: BART's with ``-c 0``.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

import inverse
from inverse.io import Scan, cfl, read
from inverse.operators.catalog_mri import Mri
from inverse.operators.coils import centre, espirit
from inverse.operators.measured import Measurement
from inverse.operators.mri import fourier
from inverse.operators.mri_fit import fit_cartesian
from inverse.operators.mri_masks import sampling
from inverse.operators.noise import noise_model
from inverse.recipe import load

Array = np.ndarray
Scores = tuple[float, float, float]
COLUMNS = ("floor", "combined", "plain")
TASKS = {
    "4x": {"pattern": "equispaced", "acceleration": 4, "center_lines": 24, "offset": 0},
    "6x": {"pattern": "equispaced", "acceleration": 6, "center_lines": 24, "offset": 0},
    "8x": {"pattern": "poisson", "acceleration": 8, "center_lines": 24},
}
CORNER = 12


def psnr(estimate: Array, truth: Array) -> float:
    """PSNR of a magnitude; data range the truth's maximum."""
    return float(10 * np.log10(truth.max() ** 2 / np.mean((estimate - truth) ** 2)))


class Reference:
    """The fully sampled slice, and how magnitudes are compared with it."""

    def __init__(self, kspace: Array) -> None:
        maps = espirit(centre(torch.from_numpy(kspace), (24, 24)), kspace.shape[1:])[0].numpy()
        images = fourier(torch.from_numpy(kspace), inverse=True).numpy()
        corners = images[:, :CORNER, :CORNER], images[:, -CORNER:, -CORNER:]
        power = np.mean([np.mean(np.abs(corner) ** 2) for corner in corners])
        self.floor = len(kspace) * power
        self.rss = np.sqrt((np.abs(images) ** 2).sum(0))
        self.combined = np.abs((maps.conj() * images).sum(0))

    def scores(self, magnitude: Array) -> Scores:
        """By `COLUMNS`."""
        noisy = np.sqrt(magnitude**2 + self.floor)
        return psnr(noisy, self.rss), psnr(magnitude, self.combined), psnr(magnitude, self.rss)


def bart(kspace: Array, folder: Path, kind: str, levels: tuple[float, ...]) -> Iterator[tuple[str, Array]]:
    """Magnitudes of BART's `pics` by its options, on one thread's worth of iterations (100)."""

    def call(*words: object) -> None:
        subprocess.run(["bart", *map(str, words)], cwd=folder, check=True, capture_output=True)

    cfl.write_array(folder / "k.cfl", kspace.transpose(1, 2, 0)[:, :, None].astype(np.complex64), overwrite=True)
    for crop in ([], ["-c", "0"]):
        call("ecalib", "-m1", "-r24", *crop, "k", "maps")
        for level in levels:
            call("pics", "-S", kind, f"-r{level}", "-i100", "k", "maps", "x")
            yield f"r {level}{' -c 0' if crop else ''}", np.abs(cfl.read_array(folder / "x.cfl").squeeze())


def best(candidates: Iterator[tuple[str, Array]], reference: Reference) -> tuple[str, Scores]:
    """The best of each column, and the options of the first."""
    found = [(name, reference.scores(image)) for name, image in candidates]
    top = max(found, key=lambda one: one[1][0])
    return top[0], tuple(max(scores[i] for _, scores in found) for i in range(3))  # type: ignore[return-value]


def ours(kspace: Array, params: dict[str, Any], recipe: Any, samples: int) -> tuple[Array, Any, float]:
    """Magnitude in the file's units, posterior and seconds of the recipe on retrospectively undersampled k-space."""
    began = time.perf_counter()
    fitted = fit_cartesian(Mri(**params), Measurement(torch.from_numpy(kspace)[None]))
    assert fitted.sigma is not None
    physics = fitted.build(noise_model(fitted.sigma))
    post = inverse.sample(
        fitted.y,
        physics,
        inverse.open_prior("mri"),
        method=recipe.method.kind,
        samples=samples or recipe.run.samples,
        items=["brain8"],
        shape=fitted.shape,
        **recipe.params,
    )
    image = torch.complex(post.mean[0, 0], post.mean[0, 1]).abs() / fitted.scale
    return image.numpy(), post, time.perf_counter() - began


@click.command()
@click.option("--data", default="../shared/data/mri", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--task", "tasks", multiple=True, type=click.Choice(list(TASKS)))
@click.option("--samples", default=0, help="Default: the recipe's.")
@click.option("-s", "--set", "overrides", multiple=True, help="key=value changes of the recipe.")
def main(data: Path, tasks: tuple[str, ...], samples: int, overrides: tuple[str, ...]) -> None:
    """Print PSNR of ours and of the peers, task by task."""
    scan = read(data / "brain8_fastmri.h5")
    assert isinstance(scan, Scan)
    kspace = scan.kspace[0]
    recipe = load("mri-multicoil", overrides)
    for task in tasks or tuple(TASKS):
        params = TASKS[task]
        taken = kspace * sampling(Mri(**params), kspace.shape[1:])
        reference = Reference(kspace)
        filled = np.sqrt((np.abs(fourier(torch.from_numpy(taken), inverse=True).numpy()) ** 2).sum(0))
        rows = {
            "zero-filled": (
                "",
                (psnr(filled, reference.rss), psnr(filled, reference.combined), psnr(filled, reference.rss)),
            )
        }
        if shutil.which("bart"):
            with tempfile.TemporaryDirectory() as folder:
                for name, kind, levels in (
                    ("SENSE (BART l2)", "-l2", (0.005, 0.01, 0.015, 0.02, 0.03)),
                    ("BART l1", "-l1", (0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008)),
                ):
                    rows[name] = best(bart(taken, Path(folder), kind, levels), reference)
        image, post, seconds = ours(taken, {}, recipe, samples)
        rows[f"ours, mean of {len(post.samples)}"] = (recipe.method.kind, reference.scores(image))
        print(f"{task}: {params}, {np.mean(taken[0] != 0):.1%} sampled")
        print(f"  {'':<20}" + "".join(f"{name:>10}" for name in COLUMNS))
        for name, (option, scores) in rows.items():
            print(f"  {name:<20}" + "".join(f"{score:>10.2f}" for score in scores) + f"   {option}")
        print(
            f"  misfit {float(post.misfit.mean()):.2f}, {seconds:.0f} s on {torch.get_num_threads()} threads, "
            f"F {post.cost.forward:.0f}, V {post.cost.vjp:.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
