r"""The prior side of every method: a denoiser, counted, batched in sigma, and differentiable on demand.

``estimate(x, sigma, grad=True)`` returns the posterior mean :math:`D = E[x_0 | x]` and ``vjp(v)`` :math:`= J^T v` with
:math:`J = \partial D / \partial x`; by Tweedie's second-order formula :math:`\mathrm{Cov}[x_0 | x] = \sigma^2 J` (Efron 2011; Meng et al. 2021).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from inverse.observation import Counter

__all__ = ["VJP", "Denoise", "Estimate"]


class VJP(Protocol):
    """Product with the transposed Jacobian of a denoiser at one state."""

    def __call__(self, v: Tensor, *, keep: bool = False) -> Tensor:
        """Return ``J^T v``; the graph is freed unless it is kept."""
        ...


@dataclass(frozen=True)
class Estimate:
    """What the prior says of the image behind a noisy state.

    Attributes:
        mean: ``D(x, sigma)`` (B, C, *S), detached.
        vjp: ``v -> J^T v``, both (B, C, *S); ``keep=True`` where another product at this state follows.
    """

    mean: Tensor
    vjp: VJP


@dataclass(frozen=True)
class Denoise:
    """A denoiser as the engine calls it.

    Attributes:
        prior: ``D(x, sigma)`` in data units, deepinv's denoiser signature.
        counter: Where evaluations are counted, one for each batch entry.
    """

    prior: Callable[[Tensor, Tensor], Tensor]
    counter: Counter

    def estimate(self, x: Tensor, sigma: float, *, grad: bool = False) -> Estimate:
        """Evaluate the denoiser at the state ``x`` (B, C, *S) of noise level ``sigma``; the argument is not changed."""
        batch = x.shape[0]
        levels = torch.full((batch,), sigma, dtype=x.dtype, device=x.device)
        self.counter.forward += batch
        if not grad:
            with torch.no_grad():
                mean = (
                    self.prior(x, levels).to(x.dtype).contiguous()
                )  # networks answer channels-last: slow to transform
            return Estimate(mean, _no_gradient)
        with torch.enable_grad():
            state = x.detach().requires_grad_(True)
            output = self.prior(state, levels).to(x.dtype).contiguous()

        def vjp(v: Tensor, *, keep: bool = False) -> Tensor:
            self.counter.vjp += batch
            (product,) = torch.autograd.grad(output, state, v, retain_graph=keep)
            return product.contiguous()

        return Estimate(output.detach(), vjp)


def _no_gradient(_: Tensor, *, keep: bool = False) -> Tensor:
    raise RuntimeError("this estimate was made without a gradient; ask for it with grad=True")
