"""From a recipe and a picture to what `inverse.sample` takes: measurement, physics with its noise level, prior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inverse.errors import InputError, RecipeError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from inverse.io import Picture
    from inverse.posterior import Posterior
    from inverse.recipe import Recipe

__all__ = ["MINIMUM_SIDE", "Case", "fit_prior", "open_case", "open_recipe_prior", "resolve_dtype"]

MINIMUM_SIDE = 16
"""Smallest side of a picture: below it there is no neighbourhood to estimate anything from."""

INTERVAL = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class Case:
    """One item, ready to be solved.

    Attributes:
        y: Measurement (1, C, h, w), data units.
        physics: Its physics, noise level included.
        shape: (C, H, W) of the unknown.
        sigma: Noise level, data units.
        estimated: Whether it was estimated from the measurement.
    """

    y: Tensor
    physics: Any
    shape: tuple[int, ...]
    sigma: float
    estimated: bool

    def frame(self, image: Tensor) -> Tensor:
        """The part of an image (..., H, W) that the file shows; ``free`` boundaries extend the unknown past it."""
        crop = getattr(self.physics, "output_crop", None)
        if crop is None:
            return image
        top, left, height, width = crop
        return image[..., top : top + height, left : left + width]

    @property
    def observed(self) -> Tensor | None:
        """1 where the measurement holds a value, or None where it does everywhere."""
        from inverse.observation import observed

        return observed(self.physics, self.y)


def open_recipe_prior(recipe: Recipe) -> Any:
    """The recipe's prior, in the recipe's data units.

    Raises:
        PriorError: If it is missing or its weights are not those of its card.
    """
    from inverse.priors.open import open_prior

    name: str | Path = recipe.located()["prior"]["name"]
    return open_prior(name, data_range=recipe.prior.data_range or recipe.data.range)


def resolve_dtype(dtype: str, prior: Any, device: str) -> str:
    """``auto`` resolved: bfloat16 where the machine computes it natively and the prior is a network."""
    import torch

    from inverse.engine import bfloat16_is_fast
    from inverse.priors.open import NetworkPrior

    if dtype != "auto":
        return dtype
    fast = isinstance(prior, NetworkPrior) and bfloat16_is_fast(torch.device(device))
    return "bfloat16" if fast else "float32"


def fit_prior(prior: Any, channels: int, *, dtype: str, device: str) -> Any:
    """The prior for images of so many channels, in a precision, on a device."""
    import torch

    from inverse.grey import GreyPrior
    from inverse.priors.open import NetworkPrior

    if isinstance(prior, NetworkPrior):
        prior = prior.compute(dtype=getattr(torch, dtype), device=device)
    card = prior.card
    return GreyPrior(prior) if card is not None and card.channels == 3 and channels == 1 else prior


def open_case(recipe: Recipe, picture: Picture, *, channels: int | None, device: str = "cpu") -> Case:
    """Make a picture's measurement and physics; the noise level is estimated where the recipe says ``auto``.

    Args:
        recipe: What was measured, and how.
        picture: The measurement's file.
        channels: Of the prior; None accepts any.
        device: Where to compute.

    Raises:
        InputError: If the picture does not fit the prior or the operator.
        RecipeError: If the recipe asks for what is not available.
    """
    import torch

    from inverse.io import require, to_unit
    from inverse.operators.build import operator_for

    if recipe.data.transfer != "srgb":
        raise RecipeError("data.transfer: linear is not available yet; allowed: srgb", "remove the key")
    require(picture, channels=channels, minimum=MINIMUM_SIDE)
    y = torch.from_numpy(to_unit(picture))[None].to(device)
    spec: Mapping[str, Any] = recipe.located()["operator"]
    given = recipe.noise.sigma
    physics, shape = operator_for(spec, tuple(y.shape[1:]), noise=0.0 if given == "auto" else given, device=device)
    sigma = _estimated(y, physics) if given == "auto" else float(given)
    if given == "auto":
        physics, shape = operator_for(spec, tuple(y.shape[1:]), noise=sigma, device=device)
    return Case(_blank(y, physics), physics, tuple(shape), sigma, given == "auto")


def _estimated(y: torch.Tensor, physics: Any) -> float:
    from inverse.observation import observed
    from inverse.operators.noise import estimate_sigma

    sigma = float(estimate_sigma(y, mask=observed(physics, y))[0])
    if not sigma > 0:
        raise InputError(
            "the noise level cannot be estimated: the measurement is flat or noise-free",
            "give it: -s noise.sigma=0.01",
        )
    return sigma


def _blank(y: torch.Tensor, physics: Any) -> torch.Tensor:
    """Zero where nothing was observed, whatever the file holds there."""
    from inverse.observation import observed

    mask = observed(physics, y)
    return y if mask is None else y * mask


def statistics(post: Posterior, case: Case) -> dict[str, Tensor]:
    """What a posterior says, without the batch axis and in the input's frame, by the names of ``posterior.h5``."""
    import torch

    found = {"mean": post.mean, "data_share": post.data_share, "invented": post.invented}
    if post.samples.shape[0] > 1:
        found["std"] = post.std
    arrays = {name: case.frame(value)[0] for name, value in found.items()}
    arrays["samples"] = case.frame(post.samples)[:, 0]
    arrays["misfit"] = post.misfit[:, 0]
    if post.samples.shape[0] > 1:
        arrays["quantiles"] = torch.stack([case.frame(post.quantile(q))[0] for q in INTERVAL])
    return {name: value.float().cpu().contiguous() for name, value in arrays.items()}
