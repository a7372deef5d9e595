"""Real 8-coil brain k-space beside BART's `pics` and SENSE: 4x and 6x equispaced, 8x variable-density Poisson disc.

    python benchmarks/mri.py [--data ../shared/data/mri] [--task 4x] [--samples K] [-s key=value]

The fully sampled slice is undersampled with 24 calibration lines (24 x 24 samples for the disc); coil maps come from
those alone, ours by our ESPIRiT, BART's by its own. Ours is the shipped recipe `mri-multicoil`, noise level and scale
from the data. BART has its best regularisation and its best choice of support (`ecalib` with its default crop and with
`-c 0`), chosen with the truth; SENSE is `pics -l2`.

The reference is the root sum of squares (RSS) of the fully sampled coil images, the data range its maximum. Maps of
ours and of BART have sum of squares 1, so ``|x|`` is the RSS of noiseless coil images: there is no shading between
them. The noise of the reference does not cancel in its RSS: where there is no signal it is about ``sqrt(2 C) sigma``, 3
% of the maximum here, and no estimate of the image has it. So:

* ``output``: what each tool gives for the RSS, against it: of ours the ``reconstruction`` of a fastMRI file (the
  posterior mean of the RSS, `operators/mri/rss.py`), of BART ``|x|``.
* ``completed``: the same with BART given what ours has: samples that were taken put back, ``2 C sigma^2`` for each of
  the others, and then the RSS.
* ``plain``: ``|x|`` against the RSS for both. Rewards noise that is left in the background: BART's with ``-c 0``.
* ``combined``: ``|x|`` against the magnitude of the fully sampled coil images combined by ESPIRiT maps (of its central
  24 x 24 samples), which has hardly a floor.
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
from inverse.io.content import Scan
from inverse.io.formats import cfl
from inverse.io.read_write import read
from inverse.operators.measurement import Measurement
from inverse.operators.mri.cartesian import fourier
from inverse.operators.mri.cartesian_fit import fit_cartesian
from inverse.operators.mri.coils import centre, espirit
from inverse.operators.mri.rss import predicted_rss
from inverse.operators.mri.sampling import sampling
from inverse.operators.mri.spec import Mri
from inverse.operators.noise.models import noise_model
from inverse.recipes.recipe import load

Array = np.ndarray
Scores = tuple[float, ...]
COLUMNS = ("output", "completed", "plain", "combined")
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
    """The fully sampled slice, and how images of a part of its k-space are compared with it."""

    def __init__(self, kspace: Array, taken: Array) -> None:
        maps = espirit(centre(torch.from_numpy(kspace), (24, 24)), kspace.shape[1:])[0].numpy()
        images = _images(kspace)
        corners = images[:, :CORNER, :CORNER], images[:, -CORNER:, -CORNER:]
        self.taken, self.missing = taken, ~(taken != 0).any(0)
        self.floor = len(kspace) * np.mean([np.mean(np.abs(corner) ** 2) for corner in corners])
        self.rss = np.sqrt((np.abs(images) ** 2).sum(0))
        self.combined = np.abs((maps.conj() * images).sum(0))

    def scores(self, image: Array, kspace: Array) -> Scores:
        """By `COLUMNS`, of a complex image (H, W) and the k-space (coils, H, W) that it predicts."""
        coils = _images(np.where(self.missing, kspace, self.taken))
        completed = np.sqrt((np.abs(coils) ** 2).sum(0) + self.floor * self.missing.mean())
        magnitude = np.abs(image)
        plain = psnr(magnitude, self.rss)
        return plain, psnr(completed, self.rss), plain, psnr(magnitude, self.combined)


def _images(kspace: Array) -> Array:
    found: Array = fourier(torch.from_numpy(kspace), inverse=True).numpy()
    return found


def bart(kspace: Array, folder: Path, kind: str, levels: tuple[float, ...]) -> Iterator[tuple[str, Array, Array]]:
    """Images of BART's `pics` by its options, 100 iterations, and the k-space that they predict."""

    def call(*words: object) -> None:
        subprocess.run(["bart", *map(str, words)], cwd=folder, check=True, capture_output=True)

    cfl.write_array(folder / "k.cfl", kspace.transpose(1, 2, 0)[:, :, None].astype(np.complex64), overwrite=True)
    for crop in ([], ["-c", "0"]):
        call("ecalib", "-m1", "-r24", *crop, "k", "maps")
        for level in levels:
            call("pics", "-S", kind, f"-r{level}", "-i100", "k", "maps", "x")
            call("fmac", "x", "maps", "coils")
            call("fft", "-u", 3, "coils", "predicted")
            image, predicted = (cfl.read_array(folder / f"{name}.cfl").squeeze() for name in ("x", "predicted"))
            predicted = np.moveaxis(predicted, -1, 0)
            along = np.vdot(predicted, kspace)  # pics leaves a sign of its transform out
            yield f"r {level}{' -c 0' if crop else ''}", image, predicted * along / abs(along)


def best(candidates: Iterator[tuple[str, Array, Array]], reference: Reference) -> tuple[str, Scores]:
    """The best of each column, and the options of the first."""
    found = [(name, reference.scores(image, predicted)) for name, image, predicted in candidates]
    top = max(found, key=lambda one: one[1][0])
    return top[0], tuple(max(column) for column in zip(*(scores for _, scores in found), strict=True))


def ours(
    kspace: Array, params: dict[str, Any], recipe: Any, samples: int, reference: Reference
) -> tuple[Scores, Any, float]:
    """Scores, posterior and seconds of the recipe on retrospectively undersampled k-space."""
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
    rss = predicted_rss(physics, post.states[:, 0], fitted.y, fitted.sigma, item="brain8")[0][0].numpy()
    seconds = time.perf_counter() - began
    image = torch.complex(post.mean[0, 0], post.mean[0, 1]) / fitted.scale
    predicted = fourier(physics.maps[0] * image)
    _, _, plain, combined = reference.scores(image.numpy(), predicted.numpy())
    output = psnr(rss / fitted.scale, reference.rss)
    return (output, output, plain, combined), post, seconds


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
        reference = Reference(kspace, taken)
        filled = np.sqrt((np.abs(_images(taken)) ** 2).sum(0))
        plain = psnr(filled, reference.rss)
        rows: dict[str, tuple[str, Scores]] = {
            "zero-filled": ("", (plain, plain, plain, psnr(filled, reference.combined)))
        }
        if shutil.which("bart"):
            with tempfile.TemporaryDirectory() as folder:
                for name, kind, levels in (
                    ("SENSE (BART l2)", "-l2", (0.005, 0.01, 0.015, 0.02, 0.03)),
                    ("BART l1", "-l1", (0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008)),
                ):
                    rows[name] = best(bart(taken, Path(folder), kind, levels), reference)
        scores, post, seconds = ours(taken, {}, recipe, samples, reference)
        rows[f"ours, {len(post.samples)} samples"] = (recipe.method.kind, scores)
        print(f"{task}: {params}, {np.mean(taken[0] != 0):.1%} sampled")
        print(f"  {'':<20}" + "".join(f"{name:>10}" for name in COLUMNS))
        for name, (option, found) in rows.items():
            print(f"  {name:<20}" + "".join(f"{score:>10.2f}" for score in found) + f"   {option}")
        print(
            f"  misfit {float(post.misfit.mean()):.2f}, {seconds:.0f} s on {torch.get_num_threads()} threads, "
            f"F {post.cost.forward:.0f}, V {post.cost.vjp:.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
