r"""Gaps of a scene: :math:`y = m \odot (x + n)`, m = 0 where clouds, shadows or a broken scan mirror hide the ground.

Pixels without a value in the file itself (``Picture.valid``) are unobserved under every operator; this one adds a mask or quality band, or simulated
gaps, and says that what lies inside the scene gets values (:mod:`inverse.io.nodata`).

* Landsat 7 since 2003: without the scan-line corrector the swaths of 16 lines of a forward and a backward scan no longer meet. Gaps repeat every 32 or so
  lines, slope by 8 degrees in a north-up scene, and widen from none at nadir to 14 lines at the edges: 22 % of a scene (Scaramuzza et al. 2004, USGS).
  Here :math:`m = 0` where :math:`\mathrm{frac}(d) < 2 p\, |2 c / W - 1|`, d the distance across the gaps in periods and p the missing share.
* Landsat Collection 2 ``QA_PIXEL``: bits 0 fill, 1 dilated cloud, 2 cirrus, 3 cloud, 4 cloud shadow.
* Sentinel-2 scene classes: 0 no data, 1 defective, 3 cloud shadow, 8 and 9 cloud, 10 cirrus.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from inverse.errors import InputError
from inverse.operators.catalog_remote import GapMask
from inverse.operators.files import load_plane
from inverse.operators.masks import Mask

__all__ = ["gap_mask", "slc_off"]

_LANDSAT_BITS = 0b11111
_SENTINEL_CLASSES = (0, 1, 3, 8, 9, 10)


def slc_off(
    size: tuple[int, int], *, missing: float = 0.22, period: float = 32.0, angle: float = 8.0, first: int = 0
) -> NDArray[np.bool_]:
    """Landsat 7's gaps over a whole scene.

    Args:
        size: Height and width.
        missing: Share of missing pixels, on average; the edges have twice as many, the middle none.
        period: Rows from gap to gap.
        angle: Slope in degrees.
        first: Row of the scene where they begin, for a strip of one.

    Returns:
        (H, W), True = observed.
    """
    rows, columns = np.mgrid[first : first + size[0], : size[1]]
    slope = np.deg2rad(angle)
    across = (rows * np.cos(slope) + columns * np.sin(slope)) / period
    share = 2 * missing * np.abs((columns + 0.5) * 2 / size[1] - 1)
    return np.asarray(across - np.floor(across) >= share)


def gap_mask(params: GapMask, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> Mask:
    """Observed pixels of a scene (1, 1, H, W), the same in all bands.

    Raises:
        InputError: a mask that cannot be read, has another size, or leaves nothing.
    """
    height, width = shape[-2:]
    observed = np.ones((height, width), bool)
    if params.pattern == "slc-off":
        observed &= slc_off((height, width), missing=params.missing, period=params.period, angle=params.angle)
    if params.file is not None:
        clear = _clear(params)
        if clear.shape != observed.shape:
            rows, columns = clear.shape
            raise InputError(
                f"{Path(params.file).name}: a mask of {columns} x {rows} pixels for a scene of {width} x {height}",
                "make them the same size",
            )
        observed &= clear
    if not observed.any():
        raise InputError(
            "the mask leaves no pixel of the scene", f"do its numbers mean '{params.codes}'? See operator.codes"
        )
    return Mask(torch.from_numpy(observed)[None, None].to(dtype), shape=shape, noise_model=noise_model)


def _clear(params: GapMask) -> NDArray[np.bool_]:
    """(H, W), True where the quality band sees the ground."""
    assert params.file is not None
    codes, _ = load_plane(params.file, reduce=np.max)
    if params.codes == "landsat-qa":
        if codes.dtype.kind not in "iu":
            raise InputError(
                f"{Path(params.file).name}: quality bits of type {codes.dtype}", "give the QA_PIXEL band itself"
            )
        clear = (codes & _LANDSAT_BITS) == 0
    elif params.codes == "sentinel2-scl":
        clear = ~np.isin(codes, _SENTINEL_CLASSES)
    else:
        clear = (codes != 0) == (params.codes == "clear")
    if params.grow:
        clear = ndimage.distance_transform_edt(clear) > params.grow if not clear.all() else clear
    return np.asarray(clear, bool)
