"""Pictures and maps of the report as data URLs, small enough to be shown by the hundred.

A picture is clipped to its window for the screen and stored as WebP; a map is averaged over blocks, quantised to
`LEVELS` steps of its scale and stored as a palette PNG, so that the page can read values back from its colours. What is
clipped, and how much, comes back with the image: nothing is hidden by a scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from inverse.io.pages import image_url

__all__ = ["COLOURS", "LEVELS", "MAX_SIDE", "Scale", "bars", "fitted", "map_url", "picture_url", "ticks", "window_of"]

Values = NDArray[np.floating[Any]]
Window = tuple[float, float]

#: Steps of a colour map: a value read off the page is off by at most half of one.
LEVELS = 128
#: Longest side of a picture on the page, in pixels.
MAX_SIDE = 640
#: Longest side up to which a picture is stored without loss.
EXACT = 160
#: Colour of what was not measured, as in the figures.
UNOBSERVED = (204, 214, 230)
COLOURS = ("magma", "viridis", "RdBu_r", "twilight_shifted")
QUANTILE = 0.995


@dataclass(frozen=True)
class Scale:
    """The scale of a map."""

    low: float  # value of the first colour
    high: float  # value of the last colour
    colours: str  # name of the colour map, of `COLOURS`

    @classmethod
    def positive(cls, values: Values, *, colours: str = "magma", low: float = 0.0) -> Scale:
        """From `low` to the 99.5 percentile."""
        return cls(low, max(float(np.quantile(values, QUANTILE)), low + 1e-6), colours)

    @classmethod
    def signed(cls, values: Values) -> Scale:
        """As far below zero as above, to the 99.5 percentile of the sizes."""
        limit = max(float(np.quantile(np.abs(values), QUANTILE)), 1e-6)
        return cls(-limit, limit, "RdBu_r")


@cache
def _palette(colours: str) -> NDArray[np.uint8]:
    """(LEVELS, 3)."""
    table = colormaps[colours](np.linspace(0, 1, LEVELS))[:, :3]
    return np.asarray(np.rint(255 * table), dtype=np.uint8)


def bars() -> Mapping[str, Mapping[str, Any]]:
    """For each colour map its palette (LEVELS entries, ``rrggbb``) and the picture of a colour bar."""
    return {
        name: {
            "palette": "".join(bytes(colour).hex() for colour in _palette(name)),
            "bar": _png(np.arange(LEVELS, dtype=np.uint8)[None], _palette(name)),
        }
        for name in COLOURS
    }


def ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Round numbers on a scale: where each lies (0 to 1) and how it is written."""
    inside = [float(value) for value in MaxNLocator(4).tick_values(low, high)]
    slack = 1e-9 * (high - low)
    inside = [value for value in inside if low - slack <= value <= high + slack]
    return [((value - low) / (high - low), f"{0.0 if abs(value) < slack else value:.4g}") for value in inside]


def window_of(values: Values, *, percentile: float = 99.8) -> Window:
    """0 and nearly the largest value: for magnitudes, whose units are the scanner's."""
    return 0.0, max(float(np.percentile(values, percentile)), 1e-6)


def fitted(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Height and width of an image shrunk to a longest side, never enlarged."""
    height, width = size
    factor = min(1.0, side / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def picture_url(
    image: Values, window: Window, *, side: int, observed: NDArray[Any] | None = None, exact: bool = True
) -> tuple[str, float]:
    """An image (1 or 3, H, W) as a data URL, and the fraction of its values that the window clips.

    Where `observed` (H, W) is 0 one flat colour is painted. With `exact` small images are stored without loss.
    """
    low, high = window
    scaled = (np.asarray(image, dtype=np.float32) - low) / (high - low)
    clipped = float(np.mean((scaled < -1e-4) | (scaled > 1 + 1e-4)))
    pixels = np.rint(255 * np.nan_to_num(np.clip(scaled, 0, 1))).astype(np.uint8)
    pixels = np.moveaxis(np.broadcast_to(pixels, (3, *pixels.shape[1:])), 0, -1)
    if observed is not None:
        pixels = np.where(np.asarray(observed)[..., None] > 0, pixels, np.asarray(UNOBSERVED, dtype=np.uint8))
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    height, width = fitted(pixels.shape[:2], side)
    if (height, width) != pixels.shape[:2]:
        picture = picture.resize((width, height), Image.Resampling.BOX)
    lossless = exact and max(height, width) <= EXACT
    quality = {"lossless": True, "quality": 40} if lossless else {"quality": 82}
    return image_url(picture, "webp", method=3, **quality), clipped


def map_url(values: Values, scale: Scale, *, side: int, observed: NDArray[Any] | None = None) -> tuple[str, float]:
    """A map (H, W) as a data URL, and the fraction of its values that lie past the ends of its scale."""
    values = np.asarray(values, dtype=np.float32)
    slack = 1e-4 * (scale.high - scale.low)
    inside = np.ones(values.shape, dtype=bool) if observed is None else np.asarray(observed) > 0
    beyond = (values < scale.low - slack) | (values > scale.high + slack)
    shown, seen = _shrunk(values * inside, side), _shrunk(inside.astype(np.float32), side)
    place = (shown / np.maximum(seen, 1e-6) - scale.low) / (scale.high - scale.low)
    index = np.rint((LEVELS - 1) * np.clip(place, 0, 1)).astype(np.uint8)
    palette = _palette(scale.colours)
    if observed is not None:
        index[seen <= 0] = LEVELS
        palette = np.concatenate([palette, np.asarray([UNOBSERVED], dtype=np.uint8)])
    return _png(index, palette), float(beyond[inside].mean()) if inside.any() else 0.0


def _shrunk(values: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Averages over blocks, so that the longest side fits."""
    height, width = fitted((values.shape[0], values.shape[1]), side)
    if (height, width) == values.shape:
        return values
    small = Image.fromarray(np.ascontiguousarray(values)).resize((width, height), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32)


def _png(index: NDArray[np.uint8], palette: NDArray[np.uint8]) -> str:
    picture = Image.frombytes("P", (index.shape[1], index.shape[0]), np.ascontiguousarray(index).tobytes())
    picture.putpalette(palette.tobytes())
    return image_url(picture, "png", optimize=True)
