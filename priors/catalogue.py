"""The catalogue of priors by name: embedded in the package, in this user's store, and known public checkpoints.

A name is looked up in this order, and never on the network: what is not on this machine is an error that says how to
get it. Neither torch nor deepinv is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from inverse.errors import PriorError, did_you_mean, printable
from inverse.priors.card import SHIPPED, Card, card_of_header, embedded, read_card, remote
from inverse.priors.header import PICKLES, read_header, regular_file
from inverse.priors.store import card_file, stored

__all__ = ["Found", "card_path", "cards", "find"]

CARDS = (".yaml", ".yml")


@dataclass(frozen=True)
class Found:
    """A prior and where it is: in the package, in the user's store, in a file given by its path, or elsewhere."""

    card: Card
    where: Literal["embedded", "store", "file", "remote"]
    path: Path  # of the card, or of the file that holds it
    weights: Path | None  # on this machine; None where it has none


def cards() -> Mapping[str, Card]:
    """The card of every prior that can be opened on this machine by its name."""
    return MappingProxyType({**stored(), **embedded()})


def card_path(name: str) -> Path:
    """The card file of a prior's name, or of a path to a card (``.yaml``).

    Raises:
        PriorError: there is no such prior; the message suggests one.
    """
    if name.endswith(CARDS):
        return Path(name)
    if name in embedded():
        return SHIPPED / f"{name}.yaml"
    if (path := card_file(name)) is not None:
        return path
    if name in remote():
        return SHIPPED / "remote" / f"{name}.yaml"
    raise PriorError(f"unknown prior '{printable(name[:80])}'", did_you_mean(name[:80], {**remote(), **cards()}))


def find(name: str) -> Found:
    """A prior by name, by card file (``.yaml``, weights beside it), or by a safetensors file that holds its card.

    Raises:
        PriorError: there is no such prior, or its card or file is not one.
    """
    lower = name.lower()
    if lower.endswith(PICKLES):
        raise PriorError(
            f"{Path(name).name}: a pickle runs code when it is opened, so it was not; "
            "allowed: .safetensors or a card (.yaml)",
            f"if you trust it, make a prior of it: inverse prior convert {name} --name NAME",
        )
    if lower.endswith(".safetensors"):
        path = Path(name)
        with regular_file(path) as (file, size):
            card = card_of_header(read_header(file, size, path.name), path.name)
        return Found(card, "file", path, path)
    if lower.endswith(CARDS):
        path = Path(name)
        return _beside(read_card(path), "file", path)
    if "/" in name:
        shown = printable(name[:120])
        raise PriorError(f"{shown}: no kind of prior", "allowed: a name, a card (.yaml), a .safetensors file")
    path = card_path(name)
    if name in embedded():
        return _beside(embedded()[name], "embedded", path)
    if card_file(name) == path:
        return _beside(read_card(path), "store", path)
    return Found(remote()[name], "remote", path, None)


def _beside(card: Card, where: Literal["embedded", "store", "file"], path: Path) -> Found:
    """A card with its weights, which lie beside it or in ``../weights/``."""
    if card.weights is None:
        return Found(card, where, path, None)
    if card.sha256 is None:
        raise PriorError(f"prior card {path.name}: has weights but no sha256", "add the hash: sha256sum FILE prints it")
    candidates = [path.parent / card.weights, path.parent.parent / "weights" / card.weights]
    weights = next((candidate for candidate in candidates if candidate.exists()), candidates[0])
    return Found(card, where, path, weights)
