r"""Tiles of a scene, and the windows they are computed from.

A tile is a part of the unknown's pixels, a window the tile and its halo, clipped at the scene. Windows begin at
multiples of ``align`` (the prior's stride and the operator's factor) and end where the rest of the scene is a multiple
of it, so that a network sees the same grid in a window as in the scene, also turned round
(:mod:`inverse.sampling.denoiser`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from inverse.errors import UsageError

__all__ = ["Tiling", "Window"]


@dataclass(frozen=True)
class Window:
    """Rows ``top`` to ``bottom - 1`` and columns ``left`` to ``right - 1``."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.bottom - self.top, self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns, as an index."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def inside(self, other: Window) -> tuple[slice, slice]:
        """Where it lies in an image of ``other``, which holds it."""
        rows = slice(self.top - other.top, self.bottom - other.top)
        return rows, slice(self.left - other.left, self.right - other.left)

    def divided(self, factor: int) -> Window:
        """The same on a grid of ``factor`` x ``factor`` pixels."""
        return Window(self.top // factor, self.left // factor, self.bottom // factor, self.right // factor)

    def scaled(self, factor: int) -> Window:
        """The same on a grid that is ``factor`` times as fine."""
        return Window(factor * self.top, factor * self.left, factor * self.bottom, factor * self.right)

    def clipped(self, height: int, width: int) -> Window:
        """The part inside a frame that begins at the same pixel."""
        return Window(self.top, self.left, min(self.bottom, height), min(self.right, width))


@dataclass(frozen=True)
class Tiling:
    """The tiles of a scene."""

    size: tuple[int, int]  # height and width of the scene
    side: int  # of a tile, a multiple of ``align``
    align: int  # as the module says

    def __post_init__(self) -> None:
        if self.side < 1 or self.side % self.align:
            raise UsageError(f"tile {self.side}", f"allowed here: a multiple of {self.align}")

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        height, width = self.size
        return -(-height // self.side), -(-width // self.side)

    def __len__(self) -> int:
        rows, columns = self.grid
        return rows * columns

    def tile(self, number: int) -> Window:
        """A tile by its number, row by row."""
        row, column = divmod(number, self.grid[1])
        top, left = row * self.side, column * self.side
        return Window(top, left, top + self.side, left + self.side).clipped(*self.size)

    def tiles(self) -> Iterator[Window]:
        """All tiles in order."""
        return (self.tile(number) for number in range(len(self)))

    def window(self, tile: Window, halo: int) -> Window:
        """A tile with a halo of at least so many pixels."""
        rows = self._reach(tile.top, tile.bottom, self.size[0], halo)
        columns = self._reach(tile.left, tile.right, self.size[1], halo)
        return Window(rows[0], columns[0], rows[1], columns[1])

    def _reach(self, start: int, stop: int, size: int, halo: int) -> tuple[int, int]:
        low = max(0, start - halo) // self.align * self.align
        high = stop + halo
        return low, min(size, high + (size - high) % self.align)
