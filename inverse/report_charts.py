"""The charts of the report for one item: histograms of values and of the residual, and convergence, as plain data that the page draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inverse.report_images import ticks
from inverse.report_items import Subject

__all__ = ["charts"]

Values = NDArray[np.floating[Any]]

BINS = 48
NORMAL = 5.0
"""Ends of the histogram of the residual, in standard deviations of the noise."""
STEPS = 200
"""Points of a convergence curve."""
CURVES = 8


def charts(subject: Subject) -> dict[str, Any]:
    """Histograms and convergence of an item, as far as it kept what they need."""
    if subject.image is None or subject.image.ndim != 3:
        return {"histograms": [], "convergence": None}
    return {"histograms": _histograms(subject), "convergence": _convergence(subject)}


def _histograms(subject: Subject) -> list[dict[str, Any]]:
    arrays, image = subject.kept.arrays, subject.image
    assert image is not None
    named = {"restored": subject.visible(image)}
    if "measurement" in arrays:
        seen, mask = arrays["measurement"], arrays.get("observed")
        fits = mask is not None and mask.shape[-2:] == seen.shape[-2:]
        named["measurement"] = seen[np.broadcast_to(mask, seen.shape) > 0] if fits and mask is not None else seen
    if subject.truth is not None:
        named["truth"] = subject.visible(subject.truth)
    named = {name: values for name, values in named.items() if values.size}
    ends = [np.percentile(values, (0.1, 99.9)) for values in named.values()]
    low, high = float(min(pair[0] for pair in ends)), float(max(pair[1] for pair in ends))
    unit = "data units" + (" (linear light)" if subject.linear else "")
    found = [
        _histogram("values", "Values", unit, low, max(high, low + 1e-6), {k: named[k] for k in sorted(named)}),
    ]
    residual = arrays.get("residual")
    if residual is not None and not subject.complex:
        mask = arrays.get("observed")
        fits = mask is not None and mask.shape[-2:] == residual.shape[-2:]
        seen = residual[np.broadcast_to(mask, residual.shape) > 0] if fits and mask is not None else residual
        if seen.size:
            says = f"mean {seen.mean():.3f}, standard deviation {seen.std():.3f}"
            made = _histogram("residual", "Residual", "noise std", -NORMAL, NORMAL, {"residual": seen})
            found.append(
                made
                | {
                    "normal": True,
                    "says": f"{says}; the curve is pure noise, the residual of a mean is narrower by what the data determine",
                }
            )
    return found


def _histogram(
    name: str, title: str, unit: str, low: float, high: float, series: Mapping[str, Values]
) -> dict[str, Any]:
    """Densities over equal bins; what lies outside is counted in words."""
    width = (high - low) / BINS
    curves, outside = [], []
    for label, values in series.items():
        counts, _ = np.histogram(values, bins=BINS, range=(low, high))
        curves.append(
            {"name": label, "density": [float(f"{count / (values.size * width):.4g}") for count in counts.tolist()]}
        )
        outside.append(1 - counts.sum() / values.size)
    worst = max(outside)
    return {
        "name": name, "title": title, "unit": unit, "low": low, "high": high, "series": curves, "ticks": ticks(low, high), "normal": False,
        "says": "; ".join(f"{label}: mean {values.mean():.3g}, standard deviation {values.std():.3g}" for label, values in series.items()),
        "beyond": f"up to {100 * worst:.2g} % of the values lie outside the axis" if worst > 1e-4 else "",
    }  # fmt: skip


def _convergence(subject: Subject) -> dict[str, Any] | None:
    """The change of the estimate at each step, thinned."""
    curves = subject.kept.arrays.get("convergence")
    if curves is None or curves.ndim != 2 or curves.shape[1] < 2:
        return None
    step = -(-curves.shape[1] // STEPS)
    levels = np.atleast_1d(np.asarray(subject.kept.described["convergence"].get("sigma", ()), dtype=float))
    levels = levels[-curves.shape[1] :] if len(levels) >= curves.shape[1] else levels[:0]
    last = float(curves[:, -1].mean())
    return {
        "steps": curves.shape[1],
        "step": step,
        "curves": [[float(f"{value:.3g}") for value in curve[::step]] for curve in curves[:CURVES]],
        "sigma": [float(f"{value:.3g}") for value in levels[::step]],
        "says": f"last change {last:.2g} data units, {100 * last / max(float(curves.max()), 1e-30):.2g} % of the largest",
    }
