"""One figure an item: the measurement, what was restored, how sure it is, and where it came from.

Drawn with matplotlib's Agg canvas and no global state, so that it works in threads, on servers and beside a user's own
figures. Pixels that were not observed are painted in one flat colour, never as black.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inverse.errors import printable
from inverse.posterior.words import misfit_in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Panels", "draw", "saved"]

Image = NDArray[np.float32]

UNOBSERVED = (0.80, 0.84, 0.90)
INK = "#1f2933"
MUTED = "#52606d"
PANEL, BAR, HEAD = 3.0, 0.85, 0.42
MARGIN, TOP, BOTTOM = 0.25, 0.62, 0.22
LIMIT = 1024


@dataclass(frozen=True)
class Panels:
    """What a figure shows; images are (C, H, W) in data units."""

    title: str  # the item
    measurement: Image  # as it was read
    restored: Image  # posterior mean
    observed: Image | None  # (1 or C, H, W), 1 where the measurement holds a value; None is everywhere
    std: Image | None  # posterior standard deviation; None for a single sample
    data_share: Image  # 0 to 1
    invented: Image  # signed, data units
    truth: Image | None  # if known
    data_range: tuple[float, float]  # smallest and largest value of the data
    facts: Sequence[tuple[str, str]]  # lines of text beside the panels, name and value
    misfit: float  # chi^2 / m, mean over the samples
    shown: str = "posterior mean"  # what the restored image is


def draw(panels: Panels, *, kind: str = "png") -> bytes:
    """The figure as a file's bytes; they depend on nothing but the panels.

    Args:
        panels: What it shows.
        kind: ``png``, or ``pdf`` with text as text.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = 4 if panels.truth is not None else 3
    height, width = panels.restored.shape[-2:]
    tall = float(np.clip(height / width, 0.3, 3.0))
    wide, high = PANEL * min(1.0, 1.25 / tall), PANEL * min(tall, 1.25)
    cell = max(wide, 2.3) + BAR, high + HEAD
    size = columns * cell[0] + MARGIN, 2 * cell[1] + TOP + BOTTOM
    figure = Figure(figsize=size, facecolor="white")
    FigureCanvasAgg(figure)
    rows = []
    for row in range(2):
        bottom = BOTTOM + (1 - row) * cell[1]
        boxes = [(MARGIN + column * cell[0], bottom, wide, high) for column in range(columns)]
        rows.append([figure.add_axes(_share(box, size)) for box in boxes])
    for axis in (*rows[0], *rows[1]):
        axis.set_axis_off()
    _pictures(rows[0], panels)
    _maps(rows[1], panels)
    left = MARGIN / size[0]
    title: dict[str, Any] = {"fontsize": 13, "color": INK, "fontweight": "bold", "va": "top"}
    figure.text(left, 1 - 0.16 / size[1], printable(panels.title), parse_math=False, **title)
    words = misfit_in_words(panels.misfit)
    figure.text(left, 1 - 0.44 / size[1], words[0].upper() + words[1:] + ".", fontsize=10, color=MUTED, va="top")
    return saved(figure, kind)


def saved(figure: Figure, kind: str = "png") -> bytes:
    """A figure as a file's bytes; letters that the font lacks become boxes, and nothing is said of it."""
    stream = io.BytesIO()
    metadata = {"CreationDate": None} if kind == "pdf" else {"Software": None}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from", category=UserWarning)
        figure.savefig(stream, format=kind, dpi=110, metadata=metadata)
    return stream.getvalue()


def _share(box: tuple[float, float, float, float], size: tuple[float, float]) -> tuple[float, float, float, float]:
    return box[0] / size[0], box[1] / size[1], box[2] / size[0], box[3] / size[1]


