"""Every method on an image-shaped Gaussian random field with its exact posterior, 64 x 64 and 256 x 256.

    python benchmarks/field.py [--samples 16] [--problem mask-64] [--method mmps:iterations=10]

Std ratio where the data determine half or more and elsewhere, error of the mean (exact samples have ``floor``), misfit
over its expectation, coverage of pixels' 90 % intervals (exact samples have the next column), std ratio of the Fourier
octave that is off by most standard errors, with its standard error, F and V counted per sample, seconds for all
samples.
"""

from __future__ import annotations

import time

import click
import torch
from spelling import method_and_parameters

from inverse.errors import RecipeError
from inverse.exact import field as field_gate
from inverse.sampling.methods import METHODS


@click.command()
@click.option("--samples", default=16, show_default=True)
@click.option("--problem", "problems", multiple=True, help="Only these problems, operator-size.")
@click.option("--method", "methods", multiple=True, help="Only these: NAME or NAME:parameter=value,...")
def main(samples: int, problems: tuple[str, ...], methods: tuple[str, ...]) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print(
        f"{'problem':<16}{'method':<24}{'std seen':>9}{'unseen':>8}{'mean':>7}{'floor':>7}"
        f"{'chi2':>8}{'cover':>7}{'(exact)':>8}"
        f"{'worst octave':>15}{'F':>6}{'V':>6}{'s':>8}"
    )
    for name in problems or field_gate.PROBLEMS:
        given = field_gate.problem(name)
        for method in ["exact", *(methods or METHODS)]:
            began = time.perf_counter()
            if method == "exact":
                drawn, forward, vjp = given.exact(samples, seed=2), 0.0, 0.0
            else:
                try:
                    kind, params = method_and_parameters(method)
                    post = given.draw(kind, samples=samples, **params)
                except RecipeError as error:
                    print(f"{name:<16}{method:<24}{error}".splitlines()[0], flush=True)
                    continue
                drawn, forward, vjp = post.samples, post.cost.forward / samples, post.cost.vjp / samples
            seconds = time.perf_counter() - began
            bias = given.bias(drawn)
            worst = max(bias.bands, key=lambda band: abs(band.ratio - 1) / band.error)
            print(
                f"{name:<16}{method:<24}{bias.std_seen:>9.3f}{bias.std_unseen:>8.3f}{bias.mean:>7.3f}"
                f"{bias.floor:>7.3f}{bias.chi2:>8.3f}"
                f"{bias.coverage:>7.3f}{bias.nominal:>8.3f}{worst.ratio:>8.3f} ({worst.error:.3f}){forward:>5.0f}"
                f"{vjp:>6.0f}{seconds:>8.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
