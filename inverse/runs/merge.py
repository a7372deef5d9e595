"""The blocks of an item put together: the samples in order, their cost summed, as if they had been drawn at once.

A merge is a unit of work of its own. It can be repeated at any time, by anyone: what is merged already is left alone, and the blocks that it
needs go only once the item's marker is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inverse.errors import OutputError
from inverse.restoration.plan import Item, Unit
from inverse.runs.ledger import Ledger
from inverse.storage.files import read_hdf5, write_hdf5

if TYPE_CHECKING:
    from inverse.posterior.posterior import Posterior

__all__ = ["merged", "write_part"]

SAID = "diagnostics."
"""Before the names of what a method said of its samples, in the parts of an item."""


def write_part(ledger: Ledger, unit: Unit, item: Item, post: Posterior) -> None:
    """Keep a block in ``.inverse/parts`` until all are there, and mark it."""
    path = f".inverse/parts/{unit.name}.h5"
    cost = {key: float(value) for key, value in post.cost.as_dict().items()}
    arrays = {"states": post.states, **{f"{SAID}{name}": value for name, value in post.diagnostics.items()}}
    digest = write_hdf5(ledger.out / path, {name: value.cpu().numpy() for name, value in arrays.items()}, {"": cost})
    ledger.mark(unit.name, item.sha256, {path: digest}, cost=cost)


def merged(ledger: Ledger, blocks: Sequence[Unit], item: Item, template: dict[str, Any], device: Any) -> Posterior:
    """The posterior of an item from its blocks.

    Args:
        ledger: Where the blocks are marked.
        blocks: All of the item's.
        item: The item.
        template: What a posterior is besides its samples and their cost.
        device: Where it shall be.

    Raises:
        OutputError: If a block is not there, or is not what was written.
    """
    import torch

    from inverse.posterior.posterior import Cost, Posterior

    costs, parts = [], []
    for unit in blocks:
        marker = ledger.valid(unit.name, item.sha256)
        if marker is None:
            raise OutputError(
                f"{item.item}: the samples {unit.start} to {unit.stop} are gone or changed",
                "run the same command again: they are drawn again",
            )
        costs.append(marker["cost"])
        parts.append(read_hdf5(_part(ledger.out, marker)))
    total = {key: sum(cost[key] for cost in costs) for key in costs[0]}
    total["peak_bytes"] = max(cost["peak_bytes"] for cost in costs)
    whole = {name: torch.cat([torch.from_numpy(part[name]) for part in parts]).to(device) for name in parts[0]}
    said = {name.removeprefix(SAID): value for name, value in whole.items() if name.startswith(SAID)}
    return Posterior(states=whole["states"], diagnostics=said, cost=Cost(**total), **template)


def _part(out: Path, marker: dict[str, Any]) -> Path:
    path: str = next(iter(marker["files"]))
    return out / path
