"""A suite carried out: cells in order, each kept as it is done, so that it can be killed anywhere and goes on where it stopped.

    DIR/cells/<task>/<row>/<image>.json   one cell: its numbers, and the hash of all that it was made from
    DIR/table.md  table.csv  table.json   the tables
    DIR/page.html                         the same with pictures, self-contained

A cell counts as done if its hash is that of the method, the operator, the prior, the image, the seed and this version. A cell that failed is kept with its
reason, but for a peer that is not installed: it is asked again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inverse.errors import InverseError, RecipeError
from inverse.lock import run_lock
from inverse.store import file_hash, read_json, write_json
from inverse.suite import Row, Suite, Task
from inverse.suite_images import find_images, load_truth

if TYPE_CHECKING:
    from torch import Tensor

    from inverse.suite_cells import Bench

__all__ = ["Cell", "Done", "Keys", "cells_of", "kept", "run_suite", "truth_of"]

LOGGER = logging.getLogger("inverse")

FORMAT = 1
"""Of a cell's file; raised when its numbers come to mean something else."""

MISSING = "not installed"


@dataclass(frozen=True)
class Cell:
    """One method on one task on one image.

    Attributes:
        task: The task.
        row: The method.
        image: Name of the image; of a problem "exact".
        path: Its file; None of a problem.
        first: Whether the image is the first of its task, whose pictures are shown.
    """

    task: Task
    row: Row
    image: str
    path: Path | None
    first: bool

    @property
    def uses_prior(self) -> bool:
        """Whether our prior takes part."""
        return self.row.peer is None or self.row.peer.prior

    def file(self, out: Path) -> Path:
        """Where it is kept."""
        return out / "cells" / _slug(self.task.name) / _slug(self.row.name) / f"{_slug(self.image)}.json"

    def key(self, prior: str, image: str) -> str:
        """The hash of all it is made from, given those of the prior and the image."""
        from inverse import __version__

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
    """A cell with what came of it.

    Attributes:
        cell: The cell.
        numbers: What was measured; empty where it failed.
        failed: Why it failed, or nothing.
        defect: Whether ours failed, not a peer, and not because the method is not for the operator.
    """

    cell: Cell
    numbers: Mapping[str, Any]
    failed: str = ""
    defect: bool = False


def cells_of(suite: Suite, *, limit: int | None = None) -> list[Cell]:
    """All cells, task by task, image by image.

    Args:
        suite: The suite.
        limit: Only so many images of each task.

    Raises:
        InputError: An image is missing.
    """
    found = []
    for task in suite.tasks:
        files: Mapping[str, Path | None] = {"exact": None} if task.problem else find_images(task.images, suite.folder)
        for index, (name, path) in enumerate(list(files.items())[:limit]):
            found += [Cell(task, row, name, path, index == 0) for row in task.rows]
    return found


def run_suite(suite: Suite, out: Path, *, limit: int | None = None, bench: Bench | None = None) -> list[Done]:
    """Measure what is not measured yet.

    Args:
        suite: The suite.
        out: The folder of the results.
        limit: Only so many images of each task.
        bench: What measures; a test gives one with a clock of its own.

    Returns:
        All cells, in order.

    Raises:
        InputError: An image is missing or too small.
        OutputError: The folder cannot be written, or another process writes it.
    """
    from inverse.suite_cells import Bench

    cells, bench = cells_of(suite, limit=limit), bench or Bench()
    done = []
    with run_lock(out / ".inverse"):
        for number, found in enumerate(_measured(cells, out, bench), 1):
            done.append(found)
            LOGGER.info("[%d/%d] %s", number, len(cells), _line(found))
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
        found = _measure(cell, truth, bench)
        content: dict[str, Any] = {"key": key, "task": cell.task.name, "row": cell.row.name, "image": cell.image}
        content |= {"failed": found.failed, "defect": found.defect} if found.failed else {"numbers": found.numbers}
        write_json(cell.file(out), content)
        yield found


@dataclass
class Keys:
    """Hashes of cells; each image is read once.

    Attributes:
        bench: It opens the priors.
    """

    bench: Bench
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
    found = read_json(cell.file(out))
    if found is None or found.get("key") != key or str(found.get("failed", "")).startswith(MISSING):
        return None
    return Done(cell, found.get("numbers", {}), found.get("failed", ""), bool(found.get("defect")))


def truth_of(cell: Cell) -> Tensor:
    """The image of a cell (1, C, H, W).

    Raises:
        InputError: It cannot be read, or is too small.
    """
    from inverse.operators.catalog import operator_spec

    assert cell.path is not None
    recipe = cell.row.recipe
    two = operator_spec(str(recipe.operator.model_dump()["kind"])).channels == 2
    return load_truth(cell.path, recipe.data, crop=cell.task.crop, complex_image=two, name=cell.image)


def _measure(cell: Cell, truth: Any, bench: Bench) -> Done:
    from inverse.suite_cells import PeerError
    from inverse.suite_problems import measure_problem

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


def _line(found: Done) -> str:
    cell, numbers = found.cell, found.numbers
    label = f"{cell.task.name}, {cell.row.name}, {cell.image}"
    if found.failed:
        return f"{label}: {found.failed}"
    first = f"PSNR {numbers['psnr']:.2f}, " if "psnr" in numbers else ""
    return f"{label}: {first}{numbers['seconds']:.1f} s"
