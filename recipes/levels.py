"""What the sections of a recipe must be to each other."""

from __future__ import annotations

from typing import Any

from inverse.errors import RecipeError
from inverse.recipes.yaml_layers import Layer

__all__ = ["require_level"]


def require_level(noise: Any, data: Any, layer: Layer) -> None:
    """Refuse a noise level that is larger than all of the range: one in units of 255, not of the recipe's.

    Raises:
        RecipeError: It is.
    """
    sigma, (low, high) = getattr(noise, "sigma", None), data.range
    if isinstance(sigma, int | float) and data.scale == "type" and sigma > high - low:
        where = layer.at(("noise", "sigma")).label
        raise RecipeError(
            f"{where}: a noise level of {sigma:g} is more than all of the values' range, {low:g} to {high:g}",
            f"levels are in these units: {sigma:g} of 255 is {sigma / 255 * (high - low):.3g}",
        )
