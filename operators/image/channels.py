r"""Colours from one plane: Bayer patterns and grey values. Unknown (3, H, W), measurement (1, H, W).

* `Mosaic`: :math:`y_p = x_{c(p), p}`. Diagonal in pixels: :math:`V = I`, singular values the three colours' masks,
  :math:`U` the sum over channels.
* `Luminance`: :math:`y = w^T x` at each pixel. :math:`V` is the Householder reflection of the channels that takes the
  first unit vector to :math:`w / |w|`; singular value :math:`|w|` in the first channel, 0 in the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from inverse.errors import InputError
from inverse.io.tiling import Window
from inverse.operators.base import Spectral
from inverse.operators.image.pointwise import Diagonal
from inverse.operators.image.spec import Colorize, Demosaick
from inverse.operators.local import Local, part
from inverse.operators.measurement import Measurement
from inverse.operators.noise.models import estimate_sigma
from inverse.operators.spec import AUTO

__all__ = ["Luminance", "Mosaic", "colorize", "demosaick", "locate", "mosaic_level", "result", "stated"]

#: The pattern where neither the recipe nor the file says one.
USUAL = "RGGB"
#: Side of a plane of one colour from which noise can be told.
SMALLEST = 16


class Mosaic(Diagonal):
    """One channel at each pixel.

    Args:
        mask: (1, C, H, W) of 0 and 1, at each pixel 1 in one channel.
        shape: Shape (C, H, W) of one unknown.
    """

    def local(self) -> Local:
        """Pixel by pixel."""
        return Local(self.img_size)

    def cut(self, window: Window) -> Mosaic:
        """The mosaic of a window."""
        shape = (self.img_size[0], *window.size)
        return Mosaic(part(self.mask, window), shape=shape, noise_model=self.noise_model)

    def U(self, coordinates: Tensor) -> Tensor:
        """(B, 1, H, W), of each pixel the channel that is seen."""
        return (self.mask.to(coordinates.dtype) * coordinates).sum(1, keepdim=True)

    def U_adjoint(self, y: Tensor) -> Tensor:
        """Each value in its channel, (B, C, H, W), zero in the others."""
        return self.mask.to(y.dtype) * y


class Luminance(Spectral):
    """A weighted sum of the channels.

    Args:
        weights: (C,), not all 0, float64.
        shape: Shape (C, H, W) of one unknown.
        dtype: Of the basis.

    Attributes:
        mask: ``|weights|`` in the first channel, 0 in the others, (1, C, 1, 1).
        basis: The reflection (C, C), symmetric and orthonormal.
    """

    basis: Tensor
    picks = True

    def __init__(self, weights: Tensor, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> None:
        size = weights.norm()
        mask = torch.zeros(1, len(weights), 1, 1, dtype=dtype)
        mask[:, 0] = size
        super().__init__(mask, shape=shape, noise_model=noise_model)
        first = torch.zeros_like(weights)
        first[0] = 1
        normal = first - weights / size
        length = normal.square().sum()
        basis = torch.eye(len(weights), dtype=weights.dtype)
        if float(length) > 1e-30:
            basis = basis - 2 * torch.outer(normal, normal) / length
        self.register_buffer("basis", basis.to(dtype))

    def V_adjoint(self, x: Tensor) -> Tensor:
        """Reflected channels of (B, C, H, W)."""
        return torch.einsum("ij,bjhw->bihw", self.basis.to(x.dtype), x)

    def V(self, coordinates: Tensor) -> Tensor:
        """The same reflection, its own inverse."""
        return self.V_adjoint(coordinates)

    def U(self, coordinates: Tensor) -> Tensor:
        """The first channel."""
        return coordinates[:, :1]

    def U_adjoint(self, y: Tensor) -> Tensor:
        """``y`` as the first channel, zero in the others."""
        return torch.nn.functional.pad(y, (0, 0, 0, 0, 0, self.mask.shape[1] - 1))

    def basis_squared(self, spectrum: Tensor) -> Tensor:
        """Diagonal of ``V diag(spectrum) V^T``, (B, C, H, W)."""
        return torch.einsum("ij,bjhw->bihw", self.basis.to(spectrum.dtype).square(), spectrum)


def _colour(shape: tuple[int, ...], kind: str) -> None:
    if shape[0] != 3:
        raise InputError(f"operator '{kind}' on an unknown of {shape[0]} channels", "allowed: 3 (red, green, blue)")


def demosaick(params: Demosaick, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> Mosaic:
    """The pattern of a sensor over an image.

    Raises:
        InputError: an unknown that has not three channels.
    """
    _colour(shape, params.kind)
    mask = torch.zeros(1, *shape, dtype=dtype)
    for index, letter in enumerate(USUAL if params.pattern == AUTO else params.pattern):
        mask[:, "RGB".index(letter), index // 2 :: 2, index % 2 :: 2] = 1
    return Mosaic(mask, shape=shape, noise_model=noise_model)


def stated(params: Demosaick, facts: Mapping[str, Any]) -> tuple[Demosaick, tuple[str, ...]]:
    """The pattern of the file, where the recipe leaves it open, and where it is from."""
    own = facts.get("pattern")
    if params.pattern == AUTO:
        said = f"pattern {own}, as the file says" if own else f"pattern {USUAL}: the file does not say one"
        return params.model_copy(update={"pattern": own or USUAL}), (said,)
    if own and own != params.pattern:
        return params, (f"pattern {params.pattern} as given, the file says {own}",)
    return params, ()


def mosaic_level(measurement: Measurement) -> float | None:
    """Noise level of a mosaic (1, 1, H, W) by its four planes of one colour: its pattern is no noise; None: not told.

    Of the estimates of each plane and of all four together the smallest, because neighbours in a plane are two pixels
    apart, and what is fine there passes for noise: measured on photographs at 0.005, 0.01, 0.02 and 0.05, the median
    over the true level is 2.0, 1.4, 1.1 and 1.05.
    """
    planes, height, width = [], *(side // 2 * 2 for side in measurement.y.shape[-2:])
    seen = None if measurement.valid is None else measurement.valid.expand(measurement.y.shape)
    if measurement.y.shape[1] != 1 or min(height, width) < 2 * SMALLEST:
        return None
    shares = []
    for row in range(2):
        for column in range(2):
            planes.append(measurement.y[..., row:height:2, column:width:2])
            shares += [] if seen is None else [seen[..., row:height:2, column:width:2]]
    mask = torch.cat(shares, 1).amin(1, keepdim=True) if shares else None
    levels = [float(estimate_sigma(part, mask=mask)[0]) for part in (*planes, torch.cat(planes, 1))]
    level = min(levels)
    return level if 0 < level < math.inf else None


def colorize(params: Colorize, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> Luminance:
    """The grey value of three colours.

    Raises:
        InputError: an unknown that has not three channels.
    """
    _colour(shape, params.kind)
    weights = torch.tensor(params.weights, dtype=torch.float64)
    return Luminance(weights, shape=shape, noise_model=noise_model, dtype=dtype)


def locate(params: Any, shape: tuple[int, ...]) -> tuple[Any, tuple[int, ...]]:
    """The unknown of a measurement (1, H, W): three channels.

    Raises:
        InputError: a measurement of more channels.
    """
    if math.prod(shape[:-2]) != 1:
        raise InputError(
            f"operator '{params.kind}' measures one channel, the picture has {shape[0]}", "give it a grey picture"
        )
    return params, (3, *shape[-2:])


def result(params: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Three channels."""
    del params
    return 3, *shape[-2:]
