"""Every method, and the peers, on the 25-mode Gaussian mixture with known posteriors (`inverse.exact.mixture`).

    python benchmarks/mixture.py [--cell 8,1] [--problems 20] [--samples 2000] [--directions 10000]
        [--method pigdm] [--method mmps:steps=50] [--no-peers]
    python benchmarks/mixture.py --define      writes inverse/exact/mixture.json, the published problems

One row a method, its defaults unless parameters are given: sliced W1 (mean over problems +- 1.96 std / sqrt(problems)),
total variation of the mode weights, relative error of the covariance within modes (Monte-Carlo part removed), F and V a
sample, seconds a problem. ``exact`` is as many exact samples against the same reference: the noise floor. The peers
(deepinv, Azula) get the same problem moved to the units they are made for: values -20 to 20 mapped to [0, 1], ``y``
shifted and scaled with them.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import click
import torch
from deepinv.physics import GaussianNoise
from spelling import method_and_parameters
from torch import Tensor

import inverse.exact.mixture as gate
from inverse.benchmark.peers.registry import PEERS
from inverse.benchmark.peers.setting import Counted, Setting
from inverse.exact.mixture import MixtureProblem, mixture_problem
from inverse.operators.image.matrix import Matrix
from inverse.priors.models.mixture import MixturePrior
from inverse.sampling.methods import methods

LOW, HIGH = -20.0, 20.0
SLOW = ("azula DPS",)
RECALLED: dict[tuple[int, int], dict[str, str]] = {
    (8, 1): {"MCGDiff": "1.43 +- .55", "DDRM": "5.88 +- 1.16", "DPS": "4.86 +- 1.01"},
    (8, 2): {"MCGDiff": ".49 +- .24", "DDRM": "~5.2"},
    (8, 4): {"MCGDiff": ".38 +- .25", "DDRM": "2.51 +- 1.29"},
    (80, 1): {"MCGDiff": "1.39 +- .45", "DDRM": "5.64 +- 1.10", "DPS": "4.98 +- 1.14"},
    (80, 2): {"MCGDiff": ".67 +- .24", "DDRM": "7.07 +- 1.35", "DPS": "5.10 +- 1.23"},
    (80, 4): {"MCGDiff": ".28 +- .14", "DDRM": "7.81 +- 1.48", "DPS": "4.28 +- 1.26"},
    (800, 1): {"MCGDiff": "2.40 +- 1.00", "DDRM": "7.44 +- 1.15", "DPS": "6.49 +- 1.16"},
    (800, 2): {"MCGDiff": "1.31 +- .60", "DDRM": "8.95 +- 1.12", "DPS": "6.88 +- 1.01"},
    (800, 4): {"MCGDiff": ".47 +- .19", "DDRM": "8.39 +- 1.48", "DPS": "5.51 +- 1.18"},
}

Draw = Callable[[MixtureProblem, int, int], tuple[Tensor, float, float]]
"""From a problem, a number of samples and a seed to samples (K, ...), F and V a sample."""


def exact(given: MixtureProblem, samples: int, seed: int) -> tuple[Tensor, float, float]:
    return given.posterior.sample(samples, seed=seed + 1), 0.0, 0.0


def own(name: str) -> Draw:
    """Our method ``NAME`` or ``NAME:parameter=value,...``."""
    method, params = method_and_parameters(name)

    def draw(problem: MixtureProblem, samples: int, seed: int) -> tuple[Tensor, float, float]:
        post = problem.draw(method, samples=samples, seed=seed, **params)
        return post.samples, post.cost.forward / samples, post.cost.vjp / samples

    return draw


def peers() -> dict[str, Draw]:
    """The samplers of other packages that are installed."""
    found = {}
    for one in PEERS.values():
        if one.missing:
            print(f"{one.title}: {one.missing}")
        elif one.samples and one.chosen == 1:
            found[one.title] = _peer(one.load())
    return found


def _peer(sampler: Callable[[Setting], Tensor]) -> Draw:
    def draw(problem: MixtureProblem, samples: int, seed: int) -> tuple[Tensor, float, float]:
        torch.manual_seed(seed)
        wide, (d,) = HIGH - LOW, problem.shape
        noise = GaussianNoise(problem.sigma / wide)
        measured = (1, 1, len(problem.matrix))
        physics = Matrix(problem.matrix, shape=(1, 1, d), measured=measured, noise_model=noise, dtype=torch.float32)
        means = ((problem.prior.means - LOW) / wide).reshape(-1, 1, 1, d)
        prior = MixturePrior(means, problem.prior.weights, problem.prior.variances / wide**2)
        left, s, _ = torch.linalg.svd(problem.matrix, full_matrices=False)
        counted = Counted(prior)
        setting = Setting(
            y=((problem.y.double() - LOW * problem.matrix.sum(1)) / wide).float().reshape(1, *measured),
            physics=physics,
            shape=(1, 1, d),
            sigma=problem.sigma / wide,
            denoise=counted,
            mean=float(prior.mean.mean()),
            data_var=prior.card.data_var,
            samples=samples,
            evaluations=None,
            spectrum=(left.float(), s.float()),
        )
        drawn = sampler(setting).detach().reshape(samples, d)
        return LOW + wide * drawn, counted.forward_count / samples, counted.vjp / samples

    return draw


def row(name: str, draw: Draw, cell: tuple[int, int], problems: int, samples: int, directions: int) -> str:
    scores, costs, sampling = [], [], 0.0
    for k in range(problems):
        given = mixture_problem(*cell, k)
        began = time.perf_counter()
        try:
            drawn, forward, vjp = draw(given, samples, k)
        except Exception as error:  # a peer's failure is a result
            return f"{name:<34}problem {k}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[
                :150
            ]
        sampling += time.perf_counter() - began
        scores.append(gate_score(given, drawn, directions))
        costs.append((forward, vjp))
    values = torch.tensor(scores, dtype=torch.float64)
    mean, spread = values.nanmean(0).tolist(), values[:, 0].std().item() if problems > 1 else math.nan
    finite = int(values[:, 0].isfinite().sum())
    forward, vjp = (sum(column) / problems for column in zip(*costs, strict=True))
    note = "" if finite == problems else f"  {problems - finite} of {problems} not finite"
    return (
        f"{name:<34}{mean[0]:>8.3f} +- {1.96 * spread / math.sqrt(problems):<7.3f}{mean[1]:>8.3f}{mean[2]:>9.3f}"
        f"{forward:>8.0f}{vjp:>7.0f}{sampling / problems:>9.2f}{note}"
    )


def gate_score(given: MixtureProblem, drawn: Tensor, directions: int) -> tuple[float, float, float]:
    score = given.score(drawn, directions=directions)
    return score.wasserstein, score.total_variation, score.covariance


def write_problems() -> None:
    """Write the published problems, one a line."""
    made = gate.definitions()
    cells = [
        f'  "{cell}": [\n' + ",\n".join(f"   {json.dumps(own)}" for own in problems) + "]"
        for cell, problems in made["problems"].items()
    ]
    text = f'{{"weights": {json.dumps(made["weights"])},\n "problems": {{\n' + ",\n".join(cells) + "\n }}\n"
    Path(gate.__file__).with_name("mixture.json").write_text(text, encoding="utf-8")


def _cell(text: str) -> tuple[int, int]:
    d, _, measured = text.partition(",")
    if not (d.isdigit() and measured.isdigit()) or (int(d), int(measured)) not in gate.CELLS:
        raise click.UsageError(f"cell {text!r}: allowed: {' '.join(f'{a},{b}' for a, b in gate.CELLS)}")
    return int(d), int(measured)


@click.command()
@click.option("--cell", "cells", multiple=True, help="Only these cells, d,d_y.")
@click.option("--problems", default=gate.PROBLEMS_PER_CELL, show_default=True, help="The first of each cell.")
@click.option("--samples", default=2000, show_default=True)
@click.option("--directions", default=10_000, show_default=True)
@click.option("--method", "chosen", multiple=True, help="Only these: NAME, NAME:steps=50,..., or a peer's name.")
@click.option(
    "--peers/--no-peers", "with_peers", default=True, help=f"But {', '.join(SLOW)} (one sample at a time) only by name."
)
@click.option("--threads", default=1, show_default=True)
@click.option("--define", is_flag=True, help="Write inverse/exact/mixture.json and stop.")
def main(
    cells: tuple[str, ...],
    problems: int,
    samples: int,
    directions: int,
    chosen: tuple[str, ...],
    with_peers: bool,
    threads: int,
    define: bool,
) -> None:
    """Print, per cell, the distances of every method's samples from the exact posterior, and their cost."""
    torch.set_num_threads(threads)
    if define:
        write_problems()
        return
    others = peers() if with_peers else {}
    names = chosen or (*methods(), *(name for name in others if name not in SLOW))
    for cell in [_cell(text) for text in cells] or gate.CELLS:
        print(f"\nd = {cell[0]}, d_y = {cell[1]}: {problems} problems, {samples} samples, {directions} directions")
        recalled = ", ".join(f"{name} {value}" for name, value in RECALLED[cell].items())
        print(f"published sliced W1, recalled, not verified, other weights and problems: {recalled}")
        print(f"{'method':<34}{'sliced W1':>8}{'':<10}{'TV':>9}{'cov':>9}{'F':>8}{'V':>7}{'s':>9}")
        for name in ("exact", *names):
            draw = exact if name == "exact" else others[name] if name in others else own(name)
            title = name + (" (estimate)" if name in methods() and methods()[name].point_estimate else "")
            print(row(title, draw, cell, problems, samples, directions), flush=True)


if __name__ == "__main__":
    main()
