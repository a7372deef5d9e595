"""Independent tiles: each block of a scene a posterior of its own, results blended where blocks overlap, as `inverse.restore_blocks` does with arrays.

An approximation: a block does not know what its neighbours drew. Its noise is the scene's at its place (`inverse.numerics.rng`), so that neighbours start from the same
draw where they overlap and differ by what each of them sees. Blended standard deviations are an upper bound of the blend's. For when steps cannot be
synchronised, and for methods and operators without coupled tiles.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inverse.io.tiling import Window
from inverse.posterior.posterior import Cost
from inverse.scenes.blend import Axis, axis, blend, overlap_of
from inverse.scenes.results import Arrays
from inverse.storage.files import write_bytes

if TYPE_CHECKING:
    from inverse.calibration.recalibration import Map
    from inverse.recipes.recipe import Recipe
    from inverse.scenes.source import FileScene

__all__ = ["Independent", "axes", "solve_blocks"]

SAID = "approximate: independent tiles, each a posterior of its own, blended where they overlap"
ALWAYS = ("mean", "std", "data_share", "invented")
LAYERS = ("samples", "mean", "std", "quantiles", "data_share", "invented")


@dataclass
class Independent:
    """A scene solved by independent tiles.

    Attributes:
        scene: What was measured.
        folder: Where the blocks are.
        rows: Of blocks.
        columns: Of blocks.
        facts: What was found of each block that holds values.
        side: Of a tile, overlap left out.
    """

    scene: FileScene
    folder: Path
    rows: Axis
    columns: Axis
    facts: list[dict[str, Any]]
    side: int
    approximate: str = SAID
    _cells: dict[Window, tuple[int, int]] = field(default_factory=dict)

    @property
    def method(self) -> dict[str, object]:
        """The method and its parameters."""
        found: dict[str, object] = self.facts[0]["method"]
        return found

    @property
    def levels(self) -> tuple[float, ...]:
        """The noise levels of the first block."""
        return tuple(self.facts[0]["levels"])

    @property
    def cost(self) -> Cost:
        """Evaluations of blocks, in scenes: by their pixels."""
        pixels = self.rows.size * self.columns.size
        total = {
            name: sum(one["cost"][name] * one["pixels"] for one in self.facts) / pixels
            for name in ("forward", "vjp", "a", "at")
        }
        seconds = sum(one["cost"]["seconds"] for one in self.facts)
        return Cost(**total, seconds=seconds, peak_bytes=max(one["cost"]["peak_bytes"] for one in self.facts))

    @property
    def misfit(self) -> NDArray[np.float64]:
        """Of each sample, mean of the blocks by their pixels."""
        weights = [one["pixels"] for one in self.facts]
        return np.asarray(np.average([one["misfit"] for one in self.facts], axis=0, weights=weights))

    @property
    def share_error(self) -> float:
        """Root mean square over the blocks."""
        return float(np.sqrt(np.mean([one["share_error"] ** 2 for one in self.facts])))

    @property
    def tiled(self) -> str:
        """How, in words."""
        return f"independent, {self.side} (approximate)"

    def tiles(self) -> Iterator[Window]:
        """From one block's start to the next one's."""
        for i in range(len(self.rows)):
            for j in range(len(self.columns)):
                (top, bottom), (left, right) = self.rows.cell(i), self.columns.cell(j)
                cell = Window(top, left, bottom, right)
                self._cells[cell] = i, j
                yield cell

    def arrays(self, tile: Window) -> Arrays:
        """The blend of the blocks that cover a tile; NaN where none has a value."""
        i, j = self._cells[tile]
        names: list[tuple[str, list[int]]] = self.facts[0]["layers"]
        depth = sum(int(np.prod(shape)) for _, shape in names)
        blocks = {
            (row, column): self._block(row, column, depth)
            for row in self.rows.over(i)
            for column in self.columns.over(j)
        }
        blended = blend(self.rows, self.columns, (i, j), blocks, factor=self.scene.lies.factor)
        layers, found, start = np.moveaxis(blended, -1, 0), {}, 0
        for name, shape in names:
            count = int(np.prod(shape))
            found[name] = layers[start : start + count].reshape(*shape, *layers.shape[1:])
            start += count
        return found

    def _block(self, row: int, column: int, depth: int) -> NDArray[np.float32]:
        path = _path(self.folder, row, column)
        values: NDArray[np.float32] = np.load(path)
        return values if values.shape[-1] == depth else np.full((*values.shape[:2], depth), np.nan, np.float32)

    def told(self) -> dict[str, float]:
        """Nothing: residuals of blends are no block's."""
        return {}

    def close(self) -> None:
        """Nothing is open."""


