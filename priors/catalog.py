"""The priors by name. Data only: neither torch nor deepinv is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from inverse.errors import PriorError, did_you_mean
from inverse.priors.card import Card, read_card

__all__ = ["card_path", "cards", "prior_card"]


def _folder() -> Path:
    return Path(str(resources.files("inverse.priors"))) / "cards"


@cache
def cards() -> Mapping[str, Card]:
    """Every embedded prior's card by name."""
    found = [read_card(path) for path in sorted(_folder().glob("*.yaml"))]
    return MappingProxyType({card.name: card for card in found})


def card_path(name: str) -> Path:
    """The card file of an embedded prior's name, or of a path to a card (``.yaml``).

    Raises:
        PriorError: there is no such prior; the message suggests one.
    """
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    if name not in cards():
        raise PriorError(f"unknown prior '{name}'", did_you_mean(name, cards()))
    return _folder() / f"{name}.yaml"


def prior_card(name: str) -> Card:
    """The card of a prior, by name or by path.

    Raises:
        PriorError: there is no such prior, or its card is not one.
    """
    return read_card(card_path(name))
