"""A user's own priors: ``NAME.safetensors`` and ``NAME.yaml`` in ``$INVERSE_HOME/priors``.

``INVERSE_HOME`` is ``$XDG_DATA_HOME/inverse``, or ``~/.local/share/inverse``, unless it is set. The weights are written
first and the card last, so a card that is there has its weights; the card is in the weights' metadata too, so that one
file can be carried elsewhere.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from inverse.errors import OutputError, PriorError
from inverse.priors.card import Card, card_text, embedded, read_card
from inverse.priors.header import PICKLES
from inverse.storage.files import atomic_bytes
from inverse.storage.locks import hold

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["broken", "card_file", "check_name", "home", "pack", "place", "save_prior", "store_folder", "stored"]


def home() -> Path:
    """The folder of everything that is kept for a user between runs."""
    if folder := os.environ.get("INVERSE_HOME"):
        return Path(folder)
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "inverse"


def store_folder() -> Path:
    """The folder of the user's priors; it need not exist."""
    return home() / "priors"


def card_file(name: str) -> Path | None:
    """The card file of a prior in the store, or None."""
    path = store_folder() / f"{name}.yaml"
    return path if re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name) and path.is_file() else None


def stored() -> Mapping[str, Card]:
    """The cards in the store, by file name; one that cannot be read is left out, and says why when it is asked for."""
    return MappingProxyType({name: card for name, card in _read().items() if isinstance(card, Card)})


def broken() -> Mapping[str, PriorError]:
    """What is wrong with the cards in the store that cannot be read, by file name."""
    return MappingProxyType({name: error for name, error in _read().items() if isinstance(error, PriorError)})


def _read() -> dict[str, Card | PriorError]:
    cards: dict[str, Card | PriorError] = {}
    for path in sorted(store_folder().glob("*.yaml")):
        try:
            cards[path.stem] = read_card(path)
        except PriorError as error:
            cards[path.stem] = error
    return cards


def check_name(name: str) -> None:
    """Check that a user's prior may have this name.

    Raises:
        PriorError: It may not.
    """
    if len(name) > 100 or not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        raise PriorError(
            f"prior name {name[:60]!r}; allowed: lower-case letters, digits and . _ -, starting with a letter or digit",
            "give it another name with --name",
        )
    if name.endswith((*PICKLES, ".yaml", ".yml", ".safetensors")):
        raise PriorError(f"prior name '{name}' ends like a file's", "give it another name with --name")
    if name in embedded():
        raise PriorError(f"'{name}' is the name of an embedded prior", "give it another name with --name")


def pack(card: Card, tensors: Mapping[str, Tensor]) -> bytes:
    """A safetensors file that holds its card, without what only the finished file can tell (name, hash and size)."""
    from safetensors.torch import save

    inner = card.model_copy(update={"weights": None, "sha256": None, "bytes": None})
    return save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        metadata={"card": card_text(inner, as_json=True)},
    )


def save_prior(card: Card, tensors: Mapping[str, Tensor], *, overwrite: bool = False, path: Path | None = None) -> Path:
    """Put a prior into the store, or its card at `path` (.yaml) with the weights beside it; dtypes as given.

    The card's weights, sha256 and bytes are filled in. Returns the card's file.

    Raises:
        PriorError: The name is not allowed, or taken.
        OutputError: It exists, or cannot be written.
    """
    content = pack(card, tensors)
    if path is None:
        return place(card, content, overwrite=overwrite)
    weights = path.with_suffix(".safetensors")
    if not overwrite and (taken := next((file for file in (weights, path) if os.path.lexists(file)), None)):
        raise OutputError(f"{taken.name} exists", "give --overwrite, or another name with -o")
    _write(_whole(card, weights.name, content), content, path)
    return path


def _whole(card: Card, weights: str, content: bytes) -> Card:
    facts = {"weights": weights, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    return card.model_copy(update=facts)


def _write(card: Card, content: bytes, path: Path) -> None:
    """The weights first and the card last, so a card that is there has its weights."""
    atomic_bytes(path.with_name(str(card.weights)), content, overwrite=True)
    atomic_bytes(path, card_text(card).encode(), overwrite=True)


def place(card: Card, content: bytes, *, overwrite: bool = False) -> Path:
    """Put a card and the content of its safetensors file into the store; as `save_prior`."""
    check_name(card.name)
    folder = store_folder()
    path = folder / f"{card.name}.yaml"
    whole = _whole(card, f"{card.name}.safetensors", content)
    try:
        with hold(folder / ".lock"):
            if os.path.lexists(path) and not overwrite:
                raise PriorError(f"the store has a prior '{card.name}'", "choose another --name, or give --overwrite")
            _write(whole, content, path)
    except OutputError as error:
        raise OutputError(error.message, "set INVERSE_HOME to a folder you may write to") from error
    return path
