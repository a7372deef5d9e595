"""The maps and charts of one item in the report, as plain data that the page draws.

Maps: uncertainty, error, data share, invented part, residual, phase and chains, with their scales and numbers. Charts:
histograms of the values and of the residual, and convergence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inverse.report.images import Scale, map_url, ticks
from inverse.report.items import Detail, Subject

__all__ = ["charts", "maps"]

Values = NDArray[np.floating[Any]]

#: Share of the largest magnitude below which a phase means nothing.
FAINT = 0.05
#: Ends of the scale of a residual's map and of its histogram, in standard deviations of the noise.
NOISE, NORMAL = 4.0, 5.0
BINS = 48
#: Points of a convergence curve.
STEPS = 200
CURVES = 8


def maps(subject: Subject, detail: Detail) -> list[dict[str, Any]]:
    """All maps of an item, as far as it kept what they show; none at a detail without maps."""
    arrays, image = subject.kept.arrays, subject.image
    if image is None or image.ndim != 3 or not detail.map:
        return []
    drawn = []
    error = None if subject.truth is None else subject.averaged(image - subject.truth)
    spread = subject.averaged(arrays["std"]) if "std" in arrays else None
    both = [values for values in (spread, error) if values is not None]
    scale = Scale(0.0, max(Scale.positive(values).high for values in both), "magma") if both else None
    if spread is not None and scale is not None:
        says = "posterior standard deviation" + (", recalibrated" if "calibration" in subject.kept.attributes else "")
        drawn.append(_map("std", "Uncertainty", says, "data units", spread, scale, detail))
    if error is not None and scale is not None:
        says = "distance of the posterior mean from the truth, on the scale of the uncertainty"
        drawn.append(_map("error", "Error", says, "data units", error, scale, detail))
    if "data_share" in arrays:
        values = arrays["data_share"].mean(0)
        says = "1: decided by the measurement; 0: by the prior"
        drawn.append(_map("data_share", "Data share", says, "", values, Scale(0.0, 1.0, "viridis"), detail))
    if "invented" in arrays:
        values = subject.visible(arrays["invented"])[0] if subject.complex else arrays["invented"].mean(0)
        scale = Scale.positive(values) if subject.complex else Scale.signed(values)
        says = "the part of the image that the data do not determine: what the prior added"
        drawn.append(_map("invented", "Invented", says, "data units", values, scale, detail))
    if "residual" in arrays and arrays["residual"].ndim == 3:
        drawn.append(_residual(subject, detail))
    if subject.complex:
        drawn.append(_phase(image, detail))
    if "r_hat" in arrays:
        values = arrays["r_hat"].max(0)
        scale = Scale.positive(values, colours="viridis", low=min(1.0, float(values.min())))
        drawn.append(_map("r_hat", "R-hat", "1 where the chains have mixed", "", values, scale, detail))
    if "ess" in arrays:
        values = arrays["ess"].min(0)
        says = "independent draws that the chains are worth"
        scale = Scale.positive(values, colours="viridis")
        drawn.append(_map("ess", "Effective sample size", says, "draws", values, scale, detail))
    return drawn


def _phase(image: Values, detail: Detail) -> dict[str, Any]:
    size = np.hypot(image[0], image[1])
    clear = size > FAINT * np.percentile(size, 99)
    angle = np.degrees(np.arctan2(image[1], image[0]))
    says = f"of the restored image; flat where its magnitude is under {100 * FAINT:.0f} % of the largest"
    scale = Scale(-180.0, 180.0, "twilight_shifted")
    return _map("phase", "Phase", says, "degrees", angle, scale, detail, observed=clear)


def _residual(subject: Subject, detail: Detail) -> dict[str, Any]:
    residual = subject.kept.arrays["residual"]
    if subject.complex:
        says = "what is left of the raw data, root mean square over coils; about 1 where it is noise"
        measured = residual[0] != 0
        scale = Scale.positive(residual[0][measured]) if measured.any() else Scale(0.0, 1.0, "magma")
        return _map("residual", "Residual", says, "noise std", residual[0], scale, detail, observed=measured)
    count = len(residual)
    combined = residual.sum(0) / np.sqrt(count)
    says = "measurement minus what the image predicts: noise without structure where the image explains it"
    if count > 1:
        says += f"; sum of {count} channels over root {count}"
    scale = Scale(-NOISE, NOISE, "RdBu_r")
    observed = subject.observed
    fits = observed is not None and observed.shape == combined.shape
    return _map("residual", "Residual", says, "noise std", combined, scale, detail, observed=observed if fits else None)


def _map(
    name: str,
    title: str,
    says: str,
    unit: str,
    values: Values,
    scale: Scale,
    detail: Detail,
    *,
    observed: NDArray[Any] | None = None,
) -> dict[str, Any]:
    url, beyond = map_url(values, scale, side=detail.map, observed=observed)
    seen = values if observed is None else values[observed > 0]
    height, width = values.shape
    numbers = "no values"
    if seen.size:
        numbers = f"mean {seen.mean():.3g}, from {seen.min():.3g} to {seen.max():.3g}{f' {unit}' if unit else ''}"
    return {
        "name": name, "title": title, "says": says, "unit": unit, "src": url, "height": height, "width": width,
        "low": scale.low, "high": scale.high, "colours": scale.colours, "ticks": ticks(scale.low, scale.high),
        "numbers": numbers,
        "beyond": f"{100 * beyond:.2g} % past the ends of the scale" if beyond > 5e-5 else "",
        "alt": f"Map: {title.lower()}, {says}: {numbers}",
    }  # fmt: skip


def charts(subject: Subject) -> dict[str, Any]:
    """Histograms and convergence of an item, as far as it kept what they need."""
    if subject.image is None or subject.image.ndim != 3:
        return {"histograms": [], "convergence": None}
    return {"histograms": _histograms(subject), "convergence": _convergence(subject)}


def _histograms(subject: Subject) -> list[dict[str, Any]]:
    arrays, image = subject.kept.arrays, subject.image
    mask = arrays.get("observed")
    assert image is not None

    def observed(values: Values) -> Values:
        fits = mask is not None and mask.shape[-2:] == values.shape[-2:]
        return values[np.broadcast_to(mask, values.shape) > 0] if fits and mask is not None else values

    named = {"restored": subject.visible(image)}
    if "measurement" in arrays:
        named["measurement"] = observed(arrays["measurement"])
    if subject.truth is not None:
        named["truth"] = subject.visible(subject.truth)
    named = {name: values for name, values in named.items() if values.size}
    ends = [np.percentile(values, (0.1, 99.9)) for values in named.values()]
    low, high = float(min(pair[0] for pair in ends)), float(max(pair[1] for pair in ends))
    unit = "data units" + (" (linear light)" if subject.linear else "")
    drawn = [_histogram("values", "Values", unit, low, max(high, low + 1e-6), dict(sorted(named.items())))]
    residual = arrays.get("residual")
    if residual is not None and not subject.complex:
        seen = observed(residual)
        if seen.size:
            says = (
                f"mean {seen.mean():.3f}, standard deviation {seen.std():.3f}; "
                "the curve is pure noise, the residual of a mean is narrower by what the data determine"
            )
            chart = _histogram("residual", "Residual", "noise std", -NORMAL, NORMAL, {"residual": seen})
            drawn.append(chart | {"normal": True, "says": says})
    return drawn


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
    says = (
        f"{label}: mean {values.mean():.3g}, standard deviation {values.std():.3g}" for label, values in series.items()
    )
    return {
        "name": name, "title": title, "unit": unit, "low": low, "high": high, "series": curves,
        "ticks": ticks(low, high), "normal": False, "says": "; ".join(says),
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
    share = 100 * last / max(float(curves.max()), 1e-30)
    return {
        "steps": curves.shape[1],
        "step": step,
        "curves": [[float(f"{value:.3g}") for value in curve[::step]] for curve in curves[:CURVES]],
        "sigma": [float(f"{value:.3g}") for value in levels[::step]],
        "says": f"last change {last:.2g} data units, {share:.2g} % of the largest",
    }
