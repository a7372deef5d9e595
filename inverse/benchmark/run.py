"""A suite carried out or estimated: cells in order, each kept as it is done, so that it can be killed and goes on.

    DIR/cells/<task>/<row>/<image>.json   one cell: its numbers, and the hash of all that it was made from
    DIR/table.md  table.csv  table.json   the tables
    DIR/page.html                         the same with pictures, self-contained

A cell counts as done if its hash is that of the method, the operator, the prior, the image, the seed and this version.
A cell that failed is kept with its reason, but for a peer that is not installed: it is asked again.

An estimate counts the cells that are left, and says about how many minutes they take, from one timed forward pass of
each prior; it writes nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from inverse import __version__
from inverse.benchmark.cells import Bench, PeerError
from inverse.benchmark.images import find_images, load_truth
from inverse.benchmark.problems import measure_problem
from inverse.benchmark.suite import MethodRow, Suite, SuiteTask
from inverse.errors import InverseError, RecipeError
from inverse.operators.catalogue import operator_spec
from inverse.restoration.plan import Compute
from inverse.restoration.prior import forward_seconds
from inverse.sampling.method_spec import VJP_SECONDS
from inverse.sampling.methods import method_spec
from inverse.storage.files import file_hash, read_json, write_json
from inverse.storage.locks import run_lock

__all__ = ["Cell", "Done", "Keys", "SuiteEstimate", "cells_of", "estimate_suite", "kept", "run_suite", "truth_of"]

LOGGER = logging.getLogger("inverse")

#: Of a cell's file; raised when its numbers come to mean something else.
FORMAT = 1
#: Seconds of one reconstruction without our prior, for a million values: amid those measured.
CLASSICAL = 5.0
#: Seconds of an evaluation of a closed-form prior for one sample: likewise.
PROBLEM = 1e-3
MISSING = "not installed"


@dataclass(frozen=True)
class Cell:
    """One method on one task on one image."""

    task: SuiteTask
    row: MethodRow
    image: str  # its name; of a problem "exact"
    path: Path | None  # its file; None of a problem
    first: bool  # the image is the first of its task, whose pictures are shown

    @property
    def uses_prior(self) -> bool:
        """Whether our prior takes part."""
        return self.row.peer is None or self.row.peer.prior

    def file(self, out: Path) -> Path:
        """The file that keeps it."""
        return out / "cells" / _slug(self.task.name) / _slug(self.row.name) / f"{_slug(self.image)}.json"

    def key(self, prior: str, image: str) -> str:
        """The hash of all it is made from, given those of the prior and the image."""
        row = self.row
        parts = {
            "format": FORMAT,
            "inverse": __version__,
            "recipe": row.recipe.hash,
            "given": sorted(row.recipe.method.model_fields_set),
            "peer": None if row.peer is None else [row.peer.name, row.evaluations],
            "problem": self.task.problem,
            "prior": prior,
            "image": image,
            "name": self.image,
            "crop": self.task.crop,
            "first": self.first,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Done:
    """A cell with what came of it."""

    cell: Cell
    numbers: Mapping[str, Any]  # what was measured; empty where it failed
    failed: str = ""  # why
    defect: bool = False  # ours failed, not a peer, and not because the method is not for the operator


def cells_of(suite: Suite, *, limit: int | None = None) -> list[Cell]:
    """All cells, task by task, image by image; of each task only so many images as the limit says.

    Raises:
        InputError: An image is missing.
    """
    cells = []
    for task in suite.tasks:
        files: Mapping[str, Path | None] = {"exact": None} if task.problem else find_images(task.images, suite.folder)
        for index, (name, path) in enumerate(list(files.items())[:limit]):
            cells += [Cell(task, row, name, path, index == 0) for row in task.rows]
    return cells


def run_suite(suite: Suite, out: Path, *, limit: int | None = None, bench: Bench | None = None) -> list[Done]:
    """Measure what is not measured yet, and give all cells of `cells_of`, in order; results are kept in `out`.

    Raises:
        InputError: An image is missing or too small.
        OutputError: The folder cannot be written, or another process writes it.
    """
    cells, bench = cells_of(suite, limit=limit), bench or Bench()
    done: list[Done] = []
    with run_lock(out / ".inverse"):
        for cell in _measured(cells, out, bench):
            done.append(cell)
            LOGGER.info("[%d/%d] %s", len(done), len(cells), _line(cell))
    return done


def _measured(cells: list[Cell], out: Path, bench: Bench) -> Iterator[Done]:
    keys, truth = Keys(bench), None
    place: tuple[str, Path | None] = ("", None)
    for cell in cells:
        key = keys.of(cell)
        if (done := kept(cell, out, key)) is not None:
            yield done
            continue
        if cell.path is not None and place != (cell.task.name, cell.path):
            place, truth = (cell.task.name, cell.path), truth_of(cell)
        done = _measure(cell, truth, bench)
        content: dict[str, Any] = {"key": key, "task": cell.task.name, "row": cell.row.name, "image": cell.image}
        content |= {"failed": done.failed, "defect": done.defect} if done.failed else {"numbers": done.numbers}
        write_json(cell.file(out), content)
        yield done


@dataclass
class Keys:
    """Hashes of cells; each image is read once."""

    bench: Bench  # it opens the priors
    _images: dict[Path, str] = field(default_factory=dict)

    def of(self, cell: Cell) -> str:
        """The hash of all that a cell is made from."""
        if cell.path is not None and cell.path not in self._images:
            self._images[cell.path] = file_hash(cell.path)
        prior = "" if cell.task.problem or not cell.uses_prior else self._prior(cell)
        return cell.key(prior, self._images[cell.path] if cell.path is not None else "")

    def _prior(self, cell: Cell) -> str:
        card = getattr(self.bench.prior(cell.row.recipe), "card", None)
        return "" if card is None else hashlib.sha256(repr(card).encode()).hexdigest()


def kept(cell: Cell, out: Path, key: str) -> Done | None:
    """A cell that is done, or None."""
    content = read_json(cell.file(out))
    if content is None or content.get("key") != key or str(content.get("failed", "")).startswith(MISSING):
        return None
    return Done(cell, content.get("numbers", {}), content.get("failed", ""), bool(content.get("defect")))


def truth_of(cell: Cell) -> Tensor:
    """The image of a cell (1, C, H, W).

    Raises:
        InputError: It cannot be read, or is too small.
    """
    assert cell.path is not None
    recipe = cell.row.recipe
    two = operator_spec(str(recipe.operator.model_dump()["kind"])).channels == 2
    return load_truth(cell.path, recipe.data, crop=cell.task.crop, complex_image=two, name=cell.image)


def _measure(cell: Cell, truth: Any, bench: Bench) -> Done:
    try:
        if cell.task.problem:
            numbers = measure_problem(cell.task.problem, cell.row, clock=bench.clock, cpu=bench.cpu)
        else:
            numbers = bench.cell(cell.row, truth, cell.image, picture=cell.first)
            if cell.first and cell.row is cell.task.rows[0]:
                numbers |= bench.pictures(cell.row, truth, cell.image)
    except PeerError as error:
        return Done(cell, {}, str(error))
    except RecipeError as error:  # it refuses the operator, which is no defect
        return Done(cell, {}, _flat(error.message))
    except InverseError as error:
        return Done(cell, {}, _flat(f"{error.message}; {error.hint}" if error.hint else error.message), True)
    except MemoryError:
        raise
    except Exception as error:
        return Done(cell, {}, _flat(f"{type(error).__name__}: {error}"), True)
    return Done(cell, numbers)


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+=-]+", "-", name).strip("-") or "-"


def _flat(text: str) -> str:
    return " ".join(text.split())[:160]


def _line(done: Done) -> str:
    cell, numbers = done.cell, done.numbers
    label = f"{cell.task.name}, {cell.row.name}, {cell.image}"
    if done.failed:
        return f"{label}: {done.failed}"
    first = f"PSNR {numbers['psnr']:.2f}, " if "psnr" in numbers else ""
    return f"{label}: {first}{numbers['seconds']:.1f} s"


@dataclass(frozen=True)
class SuiteEstimate:
    """The cells and the minutes that a suite would take."""

    rows: tuple[dict[str, Any], ...]  # task, method, cells left and seconds; what cannot run here has a reason
    cells: int
    done: int  # how many of them are
    minutes: float  # about, for the others

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For a person."""
        wide = max(len(f"{row['task']}, {row['method']}") for row in self.rows)
        lines = []
        for row in self.rows:
            text = row["reason"] or f"{row['left']:3d} cells left, {row['seconds'] / 60:6.1f} min"
            lines.append(f"{row['task'] + ', ' + row['method']:{wide}}  {text}")
        total = f"{self.cells} cells, {self.done} of them done, about {self.minutes:.0f} minutes for the others"
        return [*lines, total, "nothing was written"]


