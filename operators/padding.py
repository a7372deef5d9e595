"""Mirroring images at the half-sample (``scipy.ndimage``'s ``reflect``, numpy's ``symmetric``), and its transpose.

torch's own ``reflect`` mirrors at the whole sample: it does not repeat the border pixel. Margins are (left, right, top, bottom) in
pixels, each at most the image's size.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["fold", "mirror"]


def mirror(x: Tensor, margins: tuple[int, int, int, int]) -> Tensor:
    """Extend the last two axes by mirrored margins."""
    left, right, top, bottom = margins
    width, height = x.shape[-1], x.shape[-2]
    x = torch.cat([x[..., :left].flip(-1), x, x[..., width - right :].flip(-1)], -1)
    return torch.cat([x[..., :top, :].flip(-2), x, x[..., height - bottom :, :].flip(-2)], -2)


def fold(z: Tensor, margins: tuple[int, int, int, int]) -> Tensor:
    """Transpose of `mirror`: add what lies beyond the frame to the pixels it mirrors."""
    left, right, top, bottom = margins
    height, width = z.shape[-2] - top - bottom, z.shape[-1] - left - right
    core = z[..., top : top + height, :]
    core = core + pad(z[..., :top, :].flip(-2), (0, 0, 0, height - top))
    core = core + pad(z[..., top + height :, :].flip(-2), (0, 0, height - bottom, 0))
    x = core[..., left : left + width]
    x = x + pad(core[..., :left].flip(-1), (0, width - left))
    return x + pad(core[..., left + width :].flip(-1), (width - right, 0))
