"""From a public checkpoint to a prior: which network it is, a card, and tensors for a safetensors file.

The whole network is found and checked here (``layers.check``), so a file that converts opens. Settings that are fields
of a card go there; the others are the adapter's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from inverse.errors import PriorError
from inverse.priors.adapters.checkpoint import read_checkpoint
from inverse.priors.adapters.parametrisation import START, validated
from inverse.priors.adapters.registry import KINDS, adapter
from inverse.priors.card import Card
from inverse.priors.store import check_name

__all__ = ["convert"]

CARD_KEYS = (
    *("title", "data", "intended_use", "images", "data_range", "mean", "data_var", "spectrum_exponent", "symmetry"),
    *("sigma_min", "sigma_max", "sigma_start", "minimum_size", "sigma_data", "url"),
)
DTYPES = {"float32": torch.float32, "float16": torch.float16}
#: Of a pixel in model units, where nothing is known: that of photographs.
MODEL_VARIANCE = 0.25


def convert(
    path: Path, *, name: str, kind: str = "auto", settings: Mapping[str, Any], licence: str = "", trust: bool = False
) -> tuple[Card, dict[str, Tensor]]:
    """The card, without hash and file name, and the tensors of a checkpoint.

    `kind` is ``guided-diffusion``, ``edm``, ``flow``, or ``auto``: by the tensors' names. `settings` are fields of the
    card, settings of the adapter, and ``dtype`` (float32 or float16) of the file. With `trust` a file that names code
    is read too.

    Raises:
        PriorError: the file cannot be read, is of another kind, or a setting is not allowed.
    """
    check_name(name)
    given = dict(settings)
    dtype = str(given.pop("dtype", "float32"))
    if dtype not in DTYPES:
        raise PriorError(f"setting dtype={dtype[:40]}", f"allowed: {', '.join(DTYPES)}")
    tensors, attributes = read_checkpoint(path, trust=trust)
    kind, tensors = _network(tensors, kind, path.name)
    on_card = {key: given.pop(key) for key in CARD_KEYS if key in given}
    module = adapter(kind)
    if hasattr(module, "stated"):
        given, fields = module.stated(tensors, attributes, given)
        on_card = {**fields, **on_card}
    on_card["licence"] = licence or "not stated: ask its authors before you publish or sell what it makes"
    chosen = validated(module.SETTINGS, given)
    facts = module.describe({key: value.float() for key, value in tensors.items()}, chosen)
    card = _card(name, kind, path.name, facts, on_card, chosen.model_dump(exclude_defaults=True))
    kept = {key: value.detach().to(DTYPES[dtype]).contiguous().clone() for key, value in tensors.items()}
    overflown = [key for key, value in kept.items() if not bool(torch.isfinite(value).all())]
    if overflown:
        raise PriorError(f"{path.name}: '{overflown[0][:80]}' has values too large for {dtype}", "leave -s dtype out")
    return card, kept


def _network(tensors: dict[str, Tensor], kind: str, file: str) -> tuple[str, dict[str, Tensor]]:
    """The kind, and the network's tensors without the prefix that they have in the file."""
    if kind != "auto" and kind not in KINDS:
        raise PriorError(f"kind '{kind[:40]}'", f"allowed: auto, {', '.join(KINDS)}")
    for candidate in [kind] if kind != "auto" else KINDS:
        anchor = adapter(candidate).ANCHOR
        prefixes = sorted(
            (key.removesuffix(anchor) for key in tensors if key == anchor or key.endswith(f".{anchor}")), key=len
        )
        if prefixes:
            start = prefixes[0]
            network = {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}
            return candidate, {key: value for key, value in network.items() if value.is_floating_point()}
    shown = ", ".join(sorted(tensors)[:2])[:120]
    raise PriorError(
        f"{file}: not a network of a known kind; its tensors are {shown}, ...", f"known: {', '.join(KINDS)}"
    )


def _card(
    name: str, kind: str, file: str, facts: dict[str, Any], on_card: dict[str, Any], network: dict[str, Any]
) -> Card:
    """The card; what is given on ``on_card`` wins."""
    span = on_card.get("data_range", (0.0, 1.0))
    try:
        low, high = (float(value) for value in span)
        if not high > low:
            raise ValueError
    except (TypeError, ValueError) as error:
        raise PriorError(f"setting data_range={str(span)[:40]}", "allowed: [low, high] with low < high") from error
    gain = 2.0 / (high - low)
    largest = on_card.get("sigma_max", facts["sigma_max"] / gain)
    fields = {
        "title": f"{kind} network from {file}",
        "mean": (low + high) / 2,
        "data_var": MODEL_VARIANCE / gain**2,
        "channels": facts["channels"],
        "stride": facts["stride"],
        "minimum_size": facts["stride"],
        "sigma_min": facts["sigma_min"] / gain,
        "sigma_max": facts["sigma_max"] / gain,
        "sigma_start": min(START / gain, largest) if isinstance(largest, int | float) else None,
        **on_card,
        "data_range": (low, high),
        "name": name,
        "kind": "network",
        "adapter": kind,
        "network": network,
    }
    try:
        return Card.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise PriorError(f"setting {first['loc'][0]}={str(first['input'])[:40]}: {first['msg']}") from error
