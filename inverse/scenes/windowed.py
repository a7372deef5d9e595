"""The window of a physics that measures a part of a scene as it measures the scene.

`Local` says how the grids of unknown and measurement lie; a physics and its measurement are cut to a window of the
unknown. Past a window's edge a blurred measurement would need pixels the window has not: it is left out there, as it is
at the edge of a scene, or, of an operator that mirrors the scene at its edge, taken for unobserved.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inverse.errors import RecipeError
from inverse.io.tiling import Window
from inverse.numerics.rng import Rng
from inverse.operators.observation import Observation

__all__ = ["PROBE", "Local", "cut", "local", "part", "support"]

#: Share of its largest value to which an answer is followed.
TRACE = 1e-4

#: Side of the part of a scene that the answer is probed on.
PROBE = 384

#: Width, in pixels of the unknown, of what a window is taken not to see.
STRIP = 16


@dataclass(frozen=True)
class Local:
    """How a physics lies on its scene.

    Attributes:
        shape: (C, H, W) of the unknown.
        factor: Pixels of the unknown for one of the measurement.
        margin: Rows and columns that the measurement lacks at the end.
        diagonal: Whether each value, or each block of ``factor`` x ``factor``, is measured by itself.
        reach: Rows and columns of the measurement along an edge of a window, but not of the scene, that need pixels
            beyond it.
    """

    shape: tuple[int, int, int]
    factor: int = 1
    margin: tuple[int, int] = (0, 0)
    diagonal: bool = True
    reach: int = 0

    @property
    def spill(self) -> int:
        """Pixels around a part of the unknown that what is measured of it depends on."""
        return max(*self.margin, self.factor * self.reach)

    def measured(self, window: Window) -> Window:
        """The part of the measurement that a window of the unknown explains alone."""
        rows, columns = self.margin
        place = window.divided(self.factor)
        return Window(place.top, place.left, place.bottom - rows, place.right - columns)

    def seen(self, window: Window, like: Tensor) -> Tensor | None:
        """Where the measurement of a window is explained by it alone: 1, else 0, (1, 1, h, w); None: everywhere."""
        place = self.measured(window)
        height, width = (size // self.factor for size in self.shape[-2:])
        inner = Window(
            place.top + self.reach * (place.top > 0),
            place.left + self.reach * (place.left > 0),
            place.bottom - self.reach * (place.bottom < height),
            place.right - self.reach * (place.right < width),
        )
        if not self.reach or inner == place:
            return None
        seen = like.new_zeros((1, 1, *place.size))
        seen[(..., *inner.inside(place))] = 1
        return seen

    def own(self, tile: Window) -> Window:
        """The part of the measurement that is counted with a tile: each value once."""
        rows, columns = self.margin
        height, width = (size // self.factor for size in self.shape[-2:])
        return tile.divided(self.factor).clipped(height - rows, width - columns)


def local(physics: Any) -> Local:
    """How a physics lies on its scene.

    Raises:
        RecipeError: it is not local, or it is not known how to cut it.
    """
    from inverse.operators.blur.blur import FreeBlur
    from inverse.operators.image.masks import Mask, Restricted
    from inverse.operators.image.matrix import Denoise
    from inverse.operators.image.resample import BlockMean, Decimated

    if isinstance(physics, Restricted):
        return _restricted(local(physics.whole))
    shape = tuple(getattr(physics, "img_size", ()) or ())
    if isinstance(physics, Denoise | Mask) and len(shape) == 3:
        return Local(shape)
    if isinstance(physics, BlockMean):
        return Local(shape, factor=physics.factor)
    if isinstance(physics, Decimated):
        if any(side % physics.factor for side in shape[1:]):
            raise RecipeError(
                f"{shape[-1]} x {shape[-2]} pixels are no multiple of {physics.factor}: no coupled tiles", "crop it"
            )
        reach = -(-max(physics.margins) // physics.factor)
        return Local(shape, factor=physics.factor, diagonal=False, reach=reach)
    if isinstance(physics, FreeBlur):
        rows, columns = physics.kernel.shape
        return Local(shape, margin=(rows - 1, columns - 1), diagonal=False)
    raise RecipeError(
        f"{type(physics).__name__}: not an operator that measures each part of a scene by itself, so it has no coupled tiles",
        "with tiles: denoise, masks and gaps, downsampling, sensors, blur with boundary: free; else restore the whole, or crop it",
    )


def _restricted(whole: Local) -> Local:
    return replace(whole, diagonal=False)


def cut(physics: Any, lies: Local, window: Window) -> Any:
    """The physics of a window of the unknown, as if the scene ended there; `Local.seen` says where it does not."""
    from inverse.operators.blur.blur import FreeBlur
    from inverse.operators.image.masks import Mask, Restricted
    from inverse.operators.image.matrix import Denoise
    from inverse.operators.image.resample import BlockMean, Decimated

    shape, noise = (lies.shape[0], *window.size), physics.noise_model
    if isinstance(physics, Restricted):
        seen = part(physics.mask, lies.measured(window))
        return Restricted(cut(physics.whole, lies, window), seen, shape=shape)
    if isinstance(physics, Mask):
        return Mask(part(physics.mask, window), shape=shape, noise_model=noise)
    if isinstance(physics, BlockMean):
        return BlockMean(physics.factor, shape=shape, noise_model=noise, dtype=physics.mask.dtype)
    if isinstance(physics, Decimated):
        return physics.on(shape)
    if isinstance(physics, FreeBlur):
        kernel = np.asarray(physics.kernel)
        return FreeBlur(kernel, shape=shape, noise_model=noise, dtype=physics.transfer.dtype)
    assert isinstance(physics, Denoise)
    return Denoise(shape=shape, noise_model=noise, dtype=physics.mask.dtype)


def part(values: Tensor, window: Window) -> Tensor:
    """A window of an image (..., H, W)."""
    return values[(..., *window.slices)]


def support(observation: Observation, variance: float, *, reach: int = 0) -> int:
    r"""Pixels over which a solve with an operator carries on what it does not see beyond a window's edge: to `TRACE`.

    :math:`c A^T (c A A^T + \sigma_y^2)^{-1}` is applied to noise in a strip along the left, and the top edge; how far
    its answer reaches is read off.

    Args:
        observation: A part of the scene.
        variance: c.
        reach: `Local.reach`: what a window does not see is so wide at least.

    Raises:
        RecipeError: it reaches through half of the part.
    """
    rng = Rng(0, ("",), (0,))
    noise = rng.normal(observation.y, step=0, stream="support")
    wide = torch.full_like(observation.sigma, variance)
    pixels = 0
    for axis in (-1, -2):
        strip = torch.zeros_like(noise)
        width = max(reach, -(-STRIP * noise.shape[axis] // observation.shape[axis]))
        strip.narrow(axis, 0, width).copy_(noise.narrow(axis, 0, width))
        answer = observation.pulled(strip, wide, tolerance=1e-6).abs().amax((0, 1, -2 if axis == -1 else -1))
        far = torch.nonzero(answer > TRACE * answer.max())
        pixels = max(pixels, int(far.max()) + 1)
    if pixels > min(observation.shape[-2:]) // 2:
        raise RecipeError(
            f"deconvolution at this noise level reaches over {pixels} pixels and more: no coupled tiles",
            "restore the whole, or crop it",
        )
    return pixels
