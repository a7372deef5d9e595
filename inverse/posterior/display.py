"""A posterior as a notebook shows it: one piece of HTML with its pictures inside, no script, no colours of its own but theirs.

Nothing is computed that takes long: the share of the data is shown where it has a closed form or was asked for before.
"""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from inverse.posterior.posterior import Posterior

__all__ = ["BOX", "CELL", "QUIET", "posterior_html", "posterior_line"]

ITEMS = 3
#: Pixels a thumbnail measures at most.
SIDE = 192

BOX = "font-family:system-ui,sans-serif;font-size:13px;line-height:1.45;max-width:46em"
QUIET = "opacity:.7"
CELL = "font-size:13px;text-align:left;vertical-align:top;padding:.15em .9em .15em 0;border-bottom:1px solid rgba(128,128,128,.35)"


def posterior_line(post: Posterior) -> str:
    """A posterior in one line; nothing is computed for it."""
    count, items = post.states.shape[:2]
    shape = " x ".join(str(n) for n in post.samples.shape[2:])
    return (
        f"<Posterior: {count} sample{'s' * (count > 1)} of {items} item{'s' * (items > 1)}, {shape}, "
        f"{_label(post)}, {post.cost.forward:g} evaluations an item, {post.cost.seconds:.3g} s>"
    )


def posterior_html(post: Posterior) -> str:
    """A posterior for a notebook: of the first items the mean, the deviation, the share of the data, and what they say."""
    count, items = post.states.shape[:2]
    parts = [_item(post, index) for index in range(min(items, ITEMS))]
    if items > ITEMS:
        parts.append(f'<p style="margin:.3em 0;{QUIET}">{items - ITEMS} more of {items} items</p>')
    evaluations = f"{post.cost.forward:g} network evaluations" + (
        f" and {post.cost.vjp:g} gradients" if post.cost.vjp else ""
    )
    foot = (
        f"{count} sample{'s' * (count > 1)} by {escape(_label(post))}; an item took {evaluations}, "
        f"{post.cost.seconds:.3g} s"
    )
    return f'<div style="{BOX}">{"".join(parts)}<p style="margin:.3em 0;{QUIET}">{foot}</p></div>'


def _label(post: Posterior) -> str:
    return post.label or str(post.method["kind"])


def _item(post: Posterior, index: int) -> str:
    from inverse.posterior.words import misfit_in_words

    name = escape(str(post.items[index]))
    said = escape(misfit_in_words(float(post.misfit[:, index].mean())))
    size = " x ".join(str(n) for n in post.samples.shape[2:])
    lines = f'<p style="margin:.3em 0"><b>{name}</b> <span style="{QUIET}">{size}</span><br>{said}</p>'
    return lines + f'<div style="display:flex;flex-wrap:wrap;gap:.8em">{"".join(_pictures(post, index))}</div>'


def _pictures(post: Posterior, index: int) -> list[str]:
    if len(post.samples.shape) != 5:
        return []
    shown = []
    mean = _plane(post.mean[index].detach().float().cpu().numpy(), post.complex)
    low, high = _ends(mean)
    shown.append(_figure((mean - low) / (high - low), "posterior mean", f"mean, shown from {low:.3g} to {high:.3g}"))
    if len(post.samples) > 1 or post.knows_spread:
        std = post.std[index].detach().float().cpu().numpy().mean(0)
        top = max(float(np.percentile(std, 99.5)), 1e-12)
        shown.append(
            _figure(_coloured(std / top), "posterior standard deviation", f"deviation, dark 0 to bright {top:.3g}")
        )
    else:
        shown.append(f'<p style="max-width:{SIDE}px;{QUIET}">one sample has no deviation: samples=4 or more</p>')
    if post.share_is_known:
        share = post.data_share[index].detach().float().cpu().numpy().mean(0)
        caption = (
            f"share of the data, dark 0 to bright 1; {100 * share.mean():.0f} % on average, the prior gave the rest"
        )
        shown.append(_figure(_coloured(share), "share of the data in each pixel", caption))
    else:
        shown.append(
            f'<p style="max-width:{SIDE}px;{QUIET}">share of the data: ask for .data_share, it takes a while</p>'
        )
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


def _figure(values: NDArray[np.float32], alt: str, caption: str) -> str:
    """An image element with its picture inside, and a caption."""
    from PIL import Image

    picture = Image.fromarray(np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8))
    scale = SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    picture = picture.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST)
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    data = base64.b64encode(stream.getvalue()).decode()
    return (
        f'<figure style="margin:0;max-width:{SIDE}px"><img alt="{escape(alt)}" width="{size[0]}" height="{size[1]}" '
        f'src="data:image/png;base64,{data}"><figcaption style="{QUIET}">{escape(caption)}</figcaption></figure>'
    )
