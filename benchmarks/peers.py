"""Ours, deepinv 0.5.0 and Azula in one run: same prior, operator, measurement, evaluations and precision.

    python benchmarks/peers.py [--samples 400] [--evaluations 100] [--problem white-mask]     exact Gaussian posteriors
    python benchmarks/peers.py --photo [--evaluations 20] [--limit 2]                         the photo network on photographs

Each method is run at the same number of network evaluations and, marked ``shipped``, at its own default. F and V are counted, per sample. On photographs ours
computes the network in bfloat16 and in float32, the peers in float32 as they ship. A peer that raises is shown with its reason.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import deepinv
import torch
from peer_samplers import PEERS, Counted, Setting
from photo import NOISE as PHOTO_NOISE
from photo import crop, psnr
from torch import Tensor

import inverse
import inverse.gates as gates
from inverse.errors import RecipeError
from inverse.io import read, to_unit
from inverse.method_table import METHODS
from inverse.operators.kernels import gaussian_kernel

PROBLEMS = ("white-mask", "white-blur", "white-downsample", "coloured-mask", "coloured-blur", "coloured-composed")
PHOTO_TASKS: dict[str, tuple[str, dict[str, object]]] = {
    "deblur": ("gaussian-blur", {"sigma": 2.0, "boundary": "circular"}),
    "inpaint": ("random-mask", {"missing": 0.7, "seed": 0}),
}


def steps_for(method: str, evaluations: int) -> int | None:
    """Most steps whose evaluations do not exceed a number; None where the default is used because none fits."""
    spec = METHODS[method]
    allowed = (n for n in range(evaluations, 0, -1) if spec.cost({"steps": n})[0] <= evaluations)
    return next(allowed, None) if "steps" in spec.parameters else None


def reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:110]


def compare(
    label: str, names: list[str], run: Callable[[str], tuple[Tensor, float, float]], show: Callable[[Tensor], str]
) -> None:
    """Print one row a method: what ``show`` says of its samples, F, V, seconds and processor seconds, which a busy machine disturbs less."""
    for name in names:
        torch.manual_seed(0)
        began, busy = time.perf_counter(), time.process_time()
        try:
            samples, forward, vjp = run(name)
        except Exception as error:  # a peer's failure is a result
            print(f"{label:<18}{name:<28}{reason(error)}", flush=True)
            continue
        seconds, busy = time.perf_counter() - began, time.process_time() - busy
        print(f"{label:<18}{name:<28}{show(samples)}{forward:>7.0f}{vjp:>7.0f}{seconds:>9.2f}{busy:>9.2f}", flush=True)


def peer(setting: Setting, prior: Any, **limits: float) -> Callable[[str], tuple[Tensor, float, float]]:
    """A function that draws with the peer of a name, its prior within the levels ``limits``, as `Counted`."""

    def run(name: str) -> tuple[Tensor, float, float]:
        counted = Counted(prior, **limits)
        samples = PEERS[name](replace(setting, denoise=counted)).detach().float()
        if not bool(torch.isfinite(samples).all()):
            raise ArithmeticError("values that are not finite")
        return samples, counted.forward_count / setting.samples, counted.vjp / setting.samples

    return run


def gaussian(name: str, samples: int, evaluations: int, chosen: list[str], ours: list[str]) -> None:
    given = gates.problem(name)
    left, s, _ = torch.linalg.svd(gates.matrix(given.physics, given.shape), full_matrices=False)
    setting = Setting(
        y=given.y,
        physics=given.physics,
        shape=given.shape,
        sigma=gates.NOISE,
        denoise=Counted(given.prior),
        mean=float(given.prior.mean),
        data_var=given.prior.card.data_var,
        samples=samples,
        evaluations=evaluations,
        spectrum=(left.float(), s.float()),
    )

    def show(drawn: Tensor) -> str:
        drawn = drawn.reshape(samples, 1, *given.shape)
        bias, eigen = given.bias(drawn), given.eigen_ratios(drawn)
        cells = (bias.std_range, bias.std_null, bias.mean_range, bias.mean_null, bias.chi2, eigen.deviation)
        return "".join(f"{value:>10.3f}" if value < 1e4 else f"{value:>10.1e}" for value in cells)

    def own(steps: Callable[[str], int | None]) -> Callable[[str], tuple[Tensor, float, float]]:
        def run(method: str) -> tuple[Tensor, float, float]:
            post = gates.draw(name, method.split()[-1], samples=samples, steps=steps(method.split()[-1]))
            return post.samples, post.cost.forward / samples, post.cost.vjp / samples

        return run

    mine = [f"inverse {method}" for method in ours]
    print(f"\n{name}, {samples} samples\n{'':<18}{'method':<28}", end="")
    print(
        "".join(f"{title:>10}" for title in ("std range", "std null", "mean rng", "mean null", "chi2", "eigen")), end=""
    )
    print(f"{'F':>7}{'V':>7}{'s':>9}{'cpu s':>9}")
    compare(f"F = {evaluations}", mine, own(lambda method: steps_for(method, evaluations)), show)
    compare(f"F = {evaluations}", chosen, peer(setting, given.prior), show)
    compare("shipped", mine, own(lambda _: None), show)
    compare("shipped", chosen, peer(replace(setting, evaluations=None), given.prior), show)


def peer_physics(kind: str, ours: Any, shape: tuple[int, ...]) -> Any:
    """The peers' own physics for a photograph: the same operator, with the singular values in its own layout."""
    noise = deepinv.physics.GaussianNoise(PHOTO_NOISE)
    if kind == "random-mask":
        return deepinv.physics.Inpainting(shape, mask=ours.mask.expand(1, *shape).clone(), noise_model=noise)
    kernel = torch.from_numpy(gaussian_kernel(2.0)).float()[None, None]
    return deepinv.physics.BlurFFT(shape, filter=kernel, noise_model=noise)


