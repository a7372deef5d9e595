"""The registry of adapters: other people's networks as priors, one module a code base, imported when it is asked for.

A module has whichever of these makes sense for it:

* ``open_weights(card, tensors)``: a prior from a card whose ``adapter`` names the module, and the tensors of its
  safetensors file;
* ``open_spec(text)``: a prior from what follows ``NAME:`` in a recipe's ``prior.name`` (a folder, an identifier, a
  model's name);
* for ``inverse prior convert`` (``converts`` below): ``SETTINGS``, the model of its settings; ``ANCHOR``, a tensor
  that all its networks have; ``describe(tensors, settings)``, channels, stride and noise range in model units; and,
  where a pickled module says more of itself, ``stated(tensors, attributes, settings)``, the settings completed and
  fields of the card.

The first two return a denoiser ``D(x, sigma)`` in data units with a ``card``. Torch is not imported here. Other
packages add such modules by the entry point group ``inverse.priors``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, NamedTuple

from inverse.errors import PriorError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

    from inverse.priors.card import Card

__all__ = ["ADAPTERS", "KINDS", "adapter", "adapters", "open_spec", "open_weights"]


class Adapter(NamedTuple):
    """An adapter's module in this package, and whether ``inverse prior convert`` makes priors of its checkpoints."""

    module: str
    converts: bool = False


ADAPTERS = {
    "deepinv": Adapter("deepinv"),
    "guided-diffusion": Adapter("guided_diffusion", converts=True),
    "edm": Adapter("edm", converts=True),
    "diffusers": Adapter("diffusers"),
    "flow": Adapter("flow", converts=True),
    "azula": Adapter("azula"),
}
#: Names of the adapters that convert, in the order in which a checkpoint is tried for each.
KINDS = tuple(name for name, each in ADAPTERS.items() if each.converts)


@cache
def adapters() -> Mapping[str, Adapter | metadata.EntryPoint]:
    """All adapters by name: ours, then those of other packages, which are not loaded."""
    return {**{entry.name: entry for entry in metadata.entry_points(group="inverse.priors")}, **ADAPTERS}


def adapter(name: str) -> Any:
    """The module of an adapter.

    Raises:
        PriorError: there is none of this name.
    """
    if name not in adapters():
        raise PriorError(f"no adapter '{name}'", did_you_mean(name, adapters()))
    place = adapters()[name]
    if isinstance(place, metadata.EntryPoint):
        return place.load()
    return importlib.import_module(f"inverse.priors.adapters.{place.module}")


def _function(name: str, function: str) -> Any:
    entry = getattr(adapter(name), function, None)
    if entry is None:
        raise PriorError(f"the adapter '{name}' cannot open a prior this way", "see: inverse prior --help")
    return entry


def open_weights(card: Card, tensors: dict[str, Tensor]) -> Any:
    """A prior from its card and the tensors of its file.

    Raises:
        PriorError: the adapter is unknown, its package is missing, or the tensors do not fit.
    """
    return _function(str(card.adapter), "open_weights")(card, tensors)


def open_spec(text: str) -> Any:
    """A prior from ``NAME:WHAT``.

    Raises:
        PriorError: the adapter is unknown, its package is missing, or there is no such model.
    """
    name, _, rest = text.partition(":")
    return _function(name, "open_spec")(rest)
