r"""Missing pixels: :math:`y = m \odot (x + n)`, 1 = observed: at random, a box, a file, strokes, text, gaps of a scene.

The mask is (1, 1, H, W), or (B, 1, H, W) with one for each item; ``y`` keeps the grid of ``x`` and is zero where
unobserved. Diagonal in pixels: :math:`U = V = I`, the singular values are the mask. deepinv's ``Inpainting``, with an
exact diagonal for the engine and a fast ``clone``. Random patterns and drawings are pure functions of their parameters
and the image's size (numpy's Philox), on every machine; Pillow draws strokes as polylines with round ends, and letters
with the font it carries.

Gaps (``gap-mask``) are clouds, shadows or a broken scan mirror. Pixels without a value in the file itself
(``Picture.valid``) are unobserved under every operator; this one adds a mask or quality band, or simulated gaps, and
says that what lies inside the scene gets values (:mod:`inverse.io.nodata`).

* Landsat 7 since 2003: without the scan-line corrector the swaths of 16 lines of a forward and a backward scan no
  longer meet. Gaps repeat every 32 or so lines, slope by 8 degrees in a north-up scene, and widen from none at nadir to
  14 lines at the edges: 22 % of a scene (Scaramuzza et al. 2004, USGS). Here :math:`m = 0` where
  :math:`\mathrm{frac}(d) < 2 p\, |2 c / W - 1|`, d the distance across the gaps in periods and p the missing share.
* Landsat Collection 2 ``QA_PIXEL``: bits 0 fill, 1 dilated cloud, 2 cirrus, 3 cloud, 4 cloud shadow.
* Sentinel-2 scene classes: 0 no data, 1 defective, 3 cloud shadow, 8 and 9 cloud, 10 cirrus.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from deepinv.physics import Inpainting, LinearPhysics
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from torch import Tensor

from inverse.errors import InputError
from inverse.io.tiling import Window
from inverse.operators.arrays import load_plane
from inverse.operators.base import Cloned, Linear
from inverse.operators.image.matrix import Identity
from inverse.operators.image.spec import BoxMask, FileMask, GapMask, RandomMask, StrokeMask, TextMask
from inverse.operators.local import Local, local, part

__all__ = [
    "Mask",
    "Restricted",
    "box_mask",
    "file_mask",
    "gap_mask",
    "masked",
    "random_mask",
    "restricted",
    "slc_off",
    "stroke_mask",
    "text_mask",
]


#: Share of a mask's pixels that may be between black and white: edges that were smoothed.
GREY = 0.25
#: Values of a mask whose black and white are no 0 and 255, at most.
TONES = 4


class Mask(Cloned, Inpainting):
    """Observed and missing pixels.

    Args:
        mask: (1, 1, H, W) or (B, 1, H, W), 1 = observed, 0 = missing.
        shape: Shape (C, H, W) of one unknown.

    Attributes:
        mask: As given.
    """

    mask: Tensor
    picks = True

    def __init__(self, mask: Tensor, *, shape: tuple[int, ...], noise_model: Any) -> None:
        super().__init__(img_size=shape, mask=mask, noise_model=noise_model)

    def basis_squared(self, spectrum: Tensor) -> Tensor:
        """Diagonal of ``diag(spectrum)``: itself."""
        return spectrum

    def local(self) -> Local:
        """Pixel by pixel."""
        return Local(self.img_size)

    def cut(self, window: Window) -> Mask:
        """The mask of a window."""
        shape = (self.img_size[0], *window.size)
        return Mask(part(self.mask, window), shape=shape, noise_model=self.noise_model)


class Restricted(Linear):
    r"""An operator of whose measurement only a part was observed: :math:`m \odot A x`.

    Args:
        physics: A linear physics.
        mask: Broadcasts against its measurement, 1 = observed.
        shape: Shape (C, H, W) of one unknown.
    """

    mask: Tensor

    def __init__(self, physics: LinearPhysics, mask: Tensor, *, shape: tuple[int, ...]) -> None:
        super().__init__(shape=shape, noise_model=physics.noise_model)
        self.whole = physics
        self.register_buffer("mask", mask)
        self.output_crop = getattr(physics, "output_crop", None)
        if hasattr(physics, "precondition_gram"):
            self.precondition_gram = self._precondition_gram

    def A(self, x: Tensor, **_: Any) -> Tensor:
        """(B, C, H, W) to what was observed, zero elsewhere."""
        image: Tensor = self.whole.A(x)
        return image * self.mask

    def A_adjoint(self, y: Tensor, **_: Any) -> Tensor:
        """The adjoint."""
        image: Tensor = self.whole.A_adjoint(y * self.mask)
        return image

    def local(self) -> Local:
        """As the whole, but not value by value."""
        return replace(local(self.whole), diagonal=False)

    def cut(self, window: Window) -> Restricted:
        """A window of the whole, and of what was observed of it."""
        seen = part(self.mask, self.local().measured(window))
        return Restricted(self.whole.cut(window), seen, shape=(self.img_size[0], *window.size))

    def _precondition_gram(self, alpha: Tensor, beta: Tensor) -> Callable[[Tensor], Tensor]:
        solve = self.whole.precondition_gram(alpha, beta)
        return lambda r: solve(r) * self.mask


def masked(physics: Any, valid: Tensor, shape: tuple[int, ...]) -> Mask | Restricted:
    """`restricted` for a linear physics and a part of a scene that may hold no value."""
    if isinstance(physics, Mask | Identity):
        mask = physics.mask * valid if isinstance(physics, Mask) else valid
        return Mask(mask, shape=shape, noise_model=physics.noise_model)
    return Restricted(physics, valid, shape=shape)


def restricted(physics: Any, valid: Tensor, shape: tuple[int, ...]) -> Any:
    """A physics of whose measurement only the valid part was observed.

    Args:
        physics: The physics of the whole measurement.
        valid: (1, 1 or C, h, w), 1 where the measurement holds a value.
        shape: (C, H, W) of the unknown.

    Returns:
        ``physics`` where all of it is valid, or where it was built with what is (``knows_valid``); a mask for a mask or
        for noise alone, so that they stay diagonal; else the product.

    Raises:
        InputError: nothing is valid, or the operator is not linear.
    """
    if bool((valid == 1).all()) or getattr(physics, "knows_valid", False):
        return physics
    if not bool((valid == 1).any()):
        raise InputError("no pixel of the measurement holds a value", "is the file's nodata value right?")
    if not isinstance(physics, LinearPhysics):
        raise InputError(
            "the measurement has pixels without a value, and the operator is not linear", "fill them first"
        )
    return masked(physics, valid, shape)


def random_mask(params: RandomMask, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> Mask:
    """Each pixel missing with probability ``params.missing``, the same ones in all channels."""
    uniform = np.random.Generator(np.random.Philox(key=params.seed)).random(shape[-2:])
    return _mask(uniform >= params.missing, shape, noise_model, dtype)


def box_mask(params: BoxMask, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> Mask:
    """A missing rectangle: rows ``top`` to ``bottom - 1``, columns ``left`` to ``right - 1``.

    Raises:
        InputError: a rectangle that is empty, or not inside the image.
    """
    top, left, bottom, right = params.box
    height, width = shape[-2:]
    if not (top < bottom <= height and left < right <= width):
        raise InputError(
            f"box {list(params.box)} in an image of {height} rows and {width} columns",
            "allowed: [top, left, bottom, right] with top < bottom <= rows and left < right <= columns",
        )
    observed = np.ones((height, width), dtype=bool)
    observed[top:bottom, left:right] = False
    return _mask(observed, shape, noise_model, dtype)


def file_mask(params: FileMask, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> Mask:
    """Observed where an image file is at least half of full scale (any channel), or where a .npy array is not zero.

    Raises:
        InputError: a file that cannot be read, or of another size.
    """
    array, exact = load_plane(params.file, reduce=np.max)
    if array.shape != shape[-2:]:
        rows, columns = array.shape
        raise InputError(
            f"{Path(params.file).name}: a mask of {columns} x {rows} pixels for an image of {shape[-1]} x {shape[-2]}",
            "make them the same size",
        )
    full = 1.0 if array.dtype.kind in "fb" else float(np.iinfo(array.dtype).max)
    observed = array != 0 if exact else array >= full / 2
    if not exact:
        _require_black_and_white(array, full, Path(params.file).name)
    if not observed.any():
        raise InputError(f"{Path(params.file).name}: the mask marks no pixel as observed", "bright (255) = observed")
    return _mask(observed, shape, noise_model, dtype)


def _require_black_and_white(array: NDArray[Any], full: float, name: str) -> None:
    """Refuse an image that is no mask: a photograph, or numbers 0 and 1 in a picture of 0 to 255."""
    brightest = float(array.max())
    if 0 < brightest < 0.1 * full:
        raise InputError(
            f"{name}: the brightest value of the mask is {brightest:g} of {full:g}: all of it reads as black",
            f"save white as {full:g}, or the numbers as .npy (not 0 = observed)",
        )
    grey = float(((array > 0.1 * full) & (array < 0.9 * full)).mean())
    if grey > GREY and len(np.unique(array)) > TONES:
        raise InputError(
            f"{name}: {100 * grey:.0f} % of the mask is neither black nor white",
            "a mask is black = to be filled, white = observed",
        )


def _mask(
    observed: np.ndarray[Any, np.dtype[np.bool_]], shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype
) -> Mask:
    return Mask(torch.from_numpy(observed)[None, None].to(dtype), shape=shape, noise_model=noise_model)


_STROKES = 10_000


def stroke_mask(params: StrokeMask, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> Mask:
    """Strokes until ``params.missing`` of the pixels are covered: paths that turn by up to 60 degrees every few widths.

    Raises:
        InputError: a brush that covers the whole image.
    """
    height, width = shape[-2:]
    canvas = Image.new("L", (width, height))
    draw, brush = ImageDraw.Draw(canvas), params.width
    rng = np.random.Generator(np.random.Philox(key=params.seed))
    for _ in range(_STROKES):
        drawn = np.asarray(canvas) > 0
        if drawn.mean() >= params.missing:
            break
        point, heading = rng.random(2) * (width, height), 2 * math.pi * rng.random()
        path = [tuple(point)]
        for _ in range(int(rng.integers(3, 9))):
            heading += math.radians(120 * rng.random() - 60)
            point = point + (2 + 4 * rng.random()) * max(brush, 4) * np.array([math.cos(heading), math.sin(heading)])
            path.append(tuple(point))
        draw.line(path, fill=255, width=brush, joint="curve")
        for x, y in (path[0], path[-1]):
            draw.ellipse((x - brush / 2, y - brush / 2, x + brush / 2, y + brush / 2), fill=255)
    return _drawn(np.asarray(canvas), shape, noise_model, dtype, f"a brush of {brush} pixels")


def text_mask(params: TextMask, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> Mask:
    """Lines of text over the whole image, each from another place in it.

    Raises:
        InputError: letters that cover the whole image.
    """
    height, width = shape[-2:]
    canvas = Image.new("L", (width, height))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=params.size)
    rng = np.random.Generator(np.random.Philox(key=params.seed))
    text = " ".join(params.text.split()) + " "
    step = params.spacing * params.size
    for line in range(math.ceil(height / step)):
        start = int(rng.integers(len(text)))
        begun = text[start:] + text * math.ceil(4 * width / params.size / len(text) + 1)
        draw.text((0, line * step), begun[: 4 * width // params.size + 1], fill=255, font=font)
    return _drawn(np.asarray(canvas), shape, noise_model, dtype, f"letters of {params.size} pixels")


def _drawn(canvas: Any, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype, what: str) -> Mask:
    observed = canvas < 128
    if not observed.any():
        raise InputError(f"{what} on an image of {shape[-1]} x {shape[-2]} covers all of it", "use a smaller one")
    return _mask(observed, shape, noise_model, dtype)


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
    return _mask(observed, shape, noise_model, dtype)


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
