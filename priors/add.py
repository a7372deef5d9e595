"""Adding a prior to a user's store: a file that holds its card, a card beside its weights, or a published checkpoint.

A published checkpoint is known by its sha256, whatever the file is called. It is a pickle, so it is converted: its
tensors are read without running what it says (``inverse.priors.adapters.convert``), with the settings on the card that
this package has of it.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from inverse.errors import PriorError
from inverse.priors.adapters.convert import convert
from inverse.priors.card import Card, embedded, remote
from inverse.priors.catalogue import CARDS, find
from inverse.priors.download import fetch
from inverse.priors.header import PICKLES, digest
from inverse.priors.open import open_tensors
from inverse.priors.store import card_file, check_name, save_prior
from inverse.priors.weights import read_tensors

__all__ = ["add", "read"]


def add(target: str, *, name: str | None = None, overwrite: bool = False) -> tuple[Path, Card]:
    """Put a file, or a remote prior, which is downloaded, into the store: its card's file and card.

    Its name there is the card's unless one is given.

    Raises:
        PriorError: The file is not a prior, or not whole; the name is taken or not allowed; the download failed.
        OutputError: The store cannot be written to.
    """
    if name is not None:
        check_name(name)
    if not _is_file(target):
        if target in embedded():
            raise PriorError(f"'{target}' is in the package: it needs no adding", f"see: inverse prior show {target}")
        found = find(target)
        if found.where == "remote" or (overwrite and target in remote()):
            _check_free(name or target, overwrite)
            card, tensors = _converted(fetch(remote()[target]), remote()[target])
        else:
            raise PriorError(f"the store has a prior '{target}'", f"see: inverse prior show {target}")
    elif target.lower().endswith(PICKLES):
        card, tensors = _published(Path(target))
    else:
        card, tensors = read(target)
        open_tensors(card, tensors)
    card = card if name is None else card.model_copy(update={"name": name})
    return save_prior(card, tensors, overwrite=overwrite), card


def read(name: str) -> tuple[Card, dict[str, Tensor]]:
    """The card and the tensors of a prior on this machine, by name or file, checked.

    Raises:
        PriorError: There is no such prior, it has no weights, or they are not those of its card.
    """
    found = find(name)
    if found.where == "remote":
        raise PriorError(f"prior '{name}' is not on this machine", f"get it: inverse prior add {name}")
    if found.weights is None:
        raise PriorError(
            f"prior '{found.card.name}' has no weights: its card is all there is", f"see: inverse prior show {name}"
        )
    return found.card, read_tensors(found.weights, sha256=found.card.sha256, bytes=found.card.bytes)


def _is_file(target: str) -> bool:
    return "/" in target or target.lower().endswith((*PICKLES, *CARDS, ".safetensors")) or Path(target).exists()


def _check_free(name: str, overwrite: bool) -> None:
    """Refuse a taken name before gigabytes are downloaded for it."""
    check_name(name)
    if card_file(name) is not None and not overwrite:
        raise PriorError(f"the store has a prior '{name}'", "choose another --name, or give --overwrite")


def _published(path: Path) -> tuple[Card, dict[str, Tensor]]:
    sha256 = digest(path)
    for card in remote().values():
        if card.sha256 == sha256:
            return _converted(path, card)
    raise PriorError(
        f"{path.name}: a checkpoint that is not known here (sha256 {sha256[:16]}...), "
        "and a pickle runs code when it is opened",
        f"if you trust it, make a prior of it: inverse prior convert {path} --name NAME",
    )


def _converted(path: Path, card: Card) -> tuple[Card, dict[str, Tensor]]:
    if path.suffix.lower() == ".pkl":
        raise PriorError(
            f"{path.name} is whole, but a pickle that names code: it is not opened unasked",
            f"if you trust it: inverse prior convert {path} --name {card.name} --i-trust-this-file",
        )
    _, tensors = convert(
        path, name=card.name, kind=str(card.adapter), settings=card.network or {}, licence=card.licence
    )
    return card, tensors
