"""How far a window's edge is felt inside it, of a physics that measures a scene part by part.

Past a window's edge a blurred measurement would need pixels the window has not (`inverse.operators.local`): it is left
out there, as it is at the edge of a scene, or, of an operator that mirrors the scene at its edge, taken for unobserved.
"""

from __future__ import annotations

import torch

from inverse.errors import RecipeError
from inverse.numerics.rng import Rng
from inverse.operators.observation import Observation

__all__ = ["PROBE", "support"]

#: Share of its largest value to which an answer is followed.
TRACE = 1e-4

#: Side of the part of a scene that the answer is probed on.
PROBE = 384

#: Width, in pixels of the unknown, of what a window is taken not to see.
STRIP = 16


def support(observation: Observation, variance: float, *, reach: int = 0) -> int:
    r"""Pixels over which a solve with an operator carries on what it does not see beyond a window's edge: to `TRACE`.

    :math:`c A^T (c A A^T + \sigma_y^2)^{-1}` is applied to noise in a strip along the left, and the top edge; how far
    its answer reaches is read off. The variance is c; what a window does not see is ``reach`` (`Local.reach`) wide at
    least.

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