def axes(size: tuple[int, int], side: int) -> tuple[Axis, Axis]:
    """Blocks down and across a scene: a quarter longer than tiles of a side, and overlapping by that."""
    overlap = overlap_of(side + side // 4, side // 4)
    rows, columns = (axis(length, side + overlap, overlap) for length in size)
    return rows, columns


def _path(folder: Path, row: int, column: int) -> Path:
    return folder / f"block-{row:04d}-{column:04d}.npy"


def solve_blocks(
    scene: FileScene,
    *,
    folder: Path,
    side: int,
    item: str,
    samples: int,
    keep: tuple[str, ...],
    calibration: Map | None,
    arguments: Callable[[tuple[int, ...]], dict[str, Any]],
    advance: Callable[[float], object],
) -> Independent:
    """Solve a scene block by block; what is in the folder already is not solved again.

    Args:
        scene: What was measured.
        folder: The state.
        side: Of a tile; blocks are a quarter longer, and overlap by that.
        item: Id, which keys the noise.
        samples: Posterior draws.
        keep: Of `inverse.restoration.write_item.KEEP`, what is wanted beside what is always needed.
        calibration: Of standard deviations and quantiles.
        arguments: Of sampling an unknown of a shape.
        advance: Takes samples as they are made.
    """
    rows, columns = axes(scene.size, side)
    wanted = tuple(
        name for name in LAYERS if name in (*keep, *ALWAYS) or (name == "samples" and scene.recipe.output == "sample")
    )
    facts = []
    for i in range(len(rows)):
        for j in range(len(columns)):
            window = Window(rows.starts[i], columns.starts[j], rows.stops[i], columns.stops[j])
            path = _path(folder, i, j)
            said = path.with_suffix(".json")
            if not said.exists():
                block = _solved(scene, window, item, samples, wanted, calibration, arguments)
                stream = BytesIO()
                np.save(stream, block[0])
                write_bytes(path, stream.getvalue())
                write_bytes(said, json.dumps(block[1]).encode())
            found = json.loads(said.read_text())
            facts += [found] if found else []
            advance(samples / (len(rows) * len(columns)))
    return Independent(scene, folder, rows, columns, facts, side)


def _solved(
    scene: FileScene,
    window: Window,
    item: str,
    samples: int,
    wanted: tuple[str, ...],
    calibration: Map | None,
    arguments: Callable[[tuple[int, ...]], dict[str, Any]],
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """The arrays of a block (h, w, layers), and what was found of it; nothing where it holds no value."""
    from inverse.operators.measurement import Measurement
    from inverse.restoration.case import make_case, statistics
    from inverse.sampling.posterior_samples import draw
    from inverse.sampling.problem import prepare

    y, valid = scene.measured(window)
    factor = scene.lies.factor
    if valid is not None and not bool((valid > 0).any()):
        return np.zeros((factor * window.size[0], factor * window.size[1], 0), np.float32), {}
    case = make_case(_of_level(scene.recipe, scene.sigma), Measurement(y, valid))
    given = arguments(case.shape)
    prior, steps = given.pop("prior"), given.pop("steps", None)
    known = {name: given.pop(name) for name in ("method", "seed", "shape", "items", "dtype")}
    problem = prepare(case.y, case.physics, prior, steps=steps, device="auto", params=given, **known)
    post = draw(replace(problem, origin=(factor * window.top, factor * window.left)), range(samples), batch=1)
    post = replace(post, crop=case.crop, calibration=calibration)
    found = {name: values.numpy() for name, values in statistics(post, case).items()}
    layers = [(name, found[name]) for name in wanted if name in found]
    height, width = found["mean"].shape[-2:]
    stacked = np.concatenate([values.reshape(-1, height, width) for _, values in layers])
    return np.ascontiguousarray(np.moveaxis(stacked, 0, -1)), {
        "layers": [(name, list(values.shape[:-2])) for name, values in layers],
        "misfit": found["misfit"].astype(float).tolist(),
        "share_error": post.data_share_error,
        "pixels": window.size[0] * window.size[1],
        "sigma": case.sigma,
        "method": post.method,
        "levels": list(post.levels[0]),
        "cost": post.cost.as_dict(),
    }


def _of_level(recipe: Recipe, sigma: float) -> Recipe:
    """The recipe with the noise level of the whole scene."""
    if recipe.noise.kind != "gaussian":
        return recipe
    return recipe.model_copy(update={"noise": recipe.noise.model_copy(update={"sigma": sigma})})
