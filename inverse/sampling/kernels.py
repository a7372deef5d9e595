r"""Reverse kernels: from the state at one noise level to the next, with a posterior denoiser.

With :math:`\hat x = \hat x(x, \sigma)` and ``z`` unit noise:

* ``ddim`` (Song et al. 2021a): :math:`x' = \hat x + \sqrt{\sigma'^2 - \tau^2}\,(x - \hat x)/\sigma + \tau z`,
  :math:`\tau^2 = \eta^2 \sigma'^2 (1 - \sigma'^2 / \sigma^2)`; :math:`\eta = 1` is ``ancestral`` (DDPM), 0 the
  probability-flow Euler step.
* ``zeta`` (Zhu et al. 2023): :math:`x' = \hat x + \sigma' (\sqrt{1 - \zeta}\,(x - \hat x)/\sigma + \sqrt\zeta\, z)`;
  :math:`\zeta = 1` is ``renoise``.
* ``heun`` (Karras et al. 2022, algorithm 1): the probability flow to second order, two evaluations a level but the
  last.
* ``dpmpp`` (Lu et al. 2022, DPM-Solver++(2M)): :math:`x' = \frac{\sigma'}{\sigma} x + (1 - \frac{\sigma'}{\sigma})
  [(1 + \frac{1}{2 r}) \hat x_i
  - \frac{1}{2 r} \hat x_{i-1}]`, ``r`` the last step over this one in log sigma: second order, one evaluation a level.
* ``stochastic`` (SDE-DPM-Solver++(2M), the same authors): the same second-order estimate in the reverse SDE,
  :math:`x' = r x + (1 - r) [\hat x_i + \frac{h}{2 h_0} (\hat x_i - \hat x_{i-1})] + \sigma' \sqrt{1 - r}\,z`,
  :math:`r = \sigma'^2 / \sigma^2`, ``h`` and :math:`h_0` this step and the last in log sigma. Without the second
  term it is ``ancestral``, whose draws are too narrow until there are hundreds of steps.
* ``corrected`` (predictor-corrector, Song et al. 2021b, algorithm 4): ancestral, then one Langevin step at the new
  level, :math:`x' + \epsilon (\hat x' - x')/\sigma'^2 + \sqrt{2 \epsilon} z`, :math:`\epsilon = 2 r^2 \sigma'^2` with
  their signal-to-noise ratio ``r`` = 0.16 and the norm of the score at its expectation; two evaluations a level but
  the last.

All are exact for the flow they integrate because the guidance is inside the denoiser: a gradient step outside would
cost an order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from torch import Tensor

__all__ = ["KERNELS", "Kernel", "Noise", "corrected", "ddim", "dpmpp", "heun", "kernel", "stochastic", "zeta_mix"]

Denoiser = Callable[[Tensor, float], Tensor]


class Noise(Protocol):
    """Unit noise of the step: the same for the same ``draw``."""

    def __call__(self, draw: int = 0) -> Tensor:
        """Return noise with the shape of the state."""
        ...


class Kernel(Protocol):
    """A reverse kernel."""

    def __call__(
        self, posterior: Denoiser, x: Tensor, sigma: float, sigma_next: float, noise: Noise, memory: Any
    ) -> tuple[Tensor, Tensor, Any]:
        """State at ``sigma_next``, answer at ``sigma``, and the next memory; ``noise()`` is called only if needed."""
        ...


def _toward(x: Tensor, mean: Tensor, sigma: float, kept: float, fresh: float, noise: Noise) -> Tensor:
    """``mean`` with noise of two levels: ``kept`` along the present noise, ``fresh`` new."""
    state = mean + kept / sigma * (x - mean) if kept > 0 else mean
    return state + fresh * noise() if fresh > 0 else state


def ddim(
    posterior: Denoiser, x: Tensor, sigma: float, sigma_next: float, noise: Noise, memory: Any, *, eta: float
) -> tuple[Tensor, Tensor, Any]:
    """DDIM-eta."""
    mean = posterior(x, sigma)
    fresh = eta**2 * sigma_next**2 * (1 - sigma_next**2 / sigma**2)
    kept = math.sqrt(max(sigma_next**2 - fresh, 0.0))
    return _toward(x, mean, sigma, kept, math.sqrt(fresh), noise), mean, memory


def zeta_mix(
    posterior: Denoiser, x: Tensor, sigma: float, sigma_next: float, noise: Noise, memory: Any, *, zeta: float
) -> tuple[Tensor, Tensor, Any]:
    """zeta-mix."""
    mean = posterior(x, sigma)
    kept, fresh = sigma_next * math.sqrt(1 - zeta), sigma_next * math.sqrt(zeta)
    return _toward(x, mean, sigma, kept, fresh, noise), mean, memory


def heun(
    posterior: Denoiser, x: Tensor, sigma: float, sigma_next: float, noise: Noise, memory: Any
) -> tuple[Tensor, Tensor, Any]:
    """Heun's second-order step of the probability flow; Euler's to level 0."""
    mean = posterior(x, sigma)
    if sigma_next == 0:
        return mean, mean, memory
    slope = (x - mean) / sigma
    ahead = x + (sigma_next - sigma) * slope
    slope_ahead = (ahead - posterior(ahead, sigma_next)) / sigma_next
    return x + (sigma_next - sigma) * 0.5 * (slope + slope_ahead), mean, memory


def dpmpp(
    posterior: Denoiser, x: Tensor, sigma: float, sigma_next: float, noise: Noise, memory: Any
) -> tuple[Tensor, Tensor, Any]:
    """DPM-Solver++(2M)."""
    mean = posterior(x, sigma)
    if sigma_next == 0:
        return mean, mean, memory
    width, target = math.log(sigma / sigma_next), mean
    if memory is not None:
        last_mean, last_width = memory
        share = width / (2 * last_width)
        target = (1 + share) * mean - share * last_mean
    ratio = sigma_next / sigma
    return ratio * x + (1 - ratio) * target, mean, (mean, width)


SIGNAL_TO_NOISE = 0.16


def stochastic(
    posterior: Denoiser, x: Tensor, sigma: float, sigma_next: float, noise: Noise, memory: Any
) -> tuple[Tensor, Tensor, Any]:
    """SDE-DPM-Solver++(2M); ``memory`` is the last answer and its level."""
    mean = posterior(x, sigma)
    if sigma_next == 0:
        return mean, mean, None
    estimate = mean
    if memory is not None:
        before, level = memory
        estimate = mean + math.log(sigma / sigma_next) / (2 * math.log(level / sigma)) * (mean - before)
    kept = (sigma_next / sigma) ** 2
    moved = kept * x + (1 - kept) * estimate + sigma_next * math.sqrt(1 - kept) * noise()
    return moved, mean, (mean, sigma)


def corrected(
    posterior: Denoiser, x: Tensor, sigma: float, sigma_next: float, noise: Noise, memory: Any
) -> tuple[Tensor, Tensor, Any]:
    """Ancestral predictor, Langevin corrector."""
    moved, mean, memory = ddim(posterior, x, sigma, sigma_next, noise, memory, eta=1.0)
    if sigma_next == 0:
        return moved, mean, memory
    rate = 2 * SIGNAL_TO_NOISE**2  # epsilon over sigma_next^2
    moved = moved + rate * (posterior(moved, sigma_next) - moved) + math.sqrt(2 * rate) * sigma_next * noise(draw=1)
    return moved, mean, memory


KERNELS = ("ddim", "ancestral", "renoise", "heun", "dpmpp", "corrected")


def kernel(name: str, *, eta: float = 1.0) -> Kernel:
    """The kernel called ``name``, one of :data:`KERNELS`; ``eta`` is read by ``ddim`` alone."""
    chosen: dict[str, Kernel] = {
        "ddim": partial(ddim, eta=eta),
        "ancestral": partial(ddim, eta=1.0),
        "renoise": partial(zeta_mix, zeta=1.0),
        "heun": heun,
        "dpmpp": dpmpp,
        "corrected": corrected,
    }
    return chosen[name]
