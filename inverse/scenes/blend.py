r"""Blocks of a scene that overlap, and their blend: where they lie is a function of the scene's size alone.

Along an axis blocks start at multiples of a step and cover ``block`` pixels, the last one up to half more; where two overlap, the weight of one falls
linearly as that of the other rises: :math:`\sum_j w_j = 1` at each pixel. At most two overlap along an axis, so a cell, from one start to the next, is
the blend of at most four blocks, and can be computed from them alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inverse.errors import UsageError

__all__ = ["ALIGN", "Axis", "axis", "blend", "overlap_of"]

ALIGN = 8
"""Blocks start at multiples of it, so that colour filter arrays and JPEG blocks are cut alike."""

SMALLEST = 32


@dataclass(frozen=True)
class Axis:
    """The blocks along one axis.

    Attributes:
        size: Pixels.
        starts: First pixel of each block.
        stops: One past its last.
    """

    size: int
    starts: tuple[int, ...]
    stops: tuple[int, ...]

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


def overlap_of(block: int, overlap: int | str) -> int:
    """The overlap in pixels; "auto" is a quarter of a block.

    Raises:
        UsageError: a block or an overlap that does not fit.
    """
    if not isinstance(block, int) or isinstance(block, bool) or block < SMALLEST or block % ALIGN:
        raise UsageError(f"block {block!r}", f"allowed: a multiple of {ALIGN} from {SMALLEST}, such as 256")
    found = block // 4 // ALIGN * ALIGN if overlap == "auto" else overlap
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= block // 2 or found % ALIGN:
        raise UsageError(
            f"overlap {overlap!r}", f"allowed: 'auto', or a multiple of {ALIGN} up to half a block ({block // 2})"
        )
    return found


def axis(size: int, block: int, overlap: int) -> Axis:
    """The blocks of an axis of so many pixels; a rest shorter than half a block joins the last one."""
    step = block - overlap
    starts = [0]
    while starts[-1] + block < size:
        starts.append(starts[-1] + step)
    if len(starts) > 1 and size - starts[-1] < block // 2:
        starts.pop()
    stops = [start + block for start in starts[:-1]] + [size]
    return Axis(size, tuple(starts), tuple(stops))


def _pairs(rows: Axis, columns: Axis, cell: tuple[int, int]) -> Iterator[tuple[int, int]]:
    return ((i, j) for i in rows.over(cell[0]) for j in columns.over(cell[1]))


def blend(
    rows: Axis,
    columns: Axis,
    cell: tuple[int, int],
    blocks: Mapping[tuple[int, int], NDArray[np.float32]],
    *,
    factor: int,
) -> NDArray[np.float32]:
    """One cell of the result.

    Args:
        rows: The blocks down.
        columns: The blocks across.
        cell: Row and column of the cell.
        blocks: (..., H, W, C) of at least the blocks that cover it; NaN where a block has no value, which weighs nothing.
        factor: Pixels of the result for one of the scene, along each axis.

    Returns:
        (..., h, w, C); NaN where no block has a value.
    """
    (top, bottom), (left, right) = rows.cell(cell[0]), columns.cell(cell[1])
    down, across = (np.arange(factor * low, factor * high) for low, high in ((top, bottom), (left, right)))
    total: NDArray[np.float32] | None = None
    for i, j in _pairs(rows, columns, cell):
        height, width = (min(high, factor * axis.stops[k]) for high, axis, k in (
            (factor * bottom, rows, i), (factor * right, columns, j)))  # fmt: skip
        offset = factor * rows.starts[i], factor * columns.starts[j]
        part = blocks[i, j][
            ..., factor * top - offset[0] : height - offset[0], factor * left - offset[1] : width - offset[1], :
        ]
        weight = np.outer(rows.weight(i, down, factor), columns.weight(j, across, factor))[..., None]
        weight = weight[: part.shape[-3], : part.shape[-2]]
        if total is None:
            shape = (*part.shape[:-3], len(down), len(across), part.shape[-1])
            total, given = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        known = ~np.isnan(part)
        place = (..., slice(0, part.shape[-3]), slice(0, part.shape[-2]), slice(None))
        total[place] += np.where(known, weight * np.nan_to_num(part), 0)
        given[place] += np.where(known, weight, 0)
    assert total is not None
    with np.errstate(invalid="ignore", divide="ignore"):
        blended: NDArray[np.float32] = np.where(given > 0, total / given, np.float32(np.nan)).astype(np.float32)
    return blended
