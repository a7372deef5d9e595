r"""The reverse process: one generator loop, and the kernels that take a state from one noise level to the next.

State :math:`x = x_0 + \sigma n` (variance exploding). With the posterior denoiser's answer :math:`\hat x`:

* **DDIM-eta** (Song et al. 2021a): :math:`x' = \hat x + \sqrt{\sigma'^2 - \tau^2}\,(x - \hat x)/\sigma + \tau z`,
  :math:`\tau^2 = \eta^2 \sigma'^2 (1 - \sigma'^2 / \sigma^2)`; :math:`\eta = 1` is ancestral (DDPM), 0 the probability-flow Euler step.
* **zeta-mix** (Zhu et al. 2023): :math:`x' = \hat x + \sigma' (\sqrt{1 - \zeta}\,(x - \hat x)/\sigma + \sqrt\zeta\, z)`.

Cost: one posterior evaluation a level.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from torch import Tensor

from inverse.denoise import Denoise
from inverse.observation import Counter, Observation
from inverse.rng import Rng

__all__ = ["Guidance", "GuidedMethod", "Kernel", "Method", "Step", "ddim", "run", "zeta_mix"]


@dataclass(frozen=True)
class Step:
    r"""The state of a batch after one level.

    Attributes:
        index: Number of the level, from 0.
        total: Number of levels.
        sigma: Noise level this step left.
        x: State at the next level (B, C, *S); after the last step the samples.
        mean: The posterior denoiser's answer :math:`\hat x` at ``sigma``.
        cost: Evaluations so far, all entries together.
    """

    index: int
    total: int
    sigma: float
    x: Tensor
    mean: Tensor
    cost: Counter


class Method(Protocol):
    """A sampler: takes the state of a batch from one level to the next."""

    def step(
        self,
        denoise: Denoise,
        x: Tensor,
        sigma: float,
        sigma_next: float,
        observation: Observation,
        rng: Rng,
        index: int,
    ) -> tuple[Tensor, Tensor]:
        """Return the state at ``sigma_next`` and the posterior mean estimate at ``sigma``."""
        ...


class Guidance(Protocol):
    """A posterior denoiser: the prior's answer corrected by the measurement."""

    def __call__(
        self, denoise: Denoise, x: Tensor, sigma: float, sigma_next: float, observation: Observation
    ) -> Tensor:
        """Return :math:`E[x_0 | x, y]`, (B, C, *S)."""
        ...


Kernel = Callable[[Tensor, Tensor, float, float, Callable[[], Tensor]], Tensor]


def ddim(
    x: Tensor, mean: Tensor, sigma: float, sigma_next: float, noise: Callable[[], Tensor], *, eta: float
) -> Tensor:
    """DDIM-eta kernel; ``noise()`` draws ``z`` and is called only if needed."""
    if sigma_next == 0:
        return mean
    fresh = eta**2 * sigma_next**2 * (1 - sigma_next**2 / sigma**2)
    state = mean + math.sqrt(max(sigma_next**2 - fresh, 0.0)) / sigma * (x - mean)
    return state + math.sqrt(fresh) * noise() if fresh > 0 else state


def zeta_mix(
    x: Tensor, mean: Tensor, sigma: float, sigma_next: float, noise: Callable[[], Tensor], *, zeta: float
) -> Tensor:
    """zeta-mix kernel; ``noise()`` draws ``z`` and is called only if needed."""
    if sigma_next == 0:
        return mean
    state = mean + sigma_next * math.sqrt(1 - zeta) / sigma * (x - mean)
    return state + sigma_next * math.sqrt(zeta) * noise() if zeta > 0 else state


@dataclass(frozen=True)
class GuidedMethod:
    """A guidance and a kernel, as a method.

    Attributes:
        guidance: The posterior denoiser.
        kernel: The reverse kernel.
    """

    guidance: Guidance
    kernel: Kernel

    def step(
        self,
        denoise: Denoise,
        x: Tensor,
        sigma: float,
        sigma_next: float,
        observation: Observation,
        rng: Rng,
        index: int,
    ) -> tuple[Tensor, Tensor]:
        """One posterior evaluation, one kernel step."""
        mean = self.guidance(denoise, x, sigma, sigma_next, observation)
        return self.kernel(x, mean, sigma, sigma_next, lambda: rng.normal(x, step=index, stream="kernel")), mean


def run(
    method: Method, denoise: Denoise, x: Tensor, levels: Sequence[float], observation: Observation, rng: Rng
) -> Iterator[Step]:
    """Run ``method`` from the state ``x`` at ``levels[0]`` down to ``levels[-1] = 0``; the caller owns the loop."""
    for index, (sigma, sigma_next) in enumerate(pairwise(levels)):
        x, mean = method.step(denoise, x, sigma, sigma_next, observation, rng, index)
        yield Step(index, len(levels) - 1, sigma, x, mean, denoise.counter)
