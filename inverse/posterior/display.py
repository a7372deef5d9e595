"""A posterior as a notebook shows it: one piece of HTML with its pictures inside, no script, no colours but theirs.

Nothing is computed that takes long: the share of the data is shown where it has a closed form or was asked for before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inverse.io.pages import image_url, template
from inverse.posterior.words import misfit_in_words

__all__ = ["BOX", "CELL", "ITEMS", "QUIET", "ItemView", "posterior_html"]

#: Items that are shown; of the others their number.
ITEMS = 3
#: Pixels a thumbnail measures at most.
SIDE = 192

BOX = "font-family:system-ui,sans-serif;font-size:13px;line-height:1.45;max-width:46em"
QUIET = "opacity:.7"
_RULE = "border-bottom:1px solid rgba(128,128,128,.35)"
CELL = f"font-size:13px;text-align:left;vertical-align:top;padding:.15em .9em .15em 0;{_RULE}"


@dataclass(frozen=True)
class ItemView:
    """What is shown of an item; arrays (C, *S), data units."""

    name: str
    misfit: float
    mean: NDArray[Any]
    std: NDArray[Any] | None  # None: there is one sample
    share: NDArray[Any] | None  # of the data; None: it takes long to compute
    complex: bool  # whether two channels are a complex image


def posterior_html(views: Sequence[ItemView], items: int, foot: str) -> str:
    """A posterior for a notebook: of the first of ``items`` items the mean, the deviation and the share of the data."""
    shown = [
        {
            "name": view.name,
            "size": " x ".join(str(n) for n in view.mean.shape),
            "says": misfit_in_words(view.misfit),
            "figures": _figures(view),
        }
        for view in views
    ]
    page = template("inverse.posterior", "display.html")
    return page.render(items=shown, count=items, foot=foot, box=BOX, quiet=QUIET, side=SIDE)


def _figures(view: ItemView) -> list[dict[str, Any]]:
    """The figures of an item; without ``src`` they are a text in place of one."""
    if view.mean.ndim != 3:
        return []
    mean = _plane(view.mean, view.complex)
    low, high = _ends(mean)
    shown = [_figure((mean - low) / (high - low), "posterior mean", f"mean, shown from {low:.3g} to {high:.3g}")]
    if view.std is None:
        shown.append({"caption": "one sample has no deviation: samples=4 or more"})
    else:
        std = view.std.mean(0)
        top = max(float(np.percentile(std, 99.5)), 1e-12)
        caption = f"deviation, dark 0 to bright {top:.3g}"
        shown.append(_figure(_coloured(std / top), "posterior standard deviation", caption))
    if view.share is None:
        shown.append({"caption": "share of the data: ask for .data_share, it takes a while"})
    else:
        share = view.share.mean(0)
        text = f"{100 * share.mean():.0f} % on average, the prior gave the rest"
        caption = f"share of the data, dark 0 to bright 1; {text}"
        shown.append(_figure(_coloured(share), "share of the data in each pixel", caption))
    return shown


def _plane(values: NDArray[np.float32], is_complex: bool) -> NDArray[np.float32]:
    """(H, W) grey, or (H, W, 3): the magnitude of a complex image, the first three of many bands, the first of two."""
    if is_complex:
        magnitude: NDArray[np.float32] = np.hypot(values[0], values[1])
        return magnitude
    return np.moveaxis(values[:3], 0, -1) if len(values) >= 3 else values[0]


def _ends(values: NDArray[np.float32]) -> tuple[float, float]:
    """Black and white: 0 and 1 for a picture, else nearly all of the values."""
    low, high = (float(end) for end in np.percentile(values, (0.5, 99.5)))
    if low > -0.25 and 0.25 < high < 1.25:
        return 0.0, 1.0
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _coloured(values: NDArray[np.float32]) -> NDArray[np.float32]:
    from matplotlib import colormaps

    coloured: NDArray[np.float32] = colormaps["viridis"](np.clip(values, 0, 1))[..., :3]
    return coloured


def _figure(values: NDArray[np.float32], alt: str, caption: str) -> dict[str, Any]:
    """A picture with its text and a caption."""
    picture = Image.fromarray(np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8))
    scale = SIDE / max(picture.size)
    width, height = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    picture = picture.resize((width, height), Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST)
    src = image_url(picture, "png", optimize=True)
    return {"alt": alt, "width": width, "height": height, "src": src, "caption": caption}
