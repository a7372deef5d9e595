"""Quality against cost of every method, on photographs: the table that ``method="auto"`` chooses from.

    python benchmarks/pareto.py [--task deblur] [--method diffpir] [--write]     every setting, 3 photographs
    python benchmarks/pareto.py --limit 8 --near 0.05 --write                    and those near the front on more

Centre crops of photographs, the embedded prior, tasks of each kind of operator, settings from a few evaluations to
several hundred. For each: F, V, cost F + 3 V, PSNR of the mean, CRPS (fair estimate from the ensemble; Gneiting &
Raftery 2007, equation 20), and the coverage of 90 % predictive intervals. ``*`` marks the front in (cost, CRPS). Rows
are kept in ``build/pareto.json`` as they come, so that it can be interrupted; ``--write`` puts them into
``inverse/sampling/auto.json`` and draws ``docs/pareto.png``.
"""

from __future__ import annotations

import json
import math
import time
from itertools import product
from pathlib import Path
from typing import Any

import click
import torch
from deepinv.physics import GaussianNoise, Physics
from photo import crop
from torch import Tensor

import inverse
from inverse.errors import InverseError
from inverse.io.content import to_unit
from inverse.io.read_write import read
from inverse.operators.observation import Observation
from inverse.priors.open import open_prior
from inverse.sampling import auto
from inverse.sampling.methods import method_spec

SETTINGS: list[tuple[str, list[int], dict[str, Any]]] = [
    ("diffpir", [10, 20, 50], {}),
    ("diffpir", [20], {"lam": 2.0, "zeta": 0.7}),
    ("diffpir", [20], {"lam": 0.7, "zeta": 1.0}),
    ("ddrm", [10, 20, 50], {}),
    ("ddnm", [10, 20, 50], {}),
    ("dds", [10, 20, 50], {}),
    ("mpgd", [10, 20, 50], {}),
    ("pigdm", [5, 10, 20, 50], {"covariance": "residual"}),
    ("pigdm", [10, 20, 50], {"covariance": "residual", "products": 0.5}),
    ("pigdm", [20], {"covariance": "residual", "products": 0.7}),
    ("pnp-dm", [20, 40], {}),
    ("red-diff", [50], {}),
    ("daps", [20], {"covariance": "jacobian"}),
    ("daps", [20], {}),
    ("dps", [20], {}),
    ("mmps", [10], {"iterations": 2}),
    ("pigdm", [10, 20], {}),
    ("pigdm", [20], {"covariance": "residual", "kernel": "dpmpp"}),
    ("tmpd", [20], {}),
    ("mmps", [20], {"iterations": 1, "kernel": "ddim"}),
]

SIZE = 96


class SaturatedBlur(Physics):
    """``tanh(1.5 k * x) / tanh(1.5)``: a blurred photograph on a sensor that saturates; not linear."""

    def __init__(self, shape: tuple[int, ...], noise: float) -> None:
        super().__init__(noise_model=GaussianNoise(noise))
        self.blur = inverse.build_operator("gaussian-blur", shape=shape, sigma=1.0, noise=noise)

    def A(self, x: Tensor, **_: object) -> Tensor:
        """Apply."""
        return torch.tanh(1.5 * self.blur.A(x)) / math.tanh(1.5)


def operator(task: str, shape: tuple[int, ...], noise: float) -> Any:
    if task == "saturated":
        return SaturatedBlur(shape, noise)
    kind, params = {
        "deblur": ("gaussian-blur", {"sigma": 2.0, "boundary": "circular"}),
        "inpaint": ("random-mask", {"missing": 0.7, "seed": 0}),
        "super-resolution": ("downsample", {"factor": 4}),
    }[task]
    return inverse.build_operator(kind, shape=shape, noise=noise, **params)


TASKS = ("deblur", "inpaint", "super-resolution", "saturated")


