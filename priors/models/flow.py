r"""Flow-matching priors: a velocity field read as a denoiser.

A flow on the straight path from noise to data (Lipman et al. 2023, "Flow matching for generative modeling"; Liu et al.
2023, "Flow straight and fast") has the state :math:`x_t = t x_0 + (1 - t) n` and the velocity
:math:`v = E[x_0 - n | x_t]`. With

.. math::
    \sigma = (1 - t) / t, \qquad x = x_t / t, \qquad D(x, \sigma) = x_t + (1 - t)\, v(x_t, t)

it is a denoiser in this package's state: every method and operator takes it, one velocity evaluation an F. Models that
count time from data to noise (Stable Diffusion 3 and rectified flow's successors: :math:`x_t = (1 - t) x_0 + t n`,
:math:`v = E[n - x_0 | x_t]`) are ``towards="noise"``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from inverse.errors import PriorError
from inverse.priors.card import Card

__all__ = ["FlowPrior"]


@dataclass(frozen=True)
class FlowPrior:
    """A velocity field as a prior.

    Raises:
        PriorError: ``towards`` is neither "data" nor "noise".
    """

    velocity: Callable[[Tensor, Tensor], Tensor]  # ``v(x_t, t)``: ``x_t`` (B, C, *S), model units, ``t`` (B,) in (0, 1)
    #: in data units; ``data_range`` says which data values are the model's -1 and 1. None: it is read off the denoiser,
    #: and data units are the model's
    card: Card | None = None
    towards: Literal["data", "noise"] = "data"  # what is at t = 1

    def __post_init__(self) -> None:
        if self.towards not in ("data", "noise"):
            raise PriorError(f"flow towards {self.towards!r}", "allowed: data, noise")

    def __call__(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Posterior mean ``E[x0 | x]``: ``x`` (B, C, *S), ``sigma`` a scalar or (B,), data units."""
        gain, middle = (1.0, 0.0) if self.card is None else (self.card.gain, sum(self.card.data_range) / 2)
        level = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).expand(len(x)) * gain
        t = 1.0 / (1.0 + level)
        data = t.reshape(-1, *[1] * (x.ndim - 1))
        state = data * gain * (x - middle)
        velocity = self.velocity(state, t) if self.towards == "data" else -self.velocity(state, 1 - t)
        return (state + (1 - data) * velocity) / gain + middle
