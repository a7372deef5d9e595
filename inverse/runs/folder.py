"""A run folder read back: what was solved, what is done, and the arrays and truths of its items.

Whatever looks at a finished run (report, calibrate, compare, evaluate) reads it here; nothing is written, and neither
torch nor pydantic nor HDF5 is loaded before it is asked for.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inverse.errors import InputError
from inverse.io.content import Span
from inverse.io.transfer import decode
from inverse.metrics.registry import size
from inverse.restoration.result import ItemResult, typed
from inverse.storage.files import read_json

if TYPE_CHECKING:
    from torch import Tensor

    from inverse.recipes.recipe import Recipe

__all__ = ["Kept", "RunFolder"]


@dataclass(frozen=True)
class Kept:
    """What ``posterior.h5`` of an item holds."""

    #: by data set, see `inverse.restoration.write_item.DATASETS`; images (C, H, W) or (K, C, H, W), data units
    arrays: Mapping[str, NDArray[np.float32]]
    #: of the file: ``sigma``, ``scale``, ``span``, ``transfer``, ``seed``, ``item``, ``levels``, ``complex``
    attributes: Mapping[str, Any]
    described: Mapping[str, Mapping[str, Any]]  # attributes of each data set, by its name


@dataclass(frozen=True)
class RunFolder:
    """A run folder."""

    path: Path  # where it is
    facts: Mapping[str, Any]  # ``run.json``: recipe, versions, prior, seeds, cost, definitions of the metrics
    rows: tuple[dict[str, Any], ...]  # ``items.csv``, one an item, numbers as numbers, empty fields left out
    failures: tuple[dict[str, Any], ...]  # ``failures.csv``

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Read a run folder.

        Raises:
            InputError: it is none, or nothing is finished in it.
        """
        folder = Path(path)
        facts = read_json(folder / "run.json")
        if facts is None or not (folder / "items.csv").is_file():
            reason = "no such folder" if not folder.is_dir() else "not a run folder: it has no run.json and items.csv"
            raise InputError(f"{folder}: {reason}", "give the folder of -o of 'inverse restore'")
        failures = tuple({**row, "code": int(row["code"])} for row in _table(folder / "failures.csv"))
        rows = _table(folder / "items.csv")
        typed_rows = tuple({name: typed(name, text) for name, text in row.items()} for row in rows)
        return cls(folder, facts, typed_rows, failures)

    @property
    def done(self) -> tuple[dict[str, Any], ...]:
        """The rows of the items that are done."""
        return tuple(row for row in self.rows if row.get("status") == "done")

    @cached_property
    def results(self) -> tuple[ItemResult, ...]:
        """The items that are done, with their doubts."""
        return tuple(ItemResult.from_row(row) for row in self.done)

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe, as resolved; its files start at the current folder.

        Raises:
            RecipeError: it was written by another version, or its files are not there.
        """
        from inverse.recipes.recipe import load

        return load(self.facts["recipe"])

    def kept(self, item: str, names: Iterable[str] | None = None) -> Kept:
        """The arrays of an item.

        Args:
            item: Its id.
            names: Of the data sets wanted; those that were not kept are left out. Default all.

        Raises:
            InputError: the file is missing or damaged.
        """
        import h5py

        path = self.path / "items" / item / "posterior.h5"
        try:
            with h5py.File(path, "r") as file:
                chosen = [name for name in (file if names is None else names) if name in file]
                arrays = {name: np.asarray(file[name]) for name in chosen}
                described = {name: dict(file[name].attrs) for name in chosen}
                return Kept(arrays, dict(file.attrs), described)
        except OSError as error:
            raise InputError(f"items/{item}/posterior.h5 cannot be read", "run the same restore again") from error

    def figure(self, item: str) -> Path | None:
        """The figure of an item, if it was kept."""
        path = self.path / "items" / item / "figure.png"
        return path if path.is_file() else None

    def truths(self, truth: str | Path) -> dict[str, Path]:
        """Files of truths by item id, matched as `inverse restore --truth` does.

        Raises:
            InputError: there is none, or none fits.
        """
        from inverse.restoration.truth import Truths

        sources = {row["item"]: _source(row) for row in self.done}
        paths = Truths.find(truth, list(dict.fromkeys(sources.values()))).paths
        return {item: paths[source] for item, source in sources.items() if source in paths}

    def truth(self, item: str, path: Path, kept: Kept) -> Tensor:
        """The truth of an item (C, H, W) in the data units of its arrays.

        Args:
            item: Its id.
            path: The file, of `truths`.
            kept: Its arrays: their attributes say what the values of the file mean.

        Raises:
            InputError: it cannot be read or is of another size; the message names both.
        """
        import torch

        from inverse.restoration.truth import load_image

        source = _source(next(row for row in self.done if row["item"] == item))
        index = int(item.rsplit("/", 1)[1]) if item != source else 0
        low, high = np.asarray(kept.attributes.get("span", (0.0, 1.0)), dtype=float).tolist()
        span: Span = (low, high) if isinstance(low, float) else (tuple(low), tuple(high))
        image = load_image(path, index=index, span=None if span == (0.0, 1.0) else span)
        mean = kept.arrays.get("mean")
        if mean is not None and image.shape != mean.shape:
            raise InputError(
                f"{item}: sizes differ, restored {size(torch.from_numpy(mean))}, truth {size(image)}",
                "give the truth of the restored size",
            )
        if kept.attributes.get("transfer") == "linear":
            return torch.from_numpy(decode(image.numpy()))
        return image


def _source(row: Mapping[str, Any]) -> str:
    """Id of the input file of an item: itself, or of a slice the file it belongs to."""
    item, written = str(row["item"]), str(row.get("restored", "")).removeprefix("restored/")
    return written if written and item.startswith(f"{written}/") else item


def _table(path: Path) -> list[dict[str, str]]:
    """The rows of a file, empty fields left out; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return [{name: text for name, text in row.items() if text} for row in csv.DictReader(stream)]
