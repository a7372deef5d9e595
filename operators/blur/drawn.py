"""Blurs with parameters drawn from what an estimate knows of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from inverse.operators.base import Linear, Spectral
from inverse.operators.blur.blur import blur, kernel_of
from inverse.operators.blur.kernels import Kernel

__all__ = ["FARTHEST", "drawn"]

#: Standard deviations from an estimate within which parameters are drawn.
FARTHEST = 2.0
#: Largest standard deviation of a size, as a share of it, that is drawn: an estimate that knows less knows nothing.
WIDEST = 0.3


def drawn(
    params: Any,
    errors: Mapping[str, float],
    normals: Sequence[float],
    *,
    shape: tuple[int, ...],
    noise_model: Any,
    dtype: torch.dtype,
) -> Linear | Spectral:
    """A blur whose estimated parameters are drawn, in the frame of the estimate's own kernel.

    Sizes are drawn in the logarithm, with the standard deviation as a share of the size, and not further than
    `FARTHEST` of them; what of a wider kernel lies past the frame is cut off.
    """
    changes = {}
    for (name, error), normal in zip(errors.items(), normals, strict=True):
        value, reach = float(getattr(params, name)), max(-FARTHEST, min(FARTHEST, normal))
        share = min(error / max(value, error), WIDEST)
        changes[name] = value + error * reach if name == "angle" else value * math.exp(share * reach)
    size = kernel_of(params).shape
    kernel = _framed(kernel_of(params.model_copy(update=changes)), size)
    return blur(kernel, params.boundary, shape=shape, noise_model=noise_model, dtype=dtype)


def _framed(kernel: Kernel, size: tuple[int, ...]) -> Kernel:
    """A kernel with zeros around it, or cut, to a size, its origin still at ``size // 2`` and its sum 1."""
    for axis, (own, wanted) in enumerate(zip(kernel.shape, size, strict=True)):
        before = wanted // 2 - own // 2
        after = wanted - own - before
        kernel = kernel.take(range(max(0, -before), own - max(0, -after)), axis)
        kernel = np.pad(kernel, [(max(0, before), max(0, after)) if each == axis else (0, 0) for each in (0, 1)])
    whole: Kernel = kernel / kernel.sum()
    return whole
