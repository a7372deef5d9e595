"""Every method against exact Gaussian posteriors: a table of biases; ``--write`` records them for the gate tests.

python benchmarks/exact.py [--samples 2000] [--write]
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

import click
import torch

import inverse.gates as gates
from inverse.errors import RecipeError
from inverse.methods import METHODS

CASES = [("dps", {}), ("pigdm", {}), ("diffpir", {}), ("ddrm", {})]


@click.command()
@click.option("--samples", default=2000, show_default=True)
@click.option("--problem", "problems", multiple=True, help="Only these problems.")
@click.option("--write", is_flag=True, help="Write inverse/bias.json.")
def main(samples: int, problems: tuple[str, ...], write: bool) -> None:
    """Print std ratio (range, null), mean error (range, null), chi2 ratio, F, V and seconds of every method."""
    torch.set_num_threads(1)
    table: dict[str, dict[str, dict[str, float]]] = {}
    print(
        f"{'problem':<24}{'method':<10}{'std range':>10}{'std null':>10}{'mean rng':>10}{'mean null':>10}{'chi2':>8}{'F':>6}{'V':>6}{'s':>8}"
    )
    for name in problems or gates.PROBLEMS:
        for method, params in CASES:
            began = time.perf_counter()
            try:
                bias = gates.measure(name, method, samples=samples, **params)
            except RecipeError:
                continue
            steps = int(METHODS[method].defaults["steps"])
            table.setdefault(name, {})[method] = asdict(bias)
            cells = "".join(
                f"{value:>10.3f}" for value in (bias.std_range, bias.std_null, bias.mean_range, bias.mean_null)
            )
            print(
                f"{name:<24}{method:<10}{cells}{bias.chi2:>8.3f}{steps * METHODS[method].forward:>6}"
                f"{steps * METHODS[method].vjp:>6}{time.perf_counter() - began:>8.1f}",
                flush=True,
            )
    if write:
        target = Path(gates.__file__).with_name("bias.json")
        target.write_text(json.dumps({"samples": samples, "problems": table}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