def _pictures(axes: list[Axes], panels: Panels) -> None:
    measured = _shown(panels.measurement, panels.data_range)
    title = "measurement"
    if panels.observed is not None:
        seen = np.broadcast_to(panels.observed, panels.measurement.shape).min(0) > 0
        measured = np.where(_thin(seen)[..., None], measured, np.asarray(UNOBSERVED))
        title = f"measurement ({100 * seen.mean():.0f} % observed)"
    if panels.measurement.shape[-2:] != panels.restored.shape[-2:]:
        title += f", {panels.measurement.shape[-1]} x {panels.measurement.shape[-2]}"
    _picture(axes[0], measured, title)
    _picture(axes[1], _shown(panels.restored, panels.data_range), f"restored ({panels.shown})")
    std_axis = axes[2]
    if panels.truth is not None:
        _picture(axes[2], _shown(panels.truth, panels.data_range), "truth")
        std_axis = axes[3]
        error = np.sqrt(np.square(panels.restored - panels.truth).mean(0))
        _map(std_axis, error, "error (RMS of channels)", "data units", "magma", 0.0, _top(error, panels.std))
        return
    _spread(std_axis, panels, None)


def _maps(axes: list[Axes], panels: Panels) -> None:
    if panels.truth is not None:
        error = np.sqrt(np.square(panels.restored - panels.truth).mean(0))
        _spread(axes[0], panels, _top(error, panels.std))
        axes = axes[1:]
    share = panels.data_share.mean(0)
    _map(axes[0], share, "data share (1: measured, 0: prior)", "", "viridis", 0.0, 1.0)
    invented = panels.invented.mean(0)
    limit = max(float(np.quantile(np.abs(invented), 0.995)), 1e-6)
    _map(axes[1], invented, "invented (not in the data)", "data units", "RdBu_r", -limit, limit)
    box = axes[2].get_window_extent()
    wide, high = box.width / axes[2].figure.dpi, box.height / axes[2].figure.dpi
    for i, (name, value) in enumerate(panels.facts):
        y = 0.98 - i * min(0.24 / high, 1.0 / max(len(panels.facts), 1))
        axes[2].text(0.0, y, name, fontsize=9, color=MUTED, va="top", transform=axes[2].transAxes)
        axes[2].text(1.05 / wide, y, value, fontsize=9, color=INK, va="top", transform=axes[2].transAxes)


def _top(error: NDArray[np.floating[Any]], std: Image | None) -> float:
    """One scale for error and uncertainty: they are meant to be compared."""
    largest = [np.quantile(error, 0.995)] + ([np.quantile(_rms(std), 0.995)] if std is not None else [])
    return max(float(max(largest)), 1e-6)


def _rms(std: Image) -> NDArray[np.floating[Any]]:
    return np.asarray(np.sqrt(np.square(std).mean(0)))


def _spread(axis: Axes, panels: Panels, top: float | None) -> None:
    if panels.std is None:
        axis.text(
            0.5, 0.5, "one sample:\nno uncertainty", ha="center", va="center", color=MUTED, transform=axis.transAxes
        )
        return
    spread = _rms(panels.std)
    top = max(float(np.quantile(spread, 0.995)), 1e-6) if top is None else top
    _map(axis, spread, "uncertainty (posterior std)", "data units", "magma", 0.0, top)


def _picture(axis: Axes, image: NDArray[Any], title: str) -> None:
    axis.imshow(image, interpolation="nearest" if max(image.shape[:2]) <= 256 else "antialiased")
    axis.set_title(title, fontsize=9.5, color=INK)


def _map(axis: Axes, values: NDArray[Any], title: str, unit: str, colours: str, low: float, high: float) -> None:
    shown = axis.imshow(_thin(values), cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    axis.set_title(title, fontsize=9.5, color=INK)
    inches = axis.get_window_extent().width / axis.figure.dpi
    bar = axis.figure.colorbar(shown, cax=axis.inset_axes((1 + 0.06 / inches, 0.0, 0.11 / inches, 1.0)))
    bar.ax.tick_params(labelsize=7.5, colors=MUTED, length=2)
    bar.outline.set_visible(False)
    if unit:
        bar.set_label(unit, fontsize=8, color=MUTED)


def _shown(image: Image, data_range: tuple[float, float]) -> NDArray[Any]:
    """(H, W, 3) in [0, 1], for the screen only."""
    low, high = data_range
    scaled = np.clip((image - low) / (high - low), 0.0, 1.0)
    channels = scaled[:3] if scaled.shape[0] >= 3 else np.repeat(scaled[:1], 3, axis=0)
    return _thin(np.moveaxis(channels, 0, -1))


def _thin(image: NDArray[Any]) -> NDArray[Any]:
    """Every n-th pixel of an image too large for a figure."""
    step = -(-max(image.shape[:2]) // LIMIT)
    return image[::step, ::step]
