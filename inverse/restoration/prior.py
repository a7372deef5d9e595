"""The prior of a recipe: opened in its data units, in a precision, for an unknown's channels; and its speed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from inverse.priors.channels import BandPrior, GreyPrior
from inverse.priors.models.callable import computed, is_network
from inverse.priors.open import open_prior
from inverse.recipes.recipe import Recipe
from inverse.restoration.plan import Compute
from inverse.sampling.method_spec import VJP_SECONDS
from inverse.sampling.methods import method_spec
from inverse.sampling.problem import bfloat16_is_fast

__all__ = ["fit_prior", "forward_seconds", "open_recipe_prior", "resolve_dtype", "sampling_seconds"]


def open_recipe_prior(recipe: Recipe) -> Any:
    """The recipe's prior, in the recipe's data units.

    The values of a complex image have either sign: its white is a magnitude.

    Raises:
        PriorError: If it is missing or its weights are not those of its card.
    """
    name: str | Path = recipe.located()["prior"]["name"]
    opened, white = open_prior(name), recipe.data.range[1]
    own = (-white, white) if opened.card is not None and opened.card.complex else recipe.data.range
    wanted = recipe.prior.data_range or own
    same = opened.card is not None and opened.card.data_range == tuple(wanted)
    return opened if same else open_prior(name, data_range=wanted)


def resolve_dtype(dtype: str, prior: Any, device: str) -> str:
    """``auto`` resolved: bfloat16 where the machine computes it natively and the prior is a network."""
    if dtype != "auto":
        return dtype
    fast = is_network(prior) and bfloat16_is_fast(torch.device(device))
    return "bfloat16" if fast else "float32"


def fit_prior(prior: Any, channels: int, *, dtype: str, device: str) -> Any:
    """The prior for images of so many channels; one of colour serves other counts (`inverse.priors.channels`)."""
    prior = computed(prior, dtype=getattr(torch, dtype), device=device)
    if prior.card is None or prior.card.channels != 3 or channels == 3:
        return prior
    return GreyPrior(prior) if channels == 1 else BandPrior(prior, channels)


def forward_seconds(prior: Any, shape: Sequence[int], compute: Compute) -> float:
    """Seconds of one forward pass for an unknown (C, H, W); the first call, which warms up, is not counted."""
    fitted, device = fit_prior(prior, shape[0], dtype=compute.dtype, device=compute.device), compute.device
    x = torch.zeros(1, *shape, device=device, dtype=torch.float32)
    level = torch.full((1,), 0.1, device=device, dtype=torch.float32)
    with torch.no_grad():
        fitted(x[..., :64, :64], level)
        began = time.perf_counter()
        fitted(x, level)
        if device.startswith("cuda"):
            torch.cuda.synchronize()
    return time.perf_counter() - began


def sampling_seconds(prior: Any, shape: Sequence[int], recipe: Recipe, compute: Compute) -> float:
    """Seconds that a recipe's samples of an unknown (C, H, W) take, by one timed forward pass."""
    forward, vjp = method_spec(recipe.method_kind).cost(recipe.params)
    return forward_seconds(prior, shape, compute) * recipe.run.samples * (forward + VJP_SECONDS * vjp)
