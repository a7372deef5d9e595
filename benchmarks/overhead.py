"""Sampler time over network time, in one run, alternating: what the engine adds to the network.

    python benchmarks/overhead.py [--size 256] [--samples 1] [--rounds 9]

Both are timed at the same batch and precision; the network's time is ``steps`` forward calls, on the states that the
sampler gives it. Printed: the median over rounds of their ratio, the ratio of the fastest rounds, which a busy machine
disturbs less, and ``inside``: sampler time over the time its own network calls took.
"""

from __future__ import annotations

import time

import click
import numpy as np
import torch

import inverse

CASES = [
    ("diffpir", "gaussian-blur", {"sigma": 2.0, "boundary": "reflect"}),
    ("diffpir", "gaussian-blur", {"sigma": 2.0, "boundary": "circular"}),
    ("diffpir", "random-mask", {"missing": 0.7}),
    ("diffpir", "downsample", {"factor": 4}),
    ("ddrm", "gaussian-blur", {"sigma": 2.0, "boundary": "reflect"}),
    ("diffpir", "gaussian-blur", {"sigma": 2.0, "boundary": "free"}),
    ("diffpir", "motion-blur", {"length": 15.0, "angle": 30.0, "boundary": "free"}),
]


class Clocked:
    """A prior that adds up the seconds of its calls."""

    def __init__(self, prior: object) -> None:
        self.prior, self.card, self.seconds = prior, prior.card, 0.0

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """The prior's answer."""
        began = time.perf_counter()
        estimate = self.prior(x, sigma)
        self.seconds += time.perf_counter() - began
        return estimate


@click.command()
@click.option("--size", default=256, show_default=True)
@click.option("--samples", default=1, show_default=True)
@click.option("--steps", default=20, show_default=True)
@click.option("--rounds", default=9, show_default=True)
@click.option("--dtype", default="auto", show_default=True)
def main(size: int, samples: int, steps: int, rounds: int, dtype: str) -> None:
    """Print the ratio sampler / (steps x one forward) for closed-form and for CG operators."""
    from inverse.restoration.prior import resolve_dtype

    prior = inverse.open_prior("photo")
    precision = resolve_dtype(dtype, prior, "cpu")
    network = prior.compute(dtype=getattr(torch, precision), device="cpu")
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 3, size, size, generator=generator)
    print(f"{size} x {size}, {samples} samples together, {steps} steps, {precision}, {torch.get_num_threads()} threads")
    print(
        f"{'method':<10}{'operator':<40}{'solve':<13}{'network s':>10}{'sampler s':>10}"
        f"{'ratio':>8}{'fastest':>9}{'inside':>8}"
    )
    for number, (method, kind, params) in enumerate([CASES[0], *CASES]):  # the first warms the process up
        physics = inverse.build_operator(kind, shape=(3, size, size), noise=0.02, **params)
        y = inverse.simulate(x, physics)
        options = {"method": method, "samples": samples, "steps": steps, "shape": (3, size, size), "dtype": precision}
        states = [
            (step.x, torch.full((samples,), step.sigma)) for step in inverse.steps(y, physics, network, **options)
        ]
        clocked = Clocked(network)
        ratios, insides, network_times, sampler_times = [], [], [], []
        for round_ in range(rounds + 1):
            began = time.perf_counter()
            with torch.no_grad():
                for state, sigma in states:
                    network(state, sigma)
            middle = time.perf_counter()
            clocked.seconds = 0.0
            inverse.sample(y, physics, clocked, batch=samples, **options)
            end = time.perf_counter()
            if round_:
                network_times.append(middle - began)
                sampler_times.append(end - middle)
                ratios.append((end - middle) / (middle - began))
                insides.append((end - middle) / clocked.seconds)
        if not number:
            continue
        solve = "closed form" if hasattr(physics, "V_adjoint") else "CG"
        name = f"{kind} {params.get('boundary', '')}".strip()
        print(
            f"{method:<10}{name:<40}{solve:<13}{np.median(network_times):>10.2f}{np.median(sampler_times):>10.2f}"
            f"{np.median(ratios):>8.3f}{min(sampler_times) / min(network_times):>9.3f}"
            f"{np.median(insides):>8.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
