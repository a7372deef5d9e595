"""Unconditional sampling: draws of the prior itself, with the kernels of the posterior samplers.

``kernel`` picks the method: ``ancestral`` (DDPM), ``ddim``, ``heun`` (EDM), ``dpmpp`` (DPM-Solver++(2M)),
``corrected`` (predictor-corrector). The start is the prior's mean with noise of ``sigma_max``. Cost: one
network evaluation a level; two, but for the last, with ``heun`` and ``corrected``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from inverse.errors import RecipeError, UsageError, did_you_mean
from inverse.numerics.defaults import independent
from inverse.numerics.rng import Rng, require_seed
from inverse.operators.observation import Counter
from inverse.sampling.arguments import named_device, require_memory, require_shape
from inverse.sampling.denoiser import Denoise
from inverse.sampling.kernels import KERNELS
from inverse.sampling.kernels import kernel as named
from inverse.sampling.problem import open_denoiser
from inverse.sampling.start import noise_levels

__all__ = ["generate"]


@independent
def generate(
    prior: Any,
    *,
    shape: Sequence[int],
    samples: int = 4,
    steps: int = 50,
    kernel: str = "heun",
    eta: float = 0.0,
    seed: int = 0,
    batch: int = 4,
    sigma_max: float | None = None,
    sigma_min: float | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | str = "auto",
) -> Tensor:
    """Draw samples of a prior.

    Args:
        prior: Name of a prior, or a denoiser ``D(x, sigma)`` in data units.
        shape: (C, *S) or (d,) of one sample.
        samples: How many.
        steps: Noise levels.
        kernel: One of ``inverse.sampling.kernels.KERNELS``.
        eta: Fresh noise of ``ddim``.
        seed: Sample ``k`` is a function of (seed, k) alone.
        batch: Samples evaluated together.
        sigma_max: First noise level, data units; default the prior's.
        sigma_min: Last noise level before 0; default the prior's.
        device: Where the network runs.
        dtype: Compute precision of a network prior: "auto", "float32", "bfloat16".

    Returns:
        (samples, C, *S), float32, data units.

    Raises:
        RecipeError: an unknown kernel.
        UsageError: a number of samples, steps or a batch below 1, or no shape.
        InputError: a shape that the prior cannot have.
        MemoryLimitError: more samples than the machine's memory holds.
    """
    if kernel not in KERNELS:
        raise RecipeError(f"unknown kernel '{kernel}'", did_you_mean(kernel, KERNELS))
    require_seed(seed)
    require_shape(shape)
    counts: dict[str, Any] = {"samples": samples, "steps": steps, "batch": batch}
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, Integral) or int(count) < 1:
            raise UsageError(f"{name} {count!r}", "allowed: a whole number from 1")
    ends: dict[str, Any] = {"sigma_max": sigma_max, "sigma_min": sigma_min}
    for name, level in ends.items():
        if level is not None and not (isinstance(level, Real) and 0 < float(level) < math.inf):
            raise UsageError(f"{name} {level!r}", "allowed: a number more than 0")
    require_memory(samples, 1, shape)
    device = named_device(device)
    like = torch.zeros(1, *shape, device=device, dtype=torch.float32)
    opened, card, mean, _ = open_denoiser(prior, like, dtype, Counter())
    denoise = Denoise(opened, Counter())
    levels = noise_levels(
        "karras",
        sigma_max=sigma_max or card.sigma_max,
        sigma_min=sigma_min or max(card.sigma_min, 0.01 * card.data_var**0.5),
        steps=steps,
    )
    move = named(kernel, eta=eta)
    done = []
    for first in range(0, samples, batch):
        indices = range(first, min(first + batch, samples))
        rng = Rng(seed, ("prior",) * len(indices), tuple(indices))
        state = (like + mean).expand(len(indices), *shape)
        x, memory = state + levels[0] * rng.normal(state, step=0, stream="start"), None
        for index, (sigma, sigma_next) in enumerate(pairwise(levels)):

            def noise(draw: int = 0, *, like: Tensor = x, step: int = index, rng: Rng = rng) -> Tensor:
                return rng.normal(like, step=step, stream="kernel", draw=draw)

            x, _, memory = move(lambda v, s: denoise.estimate(v, s).mean, x, sigma, sigma_next, noise, memory)
        done.append(x)
    return torch.cat(done)