def photographs(data: Path, size: int, limit: int) -> Iterator[tuple[str, Tensor]]:
    for file in sorted(data.glob("*.png"))[:limit]:
        yield file.name, torch.from_numpy(crop(to_unit(read(file)), size))[None]


def photo(data: Path, size: int, limit: int, evaluations: int, chosen: list[str], ours: list[str]) -> None:
    prior = inverse.open_prior("photo")
    network = prior.compute(dtype=torch.float32, device="cpu")
    for task, (kind, params) in PHOTO_TASKS.items():
        for name, truth in photographs(data, size, limit):
            shape = tuple(truth.shape[1:])
            physics = inverse.build_operator(kind, shape=shape, noise=PHOTO_NOISE, **params)
            y = inverse.simulate(truth, physics, items=[name])
            theirs = peer_physics(kind, physics, shape)
            assert torch.allclose(theirs.A(truth), physics.A(truth), atol=1e-4), "not the same operator"
            setting = Setting(
                y, theirs, shape, PHOTO_NOISE, Counted(network), prior.card.mean, prior.card.data_var, 1, evaluations
            )

            def own(
                method: str, y: Tensor = y, physics: Any = physics, shape: Any = shape
            ) -> tuple[Tensor, float, float]:
                _, kind, dtype = method.split()
                options = {"method": kind, "samples": 1, "steps": steps_for(kind, evaluations), "dtype": dtype}
                post = inverse.sample(y, physics, prior, shape=shape, **options)
                return post.samples[0], post.cost.forward, post.cost.vjp

            def show(drawn: Tensor, truth: Tensor = truth) -> str:
                return f"{psnr(drawn[0].numpy(), truth[0].numpy()):>10.2f}"

            print(
                f"\n{task}, {name}, {size} x {size}\n{'':<18}{'method':<28}{'PSNR':>10}{'F':>7}{'V':>7}{'s':>9}{'cpu s':>9}"
            )
            for dtype in ("bfloat16", "float32"):
                compare(f"F = {evaluations}", [f"inverse {method} {dtype}" for method in ours], own, show)
            card = prior.card
            trained = {"lowest": card.sigma_min, "highest": card.sigma_max, "mean": card.mean}
            compare(f"F = {evaluations}", chosen, peer(setting, network, **trained), show)


@click.command()
@click.option("--samples", default=400, show_default=True, help="On Gaussian problems.")
@click.option("--evaluations", default=0, help="Network evaluations a sample; default 100, on photographs 20.")
@click.option("--problem", "problems", multiple=True, help="Only these Gaussian problems.")
@click.option("--peer", "peers", multiple=True, help="Only the peers whose names contain one of these.")
@click.option("--method", "methods", multiple=True, help="Only these of our methods.")
@click.option("--photo", "photographic", is_flag=True, help="Photographs and the network prior.")
@click.option("--data", default="../shared/data/photo", type=click.Path(path_type=Path, file_okay=False))
@click.option("--crop", "size", default=256, show_default=True)
@click.option("--limit", default=2, show_default=True, help="Number of photographs.")
def main(
    samples: int,
    evaluations: int,
    problems: tuple[str, ...],
    peers: tuple[str, ...],
    methods: tuple[str, ...],
    photographic: bool,
    data: Path,
    size: int,
    limit: int,
) -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    chosen = [name for name in PEERS if not peers or any(part in name for part in peers)]
    ours = [name for name in METHODS if not methods or name in methods]
    print(f"deepinv {deepinv.__version__}, {torch.get_num_threads()} threads")
    if photographic:
        photo(data, size, limit, evaluations or 20, chosen, ours)
        return
    for name in problems or PROBLEMS:
        try:
            gaussian(name, samples, evaluations or 100, chosen, ours)
        except RecipeError as error:
            print(f"{name}: {error}")


if __name__ == "__main__":
    main()
