r"""The interpolation where a scene's sampling starts (:mod:`inverse.start`), by windows.

The pyramid is cut at level 6: averages of 64 x 64 pixels, of which a scene of 10,000 x 10,000 has 157 x 157. They are summed window by window and
interpolated at once; the six levels below need one coarser pixel on each side, 64 + 32 + ... + 2 = 126 pixels of halo. The result is the whole scene's.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from inverse.observation import Observation, observed
from inverse.start import COARSE, interpolated
from inverse.tiling import Window

__all__ = ["BLOCK", "HALO", "Pyramid", "holes", "weighted"]

LEVELS = 6
BLOCK = 2**LEVELS
HALO = 2 * BLOCK


class Pyramid:
    """The coarse part of the interpolation of weighted values.

    Args:
        channels: Of the values.
        size: Height and width of the scene, one of them above 128.
        sigma: Noise level (1,).
        data_var: Variance of the prior.
    """

    def __init__(self, channels: int, size: tuple[int, int], sigma: Tensor, data_var: float) -> None:
        rows, columns = (-(-side // BLOCK) for side in size)
        self._size = size
        self._coarse = coarse = (COARSE + sigma**2 / data_var).reshape(1, 1, 1, 1)
        self._value = coarse.new_zeros(1, channels, rows, columns)
        self._weight = torch.zeros_like(self._value)
        self._top: Tensor | None = None

    def add(self, window: Window, value: Tensor, weight: Tensor) -> None:
        """Take note of a window that begins and ends at multiples of 64, or at the scene's end: (1, C, h, w) both."""
        place = window.top // BLOCK, window.left // BLOCK
        for total, part in ((self._value, value), (self._weight, weight)):
            for _ in range(LEVELS):
                part = _halved(part)
            total[..., place[0] : place[0] + part.shape[-2], place[1] : place[1] + part.shape[-1]] = part

    def around(self, tile: Window) -> Window:
        """A window as `at` takes it, right all over a tile."""
        bottom, right = (-(-(stop + HALO) // BLOCK) * BLOCK for stop in (tile.bottom, tile.right))
        whole = Window(max(0, tile.top - HALO), max(0, tile.left - HALO), bottom, right)
        return whole.clipped(*self._size)

    def at(self, window: Window, value: Tensor, weight: Tensor) -> Tensor:
        """The interpolation in such a window, right from `HALO` pixels inside its edges on."""
        if self._top is None:
            self._top = interpolated(self._value, self._weight, self._coarse)
        levels = [(value, weight)]
        for _ in range(LEVELS - 1):
            value, weight = _halved(value), _halved(weight)
            levels.append((value, weight))
        rows, columns = (
            slice(start // BLOCK, -(-stop // BLOCK))
            for start, stop in ((window.top, window.bottom), (window.left, window.right))
        )
        found = self._top[..., rows, columns]
        for value, weight in reversed(levels):
            height, width = value.shape[-2:]
            above = interpolate(found, scale_factor=2, mode="bilinear", align_corners=False)[..., :height, :width]
            found = (value + self._coarse * above) / (weight + self._coarse)
        return found


def holes(observation: Observation) -> bool:
    """Whether pixels are missing."""
    mask = observed(observation.physics, observation.y)
    return mask is not None and bool((mask == 0).any())


def weighted(observation: Observation, centre: Tensor) -> tuple[Tensor, Tensor]:
    """What was observed beside a centre (1, C, h, w), zero where nothing was, and its weight."""
    mask = observed(observation.physics, observation.y)
    weight = torch.ones_like(centre) if mask is None else mask.to(centre).expand_as(centre)
    return weight * (observation.y - centre), weight


def _halved(value: Tensor) -> Tensor:
    height, width = value.shape[-2:]
    return avg_pool2d(pad(value, (0, width % 2, 0, height % 2)), 2)
