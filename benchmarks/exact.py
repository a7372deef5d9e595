"""Every method against exact Gaussian posteriors: a table of biases; ``--write`` records them for the gate tests.

    python benchmarks/exact.py [--samples 800] [--problem white-mask] [--method pigdm] [--write]
    python benchmarks/exact.py --method daps:covariance=jacobian

``eigen`` is the largest distance from 1 of the std ratio over bands of posterior eigen-directions, with its Monte-Carlo
error; F and V are counted, per sample.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

import click
import torch
from spelling import method_and_parameters

import inverse.exact.gaussian as gates
from inverse.errors import RecipeError
from inverse.sampling.methods import METHODS


@click.command()
@click.option("--samples", default=400, show_default=True)
@click.option("--problem", "problems", multiple=True, help="Only these problems.")
@click.option("--method", "methods", multiple=True, help="Only these: NAME or NAME:parameter=value,...")
@click.option("--write", is_flag=True, help="Update inverse/sampling/bias.json with what was measured.")
def main(samples: int, problems: tuple[str, ...], methods: tuple[str, ...], write: bool) -> None:
    """Print each method's bias (std ratio, mean error, chi2 and eigen-direction ratio) and its cost."""
    torch.set_num_threads(1)
    target = Path(str(resources.files("inverse.sampling"))) / "bias.json"
    if write and _record(target)["samples"] != samples:
        raise click.UsageError(f"{target.name} holds biases of another number of samples: measure with as many")
    print(
        f"{'problem':<24}{'method':<26}{'std range':>10}{'std null':>10}{'mean rng':>10}{'mean null':>10}{'chi2':>8}"
        f"{'eigen':>15}{'F':>6}{'V':>6}{'s':>8}"
    )
    for name in problems or gates.PROBLEMS:
        for method in methods or METHODS:
            kind, params = method_and_parameters(method)
            began = time.perf_counter()
            try:
                post = gates.problem(name).draw(kind, samples=samples, **params)
            except RecipeError as error:
                print(f"{name:<24}{method:<26}{error}", flush=True)
                continue
            seconds = time.perf_counter() - began
            bias, eigen = gates.problem(name).bias(post.samples), gates.problem(name).eigen_ratios(post.samples)
            if write and not params:  # the record is of defaults
                record = _record(target)  # read again: others may be measuring other methods
                record["problems"].setdefault(name, {})[method] = asdict(bias)
                target.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            cells = "".join(
                f"{value:>10.3f}" for value in (bias.std_range, bias.std_null, bias.mean_range, bias.mean_null)
            )
            print(
                f"{name:<24}{method:<26}{cells}{bias.chi2:>8.3f}{eigen.deviation:>8.3f} ({eigen.error:.3f})"
                f"{post.cost.forward / samples:>6.0f}{post.cost.vjp / samples:>6.0f}{seconds:>8.1f}",
                flush=True,
            )


def _record(target: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
    return content


if __name__ == "__main__":
    main()
