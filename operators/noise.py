r"""Gaussian noise models, and the noise level of a measurement."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from deepinv.physics import GaussianNoise
from deepinv.physics.noise import NoiseModel
from torch import Tensor

from inverse.errors import RecipeError, did_you_mean

__all__ = ["noise_model"]

_ALLOWED = "allowed: a number >= 0 in data units, {kind: gaussian, sigma: 0.02}, or a deepinv noise model"


def noise_model(noise: Any = None, *, dtype: torch.dtype = torch.float32) -> Any:
    """A deepinv noise model.

    Args:
        noise: Standard deviation in data units (a number, or (B,) for each item its own), a mapping
            ``{kind: gaussian, sigma: 0.02}``, a deepinv noise model (copied), or None for 0.
        dtype: Of ``sigma``.

    Returns:
        ``GaussianNoise`` with ``sigma`` () or (B,); a given noise model as it is. Nothing is drawn.

    Raises:
        RecipeError: a level that is negative or not finite, or another kind.
    """
    if isinstance(noise, NoiseModel):
        return copy.deepcopy(noise) if noise.rng is None else noise
    if isinstance(noise, Mapping):
        given = dict(noise)
        kind = given.pop("kind", "gaussian")
        if kind != "gaussian":
            raise RecipeError(f"unknown noise '{kind}'", "allowed: gaussian")
        noise = given.pop("sigma", 0.0)
        if given:
            name = next(iter(given))
            raise RecipeError(f"noise 'gaussian' has no parameter '{name}'", did_you_mean(str(name), ["sigma"]))
    if isinstance(noise, str | bool):
        hint = "estimate it first: inverse.operators.noise.estimate_sigma(y)" if noise == "auto" else _ALLOWED
        raise RecipeError(f"noise level {noise!r}", hint)
    try:
        sigma = torch.as_tensor(0.0 if noise is None else noise, dtype=torch.float64).detach().clone()
    except (TypeError, ValueError, RuntimeError):
        raise RecipeError(f"noise level of type {type(noise).__name__}", _ALLOWED) from None
    if sigma.ndim > 1 or sigma.numel() == 0:
        raise RecipeError(
            f"noise levels of shape {tuple(sigma.shape)}", "allowed: one level, or one for each item (B,)"
        )
    worst = float(sigma.min()) if bool(torch.isfinite(sigma).all()) else math.nan
    if not worst >= 0:
        raise RecipeError(f"noise level {sigma.tolist()}", _ALLOWED)
    return GaussianNoise(sigma=sigma.to(dtype))
