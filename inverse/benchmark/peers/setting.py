r"""The setting of a peer, whatever its library: one measurement, the physics, and our prior, its evaluations counted.

The unknown is on [0, 1] here, as the peers' libraries take it: of a prior with another range, low to low + w, it is
:math:`u = (x - low) / w`, with :math:`y_u = (y - low\, A 1) / w`, :math:`\sigma_u = \sigma_y / w` and
:math:`D_u(u, s) = (D(low + w u, w s) - low) / w`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

__all__ = ["Counted", "Setting"]


class _Tally(torch.autograd.Function):
    """The identity; its backward passes are counted, autograd's and ``torch.func``'s alike."""

    @staticmethod
    def forward(x: Tensor, owner: Counted) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Counted], output: Tensor) -> None:
        ctx.owner = inputs[1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        ctx.owner.vjp += gradients[0].shape[0]
        return gradients[0], None


class Counted(torch.nn.Module):
    """``D(x, sigma)`` with its evaluations and vector-Jacobian products counted, once for each batch entry.

    Peers ask for levels a network has not been trained on, up to 75 and down to 0. Below the lowest it gets the lowest;
    above the highest, where the answer depends on the state through ``x / sigma`` alone, the state is moved to the
    highest. Without this Azula's DPS loses 12 dB on photographs and deepinv's DDRM ends in nan.
    """

    def __init__(
        self,
        denoise: Callable[[Tensor, Tensor], Tensor],  # [0, 1] data
        *,
        lowest: float = 0.0,  # level that it takes
        highest: float = float("inf"),
        mean: float = 0.5,  # of its data
    ) -> None:
        super().__init__()
        self.denoise, self.forward_count, self.vjp = denoise, 0, 0
        self.lowest, self.highest, self.mean = lowest, highest, mean

    def forward(self, x: Tensor, sigma: Tensor | float, **_: Any) -> Tensor:
        """``x`` (B, C, H, W) on [0, 1] data, ``sigma`` a scalar or (B,)."""
        level = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).reshape(-1)
        self.forward_count += x.shape[0]
        if float(level.max()) > self.highest:
            shrink = (self.highest / level).clamp_max(1).reshape(-1, *[1] * (x.ndim - 1))
            x = self.mean + (x - self.mean) * shrink
        clean: Tensor = _Tally.apply(self.denoise(x, level.clamp(self.lowest, self.highest)), self)
        return clean


@dataclass(frozen=True)
class Setting:
    """One measurement to sample from."""

    y: Tensor  # (1, ...), data units
    physics: Any  # a deepinv physics
    shape: tuple[int, ...]  # (C, H, W) of the unknown
    sigma: float  # noise level
    denoise: Counted  # the prior, [0, 1] data
    mean: float  # of the prior, and
    data_var: float  # variance of a pixel, for the peers that take them
    samples: int  # K
    evaluations: int | None  # network evaluations a sample; None for the peer's default
    #: ``(U^T, s)`` of the operator's matrix (m, n), for the twist; None where it is too large.
    spectrum: tuple[Tensor, Tensor] | None = field(default=None, repr=False)
    #: The operator's section of the recipe, for peers that ask for a kernel or a factor instead of a physics.
    operator: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0  # of the peers whose random numbers are numpy's; torch's are seeded around the call

    @property
    def many(self) -> Tensor:
        """A fresh copy of ``y`` for each sample: deepinv's DDRM writes into it."""
        return self.y.expand(self.samples, *self.y.shape[1:]).clone()
