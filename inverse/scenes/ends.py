"""Values of a scene that were clipped, in windows as `inverse.operators.clipping` has them in a whole picture.

Two passes find each band's ends that are plateaus. A window's clipped values are read with as much around them as the
blur reaches, so that a tile's edge is no rim of a lamp.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from inverse.io.tiling import Window
from inverse.operators.clipping import (
    LEAST,
    NEAR,
    PLATEAU,
    UNTOLD,
    clipped_in_words,
    is_blur,
    one_sided,
    reach_of,
)
from inverse.operators.image.masks import restricted
from inverse.recipes.recipe import Recipe
from inverse.sampling.methods import method_spec

__all__ = ["Ends", "scene_ends"]

Read = Callable[[Window], tuple[Tensor, Tensor | None]]


@dataclass(frozen=True)
class Ends:
    """What of a scene was clipped."""

    bands: tuple[tuple[float | None, float | None], ...]  # of each the smallest and largest value, None: not clipped
    reach: int  # pixels that the blur reaches; 0: there is none
    said: str = ""  # in words

    def at(self, y: Tensor, valid: Tensor | None) -> Tensor:
        """Of a window (1, C, h, w) 1 at highlights, -1 at shadows, else 0."""
        bounds = torch.zeros_like(y)
        for band, (low, high) in enumerate(self.bands):
            for end, sign in ((high, 1.0), (low, -1.0)):
                if end is not None:
                    bounds[:, band][y[:, band] == end] = sign
        return bounds if valid is None else bounds * (valid > 0)

    def laid(
        self, y: Tensor, physics: Any, window: Window, size: tuple[int, int], read: Read, shape: tuple[int, ...]
    ) -> tuple[Tensor, Any]:
        """A window's measurement and its physics, clipped values as bounds.

        Args:
            y: (1, C, h, w) of the window.
            physics: Its physics.
            window: Of the measurement.
            size: Of the whole measurement.
            read: Gives the measurement of a window, and where it has values.
            shape: Of the window's unknown.
        """
        more = self.reach + 1
        top, left = max(0, window.top - more), max(0, window.left - more)
        around = Window(top, left, window.bottom + more, window.right + more).clipped(*size)
        bounds = self.at(*read(around))
        if self.reach:
            bounds = one_sided(bounds, self.reach, part=True)
        bounds = bounds[(..., *window.inside(around))]
        if self.reach:
            known = (bounds != UNTOLD).to(y)
            y, bounds, physics = y * known, bounds * known, restricted(physics, known, shape)
        physics.register_buffer("bounds", bounds)
        physics.register_buffer("measured_mask", (bounds == 0).to(y))
        return y, physics


def scene_ends(recipe: Recipe, windows: Iterable[Window], read: Read, physics: Any, like: Tensor) -> Ends | None:
    """What of a scene was clipped, where its recipe takes that as bounds; None: nothing, or it does not.

    Args:
        recipe: Of the scene.
        windows: That cover its measurement.
        read: As of `Ends.laid`.
        physics: Of a part of it.
        like: A measurement of that part.
    """
    operator, method = recipe.located()["operator"], recipe.method_kind
    blurred = is_blur(operator)
    plain = bool(getattr(physics, "identity", False)) and method in ("auto", "reverse")
    if not (plain or (blurred and not method_spec(method).closed_form)):
        return None
    windows = list(windows)
    lows: list[float] = []
    highs: list[float] = []
    for window in windows:
        y, valid = read(window)
        seen = torch.ones_like(y, dtype=torch.bool) if valid is None else (valid > 0).expand(y.shape)
        lows = [*map(min, lows or [torch.inf] * y.shape[1], _each(torch.where(seen, y, torch.inf).amin((0, 2, 3))))]
        highs = [*map(max, highs or [-torch.inf] * y.shape[1], _each(torch.where(seen, y, -torch.inf).amax((0, 2, 3))))]
    counts = torch.zeros(len(lows), 2, 2, dtype=torch.int64)  # of each band and end: at it, and within reach of it
    total = 0
    for window in windows:
        y, valid = read(window)
        total += y.numel()
        seen = torch.ones_like(y, dtype=torch.bool) if valid is None else (valid > 0).expand(y.shape)
        for band, (low, high) in enumerate(zip(lows, highs, strict=True)):
            for index, end in enumerate((low, high)):
                away = (y[:, band] - end).abs()
                counts[band, index, 0] += int((seen[:, band] & (y[:, band] == end)).sum())
                counts[band, index, 1] += int((seen[:, band] & (away < NEAR * (high - low))).sum())
    at, beside = counts[..., 0], counts[..., 1]
    is_end = (at >= LEAST) & (at >= PLATEAU * beside)
    bands = tuple(
        (low if ends[0] and low < high else None, high if ends[1] and low < high else None)
        for low, high, ends in zip(lows, highs, is_end.tolist(), strict=True)
    )
    if all(end is None for ends in bands for end in ends):
        return None
    clips = torch.tensor([[float(end is not None) for end in ends] for ends in bands]) * at
    low_share, high_share = (clips.sum(0) / total).tolist()
    said = clipped_in_words((low_share, high_share), used=True, blurred=blurred)
    return Ends(bands, reach_of(physics, like) if blurred else 0, said)


def _each(values: Tensor) -> list[float]:
    return [float(value) for value in values]
