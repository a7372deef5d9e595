"""Which shipped recipes take a file, the likeliest first, each with the reason."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inverse.io.content import Picture, Scan, Volume
from inverse.io.registry import formats
from inverse.recipes.recipe import shipped

__all__ = ["suggest"]

SMALLEST = 32
#: Landsat 7's gaps are up to 14 lines wide.
STRIPE = 16
#: Nanometres of a pixel below which a picture is taken for a micrograph.
MICROSCOPIC = 10_000.0

Row = dict[str, str]


def suggest(content: Picture | Scan, noise: float | None, *, volume: Volume | None = None) -> list[Row]:
    """Recipes for a picture, for the slices of `volume` of which the picture is one, or for raw k-space.

    The noise level is in data units; None where it could not be told.
    """
    if isinstance(content, Scan):
        rows = _scan(content)
    elif min(content.size) < SMALLEST:
        rows = []
    elif formats()[content.format].subject == "scene":
        rows = _scene(content, noise or 0.0)
    elif content.channels in (1, 3):
        rows = _microscope(content, volume) + _photo(content, noise or 0.0)
    else:
        rows = []
    names = shipped()
    return [row for row in rows if row["name"] in names]


def _row(name: str, why: str) -> Row:
    return {"name": name, "why": why}


def _scan(scan: Scan) -> list[Row]:
    coils = scan.kspace.shape[1]
    if scan.trajectory is not None:
        return [_row("mri-radial", f"samples off the grid, {coils} coils")]
    full = scan.mask.mean() if scan.mask is not None else (scan.kspace != 0).any(1).mean()
    said = f"{coils} coil{'s' * (coils != 1)}, {100 * float(full):.0f} % of k-space measured"
    return [_row("mri-multicoil" if coils > 1 else "mri-cartesian", said)]


def _scene(picture: Picture, noise: float) -> list[Row]:
    rows = []
    if picture.valid is not None:
        from inverse.io.nodata import footprint  # loads SciPy, for scenes alone

        valid = np.asarray(picture.valid if picture.valid.ndim == 2 else picture.valid.all(-1))
        gaps = footprint(valid) & ~valid
        share = 100 * float(gaps.mean())
        if share >= 1 and _striped(gaps):
            rows.append(_row("landsat7-gapfill", f"{share:.0f} % of the scene lies in narrow gaps without values"))
        elif share >= 0.1:
            rows.append(_row("cloud-gapfill", f"{share:.1f} % of the scene lies in gaps without values"))
    if picture.channels <= 2:
        rows.append(_row("despeckle-sar", "if it is radar intensity"))
    if noise >= 0.02:
        rows.append(_row("denoise", f"noise of about {noise:.3f} of the range"))
    rows.append(_row("satellite-super-resolution", "if the pixels are too large"))
    if picture.channels >= 3:
        rows.append(_row("pansharpen", "with the panchromatic band of the same scene"))
        if all(row["name"] != "cloud-gapfill" for row in rows):
            rows.append(_row("cloud-gapfill", "with a mask or quality band of the same scene"))
    rows.append(_row("destripe", "if detectors of the sensor left lines"))
    return rows


def _striped(gaps: NDArray[np.bool_]) -> bool:
    """Whether most columns with gaps cross several that are narrow."""
    columns = gaps[:, gaps.any(0)]
    edges = np.diff(np.pad(columns, ((1, 1), (0, 0))).astype(np.int8), axis=0)
    runs = (edges == 1).sum(0)
    if not columns.size:
        return False
    widths = columns.sum(0) / np.maximum(runs, 1)
    return bool(np.median(runs) >= max(2, len(gaps) // 200) and np.median(widths) <= STRIPE)


def _microscope(picture: Picture, volume: Volume | None) -> list[Row]:
    first = volume.extra.get("first") if volume is not None else picture
    extra = {} if first is None else first.extra
    told = picture.extra.get("optics") or (volume.extra.get("optics") if volume is not None else None) or {}
    height, width = told.get("pixel", (0.0, 0.0))
    if not (extra.get("ome") or extra.get("imagej") or 0 < width < MICROSCOPIC):
        return []
    size = f", pixels of {width:.4g} nm" if height else ""
    kind = "an OME or ImageJ file" if extra.get("ome") or extra.get("imagej") else "a micrograph"
    return [_row("deconvolve-microscopy", f"{kind}{size}: blurred by its microscope?")]


def _photo(picture: Picture, noise: float) -> list[Row]:
    height, width = picture.size
    array = picture.array.reshape(height, width, -1)
    missing = float((array == 0).all(-1).mean())
    if "pattern" in picture.extra:
        return [_row("demosaic", "the raw file of a camera; others want its result")]
    rows = []
    if picture.channels == 1 and _mosaic(array[..., 0]):
        rows.append(_row("demosaic", "neighbours differ more than pixels two apart: raw of a colour sensor?"))
    if missing >= 0.05 and formats()[picture.format].subject != "medical":
        rows.append(_row("inpaint", f"{100 * missing:.0f} % of the pixels are exactly 0: missing ones?"))
    elif noise >= 0.02:
        rows.append(_row("denoise", f"noise of about {noise:.3f} of the range"))
    if array.dtype.kind == "u" and 0 < float(array.mean()) < 0.12 * float(np.iinfo(array.dtype).max):
        rows.append(_row("low-light", "it is dark"))
    if picture.format == "jpeg" and "quantisation" in picture.extra:
        rows.append(_row("jpeg", "if it shows blocks"))
    rows.append(_row("auto", "looks for noise, JPEG and blur, and undoes what it finds"))
    rows.append(_row("deblur", "if it is soft or out of focus"))
    rows.append(_row("deblur-motion", "if the camera or the subject moved along a line"))
    if min(height, width) >= 128:
        rows.append(_row("deblur-shake", "if the camera shook, along a path of any shape"))
    rows.append(_row("super-resolution", f"if it is too small: x4 gives {4 * width} x {4 * height}"))
    if picture.channels == 3 and picture.array.dtype.kind == "u":
        darkest = float(np.percentile(array.min(-1), 1)) / float(np.iinfo(array.dtype).max)
        if darkest > 0.25:
            rows.append(_row("dehaze", f"nothing is darker than {darkest:.2f} of the range"))
    if picture.channels == 1 and formats()[picture.format].subject == "photo":
        rows.append(_row("colorize", "if it is a photograph without its colours"))
    return rows


def _mosaic(plane: NDArray[Any]) -> bool:
    values = plane.astype(np.float32)
    near = min(float(np.abs(np.diff(values, axis=axis)).mean()) for axis in (0, 1))
    far = max(
        float(np.abs(values[2:] - values[:-2]).mean()),
        float(np.abs(values[:, 2:] - values[:, :-2]).mean()),
    )
    return near > 1.3 * far > 0
