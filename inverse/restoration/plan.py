"""The plan of a run, fixed before it starts: its items, their blocks, and all that decides a byte of the result.

A `Unit` is pure data: an item, a block of its samples, a tile. ``.inverse/plan.json`` holds the items with the sha256
of their content, the blocks, and the `Terms`; a second run of the same command reads it back, so that an interrupted
run ends with the bytes an uninterrupted one would have written.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from inverse.errors import RecipeError
from inverse.recipes.calibration_file import CalibrationFile
from inverse.recipes.recipe import Recipe
from inverse.restoration.provenance import stamp
from inverse.storage.files import read_json, write_json

__all__ = [
    "BLOCK_PIXELS",
    "CLOSED_FORM_PIXELS",
    "Compute",
    "Item",
    "Job",
    "Plan",
    "Terms",
    "Unit",
    "block_size",
    "item_name",
    "split",
    "units",
]

SCHEMA = 1
#: Pixels the network sees at once under ``--batch auto``: about 1 GB of activations of an embedded prior.
BLOCK_PIXELS = 512 * 512
#: The same without a network: samples computed together share the mean.
CLOSED_FORM_PIXELS = 8 * BLOCK_PIXELS
#: Most workers that share the tiles of a scene.
HANDS = 16


@dataclass(frozen=True)
class Unit:
    """One piece of work."""

    item: str  # item id
    start: int  # first sample
    stop: int  # one past the last sample
    #: of a scene of tiles, which of the hands that share its tiles in every step; None: it has none
    part: int | None = None
    #: whether it puts the blocks of the item together, or writes a scene, instead of drawing samples
    merge: bool = False

    @property
    def name(self) -> str:
        """The unit's file name: the item's id hashed, because an id can be longer than a file name may be."""
        name = item_name(self.item)
        if self.merge:
            return name
        return f"{name}-{self.start:05d}-{self.stop:05d}" if self.part is None else f"{name}-tiles-{self.part:02d}"


def item_name(item: str) -> str:
    """A file name for an item: the end of its id, readable, and the hash that makes it unique."""
    tail = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in item.rsplit("/", 1)[-1])
    content = item.encode("utf-8", "surrogateescape")  # a name of other bytes fails later, by its name
    return f"{tail[:40]}-{hashlib.blake2b(content, digest_size=8).hexdigest()}"


@dataclass(frozen=True)
class Item:
    """An input file as planned."""

    item: str  # its id
    sha256: str  # of its content; "" where it could not be read
    shape: tuple[int, ...]  # (C, H, W); empty where it could not be read
    block: int  # samples evaluated together
    file: str = ""  # id of the file, where it holds several frames and is not the item itself
    frame: int = 0  # which of the file's frames this is
    tile: int = 0  # side of the tiles it is solved by; 0: as a whole
    independent: bool = False  # whether each tile is a run of its own

    @property
    def source(self) -> str:
        """Id of the input file."""
        return self.file or self.item


@dataclass(frozen=True)
class Compute:
    """How a posterior is computed, where the recipe leaves it open."""

    dtype: str  # compute precision of the network
    device: str  # where
    evaluations: int | None = None  # what a time budget pays for each sample, measured once; None without one


@dataclass(frozen=True)
class Terms:
    """What all units of a run share."""

    recipe: str  # hash of the resolved recipe
    prior: str  # sha256 of the prior's weights ("" for an exact prior)
    samples: int  # samples an item
    keep: tuple[str, ...]  # data sets of ``posterior.h5``
    dtype: str  # compute precision of the network
    device: str  # device type
    threads: int  # threads of a unit
    versions: dict[str, str] = field(default_factory=dict)  # of what computes
    evaluations: int | None = None  # what a time budget pays for each sample, measured once; None without one

    @property
    def compute(self) -> Compute:
        """How a posterior is computed."""
        return Compute(self.dtype, self.device, self.evaluations)


@dataclass(frozen=True)
class Job:
    """What all units of a run need, open."""

    out: Path  # the run folder
    terms: Terms  # the plan's
    recipe: Recipe  # the recipe
    prior: Any  # its prior
    #: what std and quantiles are recalibrated by; None: they are the samples' own
    calibration: CalibrationFile | None = None
    strict: bool = False  # whether the first failure ends the run

    @property
    def stamp(self) -> str:
        """One line that says where a file comes from, for its own metadata."""
        return stamp(self.terms.recipe, self.prior.card, self.recipe.run.seed)


@dataclass(frozen=True)
class Plan:
    """A run: its terms and its items, in order."""

    terms: Terms
    items: tuple[Item, ...]

    def save(self, folder: Path) -> None:
        """Write ``plan.json`` into the run's ``.inverse`` folder."""
        write_json(folder / "plan.json", {"schema": SCHEMA, **asdict(self)})

    @classmethod
    def load(cls, folder: Path) -> Plan | None:
        """The plan of a run's ``.inverse`` folder, or None where there is none that can be read."""
        content = read_json(folder / "plan.json")
        if content is None or content.get("schema") != SCHEMA:
            return None
        try:
            terms = TypeAdapter(Terms).validate_python(content.get("terms"))
            items = TypeAdapter(tuple[Item, ...]).validate_python(content.get("items"))
        except ValidationError:  # damaged: the run is planned anew, and what is done is found by its markers
            return None
        return cls(terms, items)

    def item(self, name: str) -> Item | None:
        """The item of that id."""
        return self._by_name.get(name)

    def frames(self, source: str) -> tuple[Item, ...]:
        """The items of an input file, in order."""
        return tuple(self._by_source.get(source, ()))

    @cached_property
    def _by_name(self) -> dict[str, Item]:
        return {item.item: item for item in self.items}

    @cached_property
    def _by_source(self) -> dict[str, list[Item]]:
        found: dict[str, list[Item]] = {}
        for item in self.items:
            found.setdefault(item.source, []).append(item)
        return found

    def extended(self, items: tuple[Item, ...]) -> Plan:
        """This plan with new items added, changed ones replaced, and frames that a file no longer has left out."""
        fresh = {item.item: item for item in items}
        files = {item.source for item in items}
        still = (item for item in self.items if item.item in fresh or item.source not in files)
        kept = tuple(fresh.pop(item.item, item) for item in still)
        return replace(self, items=kept + tuple(fresh.values()))

    def require(self, terms: Terms) -> None:
        """Refuse a folder of another recipe or prior.

        Raises:
            RecipeError: If this plan was made with another (exit code 3).
        """
        for what, mine, given in (
            ("recipe", self.terms.recipe, terms.recipe),
            ("prior file", self.terms.prior, terms.prior),
            ("number of samples", str(self.terms.samples), str(terms.samples)),
        ):
            if mine != given:
                raise RecipeError(
                    f"the output folder belongs to another {what} ({mine[:12]}, this is {given[:12]})",
                    "choose another folder with -o, or replace its content with --overwrite",
                )


