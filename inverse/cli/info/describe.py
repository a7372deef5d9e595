"""What a file holds, as plain data: the source of ``inverse info``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from inverse.cli.info.suggest import suggest
from inverse.errors import InputError
from inverse.io.content import Picture, Scan, Volume, to_unit
from inverse.io.registry import formats, function

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["describe", "noise_level"]


def describe(content: Picture | Volume | Scan) -> dict[str, Any]:
    """Everything `inverse info` says."""
    if isinstance(content, Scan):
        return _scan(content)
    if isinstance(content, Volume):
        return _volume(content)
    return _picture(content)


def _picture(picture: Picture) -> dict[str, Any]:
    height, width = picture.size
    noise = noise_level(picture)
    return {
        "file": picture.source,
        "format": picture.format,
        "width": width,
        "height": height,
        "channels": picture.channels,
        "alpha": picture.alpha is not None,
        **_values([picture]),
        "noise": noise,
        "unobserved": None if picture.valid is None else float(1 - picture.valid.mean()),
        "dpi": list(picture.dpi) if picture.dpi else None,
        "icc_profile": f"{len(picture.icc)} bytes" if picture.icc else None,
        "exif": f"{len(picture.exif)} bytes" if picture.exif else None,
        "description": picture.description,
        "text": dict(picture.text),
        **_facts(picture),
        "notes": [*picture.notes, *picture.lost, *_scale_note(picture)],
        "recipes": suggest(picture, noise),
    }


def _volume(volume: Volume) -> dict[str, Any]:
    height, width = volume.size
    middle = volume.slices[len(volume.slices) // 2]
    noise = noise_level(middle)
    return {
        "file": volume.source,
        "format": volume.format,
        "slices": len(volume.slices),
        "width": width,
        "height": height,
        "channels": volume.channels,
        **_values(volume.slices),
        "noise": noise,
        **_facts(volume),
        "notes": [*volume.notes, *volume.lost, *_scale_note(middle)],
        "recipes": suggest(middle, noise, volume=volume),
    }


def _scan(scan: Scan) -> dict[str, Any]:
    kspace = scan.kspace
    facts: dict[str, Any] = {
        "file": scan.source,
        "format": scan.format,
        "kind": "raw k-space",
        "slices": int(kspace.shape[0]),
        "coils": int(kspace.shape[1]),
        "height": int(scan.shape[0]) or None,
        "width": int(scan.shape[1]) or None,
        "dtype": str(kspace.dtype),
    }
    if scan.trajectory is None:
        mask = scan.mask[0] if scan.mask is not None else (kspace[0] != 0).any(0)
        facts["sampled"] = float(mask.mean())
        columns = mask.any(0)
        facts["columns"] = f"{int(columns.sum())} of {len(columns)}"
        lines = bool((mask.any(0) == mask.all(0)).all())
        facts["calibration"] = f"{_run_at_centre(columns)} columns" if lines else f"{_block(mask)} in the middle"
    else:
        facts["trajectory"] = f"{scan.trajectory.shape[-2]} samples a slice, not on a grid"
    facts["noise_scan"] = (
        None if scan.noise is None else f"{scan.noise.shape[1]} samples of {scan.noise.shape[0]} coils"
    )
    facts["largest"] = float(np.abs(kspace).max())
    facts["notes"] = list(scan.notes)
    facts["recipes"] = suggest(scan, None)
    return facts


def _run_at_centre(columns: NDArray[np.bool_]) -> int:
    """Neighbouring columns measured around the centre."""
    centre = len(columns) // 2
    left = right = centre
    while left > 0 and columns[left - 1]:
        left -= 1
    while right < len(columns) and columns[right]:
        right += 1
    return right - left


def _block(mask: NDArray[np.bool_]) -> str:
    """The largest square around the centre in which everything was measured."""
    row, column = (size // 2 for size in mask.shape)
    half = 0
    while (
        half < min(row, column) and mask[row - half - 1 : row + half + 1, column - half - 1 : column + half + 1].all()
    ):
        half += 1
    return f"{2 * half} x {2 * half}"


def _values(pictures: Any) -> dict[str, Any]:
    """Type and, for each channel, the range and mean of what the file holds."""
    kinds = pictures[0].array.dtype
    lows: list[Any] = []
    highs: list[Any] = []
    sums: list[Any] = []
    counts: list[Any] = []
    for picture in pictures:
        planes = picture.array.reshape(-1, picture.channels)
        if picture.valid is not None:
            valid = np.broadcast_to(picture.valid.reshape(*picture.size, -1), (*picture.size, picture.channels))
            planes = np.ma.array(planes, mask=~valid.reshape(planes.shape))
        lows.append(planes.min(0))
        highs.append(planes.max(0))
        sums.append(planes.sum(0, dtype=np.float64))
        counts.append(np.ma.count(planes, 0))
    mean = np.ma.sum(np.ma.stack(sums), 0) / np.maximum(np.sum(counts, 0), 1)
    return {
        "dtype": str(kinds),
        "bits": 8 * kinds.itemsize,
        "minimum": [float(value) for value in np.ma.stack(lows).min(0)],
        "maximum": [float(value) for value in np.ma.stack(highs).max(0)],
        "mean": [float(value) for value in np.broadcast_to(mean, (pictures[0].channels,))],
    }


def _facts(content: Picture | Volume) -> dict[str, Any]:
    """What the format says beside the pixels."""
    spec = formats()[content.format]
    first = content.slices[0] if isinstance(content, Volume) else content
    optics = _optics(first.extra.get("optics") or content.extra.get("optics") or {})
    if not spec.facts:
        return optics
    facts: dict[str, Any] = function(spec.facts, title=spec.title, source=content.source)(content)
    return facts | optics


def _optics(told: Mapping[str, Any]) -> dict[str, Any]:
    """What the file says of a microscope, which a recipe of one uses."""
    said = {}
    if "pixel" in told:
        said["pixel"] = "{1:.4g} x {0:.4g} nm".format(*told["pixel"])
    if "wavelength" in told:
        said["emission"] = ", ".join(f"{length:.4g} nm" for length in told["wavelength"])
    if "numerical_aperture" in told:
        said["numerical aperture"] = f"{told['numerical_aperture']:g}"
    return {"microscope": said} if said else {}


def _scale_note(picture: Picture) -> list[str]:
    """What to add to a recipe whose prior expects values in [0, 1]."""
    kind = picture.array.dtype
    if kind == np.uint8 or (kind == np.uint16 and formats()[picture.format].subject != "scene"):
        return []
    low, high = float(picture.array.min()), float(picture.array.max())
    if kind.kind == "f" and low >= -0.5 and high <= 1.5:
        return []
    return [f"values from {low:g} to {high:g}: priors expect [0, 1], add -s data.scale=auto"]


def noise_level(picture: Picture) -> float | None:
    """Standard deviation of the noise in data units: the median of the diagonal Haar details (Donoho), all channels."""
    height, width = (size // 2 * 2 for size in picture.size)
    if min(height, width) < 2:
        return None
    try:
        even = to_unit(picture)[:, :height, :width]
    except InputError:
        return None
    detail = even[:, ::2, ::2] - even[:, 1::2, ::2] - even[:, ::2, 1::2] + even[:, 1::2, 1::2]
    if picture.valid is not None:
        valid = np.asarray(picture.valid if picture.valid.ndim == 2 else picture.valid.all(-1))
        whole = np.asarray(valid[:height, :width].reshape(height // 2, 2, width // 2, 2).all((1, 3)))
        detail = detail[:, whole] if whole.any() else detail
    return round(float(np.median(np.abs(detail))) / 2 / 0.6745, 5)
