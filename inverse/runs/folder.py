"""A run folder read back: what was solved, what is done, and the arrays and truths of its items.

Whatever looks at a finished run (report, calibrate, compare, evaluate) reads it here; nothing is written, and neither
torch nor pydantic nor HDF5 is loaded before it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inverse.errors import InputError
from inverse.io.content import Span
from inverse.io.transfer import decode
from inverse.metrics.registry import size
from inverse.restoration.result import FINISHED, ItemResult, sound, typed
from inverse.storage.files import read_csv, read_json

if TYPE_CHECKING:
    from torch import Tensor

    from inverse.recipes.recipe import Recipe

__all__ = ["Kept", "RunFolder"]

STATES = (*FINISHED, "empty", "failed", "pending")
#: The kinds of what ``run.json`` holds; earlier versions had less.
_FACTS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("versions", "counts", "cost", "noise", "evidence", "tiles", "inputs", "metrics"), (dict,)),
    **dict.fromkeys(("seed", "samples", "threads"), (int,)),
    **{key: (dict, type(None)) for key in ("prior", "calibration")},
    "recipe": (dict,),
}
_VALUES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("counts", "cost"), (int, float)),
    **dict.fromkeys(("versions", "tiles", "inputs", "metrics"), (str,)),
    "noise": (dict,),
    "evidence": (list,),
}
_RECIPE: dict[str, tuple[type, ...]] = {
    "operator.kind": (str,),
    "noise.kind": (str,),
    "prior.name": (str,),
    "method.kind": (str,),
    "data.range": (list,),
}


@dataclass(frozen=True)
class Kept:
    """What ``posterior.h5`` of an item holds."""

    #: by data set, see `inverse.restoration.write_item.DATASETS`; images (C, H, W) or (K, C, H, W), data units
    arrays: Mapping[str, NDArray[np.float32]]
    #: of the file: ``sigma``, ``scale``, ``span``, ``transfer``, ``seed``, ``item``, ``levels``, ``complex``
    attributes: Mapping[str, Any]
    described: Mapping[str, Mapping[str, Any]]  # attributes of each data set, by its name

    @property
    def antithetic(self) -> bool:
        """Whether the samples are pairs of opposite noise."""
        return bool(self.attributes.get("antithetic", False))

    @property
    def draws(self) -> np.ndarray[Any, Any] | None:
        """Independent samples, one of each antithetic pair; None where they were not kept."""
        samples = self.arrays.get("samples")
        return samples[::2] if samples is not None and self.antithetic else samples


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
        _require_facts(facts)
        rows = tuple(_row(row) for row in _table(folder / "items.csv"))
        if len(rows) < sum(facts.get("counts", {}).values()):
            raise _damaged("items.csv", f"it has {len(rows)} rows")
        failures = tuple({**row, "code": _code(row)} for row in _table(folder / "failures.csv"))
        return cls(folder, facts, rows, failures)

    @property
    def done(self) -> tuple[dict[str, Any], ...]:
        """The rows of the items that are done, unusable results included."""
        return tuple(row for row in self.rows if row.get("status") in FINISHED)

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
    head, _, tail = item.rpartition("/")
    # results of a format that is only read have a suffix more
    return head if head and tail.isdigit() and f"{written}.".startswith(f"{head}.") else item


def _damaged(name: str, why: str) -> InputError:
    return InputError(f"{name} of the run folder is damaged: {why}", "run the same restore again: it writes it anew")


def _table(path: Path) -> list[dict[str, str]]:
    """The rows of a file, empty fields left out; none where there is no file."""
    if not path.is_file():
        return []
    return [{name: text for name, text in row.items() if text} for row in read_csv(path)]


def _row(row: Mapping[str, str]) -> dict[str, Any]:
    """A row of ``items.csv`` with types."""
    values = {name: typed(name, text) for name, text in row.items()}
    item = PurePosixPath(row.get("item", ""))
    if not item.parts or item.is_absolute() or ".." in item.parts or "\0" in str(item):
        raise _damaged("items.csv", "a row without an item")
    if row.get("status") not in STATES:
        raise _damaged("items.csv", f"the status of {item} is {row.get('status', '')[:40]!r}")
    if values["status"] in FINISHED and not sound(values):
        raise _damaged("items.csv", f"the row of {item} has a value that is no number")
    return values


def _code(row: Mapping[str, str]) -> int:
    """The exit code of a row of ``failures.csv``."""
    if not row.keys() >= {"item", "reason", "code"} or not row["code"].isdigit():
        raise _damaged("failures.csv", "a row without item, reason and code")
    return int(row["code"])


def _require_facts(facts: Mapping[str, Any]) -> None:
    """Refuse a ``run.json`` whose values are not of the kinds that a run writes.

    Raises:
        InputError: It is damaged; the message names the first value.
    """
    given = {key: facts[key] for key in _FACTS if key in facts}
    wrong = next((key for key, value in given.items() if not isinstance(value, _FACTS[key])), None)
    if wrong is None:
        parts = ((key, part) for key in _VALUES for part in given.get(key, {}).values())
        wrong = next((key for key, part in parts if not isinstance(part, _VALUES[key])), None)
    wrong = "recipe" if "recipe" not in given else wrong
    recipe = {} if wrong else facts["recipe"]
    for key, kinds in () if wrong else _RECIPE.items():
        section, _, name = key.partition(".")
        inner = recipe.get(section)
        if not isinstance(inner, dict) or not isinstance(inner.get(name), kinds):
            wrong = f"recipe.{key}"
            break
    span = None if wrong else recipe["data"]["range"]
    if span is not None and (len(span) != 2 or not all(isinstance(end, int | float) for end in span)):
        wrong = "recipe.data.range"
    if wrong:
        raise _damaged("run.json", f"'{wrong}' is not what a run writes")
