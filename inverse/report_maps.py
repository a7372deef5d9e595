"""The maps of the report for one item: uncertainty, error, data share, invented part, residual, phase and chains, with their scales and numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inverse.report_images import Scale, map_url, ticks
from inverse.report_items import Detail, Subject

__all__ = ["maps"]

Values = NDArray[np.floating[Any]]

FAINT = 0.05
"""Share of the largest magnitude below which a phase means nothing."""
NOISE = 4.0
"""Ends of the scale of a residual, in standard deviations of the noise."""


def maps(subject: Subject, detail: Detail) -> list[dict[str, Any]]:
    """All maps of an item, as far as it kept what they show; none at a detail without maps."""
    arrays, image = subject.kept.arrays, subject.image
    if image is None or image.ndim != 3 or not detail.map:
        return []
    found = []
    error = None
    if subject.truth is not None:
        error = subject.averaged(image - subject.truth)
    spread = subject.averaged(arrays["std"]) if "std" in arrays else None
    both = [values for values in (spread, error) if values is not None]
    scale = Scale(0.0, max(Scale.positive(values).high for values in both), "magma") if both else None
    if spread is not None and scale is not None:
        says = "posterior standard deviation" + (", recalibrated" if "calibration" in subject.kept.attributes else "")
        found.append(_map("std", "Uncertainty", says, "data units", spread, scale, detail))
    if error is not None and scale is not None:
        says = "distance of the posterior mean from the truth, on the scale of the uncertainty"
        found.append(_map("error", "Error", says, "data units", error, scale, detail))
    if "data_share" in arrays:
        values = arrays["data_share"].mean(0)
        says = "1: decided by the measurement; 0: by the prior"
        found.append(_map("data_share", "Data share", says, "", values, Scale(0.0, 1.0, "viridis"), detail))
    if "invented" in arrays:
        values = subject.visible(arrays["invented"])[0] if subject.complex else arrays["invented"].mean(0)
        scale = Scale.positive(values) if subject.complex else Scale.signed(values)
        says = "the part of the image that the data do not determine: what the prior added"
        found.append(_map("invented", "Invented", says, "data units", values, scale, detail))
    if "residual" in arrays and arrays["residual"].ndim == 3:
        found.append(_residual(subject, detail))
    if subject.complex:
        found.append(_phase(image, detail))
    if "r_hat" in arrays:
        values = arrays["r_hat"].max(0)
        scale = Scale.positive(values, colours="viridis", low=min(1.0, float(values.min())))
        found.append(_map("r_hat", "R-hat", "1 where the chains have mixed", "", values, scale, detail))
    if "ess" in arrays:
        values = arrays["ess"].min(0)
        says = "independent draws that the chains are worth"
        scale = Scale.positive(values, colours="viridis")
        found.append(_map("ess", "Effective sample size", says, "draws", values, scale, detail))
    return found


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
        says, measured = (
            "what is left of the raw data, root mean square over coils; about 1 where it is noise",
            residual[0] != 0,
        )
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
    numbers = (
        f"mean {seen.mean():.3g}, from {seen.min():.3g} to {seen.max():.3g}{f' {unit}' if unit else ''}"
        if seen.size
        else "no values"
    )
    return {
        "name": name, "title": title, "says": says, "unit": unit, "src": url, "height": height, "width": width,
        "low": scale.low, "high": scale.high, "colours": scale.colours, "ticks": ticks(scale.low, scale.high), "numbers": numbers,
        "beyond": f"{100 * beyond:.2g} % past the ends of the scale" if beyond > 5e-5 else "", "alt": f"Map: {title.lower()}, {says}: {numbers}",
    }  # fmt: skip