def estimate_suite(suite: Suite, out: Path, *, limit: int | None = None) -> SuiteEstimate:
    """Estimate a suite; arguments as `inverse.benchmark.run.run_suite`."""
    bench = Bench()
    keys, cells = Keys(bench), cells_of(suite, limit=limit)
    sizes: dict[tuple[str, str], tuple[int, ...]] = {}
    passes: dict[tuple[str, tuple[int, ...]], float] = {}
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    done = 0
    for cell in cells:
        names = cell.task.name, cell.row.name
        reason = _reason(cell)
        row = rows.setdefault(
            names, {"task": names[0], "method": names[1], "left": 0, "seconds": 0.0, "reason": reason}
        )
        if kept(cell, out, keys.of(cell)) is not None:
            done += 1
            continue
        row["left"] += 1
        if reason:
            continue
        place = (cell.task.name, cell.image)
        if cell.path is not None and place not in sizes:
            sizes[place] = tuple(truth_of(cell).shape[1:])
        row["seconds"] += _seconds(cell, sizes.get(place, ()), bench, passes)
    return SuiteEstimate(tuple(rows.values()), len(cells), done, sum(row["seconds"] for row in rows.values()) / 60)


def _reason(cell: Cell) -> str:
    peer = cell.row.peer
    return "" if peer is None else peer.refuses(str(cell.row.recipe.operator.model_dump()["kind"])) or peer.missing


def _seconds(
    cell: Cell, shape: tuple[int, ...], bench: Bench, passes: dict[tuple[str, tuple[int, ...]], float]
) -> float:
    recipe, peer = cell.row.recipe, cell.row.peer
    if cell.task.problem:
        return PROBLEM * recipe.run.samples * _passes(cell)
    if not cell.uses_prior:
        assert peer is not None
        return CLASSICAL * peer.chosen * math.prod(shape) / 1e6
    key = (str(recipe.prior), shape)
    if key not in passes:
        prior, dtype = bench.fitted(recipe, shape[0])
        passes[key] = forward_seconds(prior, shape, Compute(dtype, "cpu"))
    return passes[key] * _passes(cell) * (recipe.run.samples if peer is None or peer.samples else 1)


def _passes(cell: Cell) -> float:
    """Forward passes of a sample, those that are as expensive counted in."""
    recipe, peer = cell.row.recipe, cell.row.peer
    if peer is None:
        forward, vjp = method_spec(recipe.method_kind).cost(recipe.params)
        return forward + VJP_SECONDS * vjp
    return (cell.row.evaluations or peer.default) * (1 + VJP_SECONDS * peer.gradient) * peer.chosen
