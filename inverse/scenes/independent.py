"""Independent tiles: each block of a scene a posterior of its own, results blended where blocks overlap.

`inverse.restore_blocks` does the same with arrays. It is an approximation: a block does not know what its neighbours
drew. Its noise is the scene's at its place (`inverse.numerics.rng`), so that neighbours start from the same draw where
they overlap and differ by what each of them sees. Blended standard deviations are an upper bound of the blend's. For
when steps cannot be synchronised, and for methods and operators without coupled tiles.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inverse.calibration.recalibration import Map
from inverse.io.tiling import Window
from inverse.operators.measurement import Measurement
from inverse.posterior.posterior import Cost
from inverse.recipes.recipe import Recipe
from inverse.restoration.case import make_case
from inverse.restoration.item import pose, statistics
from inverse.restoration.plan import Terms
from inverse.sampling.posterior_samples import draw
from inverse.scenes.blend import Blocks, blend, overlap_of
from inverse.scenes.results import Arrays
from inverse.scenes.source import FileScene
from inverse.storage.files import write_bytes

__all__ = ["Independent", "blocks_of", "solve_blocks"]

SAID = "approximate: independent tiles, each a posterior of its own, blended where they overlap"
ALWAYS = ("mean", "std", "data_share", "invented")
LAYERS = ("samples", "mean", "std", "quantiles", "data_share", "invented")


@dataclass(frozen=True)
class Independent:
    """A scene solved by independent tiles."""

    scene: FileScene
    folder: Path  # where the blocks are
    blocks: Blocks
    facts: list[dict[str, Any]]  # of each block that holds values
    side: int  # of a tile, overlap left out
    approximate: str = SAID
    _cells: dict[Window, tuple[int, int]] = field(default_factory=dict)

    @property
    def method(self) -> dict[str, object]:
        """The method and its parameters."""
        method: dict[str, object] = self.facts[0]["method"]
        return method

    @property
    def levels(self) -> tuple[float, ...]:
        """The noise levels of the first block."""
        return tuple(self.facts[0]["levels"])

    @property
    def cost(self) -> Cost:
        """Evaluations of blocks, in scenes: by their pixels."""
        pixels = self.scene.size[0] * self.scene.size[1]
        total = {
            name: sum(block["cost"][name] * block["pixels"] for block in self.facts) / pixels
            for name in ("forward", "vjp", "a", "at")
        }
        seconds = sum(block["cost"]["seconds"] for block in self.facts)
        return Cost(**total, seconds=seconds, peak_bytes=max(block["cost"]["peak_bytes"] for block in self.facts))

    @property
    def misfit(self) -> NDArray[np.float64]:
        """Of each sample, mean of the blocks by their pixels."""
        weights = [block["pixels"] for block in self.facts]
        return np.asarray(np.average([block["misfit"] for block in self.facts], axis=0, weights=weights))

    @property
    def share_error(self) -> float:
        """Root mean square over the blocks."""
        return float(np.sqrt(np.mean([block["share_error"] ** 2 for block in self.facts])))

    @property
    def tiled(self) -> str:
        """How, in words."""
        return f"independent, {self.side} (approximate)"

    def tiles(self) -> Iterator[Window]:
        """From one block's start to the next one's."""
        for place in self.blocks:
            cell = self.blocks.cell(*place)
            self._cells[cell] = place
            yield cell

    def arrays(self, tile: Window) -> Arrays:
        """The blend of the blocks that cover a tile; NaN where none has a value."""
        place, names = self._cells[tile], self.facts[0]["layers"]
        depth = sum(int(np.prod(shape)) for _, shape in names)
        covering = {(row, column): self._block(row, column, depth) for row, column in self.blocks.over(*place)}
        blended = blend(self.blocks.rows, self.blocks.columns, place, covering, factor=self.scene.lies.factor)
        layers, arrays, start = np.moveaxis(blended, -1, 0), {}, 0
        for name, shape in names:
            count = int(np.prod(shape))
            arrays[name] = layers[start : start + count].reshape(*shape, *layers.shape[1:])
            start += count
        return arrays

    def _block(self, row: int, column: int, depth: int) -> NDArray[np.float32]:
        values: NDArray[np.float32] = np.load(_path(self.folder, row, column))
        return values if values.shape[-1] == depth else np.full((*values.shape[:2], depth), np.nan, np.float32)

    def told(self) -> dict[str, float]:
        """Nothing: residuals of blends are no block's."""
        return {}

    def close(self) -> None:
        """Nothing is open."""


def blocks_of(size: tuple[int, int], side: int) -> Blocks:
    """The blocks of a scene (H, W): a quarter longer than tiles of a side, and overlapping by that."""
    overlap = overlap_of(side + side // 4, side // 4)
    return Blocks.of(size, side + overlap, overlap)


def _path(folder: Path, row: int, column: int) -> Path:
    return folder / f"block-{row:04d}-{column:04d}.npy"


def solve_blocks(
    scene: FileScene,
    prior: Any,
    terms: Terms,
    *,
    folder: Path,
    side: int,
    item: str,
    calibration: Map | None,
    advance: Callable[[float], object],
) -> Independent:
    """Solve a scene block by block (`blocks_of`); what is in the folder already is not solved again.

    The item's id keys the noise; ``advance`` takes samples as they are made.
    """
    blocks, facts = blocks_of(scene.size, side), []
    for place in blocks:
        path = _path(folder, *place)
        facts_path = path.with_suffix(".json")
        if not facts_path.exists():
            layers, known = _solved(scene, blocks.window(*place), prior, terms, item, calibration)
            stream = BytesIO()
            np.save(stream, layers)
            write_bytes(path, stream.getvalue())
            write_bytes(facts_path, json.dumps(known).encode())
        block = json.loads(facts_path.read_text())
        facts += [block] if block else []
        advance(terms.samples / len(blocks))
    return Independent(scene, folder, blocks, facts, side)


def _solved(
    scene: FileScene, window: Window, prior: Any, terms: Terms, item: str, calibration: Map | None
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """The arrays of a block (h, w, layers), and what is known of it; nothing where it holds no value."""
    y, valid = scene.measured(window)
    factor = scene.lies.factor
    if valid is not None and not bool((valid > 0).any()):
        return np.zeros((*window.scaled(factor).size, 0), np.float32), {}
    recipe = _of_level(scene.recipe, scene.sigma)
    case = make_case(recipe, Measurement(y, valid), part=True)
    problem = pose(case, prior, recipe, terms.compute, items=[item])
    problem = replace(problem, origin=(factor * window.top, factor * window.left))
    post = replace(draw(problem, range(terms.samples), batch=1), crop=case.crop, calibration=calibration)
    arrays = {name: values.numpy() for name, values in statistics(post, case).items()}
    wanted = {*terms.keep, *ALWAYS, *(["samples"] if recipe.output == "sample" else [])}
    layers = [(name, arrays[name]) for name in LAYERS if name in wanted and name in arrays]
    height, width = arrays["mean"].shape[-2:]
    stacked = np.concatenate([values.reshape(-1, height, width) for _, values in layers])
    return np.ascontiguousarray(np.moveaxis(stacked, 0, -1)), {
        "layers": [(name, list(values.shape[:-2])) for name, values in layers],
        "misfit": arrays["misfit"].astype(float).tolist(),
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
