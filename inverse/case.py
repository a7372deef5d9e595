"""From a recipe and a picture to what `inverse.sample` takes: measurement, physics with its noise level, prior."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inverse.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from inverse.io import Picture
    from inverse.posterior import Posterior
    from inverse.recipe import Recipe

__all__ = [
    "MINIMUM_SIDE",
    "Case",
    "fit_prior",
    "forward_seconds",
    "make_case",
    "method_kind",
    "open_case",
    "open_recipe_prior",
    "resolve_dtype",
    "span",
    "statistics",
]

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

    @property
    def crop(self) -> tuple[int, int, int, int] | None:
        """(top, left, height, width) of the unknown that the file shows; ``free`` boundaries extend it past that."""
        return getattr(self.physics, "output_crop", None)

    @property
    def observed(self) -> Tensor | None:
        """1 where the measurement holds a value, (1, 1 or C, h, w), or None where it does everywhere."""
        from inverse.observation import observed

        mask = observed(self.physics, self.y)
        return None if mask is None or bool((mask == 1).all()) else mask.reshape(-1, *mask.shape[-3:])[:1]


def span(case: Case, low: float, high: float) -> tuple[float, float, float]:
    """Smallest and largest measured value, and the fraction of them clearly outside a range: by more than four times the noise."""
    inside = case.y if case.observed is None else case.y[case.observed.expand_as(case.y) > 0]
    outside = (inside < low - 4 * case.sigma) | (inside > high + 4 * case.sigma)
    return float(inside.min()), float(inside.max()), float(outside.float().mean())


def method_kind(recipe: Recipe) -> str:
    """Name of the recipe's method."""
    return str(recipe.method.model_dump()["kind"])


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
    from inverse.priors.open import is_network

    if dtype != "auto":
        return dtype
    fast = is_network(prior) and bfloat16_is_fast(torch.device(device))
    return "bfloat16" if fast else "float32"


def fit_prior(prior: Any, channels: int, *, dtype: str, device: str) -> Any:
    """The prior for images of so many channels, in a precision, on a device; one of colour serves other counts (`inverse.grey`, `inverse.bands`)."""
    import torch

    from inverse.bands import BandPrior
    from inverse.grey import GreyPrior
    from inverse.priors.open import computed

    prior = computed(prior, dtype=getattr(torch, dtype), device=device)
    if prior.card is None or prior.card.channels != 3 or channels == 3:
        return prior
    return GreyPrior(prior) if channels == 1 else BandPrior(prior, channels)


def open_case(recipe: Recipe, picture: Picture, *, channels: int | None, device: str = "cpu") -> Case:
    """Make a picture's measurement and physics; the noise level is estimated where the recipe says ``auto``.

    Args:
        recipe: What was measured, and how.
        picture: The measurement's file.
        channels: Of the prior; None accepts any.
        device: Where to compute.

    Raises:
        InputError: If the picture does not fit the prior or the operator.
    """
    import torch

    from inverse.io import require
    from inverse.light import to_data

    require(picture, channels=channels, minimum=MINIMUM_SIDE)
    return make_case(recipe, torch.from_numpy(to_data(picture, recipe.data.transfer))[None].to(device))


def make_case(recipe: Recipe, y: Tensor) -> Case:
    """As `open_case`, for a measurement (1, C, h, w) in data units."""
    from inverse.observation import observed
    from inverse.operators.build import operator_for

    spec, shape, given = recipe.located()["operator"], tuple(y.shape[1:]), recipe.noise.sigma
    physics, unknown = operator_for(spec, shape, noise=0.0 if given == "auto" else given, device=y.device)
    mask = observed(physics, y)
    sigma = _estimated(y, mask) if given == "auto" else float(given)
    if given == "auto":
        physics, unknown = operator_for(spec, shape, noise=sigma, device=y.device)
    return Case(y if mask is None else y * mask, physics, tuple(unknown), sigma, given == "auto")


def _estimated(y: Tensor, mask: Tensor | None) -> float:
    from inverse.operators.noise import estimate_sigma

    sigma = float(estimate_sigma(y, mask=mask)[0])
    if not sigma > 0:
        raise InputError(
            "the noise level cannot be estimated: the measurement is flat or noise-free",
            "give it: -s noise.sigma=0.01",
        )
    return sigma


def statistics(post: Posterior, case: Case) -> dict[str, Tensor]:
    """What a posterior says, without the batch axis and in the input's frame, by the names of ``posterior.h5``."""
    import torch

    from inverse.chains import in_numbers

    post = replace(post, crop=case.crop)
    arrays = {"mean": post.mean[0], "data_share": post.data_share[0], "invented": post.invented[0]}
    arrays |= {"samples": post.samples[:, 0], "misfit": post.misfit[:, 0]}
    if len(post.samples) > 1 or (post.knows_spread and "responsibility" not in post.diagnostics):
        arrays |= {"std": post.std[0], "quantiles": torch.stack([post.quantile(q)[0] for q in INTERVAL])}
    if "r_hat" in in_numbers(post.diagnostics):
        arrays |= {"r_hat": post.r_hat[0], "ess": post.ess[0]}
    return {name: value.float().cpu().contiguous() for name, value in arrays.items()}


def forward_seconds(prior: Any, shape: Sequence[int], *, dtype: str, device: str) -> float:
    """Seconds of one forward pass for an unknown (C, H, W); the first call, which warms up, is not counted."""
    import torch

    fitted = fit_prior(prior, shape[0], dtype=dtype, device=device)
    x = torch.zeros(1, *shape, device=device)
    level = torch.full((1,), 0.1, device=device)
    with torch.no_grad():
        fitted(x[..., :64, :64], level)
        began = time.perf_counter()
        fitted(x, level)
        if device.startswith("cuda"):
            torch.cuda.synchronize()
    return time.perf_counter() - began
