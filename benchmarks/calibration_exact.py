"""Calibration statistics on posteriors known in closed form, beside the recorded bias of each method.

    python benchmarks/calibration_exact.py            about two minutes on one core

Truths are drawn from the exact posterior, each beside 8 samples of its own (of the mixture 39: its intervals are order
statistics). Recorded: standard deviation over the exact one in the range of the adjoint and in its null space
(`inverse/sampling/bias.json`); of the mixture that of the draws against the exact ones, by coordinate.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources

import click
import numpy as np
import torch
from numpy.typing import NDArray

from inverse.calibration.statistics import Prediction
from inverse.evaluation.calibration_findings import calibrate
from inverse.exact import gaussian as gates
from inverse.exact.mixture import mixture_problem

Array = NDArray[np.float64]
PROBLEMS = ("white-mask", "white-blur", "coloured-mask")
METHODS = ("exact", "mmps", "daps", "pnp-dm", "dps", "pigdm", "dds", "diffpir", "ddrm", "ddnm", "red-diff")
OF_MIXTURE = ("exact", "mmps", "pigdm", "dps", "ddrm")


def pairs(truths: Array, samples: Array, determine: Callable[[Array], Array] | None = None) -> list[Prediction]:
    """Each truth beside samples of its own."""
    groups = samples.reshape(len(truths), -1, *samples.shape[1:])
    return [
        Prediction(str(i), truths[i], own.mean(0), own.std(0, ddof=1), len(own), own, determine=determine)
        for i, own in enumerate(groups)
    ]


def gaussian(name: str, method: str, count: int) -> str:
    """A line of the first table."""
    given = gates.problem(name)
    samples = gates.problem(name).draw(method, samples=8 * count).samples[:, 0].double().numpy()
    z = torch.randn(count, len(given.mean), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    truths = (given.mean + z @ torch.linalg.cholesky(given.covariance).T).reshape(count, *given.shape).numpy()
    basis = given.basis[:, : given.rank].numpy()
    found = calibrate(pairs(truths, samples, lambda image: (basis @ (basis.T @ image.ravel())).reshape(image.shape)))
    held, low, high = (100 * value for value in found.coverage.at(0.9))
    known = json.loads((resources.files("inverse.sampling") / "bias.json").read_text("utf-8"))["problems"][name][method]
    parts = [f"{found.range_null[space]['ratio']:.2f}" for space in ("range", "null")]
    recorded = f"{known['std_range']:.2f}, {known['std_null']:.2f}"
    word = found.says()[0].split(":")[0]
    return f"| {name} | {method} | {recorded} | {held:.1f} ({low:.1f} to {high:.1f}) | {', '.join(parts)} | {word} |"


def mixture(method: str, count: int) -> str:
    """A line of the second table."""
    given = mixture_problem(8, 4, 1)
    truths = given.posterior.sample(count, seed=5).double().numpy()
    samples = given.draw(method, samples=39 * count).samples[:, 0].double().numpy()
    exact = given.posterior.sample(4000, seed=7).double().numpy()
    found = calibrate(pairs(truths, samples), data_range=(-16, 16))
    held, low, high = (100 * value for value in found.coverage.at(0.9))
    ratio = float(np.mean(samples.std(0) / exact.std(0)))
    verdict = found.says()[0].split(":")[0]
    return f"| mixture (8, 4), 1 | {method} | {ratio:.2f} | {held:.1f} ({low:.1f} to {high:.1f}) | | {verdict} |"


@click.command()
@click.option("--truths", default=40, show_default=True, help="Truths of each problem.")
def main(truths: int) -> None:
    """Print the table."""
    print(
        "| problem | method | std over exact, range and null | 90 % intervals hold | error over predicted, range "
        "and null | found |"
    )
    print("|---|---|---|---|---|---|")
    for name in PROBLEMS:
        for method in METHODS:
            print(gaussian(name, method, truths), flush=True)
    for method in OF_MIXTURE:
        print(mixture(method, truths), flush=True)


if __name__ == "__main__":
    main()
