"""Arrays too large for one call, block by block: numpy at once, dask and xarray lazily.

The blocks are ours (`inverse.scenes.blend`): their places, and the names that key their noise, depend on the scene's
size, ``block`` and ``overlap`` alone, never on the chunks of a dask array, nor on its scheduler. Each block is a
posterior of its own, and where two overlap their results are blended: an approximation of the whole scene's posterior.
Blended standard deviations are an upper bound of the blend's (the triangle inequality).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inverse.errors import InputError, RecipeError, UsageError, did_you_mean
from inverse.io.nodata import filled_by, still_valid
from inverse.io.tiling import Window
from inverse.numerics.defaults import independent
from inverse.operators.build import result_shape
from inverse.operators.catalogue import operator_spec
from inverse.recipes.recipe import Recipe, load
from inverse.restoration.arrays import restore_array
from inverse.restoration.options import Options
from inverse.restoration.prior import open_recipe_prior
from inverse.scenes.blend import Blocks, blend, overlap_of
from inverse.scenes.blocks_xarray import dimensions, labelled, nodata_of

__all__ = ["require_local", "restore_blocks"]

OUTPUTS = ("mean", "std", "data_share", "invented")

#: Pixels of what the operator's factor is read off.
SIDE = 64

_PRIORS: dict[str, Any] = {}
_LOCK = threading.Lock()


@independent
def restore_blocks(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    array: Any,
    *,
    block: int = 256,
    overlap: int | str = "auto",
    dims: Sequence[Any] | None = None,
    output: str | Sequence[str] = "mean",
    samples: int | None = None,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    nodata: float | None = None,
    options: Options | None = None,
) -> Any:
    """Restore a large array in overlapping blocks.

    Args:
        recipe: Name, path, mapping, or a loaded recipe; its operator must do the same everywhere.
        array: numpy; a dask array, whose result is lazy; or an ``xarray.DataArray`` of either.
        block: Side of a block in pixels of the measurement, a multiple of 8.
        overlap: Pixels that neighbours share, a multiple of 8 up to half a block; "auto" is a quarter of a block.
        dims: Rows, columns and channels: names of an xarray's dimensions (default y, x and band, or their usual names),
            or axes of an array (default (0, 1) of two, else the last three). Leave the third away where there are no
            channels. All others are looped over.
        output: ``mean``, ``std``, ``data_share``, ``invented``, or several of them.
        samples: Posterior draws of each block; default the recipe's.
        seed: Seed; default the recipe's.
        overrides: ``key=value`` changes of the recipe.
        nodata: The value of unobserved pixels, besides NaN; default what an xarray's attributes say.
        options: Device, precision and batch of each block.

    Returns:
        An array of the same kind, float32, in the array's own units, its axes in the same order; a tuple of them for
        several outputs. NaN where nothing was observed and the recipe fills no gaps.

    Raises:
        UsageError: blocks, dimensions or outputs that do not fit.
        RecipeError: an operator or a scale that would be another in each block.
    """
    changes = [*overrides]
    changes += [f"run.samples={samples}"] if samples is not None else []
    changes += [f"run.seed={seed}"] if seed is not None else []
    names = (output,) if isinstance(output, str) else tuple(output)
    for name in names:
        if name not in OUTPUTS:
            raise UsageError(f"no output '{name}'", did_you_mean(name, OUTPUTS))
    if not names:
        raise UsageError("no output asked for", f"allowed: {', '.join(OUTPUTS)}")
    shared = overlap_of(block, overlap)
    loaded = load(recipe, changes)
    require_local(loaded)
    _require_one_scale(loaded)
    work = _Work(loaded, loaded.hash, names, options or Options(), nodata)
    if _is(array, "xarray"):
        chosen = dimensions(array, dims)
        work = replace(work, nodata=nodata_of(array)) if nodata is None else work
        planes = _restored(work, array.data, block, shared, tuple(array.dims.index(name) for name in chosen))
        results = tuple(labelled(array, values, chosen, name) for values, name in zip(planes, names, strict=True))
    else:
        results = _restored(work, array, block, shared, _axes(array, dims))
    return results[0] if isinstance(output, str) else results


def _is(array: Any, package: str) -> bool:
    return type(array).__module__.partition(".")[0] == package


def require_local(recipe: Recipe) -> None:
    """Refuse an operator that is not the same in each part of a scene.

    Raises:
        RecipeError: it is another in each part.
    """
    operator = recipe.located()["operator"]
    for part in operator.get("operators", [operator]):
        spec = operator_spec(part["kind"])
        placed = spec.placed_by(part)
        if not spec.local or "file" in placed:
            raise RecipeError(
                f"operator '{part['kind']}' is not the same in each block of a scene", "restore the whole array"
            )
        if placed:
            raise RecipeError("simulated gaps are a pattern of the whole scene", "mark them as nodata, or NaN")
        if "auto" in part.values():
            name = next(key for key, value in part.items() if value == "auto")
            raise RecipeError(f"operator.{name}: auto would be another in each block", "give a number")
        if part.get("boundary", "free") != "free":
            raise RecipeError(
                f"operator.boundary: {part['boundary']}: a block's edge is not the scene's", "use boundary: free"
            )


def _require_one_scale(recipe: Recipe) -> None:
    if recipe.data.scale in ("auto", "bands"):
        raise RecipeError(
            f"data.scale: {recipe.data.scale} would stretch each block in its own way",
            "say which values are black and white: overrides=['data.scale=[0,10000]']",
        )


def _axes(array: Any, dims: Sequence[Any] | None) -> tuple[int, ...]:
    """Rows, columns, and channels where there are any, as axes from 0."""
    count = np.ndim(array)
    asked = tuple(dims) if dims is not None else (0, 1) if count == 2 else (count - 3, count - 2, count - 1)
    fits = len(asked) in (2, 3) and all(isinstance(axis, int) and -count <= axis < count for axis in asked)
    axes = tuple(axis % count for axis in asked) if fits else ()
    if count < 2 or not fits or len(set(axes)) != len(axes):
        raise UsageError(
            f"dims {asked} of an array of shape {np.shape(array)}",
            "allowed: axes of rows, columns and, if any, channels",
        )
    return axes


@dataclass(frozen=True)
class _Work:
    """The restoration of a block; it crosses processes."""

    recipe: Recipe
    key: str  # its hash, which names its prior in a process
    names: tuple[str, ...]  # of the outputs
    options: Options
    nodata: float | None  # value of unobserved pixels, besides NaN

    def result_shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """(H, W, C) of a result of so many pixels and channels."""
        channels, height, width = result_shape(self.recipe.located()["operator"], (shape[2], *shape[:2]))
        return height, width, channels

    def factor(self, channels: int) -> tuple[int, int]:
        """Pixels of the result for one of the scene, and its channels."""
        height, _, count = self.result_shape((SIDE, SIDE, channels))
        if height % SIDE:
            raise RecipeError("the operator's result is no whole number of times as large", "restore the whole array")
        return height // SIDE, count

    def __call__(self, values: NDArray[Any], item: str) -> NDArray[np.float32]:
        """A block (H, W, C) to its results (outputs, H', W', C'), NaN where there is no value."""
        valid: Any = ~np.isnan(values) if values.dtype.kind == "f" else np.ones(values.shape, bool)
        if self.nodata is not None and not np.isnan(self.nodata):
            valid &= values != self.nodata
        shape = self.result_shape(values.shape)
        if not valid.any():
            return np.full((len(self.names), *shape), np.nan, np.float32)
        post = restore_array(
            self.recipe, np.ma.masked_array(values, ~valid), self.options, items=[item], prior=_prior(self)
        )
        made = np.stack([post.to_numpy(name)[0].astype(np.float32) for name in self.names])
        valid_result = None if valid.all() else valid if shape[2] == valid.shape[2] else valid.any(-1)
        kept = still_valid(valid_result, fill=filled_by(self.recipe.located()["operator"]), size=shape[:2])
        if kept is None:
            return made
        return np.where(kept if kept.ndim == 3 else kept[..., None], made, np.float32(np.nan))


def _prior(work: _Work) -> Any:
    """The recipe's prior, opened once a process."""
    with _LOCK:
        if work.key not in _PRIORS:
            _PRIORS.clear()
            _PRIORS[work.key] = open_recipe_prior(work.recipe)
        return _PRIORS[work.key]


def _restored(work: _Work, array: Any, block: int, overlap: int, axes: tuple[int, ...]) -> tuple[Any, ...]:
    """The outputs of a numpy or a dask array, its axes in the same order.

    Raises:
        InputError: complex values.
    """
    lazy = _is(array, "dask")
    source = array if lazy else np.asarray(array)
    if source.dtype.kind == "c":
        raise InputError("complex values: k-space has no blocks", "restore it slice by slice: inverse.restore")
    coloured = len(axes) == 3
    others = [axis for axis in range(source.ndim) if axis not in axes]
    order = [*others, *axes]
    planes = source.transpose(order)
    planes = planes if coloured else planes[..., None]
    lead = planes.shape[: len(others)]
    height, width, channels = planes.shape[len(others) :]
    blocks = Blocks.of((height, width), block, overlap)
    factor, count = work.factor(channels)
    scene = _lazy_scene if lazy else _scene
    scenes = [
        scene(work, planes[index], blocks, factor, count, "".join(f"{place}/" for place in index))
        for index in np.ndindex(*lead)
    ]
    back = tuple(order.index(axis) for axis in range(source.ndim))
    results = []
    for output in range(len(work.names)):
        stacked = _stack([arrays[output] for arrays in scenes], lead, lazy)
        if coloured or count == 1:
            results.append((stacked if coloured else stacked[..., 0]).transpose(back))
        else:
            results.append(stacked.transpose((*back, stacked.ndim - 1)))
    return tuple(results)


def _stack(scenes: list[Any], lead: tuple[int, ...], lazy: bool) -> Any:
    if not lead:
        return scenes[0]
    if lazy:
        import dask.array as da

        return da.stack(scenes).reshape((*lead, *scenes[0].shape))
    return np.stack(scenes).reshape((*lead, *scenes[0].shape))


def _item(label: str, window: Window) -> str:
    """What names a block, and so keys its noise: where it lies in the scene."""
    return f"{label}{window.top}:{window.left}"


def _scene(
    work: _Work, planes: NDArray[Any], blocks: Blocks, factor: int, count: int, label: str
) -> NDArray[np.float32]:
    """(outputs, H, W, C), two rows of blocks at a time."""
    rows, columns = blocks.rows, blocks.columns
    result = np.empty((len(work.names), factor * rows.size, factor * columns.size, count), np.float32)
    solved: dict[tuple[int, int], NDArray[np.float32]] = {}
    for i in range(len(rows)):
        for j in range(len(columns)):
            window = blocks.window(i, j)
            solved[i, j] = work(np.ascontiguousarray(planes[window.slices]), _item(label, window))
        for j in range(len(columns)):
            place = blocks.cell(i, j).scaled(factor).slices
            result[(slice(None), *place)] = blend(rows, columns, (i, j), solved, factor=factor)
        solved = {place: values for place, values in solved.items() if place[0] == i}
    return result


def _lazy_scene(work: _Work, planes: Any, blocks: Blocks, factor: int, count: int, label: str) -> list[Any]:
    """One lazy array (H, W, C) an output."""
    import dask
    import dask.array as da

    solve, join = dask.delayed(work, pure=True), dask.delayed(blend, pure=True)
    windows = {place: blocks.window(*place) for place in blocks}
    solved = {place: solve(planes[window.slices], _item(label, window)) for place, window in windows.items()}

    def cell(i: int, j: int) -> Any:
        needed = {place: solved[place] for place in blocks.over(i, j)}
        shape = (len(work.names), *blocks.cell(i, j).scaled(factor).size, count)
        joined = join(blocks.rows, blocks.columns, (i, j), needed, factor=factor)
        return da.from_delayed(joined, shape, dtype=np.float32)

    lines = [[cell(i, j) for j in range(len(blocks.columns))] for i in range(len(blocks.rows))]
    whole = da.concatenate([da.concatenate(line, axis=2) for line in lines], axis=1)
    return [whole[index] for index in range(len(work.names))]
