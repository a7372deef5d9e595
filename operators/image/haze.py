r"""Haze: :math:`y = t \odot x + (1 - t) \odot a + n`, with transmission t and airlight a (Koschmieder).

The scene is dimmed by the one and covered by the other. Affine in x. With t and a known it becomes linear by taking the
airlight off the measurement: :math:`y - (1 - t) a = t \odot x + n`. That is what `fitted` gives the engine, and `haze`
builds :math:`A = \mathrm{diag}(t)`, whose attribute ``offset`` is :math:`(1 - t) a`: a hazy picture is ``physics.A(x) +
physics.offset``.

``auto``: the dark channel prior (He, Sun & Tang 2009, CVPR). a is the mean colour of the 0.1 % of pixels with the
brightest dark channel :math:`\min_{c, p'} I_c(p')` in squares of 15 pixels;
:math:`t = 1 - s \min_{c, p'} I_c(p') / a_c`, s the strength, smoothed along the picture's edges by a guided filter (He,
Sun & Tang 2013, TPAMI 35:1397; radius 30, epsilon 1e-3), and at least 0.1. It is a rule of thumb: white walls and snow
pass for haze.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from inverse.errors import InputError, RecipeError
from inverse.numerics.transforms import mirror
from inverse.operators.arrays import load_plane
from inverse.operators.image.pointwise import Diagonal
from inverse.operators.image.spec import Haze
from inverse.operators.measurement import Fitted, Measurement

__all__ = ["HazePhysics", "fitted", "haze"]

_DARK = 7
_GUIDE = 30
_SMOOTH = 1e-3
_LEAST = 0.1


class HazePhysics(Diagonal):
    """The transmission; the airlight is apart.

    Args:
        mask: Transmission (1, 1, H, W) or (1, 1, 1, 1), 0 to 1.
        airlight: (C,).
        shape: Shape (C, H, W) of one unknown.

    Attributes:
        offset: ``(1 - t) a``, (1, C, H or 1, W or 1), what a hazy picture holds beside ``A(x)``.
    """

    offset: Tensor

    def __init__(self, mask: Tensor, airlight: Tensor, *, shape: tuple[int, ...], noise_model: Any) -> None:
        super().__init__(mask, shape=shape, noise_model=noise_model)
        self.register_buffer("offset", (1 - mask) * airlight.to(mask).reshape(1, -1, 1, 1))


def haze(params: Haze, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> HazePhysics:
    """The haze that the parameters describe.

    Raises:
        RecipeError: a transmission or an airlight that is to be estimated, which takes a picture.
        InputError: a map that cannot be read, or of another size; an airlight of another number of channels.
    """
    if params.airlight == "auto" or (params.transmission == "auto" and params.file is None):
        raise RecipeError(
            "haze without transmission and airlight",
            "only where a picture is restored are they estimated; give operator.transmission=0.6 and "
            "operator.airlight=[0.8,0.8,0.8]",
        )
    return HazePhysics(_map(params, shape, dtype), _airlight(params, shape), shape=shape, noise_model=noise_model)


def _airlight(params: Haze, shape: tuple[int, ...]) -> Tensor:
    if len(params.airlight) not in (1, shape[0]):
        raise InputError(
            f"an airlight of {len(params.airlight)} numbers for {shape[0]} channels", "allowed: one for each channel"
        )
    return torch.tensor(params.airlight, dtype=torch.float64).expand(shape[0])


def _map(params: Haze, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    if params.file is None:
        return torch.full((1, 1, 1, 1), float(params.transmission), dtype=dtype)
    array, exact = load_plane(params.file, reduce=np.mean)
    name = Path(params.file).name
    if array.shape != shape[-2:]:
        raise InputError(
            f"{name}: a map of {array.shape[1]} x {array.shape[0]} pixels for an image of {shape[-1]} x {shape[-2]}",
            "make them the same size",
        )
    values = array.astype(np.float64)
    if not exact:
        values /= 255.0 if values.max() <= 255 else 65535.0
    if values.min() < 0 or values.max() > 1:
        raise InputError(f"{name}: values from {values.min():g} to {values.max():g}", "allowed: a transmission, 0 to 1")
    return torch.from_numpy(values)[None, None].to(dtype)


def fitted(params: Haze, measurement: Measurement) -> Fitted:
    """Transmission and airlight, given or estimated, and the measurement without the airlight.

    Raises:
        InputError: as in `haze`.
    """
    y, said = measurement.y, []
    shape = tuple(y.shape[1:])
    if params.airlight == "auto":
        airlight = _brightest(y)
        said.append(
            f"airlight {', '.join(f'{value:.2f}' for value in airlight.tolist())}, from the haziest 0.1 % of the pixels"
        )
    else:
        airlight = _airlight(params, shape).to(y)
    if params.transmission == "auto" and params.file is None:
        mask = _dark_channel(y, airlight, params.strength)
        said.append(f"transmission {float(mask.min()):.2f} to {float(mask.max()):.2f}, by the dark channel")
    else:
        mask = _map(params, shape, y.dtype).to(y.device)
    offset = (1 - mask) * airlight.reshape(1, -1, 1, 1)

    def build(noise_model: Any) -> HazePhysics:
        return HazePhysics(mask, airlight, shape=shape, noise_model=noise_model)

    return Fitted(y - offset, shape, build, said=tuple(said))


def _lowest(planes: Tensor) -> Tensor:
    """Minimum over channels and squares of 15 pixels, (1, 1, H, W)."""
    dark: Tensor = -max_pool2d(-planes.amin(1, keepdim=True), 2 * _DARK + 1, stride=1, padding=_DARK)
    return dark


def _brightest(y: Tensor) -> Tensor:
    dark = _lowest(y).flatten()
    chosen = dark.topk(max(1, dark.numel() // 1000)).indices
    return y[0].flatten(1)[:, chosen].mean(1).clamp_min(1e-3)


def _dark_channel(y: Tensor, airlight: Tensor, strength: float) -> Tensor:
    raw = 1 - strength * _lowest(y / airlight.reshape(1, -1, 1, 1)).clamp(0, 1)
    radius = min(_GUIDE, min(y.shape[-2:]) - 1)

    def mean(plane: Tensor) -> Tensor:
        smooth: Tensor = avg_pool2d(mirror(plane, (radius,) * 4), 2 * radius + 1, stride=1)
        return smooth

    guide = y.mean(1, keepdim=True)
    centre, level = mean(guide), mean(raw)
    slope = (mean(guide * raw) - centre * level) / (mean(guide * guide) - centre**2 + _SMOOTH)
    return (mean(slope) * guide + mean(level - slope * centre)).clamp(_LEAST, 1)
