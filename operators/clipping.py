r"""Values that a sensor or a file clipped: highlights and shadows, which bound what was measured instead of telling it.

Where a pixel sits at the largest value that occurs, with many others and with few just below, the light was at least
that; at the smallest at most that. Taken as measured, a light 15 times white blurred by a lens is a white disc with a
rim that no blurred picture has, and what explains it are black and white rings.

What is restored is the picture as it can be shown, :math:`\min(x, 1)`. Within the reach of the blur around a clipped
spot the measurement holds light of a lamp beyond white, and inside its rim it holds nothing: both are unobserved. What
lies deeper inside than the blur reaches is a lower bound: an overexposed sky stays a sky. Shadows are the same,
mirrored.

A bounded value has a residual as long as the bound is not kept, and none beyond it (a censored observation, Tobin 1958,
Econometrica 26:24): at each step what was measured there is taken as :math:`(A x)_i`, the completed data of an EM step
at the mean. Bounds count for nothing in misfit and whiteness, which are of what was measured alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from inverse.operators.blur.spec import SPECS
from inverse.operators.image.masks import restricted

__all__ = [
    "LEAST",
    "NEAR",
    "PLATEAU",
    "UNTOLD",
    "bounded",
    "clipped",
    "clipped_in_words",
    "is_blur",
    "one_sided",
    "reach_of",
]

#: Values at an end at least, and their share of those within `NEAR` of the range, from which they are a plateau: of
#: eight bits a twelfth where all values are alike frequent.
LEAST, PLATEAU, NEAR = 16, 0.3, 0.05
#: Of a value that bounds nothing.
UNTOLD = 2.0


def is_blur(operator: Mapping[str, Any]) -> bool:
    """Whether an operator of a recipe spreads light over pixels: a blur, or a chain with one."""
    kinds = {spec.kind for spec in SPECS}
    return any(link.get("kind") in kinds for link in (operator, *operator.get("operators", ())))


def clipped(y: Tensor, valid: Tensor | None = None) -> Tensor | None:
    """Where a measurement was clipped: 1 at highlights, -1 at shadows, else 0, of its shape; None: nowhere.

    Args:
        y: (1, C, h, w), any range.
        valid: 1 where there is a value, broadcasts against ``y``; None: everywhere.
    """
    seen = torch.ones_like(y, dtype=torch.bool) if valid is None else (valid > 0).expand(y.shape)
    bounds = torch.zeros_like(y)
    for band in range(y.shape[1]):
        plane, known = y[:, band], seen[:, band]
        if not bool(known.any()):
            continue
        low, high = float(plane[known].min()), float(plane[known].max())
        near = NEAR * (high - low)
        for end, sign in ((high, 1.0), (low, -1.0)):
            at = known & (plane == end)
            beside = known & ((plane - end).abs() < near)
            if low < high and int(at.sum()) >= max(LEAST, PLATEAU * int(beside.sum())):
                bounds[:, band][at] = sign
    return bounds if bool((bounds != 0).any()) else None


def clipped_in_words(bounds: Tensor | tuple[float, float], *, used: bool, blurred: bool = True) -> str:
    """What is to be said of clipped values, by `clipped` or the shares of shadows and highlights, and of their use."""
    if isinstance(bounds, Tensor):
        bounds = (float((bounds == -1).float().mean()), float((bounds == 1).float().mean()))
    parts = [
        f"{100 * share:.2g} % of the values are clipped {what}"
        for share, what in ((bounds[1], "highlights"), (bounds[0], "shadows"))
        if share > 0
    ]
    taken = (
        "taken as unobserved with the light around them, deep inside as bounds"
        if used
        else "taken as they are: only a blur with boundary free leaves them out"
    )
    return f"{' and '.join(parts)}, {taken if blurred else 'taken as bounds'}"


def one_sided(bounds: Tensor, reach: int, *, part: bool = False) -> Tensor:
    """What clipped values bound, and where nothing is told, by `clipped` and how far the blur reaches, in pixels.

    A ``part`` of a scene may be clipped all over.

    1: at least what was measured, -1: at most, `UNTOLD`: nothing, 0: it is what was measured.
    """
    found = np.zeros(bounds.shape, np.float64)
    for index in np.ndindex(*bounds.shape[:2]):
        for sign in (1.0, -1.0):
            flat = (bounds[index] == sign).cpu().numpy()
            if not flat.any() or (flat.all() and not part):
                continue
            if flat.all():
                found[index][:] = sign
                continue
            core = ndimage.distance_transform_edt(flat) > reach
            near = ndimage.distance_transform_edt(~flat) <= reach
            found[index][near & (found[index] == 0)] = UNTOLD
            found[index][core] = sign
    return torch.from_numpy(found).to(bounds)


def reach_of(physics: Any, like: Tensor) -> int:
    """Pixels within which a blur puts most of a point's light: twice its root mean square radius, at least 1."""
    crop = getattr(physics, "output_crop", None) or (0, 0, *like.shape[-2:])
    shape = (*physics.img_size[-2:],)
    point = torch.zeros(1, like.shape[1], *shape, dtype=like.dtype, device=like.device)
    row, column = crop[2] // 2, crop[3] // 2
    point[..., crop[0] + row, crop[1] + column] = 1
    light = physics.A(point)[0].abs().mean(0)
    if light.shape != like.shape[-2:]:
        return 1
    rows, columns = torch.meshgrid(*(torch.arange(size, device=like.device) for size in light.shape), indexing="ij")
    spread = (light * ((rows - row) ** 2 + (columns - column) ** 2)).sum() / light.sum().clamp_min(1e-12)
    reach: int = max(1, min(round(2 * float(spread.sqrt())), min(light.shape) // 4))
    return reach


def bounded(physics: Any, clips: Tensor, shape: tuple[int, ...]) -> tuple[Any, Tensor]:
    """A physics of whose measurement some values were clipped, and 0 where it then tells nothing, else 1."""
    bounds = one_sided(clips, reach_of(physics, clips))
    known = (bounds != UNTOLD).to(bounds)
    physics, bounds = restricted(physics, known, shape), bounds * known
    told = (bounds == 0).to(bounds)
    before = getattr(physics, "measured_mask", None)
    physics.register_buffer("bounds", bounds)
    physics.register_buffer("measured_mask", told if before is None else told * before)
    return physics, known
