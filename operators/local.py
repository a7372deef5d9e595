"""How a physics lies on a scene that it measures part by part.

A physics that can be cut has two methods: ``local()`` says how the grids of unknown and measurement lie,
``cut(window)`` gives the physics of a window of the unknown, as if the scene ended there. Past a window's edge a
blurred measurement would need pixels the window has not: `Local.seen` says where.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from inverse.errors import RecipeError
from inverse.io.tiling import Window

__all__ = ["Local", "local", "part"]


@dataclass(frozen=True)
class Local:
    """How a physics lies on its scene.

    Attributes:
        shape: (C, H, W) of the unknown.
        factor: Pixels of the unknown for one of the measurement.
        margin: Rows and columns that the measurement lacks at the end.
        diagonal: Whether each value, or each block of ``factor`` x ``factor``, is measured by itself.
        reach: Rows and columns of the measurement along an edge of a window, but not of the scene, that need pixels
            beyond it.
    """

    shape: tuple[int, int, int]
    factor: int = 1
    margin: tuple[int, int] = (0, 0)
    diagonal: bool = True
    reach: int = 0

    @property
    def spill(self) -> int:
        """Pixels around a part of the unknown that what is measured of it depends on."""
        return max(*self.margin, self.factor * self.reach)

    def measured(self, window: Window) -> Window:
        """The part of the measurement that a window of the unknown explains alone."""
        rows, columns = self.margin
        place = window.divided(self.factor)
        return Window(place.top, place.left, place.bottom - rows, place.right - columns)

    def seen(self, window: Window, like: Tensor) -> Tensor | None:
        """Where the measurement of a window is explained by it alone: 1, else 0, (1, 1, h, w); None: everywhere."""
        place = self.measured(window)
        height, width = (size // self.factor for size in self.shape[-2:])
        inner = Window(
            place.top + self.reach * (place.top > 0),
            place.left + self.reach * (place.left > 0),
            place.bottom - self.reach * (place.bottom < height),
            place.right - self.reach * (place.right < width),
        )
        if not self.reach or inner == place:
            return None
        seen = like.new_zeros((1, 1, *place.size))
        seen[(..., *inner.inside(place))] = 1
        return seen

    def own(self, tile: Window) -> Window:
        """The part of the measurement that is counted with a tile: each value once."""
        rows, columns = self.margin
        height, width = (size // self.factor for size in self.shape[-2:])
        return tile.divided(self.factor).clipped(height - rows, width - columns)


def local(physics: Any) -> Local:
    """How a physics lies on its scene.

    Raises:
        RecipeError: it is not local, or it is not known how to cut it.
    """
    if not hasattr(physics, "local") or len(physics.img_size) != 3:
        raise RecipeError(
            f"{type(physics).__name__}: not an operator that measures each part of a scene by itself, so it has no "
            "coupled tiles",
            "with tiles: denoise, masks, gaps, mosaics, downsampling, sensors, blur with boundary: free; else the "
            "whole, or crop it",
        )
    lies: Local = physics.local()
    return lies


def part(values: Tensor, window: Window) -> Tensor:
    """A window of an image (..., H, W)."""
    return values[(..., *window.slices)]
