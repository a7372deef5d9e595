"""Noise of every kind of a recipe's ``noise`` section, drawn for known measurements: a function of (seed, item) alone.

Gaussian noise is :class:`inverse.numerics.rng.Rng`'s. Counts are drawn by numpy from a Philox whose key is the blake2b
hash of seed and item.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inverse.errors import InputError, RecipeError
from inverse.numerics.rng import Rng
from inverse.numerics.transforms import dct2, idct2
from inverse.operators.noise.fit import correlated_spectrum
from inverse.operators.noise.spec import (
    DEFAULTS,
    CorrelatedNoise,
    GaussianNoise,
    JpegNoise,
    PoissonGaussianNoise,
    PoissonNoise,
    RicianNoise,
    UniformNoise,
)

__all__ = ["draw_noise"]

_STREAM = "measurement"


def draw_noise(section: Any, clean: Tensor, *, seed: int, item: str) -> Tensor:
    """A measurement with noise.

    Args:
        section: One of :mod:`inverse.operators.noise.spec`; values to be estimated are `DEFAULTS`.
        clean: What is measured without noise (1, C, h, w).
        seed: Of the noise.
        item: Its name.

    Returns:
        As ``clean``.

    Raises:
        InputError: a level for each of another number of bands.
        RecipeError: noise that only a file has.
    """
    if isinstance(section, JpegNoise):
        raise RecipeError(
            "noise of kind jpeg is read from a file, not drawn", "simulate the compression: -s operator.kind=jpeg"
        )
    rng = Rng(seed, [item], [0])
    normal = rng.normal(clean, step=0, stream=_STREAM)
    if isinstance(section, GaussianNoise):
        return clean + _levels(section.sigma, clean) * normal
    if isinstance(section, CorrelatedNoise):
        height, width = clean.shape[-2:]
        shaped = correlated_spectrum((height, width), section.correlation).sqrt().to(clean)
        return clean + section.sigma * idct2(shaped * dct2(normal))
    if isinstance(section, PoissonNoise | PoissonGaussianNoise):
        counted = _counts(clean, _value(section, "gain"), seed, item)
        return counted + (_value(section, "sigma") * normal if isinstance(section, PoissonGaussianNoise) else 0.0)
    if isinstance(section, RicianNoise):
        other = rng.normal(clean, step=0, stream=_STREAM, draw=1)
        sigma = _value(section, "sigma")
        return torch.hypot(clean + sigma * normal, sigma * other)
    assert isinstance(section, UniformNoise)
    step = _value(section, "step")
    return (clean / step).round() * step


def _value(section: Any, name: str) -> float:
    value = getattr(section, name)
    return DEFAULTS[name] if isinstance(value, str) else float(value)


def _levels(sigma: Any, like: Tensor) -> Tensor | float:
    if not isinstance(sigma, tuple):
        return DEFAULTS["sigma"] if isinstance(sigma, str) else float(sigma)
    if len(sigma) not in (1, like.shape[1]):
        raise InputError(
            f"{len(sigma)} noise levels for {like.shape[1]} bands", "allowed: one level, or one for each band"
        )
    return torch.tensor(sigma, dtype=like.dtype, device=like.device).reshape(1, -1, 1, 1)


def _counts(clean: Tensor, gain: float, seed: int, item: str) -> Tensor:
    key = hashlib.blake2b(f"{seed}\0{item}\0{_STREAM}\0counts".encode(), digest_size=16).digest()
    rng = np.random.Generator(np.random.Philox(key=np.frombuffer(key, "<u8").astype(np.uint64)))
    mean = clean.detach().cpu().double().clamp_min(0).numpy() / gain
    return torch.from_numpy(gain * rng.poisson(mean)).to(clean)
