"""The figure of `inverse calibrate`: coverage, ranks, TARP, and spread beside skill."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from inverse.calibration.ranks import Ranks
from inverse.calibration.statistics import Curve
from inverse.errors import printable
from inverse.evaluation.calibration_findings import Findings, verdict
from inverse.restoration.figure import saved

__all__ = ["draw"]

INK, MUTED, LINE, BAND = "#1f2933", "#7b8794", "#1d4ed8", "#bfdbfe"


def draw(findings: Findings, title: str) -> bytes:
    """Coverage, ranks, TARP and spread beside skill, as the bytes of a PNG."""
    figure = Figure(figsize=(9.6, 8.8), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    said = f"{printable(title)}\n{verdict(findings.coverage, findings.stretch)}"
    figure.suptitle(said, fontsize=11, color=INK, parse_math=False)
    axes = figure.subplots(2, 2)
    _levels(
        axes[0, 0],
        findings.coverage,
        "Coverage of central intervals",
        "level of the interval",
        "share of the truth inside",
    )
    _ranks(axes[0, 1], findings.ranks)
    if findings.tarp is None:
        _nothing(axes[1, 0], "TARP")
    else:
        _levels(axes[1, 0], findings.tarp, "TARP, patches of 8 x 8", "credibility", "expected coverage")
    _skill(axes[1, 1], findings)
    return saved(figure)


def _plain(axis: Axes, title: str, across: str, up: str) -> None:
    axis.set_title(title, fontsize=10, color=INK, loc="left")
    axis.set_xlabel(across, fontsize=9, color=MUTED)
    axis.set_ylabel(up, fontsize=9, color=MUTED)
    axis.tick_params(labelsize=8, colors=MUTED)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _nothing(axis: Axes, title: str) -> None:
    axis.set_title(title, fontsize=10, color=INK, loc="left")
    axis.text(0.5, 0.5, "the run kept no samples", ha="center", va="center", color=MUTED, transform=axis.transAxes)
    axis.set_axis_off()


def _levels(axis: Axes, curve: Curve, title: str, across: str, up: str) -> None:
    levels = np.array([0.0, *curve.levels, 1.0])
    axis.plot([0, 1], [0, 1], color=MUTED, lw=1, ls="--", label="calibrated")
    if np.isfinite(curve.low).all():
        low, high = (np.array([0.0, *part, 1.0]) for part in (curve.low, curve.high))
        axis.fill_between(levels, low, high, color=BAND, lw=0, label="95 %, over images")
    axis.plot(levels, [0.0, *curve.values, 1.0], color=LINE, lw=1.8, label="found")
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1)
    axis.legend(fontsize=8, frameon=False, loc="upper left")
    _plain(axis, title, across, up)


def _ranks(axis: Axes, ranks: Ranks | None) -> None:
    if ranks is None:
        _nothing(axis, "Ranks")
        return
    places = np.arange(len(ranks.counts))
    axis.axhspan(*(bound / ranks.expected for bound in ranks.band), color=BAND, lw=0, label="99 % if calibrated")
    axis.bar(places, ranks.counts / ranks.expected, width=0.85, color=LINE, alpha=0.85)
    axis.axhline(1, color=MUTED, lw=1, ls="--")
    axis.legend(fontsize=8, frameon=False)
    _plain(axis, "Ranks of the truth among the samples", "from below all samples to above all", "count over expected")


def _skill(axis: Axes, findings: Findings) -> None:
    top = 1.08 * float(max(findings.spread.max(), findings.error.max()))
    axis.plot([0, top], [0, top], color=MUTED, lw=1, ls="--", label="calibrated")
    axis.plot(findings.spread, findings.error, color=LINE, marker="o", ms=4, lw=1.5, label="bins of the std")
    axis.set_xlim(0, top)
    axis.set_ylim(0, top)
    axis.legend(fontsize=8, frameon=False, loc="upper left")
    _plain(axis, "Spread and skill", "predicted rms error", "actual rms error")