def block_size(shape: tuple[int, ...], samples: int, batch: int | None, *, limit: int = BLOCK_PIXELS) -> int:
    """Samples of an item that are evaluated together: what was asked for, else what fits in ``limit`` pixels."""
    if batch is not None:
        return min(batch, samples)
    pixels = max(1, shape[-1] * shape[-2] if len(shape) > 1 else 1)
    return max(1, min(samples, limit // pixels))


def split(item: Item, samples: int) -> list[Unit]:
    """The units of an item.

    Of a scene of tiles the first counts for all samples: the others share its work, or find it done.
    """
    if item.tile and not item.independent:
        tiles = math.prod(-(-side // item.tile) for side in item.shape[-2:])
        if tiles > 1:
            return [Unit(item.item, samples * (hand > 0), samples, part=hand) for hand in range(min(HANDS, tiles))]
    return [Unit(item.item, start, min(start + item.block, samples)) for start in range(0, samples, max(1, item.block))]


def units(plan: Plan, shard: tuple[int, int] | None = None) -> list[Unit]:
    """All units of a plan, or every N-th from the I-th (1-based): round-robin, so that sizes mix."""
    everything = [unit for item in plan.items for unit in split(item, plan.terms.samples)]
    return everything if shard is None else everything[shard[0] - 1 :: shard[1]]
