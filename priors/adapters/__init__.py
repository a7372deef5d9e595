"""Other people's networks as priors: one module a code base, imported when it is asked for.

A module of this package has two functions, or the one that makes sense for it:

* ``open_weights(card, tensors)``: a prior from a card whose ``adapter`` names the module, and the tensors of its safetensors file;
* ``open_spec(text)``: a prior from what follows ``NAME:`` in a recipe's ``prior.name`` (a folder, an identifier, a model's name).

Both return a denoiser ``D(x, sigma)`` in data units with a ``card``.
"""

from __future__ import annotations

import importlib
from typing import Any

from torch import Tensor

from inverse.errors import PriorError, did_you_mean
from inverse.priors.card import Card

__all__ = ["MODULES", "open_spec", "open_weights"]

MODULES = {
    "deepinv": "inverse.priors.adapters.deepinv",
    "guided-diffusion": "inverse.priors.adapters.guided_diffusion",
    "edm": "inverse.priors.adapters.edm",
    "diffusers": "inverse.priors.adapters.diffusers",
    "flow": "inverse.priors.adapters.flow",
    "azula": "inverse.priors.adapters.azula",
}


def _module(name: str, function: str) -> Any:
    if name not in MODULES:
        raise PriorError(f"no adapter '{name}'", did_you_mean(name, MODULES))
    found = getattr(importlib.import_module(MODULES[name]), function, None)
    if found is None:
        raise PriorError(f"the adapter '{name}' cannot open a prior this way", "see: inverse prior --help")
    return found


def open_weights(card: Card, tensors: dict[str, Tensor]) -> Any:
    """A prior from its card and the tensors of its file.

    Raises:
        PriorError: the adapter is unknown, its package is missing, or the tensors do not fit.
    """
    return _module(str(card.adapter), "open_weights")(card, tensors)


def open_spec(text: str) -> Any:
    """A prior from ``NAME:WHAT``.

    Raises:
        PriorError: the adapter is unknown, its package is missing, or there is no such model.
    """
    name, _, rest = text.partition(":")
    return _module(name, "open_spec")(rest)
