r"""The reverse process: one generator loop, and what a method is to it.

State :math:`x = x_0 + \sigma n` (variance exploding). A guidance makes the prior's denoiser a posterior denoiser
:math:`\hat x(x, \sigma) \approx E[x_0 | x, y]`; a kernel (:mod:`inverse.sampling.kernels`) takes the state from one
level to the next with it. Methods that need a step of their own bring it. The whole loop, as `inverse.sample` runs it,
with a guidance of one line (exact where the operator is the identity and the prior white)::

    import torch

    import inverse
    from inverse.numerics.rng import Rng
    from inverse.operators.observation import Observation
    from inverse.sampling.denoiser import Denoise
    from inverse.sampling.kernels import kernel
    from inverse.sampling.loop import GuidedMethod, run
    from inverse.sampling.start import noise_levels

    def guidance(denoise, x, sigma, sigma_next, observation):
        mean, variance = denoise.estimate(x, sigma).mean, sigma**2 / (1 + sigma**2 / 0.0625)
        return mean + variance / (variance + observation.sigma[0] ** 2) * observation.AT(observation.residual(mean))

    prior = inverse.open_prior("gaussian")  # mean 0.5, variance 0.0625
    physics = inverse.build_operator("denoise", shape=(1, 16, 16), noise=0.1)
    observation = Observation.create(inverse.simulate(torch.full((1, 1, 16, 16), 0.6), physics), physics)
    levels = noise_levels("karras", sigma_max=10.0, sigma_min=0.01, steps=50)
    method, rng = GuidedMethod(guidance, kernel("ddim")), Rng(0, ["item"], [0])
    start = method.start(torch.full((1, 1, 16, 16), 0.5), levels[0], rng)
    for step in run(method, Denoise(prior, observation.counter), start, levels, observation, rng):
        print(f"{step.sigma:8.3f}  misfit {float(observation.misfit(step.mean)):.2f}")
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

from torch import Tensor

from inverse.numerics.rng import Rng
from inverse.operators.observation import Counter, Observation
from inverse.sampling.denoiser import Denoise
from inverse.sampling.kernels import Kernel

__all__ = ["Context", "Guidance", "GuidedMethod", "Method", "Move", "Sampler", "Step", "run"]


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
        info: What the method says of itself, by name, each (B, ...); what it said last are the diagnostics of the
            samples.
    """

    index: int
    total: int
    sigma: float
    x: Tensor
    mean: Tensor
    cost: Counter
    info: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Move:
    """What one step of a method returns."""

    x: Tensor  # state at the next level (B, C, *S)
    mean: Tensor  # posterior mean estimate at this level (B, C, *S)
    memory: Any = None  # whatever the method wants back at its next step
    info: Mapping[str, Tensor] = field(default_factory=dict)  # as `Step.info`


@dataclass(frozen=True)
class Context:
    """Numbers of the prior and of the run."""

    data_var: float  # variance of the prior's images, data units squared
    gain: float  # model units in one data unit (2 for a network on [-1, 1] and data on [0, 1])
    mean: Any = 0.0  # mean of the prior's images: a number, or a tensor that broadcasts against (B, C, *S)
    steps: int = 1  # of the run
    lowest: float = 0.0  # smallest level that the prior knows, data units


class Method(Protocol):
    """A sampler: takes the state of a batch from one level to the next."""

    def schedule(self, levels: tuple[float, ...], *, resolved: float, linear: bool) -> tuple[float, ...]:
        r"""The levels the loop runs through, as many, from the method's ``levels``; the last is 0.

        ``resolved`` is the item's :math:`\sigma_y / s_{max}`, ``linear`` whether the operator is.
        """
        ...

    def start(self, centre: Tensor, sigma: float, rng: Rng) -> tuple[Tensor, Any]:
        """State at the first level and the first memory, from where sampling starts (:mod:`inverse.sampling.start`)."""
        ...

    def step(
        self,
        denoise: Denoise,
        x: Tensor,
        sigma: float,
        sigma_next: float,
        observation: Observation,
        rng: Rng,
        index: int,
        memory: Any,
    ) -> Move:
        """Take the state (B, C, *S) from ``sigma`` to ``sigma_next``."""
        ...


class Sampler:
    """The levels as they are, and the start that most methods share."""

    def schedule(self, levels: tuple[float, ...], *, resolved: float, linear: bool) -> tuple[float, ...]:
        """``levels``."""
        del resolved, linear
        return levels

    def start(self, centre: Tensor, sigma: float, rng: Rng) -> tuple[Tensor, Any]:
        """``centre + sigma n``, no memory."""
        return centre + sigma * rng.normal(centre, step=0, stream="start"), None


class Guidance(Protocol):
    """A posterior denoiser: the prior's answer corrected by the measurement."""

    def __call__(
        self, denoise: Denoise, x: Tensor, sigma: float, sigma_next: float, observation: Observation
    ) -> Tensor:
        """Return :math:`E[x_0 | x, y]`, (B, C, *S)."""
        ...


@dataclass(frozen=True)
class GuidedMethod(Sampler):
    """A guidance and a kernel, as a method."""

    guidance: Guidance  # the posterior denoiser
    kernel: Kernel
    later: Guidance | None = None  # another, cheaper one from a step on
    at: int = 0  # index of its first step

    def step(
        self,
        denoise: Denoise,
        x: Tensor,
        sigma: float,
        sigma_next: float,
        observation: Observation,
        rng: Rng,
        index: int,
        memory: Any,
    ) -> Move:
        """One kernel step, with the guidance of its index."""
        guidance = self.guidance if self.later is None or index < self.at else self.later

        def posterior(state: Tensor, level: float) -> Tensor:
            return guidance(denoise, state, level, sigma_next, observation)

        def noise(draw: int = 0) -> Tensor:
            return rng.normal(x, step=index, stream="kernel", draw=draw)

        moved, mean, memory = self.kernel(posterior, x, sigma, sigma_next, noise, memory)
        return Move(moved, mean, memory)


def run(
    method: Method,
    denoise: Denoise,
    start: tuple[Tensor, Any],
    levels: Sequence[float],
    observation: Observation,
    rng: Rng,
) -> Iterator[Step]:
    """Run ``method`` from its start at ``levels[0]`` down to ``levels[-1] = 0``; the caller owns the loop."""
    x, memory = start
    for index, (sigma, sigma_next) in enumerate(pairwise(levels)):
        move = method.step(denoise, x, sigma, sigma_next, observation, rng, index, memory)
        x, memory = move.x, move.memory
        yield Step(index, len(levels) - 1, sigma, x, move.mean, denoise.counter, move.info)
