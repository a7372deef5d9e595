"""Every method that takes a nonlinear operator against posteriors known by quadrature.

    python benchmarks/nonlinear.py [--samples 1000] [--problem gaussian-squares] [--method dps]

Sliced Wasserstein distance beside its noise floor, error of mean and covariance, total variation of the modes' masses,
misfit over its expectation.
"""

from __future__ import annotations

import time

import click
import torch

from inverse.errors import RecipeError
from inverse.exact import nonlinear as nonlinear_gate
from inverse.sampling.methods import METHODS


@click.command()
@click.option("--samples", default=1000, show_default=True)
@click.option("--problem", "problems", multiple=True, help="Only these problems, prior-operator.")
@click.option("--method", "methods", multiple=True, help="Only these methods.")
def main(samples: int, problems: tuple[str, ...], methods: tuple[str, ...]) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print(
        f"{'problem':<20}{'method':<10}{'W1':>8}{'floor':>8}{'mean':>8}{'cov':>8}{'weights':>9}"
        f"{'chi2':>8}{'F':>7}{'V':>7}{'s':>8}"
    )
    for name in problems or nonlinear_gate.PROBLEMS:
        given = nonlinear_gate.problem(name)
        for method in ["exact", *(methods or METHODS)]:
            began = time.perf_counter()
            if method == "exact":
                drawn, forward, vjp = given.exact(samples, seed=99), 0.0, 0.0
            else:
                try:
                    post = given.draw(method, samples=samples)
                except RecipeError:
                    continue
                drawn, forward, vjp = post.samples, post.cost.forward / samples, post.cost.vjp / samples
            seconds, bias = time.perf_counter() - began, given.bias(drawn)
            print(
                f"{name:<20}{method:<10}{bias.w1:>8.3f}{bias.floor:>8.3f}{bias.mean:>8.3f}"
                f"{bias.covariance:>8.3f}{bias.weights:>9.3f}"
                f"{bias.chi2:>8.3f}{forward:>7.0f}{vjp:>7.0f}{seconds:>8.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
