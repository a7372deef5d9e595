r"""RED-diff: regularisation by the denoiser at falling noise levels, a point estimate.

Mardani et al. 2024, "A variational perspective on solving inverse problems with diffusion models", ICLR. Adam on one
image :math:`\mu`. At a level, with :math:`x = \mu + \sigma \epsilon` and the network's noise
:math:`\hat\epsilon = (x - D(x, \sigma)) / \sigma`, its gradient is

.. math::
    g = -\frac{J_A^T (y - A \mu)}{\sigma_y^2 + s_{max}^2 r_\sigma^2} + \frac{\hat\epsilon - (1 - j)\,\epsilon}{\sigma},
    \qquad r_\sigma^2 = \frac{\sigma^2 c}{\sigma^2 + c}

The second term has the mean :math:`-\nabla \log p_\sigma(\mu + \sigma \epsilon)`, so that the image goes to a maximum
of the posterior, coarse structure first; for a Gaussian prior that is the posterior's mean. It is called an estimate:
its samples differ by what is left of the gradient's noise alone, and say nothing of uncertainty.

Adam's normaliser has a floor, `FLOOR`, in the gradient times :math:`r_\sigma`, in which 1 is an image that is off by
what the level leaves open. So the step is the paper's where the gradient tells its sign, and linear in it where it is
nearly 0: at most 20 :math:`r_\sigma` times that gradient, so that rounding stays rounding. (With a floor of 1e-8 the
step is a sign there, of a full rate either way: after 6 steps a batch and its items alone ended 5e-3 apart.)

Deviations from the paper: its weight of the prior (0.25 over the signal-to-noise ratio) and its rate (0.1, for
inpainting 0.5) are constants of the task; here the weights are those of the two densities, the measurement's with the
uncertainty that the level leaves, and the rate is 0.2 :math:`r_\sigma`. The paper subtracts :math:`\epsilon`, which
leaves the noise :math:`-J \epsilon / \sigma`; here the share of it along :math:`\epsilon`,
:math:`j = \langle D - \mu, \epsilon \rangle / \sigma \lVert \epsilon \rVert^2`, is left out, as its mean is 0 and it
grows as :math:`\sigma` falls. Any differentiable operator. Cost: 1 F, 1 A, 1 A^T a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from inverse.numerics.linalg import expand, inner
from inverse.numerics.rng import Rng
from inverse.operators.observation import Observation
from inverse.sampling.denoiser import Denoise
from inverse.sampling.guidance.covariance import prior_variance
from inverse.sampling.loop import Context, Move, Sampler

__all__ = ["REDDiff", "red_diff"]

RATE = 0.2
MOMENTUM, SCALE = 0.9, 0.99  # Adam's two decay rates, the paper's
FLOOR = 0.01  # of Adam's normaliser; a hundredth of a gradient of order 1


@dataclass(frozen=True)
class REDDiff(Sampler):
    """RED-diff as a method."""

    data_var: float  # variance of the prior, data units squared

    def start(self, centre: Tensor, sigma: float, rng: Rng) -> tuple[Tensor, Any]:
        """``centre``, and Adam's two moments."""
        del sigma, rng
        return centre, (torch.zeros_like(centre), torch.zeros_like(centre))

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
        """One gradient, one step of Adam."""
        noise = rng.normal(x, step=index, stream="kernel")
        mean = denoise.estimate(x + sigma * noise, sigma).mean
        offset = mean - x
        along = inner(offset, noise) / inner(noise, noise)
        prior = (expand(along, x) * noise - offset) / sigma**2
        variance = prior_variance(sigma, self.data_var)
        weight = 1 / (observation.sigma**2 + observation.s_max**2 * variance)
        data = expand(weight, x) * observation.pull(x, observation.residual(x))
        gradient = variance**0.5 * (prior - data)  # of order 1, to which FLOOR is small
        first, second = memory
        first = MOMENTUM * first + (1 - MOMENTUM) * gradient
        second = SCALE * second + (1 - SCALE) * gradient**2
        rate = RATE * variance**0.5 / (1 - MOMENTUM ** (index + 1))
        moved = x - rate * first / ((second / (1 - SCALE ** (index + 1))).sqrt() + FLOOR)
        return Move(moved, moved, (first, second))


def red_diff(context: Context) -> REDDiff:
    """Compose RED-diff for a prior."""
    return REDDiff(context.data_var)