def measure(task: str, noise: float, method: str, params: dict[str, Any], files: list[Path], samples: int) -> dict:
    """One row: all photographs and samples of one setting together."""
    truths = torch.stack([torch.from_numpy(crop(to_unit(read(file)), SIZE)) for file in files])
    physics = operator(task, tuple(truths.shape[1:]), noise)
    names = [file.name for file in files]
    y = inverse.simulate(truths, physics, items=names)
    began = time.perf_counter()
    post = inverse.sample(
        y, physics, "photo", method=method, samples=samples, items=names, shape=tuple(truths.shape[1:]), **params
    )
    seconds = time.perf_counter() - began
    draws = post.samples
    errors = (post.mean.clamp(0, 1) - truths).square().mean((1, 2, 3))
    ordered = draws.sort(0).values
    weights = 2 * torch.arange(1, samples + 1) - samples - 1
    pairs = 2 * (weights.view(-1, 1, 1, 1, 1) * ordered).sum(0) / (samples * (samples - 1))
    crps = (draws - truths).abs().mean(0) - 0.5 * pairs
    inside = (post.quantile(0.05) <= truths) & (truths <= post.quantile(0.95))
    spec = method_spec(method)
    forward, vjp = spec.cost(params)
    return {
        "kind": auto.kind_of(Observation.create(y, physics, shape=tuple(truths.shape[1:]))),
        "noise": round(noise / open_prior("photo").card.data_var ** 0.5, 4),
        "method": method,
        "params": params,
        "cost": forward + auto.VJP_WEIGHT * vjp,
        "psnr": round(float((-10 * errors.log10()).mean()), 3),
        "crps": round(float(crps.mean()), 5),
        "coverage": round(float(inside.float().mean()), 3),
        "misfit": round(float(post.misfit.mean()), 3),
        "seconds": round(seconds / len(files) / samples, 2),
        "F": forward,
        "V": vjp,
    }


def front(rows: list[dict]) -> list[dict]:
    """Rows that no other row beats in both cost and CRPS."""
    return [
        row
        for row in rows
        if not any(
            (o["cost"] <= row["cost"] and o["crps"] < row["crps"])
            or (o["cost"] < row["cost"] and o["crps"] <= row["crps"])
            for o in rows
        )
    ]


def losers(found: dict[str, dict], near: float) -> set[tuple[str, float, str, str]]:
    """Settings (task, noise, method, parameters) whose CRPS is above ``1 + near`` times the best at no more cost."""
    lost = set()
    for key, row in found.items():
        task, noise, method, params, *_ = json.loads(key)
        rivals = [
            other["crps"]
            for own, other in found.items()
            if json.loads(own)[:2] == [task, noise] and other["cost"] <= row["cost"]
        ]
        if row["crps"] > (1 + near) * min(rivals):
            lost.add((task, noise, method, json.dumps(params)))
    return lost


def largest(found: dict[str, dict]) -> dict[str, dict]:
    """The rows of each task and noise level that were measured on most photographs."""
    most: dict[tuple[str, float], int] = {}
    for task, noise, _, _, limit, _ in map(json.loads, found):
        most[task, noise] = max(limit, most.get((task, noise), 0))
    return {key: row for key, row in found.items() if most[tuple(json.loads(key)[:2])] == json.loads(key)[4]}


def draw(found: dict[str, dict], path: Path) -> None:
    """PSNR, CRPS and coverage against cost, task by task."""
    from matplotlib.figure import Figure

    groups = sorted({(row["task"], row["noise"]) for row in found.values()})
    figure = Figure(figsize=(4 * len(groups), 9), layout="constrained")
    axes = figure.subplots(3, len(groups), squeeze=False, sharex=True)
    names = sorted({row["method"] for row in found.values()})
    for column, group in enumerate(groups):
        rows = [row for row in found.values() if (row["task"], row["noise"]) == group]
        for line, key in enumerate(("psnr", "crps", "coverage")):
            axis = axes[line][column]
            for i, name in enumerate(names):
                mine = [row for row in rows if row["method"] == name]
                axis.plot(
                    [row["cost"] for row in mine],
                    [row[key] for row in mine],
                    "o^sv"[i % 4],
                    color=f"C{i % 10}",
                    label=name,
                )
            axis.set(xscale="log", ylabel=key if not column else "", xlabel="F + 3 V" if line == 2 else "")
            if key == "crps":
                best = sorted(front(rows), key=lambda row: row["cost"])
                axis.plot([row["cost"] for row in best], [row[key] for row in best], "k-", linewidth=0.8)
            if not line:
                axis.set_title(f"{group[0]}, noise {group[1]:g} std")
    axes[0][-1].legend(fontsize=7)
    figure.savefig(path, dpi=80)


