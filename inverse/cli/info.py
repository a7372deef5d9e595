"""``inverse info FILE``: what a file is, as it would be read, and which recipes fit it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inverse.cli import options

if TYPE_CHECKING:
    from inverse.io import Picture

__all__ = ["info"]

SMALLEST = 32


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@options.json
def info(file: Path, as_json: bool) -> None:
    """Say what FILE is and which recipes fit it."""
    from inverse.io import read

    picture = read(file)
    found = describe(picture)
    found["bytes"] = os.path.getsize(file)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    margin = max(len(key) for key in found) + 2
    for key, value in found.items():
        if key == "recipes":
            continue
        if value not in (None, "", [], {}):
            click.echo(f"{key.replace('_', ' '):{margin}}{_text(value)}")
    fits = [f"{row['name']}: {row['why']}" for row in found["recipes"]] or ["none of the shipped ones fits"]
    click.echo(f"{'recipes':{margin}}" + f"\n{'':{margin}}".join(fits))


def describe(picture: Picture) -> dict[str, Any]:
    """Everything `inverse info` says, as plain data."""
    import numpy as np

    height, width = picture.size
    array = picture.array
    channels = array.reshape(-1, picture.channels)
    return {
        "file": picture.source,
        "format": picture.format,
        "width": width,
        "height": height,
        "channels": picture.channels,
        "alpha": picture.alpha is not None,
        "dtype": str(array.dtype),
        "bits": 8 * array.dtype.itemsize,
        "minimum": [float(value) for value in channels.min(0)],
        "maximum": [float(value) for value in channels.max(0)],
        "mean": [float(value) for value in channels.mean(0, dtype=np.float64)],
        "noise": noise_level(picture),
        "dpi": list(picture.dpi) if picture.dpi else None,
        "icc_profile": f"{len(picture.icc)} bytes" if picture.icc else None,
        "exif": f"{len(picture.exif)} bytes" if picture.exif else None,
        "description": picture.description,
        "text": dict(picture.text),
        "notes": list(picture.notes),
        "recipes": suggest(picture),
    }


def noise_level(picture: Picture) -> float | None:
    """Standard deviation of the noise in data units: the median of the diagonal Haar details (Donoho), all channels."""
    import numpy as np

    from inverse.io import to_unit

    height, width = (size // 2 * 2 for size in picture.size)
    if min(height, width) < 2:
        return None
    even = to_unit(picture)[:, :height, :width]
    detail = even[:, ::2, ::2] - even[:, 1::2, ::2] - even[:, ::2, 1::2] + even[:, 1::2, 1::2]
    return round(float(np.median(np.abs(detail))) / 2 / 0.6745, 5)


def suggest(picture: Picture) -> list[dict[str, str]]:
    """Shipped recipes that take this picture, the likeliest first, each with the reason."""
    height, width = picture.size
    if picture.channels not in (1, 3) or min(height, width) < SMALLEST:
        return []
    array = picture.array.reshape(height, width, -1)
    missing = float((array == 0).all(-1).mean())
    noise = noise_level(picture) or 0.0
    rows = []
    if missing >= 0.05:
        rows.append({"name": "inpaint", "why": f"{100 * missing:.0f} % of the pixels are exactly 0: missing ones?"})
    elif noise >= 0.02:
        rows.append({"name": "denoise", "why": f"noise of about {noise:.3f} of the range"})
    rows.append({"name": "deblur", "why": "if it is soft or out of focus"})
    rows.append({"name": "deblur-motion", "why": "if the camera or the subject moved"})
    rows.append({"name": "super-resolution", "why": f"if it is too small: x4 gives {4 * width} x {4 * height}"})
    return rows


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_text(part) for part in value)
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_text(part)}" for key, part in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
