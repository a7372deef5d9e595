"""Assertions about a prior: it denoises in data units, keeps shapes, and treats the items of a batch alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from inverse.errors import PriorError
from inverse.operators.observation import Counter
from inverse.priors.open import open_prior
from inverse.priors.verify import denoises
from inverse.sampling.infer_card import infer_card

__all__ = ["assert_prior"]


def assert_prior(
    prior: Any, *, shape: tuple[int, ...] | None = None, tolerance: float = 1e-4, gradient: bool = True
) -> dict[str, float]:
    """Assert that a prior is a denoiser ``D(x, sigma) = E[x0 | x0 + sigma n = x]`` in data units.

    Args:
        prior: As `inverse.open_prior` takes it: a name, a file, an object with a ``card``, or a callable of an image
            (B, C, *S) and noise levels (B,).
        shape: (C, *S) of an image; default the smallest that the prior's card allows, at least 32 pixels a side.
        tolerance: Largest difference between an item alone and in a batch, over the images' standard deviation.
        gradient: Also assert that autograd passes through it, which methods that need ``grad`` use.

    Returns:
        ``far``, the distance of its answer from its mean at its largest noise, and ``near``, that from its input at its
        smallest, both over the images' standard deviation; ``batch``, the difference of an item alone and in a batch.

    Raises:
        AssertionError: Its answer has another shape or type, is not finite, is not in data units, depends on what else
            is in the batch, has no gradient, or its argument was changed.
        PriorError: It cannot be opened.
    """
    opened = open_prior(prior)
    card, sides = getattr(opened, "card", None), shape
    if sides is None:
        side = 32 if card is None else -(-max(card.minimum_size, 32) // card.stride) * card.stride
        sides = ((card.channels if card is not None else None) or 1, side, side)
    if card is None:
        card, _ = infer_card(opened, torch.zeros(1, *sides, dtype=torch.float32), Counter())
    std = card.data_var**0.5
    generator = torch.Generator().manual_seed(0)
    levels = torch.tensor([1.0, 0.3, 0.1], dtype=torch.float32) * min(std, card.sigma_max)
    levels = levels.clamp_min(card.sigma_min)
    x = card.mean + std * torch.randn(3, *sides, generator=generator, dtype=torch.float32)
    x = x + levels.reshape(-1, *[1] * len(sides)) * torch.randn(x.shape, generator=generator, dtype=torch.float32)
    kept = x.clone()
    with torch.no_grad():
        together = opened(x, levels)
        alone = torch.cat([opened(x[i : i + 1], levels[i : i + 1]) for i in range(3)])
    label = f"prior '{card.name}' on {tuple(x.shape)}"
    _require(isinstance(together, Tensor) and together.shape == x.shape, f"{label}: its answer is {_form(together)}")
    _require(together.dtype == x.dtype, f"{label}: its answer is {together.dtype}, expected {x.dtype}")
    _require(bool(torch.isfinite(together).all()), f"{label}: its answer is not finite")
    _require(torch.equal(x, kept), f"{label}: it changed its argument")
    gap = float((together - alone).abs().max()) / std
    _require(
        gap <= tolerance,
        f"{label}: an item alone and in a batch differ by {gap:.3g} standard deviations, allowed {tolerance:g}: "
        "are its noise levels one an item?",
    )
    try:
        far, near = denoises(opened, card)
    except PriorError as error:
        raise AssertionError(str(error)) from error
    if gradient:
        with torch.enable_grad():
            point = x[:1].clone().requires_grad_(True)
            answer = opened(point, levels[:1])
        _require(answer.requires_grad, f"{label}: no gradient passes through it")
        (slope,) = torch.autograd.grad(answer.sum(), point)
        _require(bool(torch.isfinite(slope).all()), f"{label}: its gradient is not finite")
    return {"far": far, "near": near, "batch": gap}


def _form(answer: Any) -> str:
    return f"of shape {tuple(answer.shape)}" if isinstance(answer, Tensor) else f"a {type(answer).__name__}"


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)