@click.command()
@click.option("--data", default="../shared/data/photo", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--task", "tasks", multiple=True, type=click.Choice(TASKS))
@click.option("--method", "methods", multiple=True)
@click.option("--noise", "noises", multiple=True, type=float, help="Noise levels; default 0.02.")
@click.option("--limit", default=3, show_default=True, help="Photographs, spread over the folder.")
@click.option("--samples", default=4, show_default=True)
@click.option("--keep", default="build/pareto.json", type=click.Path(path_type=Path), show_default=True)
@click.option("--near", type=float, help="Leave out what was this share above the front on fewer photographs.")
@click.option("--write", is_flag=True, help="Write inverse/sampling/auto.json and docs/pareto.png.")
def main(
    data: Path,
    tasks: tuple[str, ...],
    methods: tuple[str, ...],
    noises: tuple[float, ...],
    limit: int,
    samples: int,
    keep: Path,
    near: float | None,
    write: bool,
) -> None:
    """Measure what is not measured yet, print every task's table, mark the front."""
    everything = sorted(data.glob("*.png"))
    files = everything[:: max(1, len(everything) // limit)][:limit]
    keep.parent.mkdir(parents=True, exist_ok=True)
    found = json.loads(keep.read_text()) if keep.exists() else {}
    groups = [(task, noise) for task in tasks or TASKS for noise in noises or (0.02,)]
    settings = [
        (method, {"steps": steps, **extra})
        for method, counts, extra in SETTINGS
        if not methods or method in methods
        for steps in counts
    ]
    few = {key: row for key, row in found.items() if json.loads(key)[4] < limit}
    lost = set() if near is None else losers(few, near)
    # task after task within a setting: an interrupted table is as long for each kind of operator
    for (method, params), (task, noise) in product(settings, groups):
        key = json.dumps([task, noise, method, params, limit, samples])
        if key in found or (task, noise, method, json.dumps(params)) in lost:
            continue
        try:
            row = measure(task, noise, method, params, files, samples)
        except InverseError as error:
            print(f"{task} {method}: {str(error).splitlines()[0]}", flush=True)
            continue
        found[key] = {"task": task, **row}
        keep.write_text(json.dumps(found))
        print(f"{task} {method} {params} {row['psnr']} {row['crps']} {row['coverage']}", flush=True)
    shown = largest(found)
    for group in sorted({(row["task"], row["noise"]) for row in shown.values()}):
        rows = sorted((r for r in shown.values() if (r["task"], r["noise"]) == group), key=lambda row: row["cost"])
        best = front(rows)
        print(f"\n{group[0]}, noise {group[1]:g} of the prior's std; {SIZE} x {SIZE}, {samples} samples")
        print(
            f"{'method':<10}{'parameters':<58}{'F':>5}{'V':>5}{'F+3V':>6}{'PSNR':>8}{'CRPS':>9}"
            f"{'cover':>7}{'misfit':>8}"
        )
        for row in rows:
            given = ", ".join(f"{name} {value}" for name, value in row["params"].items())
            print(
                f"{row['method']:<10}{given:<58}{row['F']:>5}{row['V']:>5}{row['cost']:>6}{row['psnr']:>8.2f}"
                f"{row['crps']:>9.5f}"
                f"{row['coverage']:>7.2f}{row['misfit']:>8.2f}{'  *' if row in best else ''}"
            )
    if write:
        kept = ("kind", "noise", "method", "params", "cost", "psnr", "crps", "coverage")
        table = [{name: row[name] for name in kept} for row in shown.values()]
        target = Path(auto.__file__).with_name("auto.json")
        text = ",\n  ".join(json.dumps(row) for row in table)
        counts = sorted({json.loads(key)[4] for key in shown})
        made = f"benchmarks/pareto.py, {' or '.join(map(str, counts))} photographs {SIZE} x {SIZE}, {samples} samples"
        target.write_text(f'{{"made_by": "{made}",\n "rows": [\n  {text}\n ]}}\n', encoding="utf-8")
        fewest = min(json.loads(key)[4] for key in found)  # where every method is
        draw({key: row for key, row in found.items() if json.loads(key)[4] == fewest}, Path("docs/pareto.png"))


if __name__ == "__main__":
    main()
