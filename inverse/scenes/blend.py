r"""Blocks of a scene that overlap, and their blend: where they lie is a function of the scene's size alone.

Along an axis blocks start at multiples of a step and cover ``block`` pixels, the last one up to half more; where two
overlap, the weight of one falls linearly as that of the other rises: :math:`\sum_j w_j = 1` at each pixel. At most two
overlap along an axis, so a cell, from one start to the next, is the blend of at most four blocks, and can be computed
from them alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inverse.errors import UsageError
from inverse.io.tiling import Window

__all__ = ["ALIGN", "BlockAxis", "Blocks", "axis", "blend", "overlap_of"]

#: Blocks start at multiples of it, so that colour filter arrays and JPEG blocks are cut alike.
ALIGN = 8
SMALLEST = 32


@dataclass(frozen=True)
class BlockAxis:
    """The blocks along one axis."""

    size: int  # pixels
    starts: tuple[int, ...]  # first pixel of each block
    stops: tuple[int, ...]  # one past its last

    def __len__(self) -> int:
        return len(self.starts)

    def cell(self, index: int) -> tuple[int, int]:
        """First pixel and one past the last of the cell of a block: from its start to the next one's."""
        return self.starts[index], self.starts[index + 1] if index + 1 < len(self) else self.size

    def over(self, index: int) -> list[int]:
        """The blocks that cover a part of a cell."""
        before = index > 0 and self.stops[index - 1] > self.starts[index]
        return [index - 1, index] if before else [index]

    def weight(self, index: int, places: NDArray[np.int64], factor: int) -> NDArray[np.float32]:
        """Weight of a block at places of the result, ``factor`` of them a pixel."""
        weight = np.ones(len(places))
        if index > 0 and self.stops[index - 1] > self.starts[index]:
            weight *= _rise(places, factor * self.starts[index], factor * self.stops[index - 1])
        if index + 1 < len(self) and self.stops[index] > self.starts[index + 1]:
            weight *= 1 - _rise(places, factor * self.starts[index + 1], factor * self.stops[index])
        inside = (places >= factor * self.starts[index]) & (places < factor * self.stops[index])
        return np.where(inside, weight, 0.0).astype(np.float32)


def _rise(places: NDArray[np.int64], low: int, high: int) -> NDArray[np.float64]:
    risen: NDArray[np.float64] = np.clip((places - low + 0.5) / (high - low), 0.0, 1.0)
    return risen


@dataclass(frozen=True)
class Blocks:
    """The blocks of a scene, each named by its row and column."""

    rows: BlockAxis
    columns: BlockAxis

    @classmethod
    def of(cls, size: tuple[int, int], block: int, overlap: int) -> Blocks:
        """The blocks of a scene of a height and width."""
        return cls(axis(size[0], block, overlap), axis(size[1], block, overlap))

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((row, column) for row in range(len(self.rows)) for column in range(len(self.columns)))

    def window(self, row: int, column: int) -> Window:
        """Where a block lies."""
        rows, columns = self.rows, self.columns
        return Window(rows.starts[row], columns.starts[column], rows.stops[row], columns.stops[column])

    def cell(self, row: int, column: int) -> Window:
        """From a block's start to the next one's."""
        (top, bottom), (left, right) = self.rows.cell(row), self.columns.cell(column)
        return Window(top, left, bottom, right)

    def over(self, row: int, column: int) -> list[tuple[int, int]]:
        """The blocks that cover a part of a cell."""
        return [(i, j) for i in self.rows.over(row) for j in self.columns.over(column)]


def overlap_of(block: int, overlap: int | str) -> int:
    """The overlap in pixels; "auto" is a quarter of a block.

    Raises:
        UsageError: a block or an overlap that does not fit.
    """
    if not isinstance(block, int) or isinstance(block, bool) or block < SMALLEST or block % ALIGN:
        raise UsageError(f"block {block!r}", f"allowed: a multiple of {ALIGN} from {SMALLEST}, such as 256")
    pixels = block // 4 // ALIGN * ALIGN if overlap == "auto" else overlap
    if not isinstance(pixels, int) or isinstance(pixels, bool) or not 0 <= pixels <= block // 2 or pixels % ALIGN:
        raise UsageError(
            f"overlap {overlap!r}", f"allowed: 'auto', or a multiple of {ALIGN} up to half a block ({block // 2})"
        )
    return pixels


def axis(size: int, block: int, overlap: int) -> BlockAxis:
    """The blocks of an axis of so many pixels; a rest shorter than half a block joins the last one."""
    step = block - overlap
    starts = [0]
    while starts[-1] + block < size:
        starts.append(starts[-1] + step)
    if len(starts) > 1 and size - starts[-1] < block // 2:
        starts.pop()
    stops = [start + block for start in starts[:-1]] + [size]
    return BlockAxis(size, tuple(starts), tuple(stops))


def blend(
    rows: BlockAxis,
    columns: BlockAxis,
    cell: tuple[int, int],
    blocks: Mapping[tuple[int, int], NDArray[np.float32]],
    *,
    factor: int,
) -> NDArray[np.float32]:
    """One cell (row, column) of the result (..., h, w, C); NaN where no block has a value.

    At least the blocks (..., H, W, C) that cover it are needed; NaN, which weighs nothing, where one has no value.
    ``factor`` is the pixels of the result for one of the scene, along each axis.
    """
    grid = Blocks(rows, columns)
    place = grid.cell(*cell).scaled(factor)
    down, across = np.arange(place.top, place.bottom), np.arange(place.left, place.right)
    total: NDArray[np.float32] | None = None
    for i, j in grid.over(*cell):
        window = grid.window(i, j).scaled(factor)
        values = blocks[i, j][(..., *place.clipped(window.bottom, window.right).inside(window), slice(None))]
        height, width, channels = values.shape[-3:]
        weight = np.outer(rows.weight(i, down, factor), columns.weight(j, across, factor))[:height, :width, None]
        if total is None:
            shape = (*values.shape[:-3], len(down), len(across), channels)
            total, weights = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        has_value = ~np.isnan(values)
        total[..., :height, :width, :] += np.where(has_value, weight * np.nan_to_num(values), 0)
        weights[..., :height, :width, :] += np.where(has_value, weight, 0)
    assert total is not None
    with np.errstate(invalid="ignore", divide="ignore"):
        blended: NDArray[np.float32] = np.where(weights > 0, total / weights, np.float32(np.nan)).astype(np.float32)
    return blended
