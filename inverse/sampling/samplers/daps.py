r"""DAPS: noise levels decoupled by a draw of the image itself.

Zhang et al. 2025, "Improving diffusion inverse problem solving with decoupled noise annealing", CVPR. At each level: an
estimate of the image from the state, a draw ``z`` of the image given estimate and measurement, and new noise,
:math:`x' = z + \sigma' n`. If ``z`` is drawn from :math:`p(x_0 | x, y)` and ``x`` was from :math:`p(x_\sigma | y)`,
then ``x'`` is from :math:`p(x_{\sigma'} | y)`, however far apart the levels are. The estimate's model, by
``covariance``:

* ``paper``: centre the end of the probability flow from ``x`` (``inner`` evaluations), variance :math:`\sigma^2`.
  Too wide where the measurement is silent: the flow's end is already a draw, noise of the level's size comes on top,
  and the state is noisier than its level says. A Gaussian's standard deviation is 1.5 times the exact one at 50 levels;
  a network meets noise that it was not told of, and leaves it in the image (the paper's own dynamics hide it: their 100
  small steps end near the centre).
* ``isotropic``: centre Tweedie's mean ``D``, variance the mean of the diagonal of :math:`\sigma^2 J`, from ``x -
  D`` alone. Exact for a white Gaussian prior.
* ``jacobian``: centre ``D``, covariance :math:`C = \sigma^2 J`, Tweedie's second-order formula. By Matheron's rule
  :math:`z_0 = D + C^{1/2} n`, then :math:`z = z_0 + C A^T (A C A^T + \sigma_y^2)^{-1} (y + \sigma_y e - A z_0)`: the
  root in a Krylov space of ``roots`` products, the solve by GMRES with ``iterations`` products and the isotropic
  solve as preconditioner; its products are kept, so that :math:`C A^T v` costs none. Exact for a Gaussian prior but for
  the ends of the two Krylov spaces: directions in which ``C`` is small are served last, and those are settled at a
  lower level, where ``C`` is near :math:`\sigma^2` in every direction that still moves.

The draws of the first two are those of `inverse.sampling.samplers.coupling`: exact for linear operators, Langevin for
others. Deviations from the paper: the temperature is the true noise (its code has 0.01 where the noise is 0.05); the
draw of a linear problem is exact, and the dynamics of others take their step from the curvature (no learning rate of
the task); the flow is integrated by DPM-Solver++(2M), not Euler; 50 levels, not 200. Cost a level: paper ``inner`` F;
isotropic 1 F; jacobian 1 F and ``roots + iterations`` V.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from inverse.numerics.linalg import Vector, expand, gmres, scale, square_root
from inverse.numerics.rng import Rng
from inverse.operators.observation import Observation
from inverse.sampling.denoiser import Denoise
from inverse.sampling.guidance.covariance import mean_variance, prior_variance
from inverse.sampling.kernels import dpmpp
from inverse.sampling.loop import Context, Move, Sampler
from inverse.sampling.samplers.coupling import draw, measurement_noise
from inverse.sampling.start import noise_levels

__all__ = ["DAPS", "daps"]

DEPTH = 0.1  # last level of the flow, in units of its first or of the prior's standard deviation, the smaller
SMALL = 1e-3  # least radius of a draw, in units of the level


@dataclass(frozen=True)
class DAPS(Sampler):
    """DAPS as a method."""

    data_var: float  # variance of the prior, data units squared
    covariance: str  # "isotropic", "jacobian" or "paper"
    inner: int  # evaluations of the flow
    moves: int  # Langevin steps for a nonlinear operator
    roots: int  # Jacobian products of the covariance's square root
    iterations: int  # Jacobian products of the solve

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
        """An estimate, a draw given the measurement, new noise."""
        if self.covariance == "jacobian":
            mean, drawn = self._moment_matched(denoise, x, sigma, observation, rng, index)
        else:
            if self.covariance == "paper":
                mean, variance = self._flow(denoise, x, sigma), torch.full_like(observation.sigma, sigma**2)
            else:
                mean = denoise.estimate(x, sigma).mean
                variance = mean_variance(x, mean, sigma, self.data_var).clamp_min((SMALL * sigma) ** 2)
            drawn = draw(observation, mean, variance.sqrt(), rng, step=index, moves=self.moves)
        if sigma_next == 0:
            return Move(drawn, mean)
        return Move(drawn + sigma_next * rng.normal(x, step=index, stream="kernel"), mean)

    def _flow(self, denoise: Denoise, x: Tensor, sigma: float) -> Tensor:
        """End of the probability flow from ``x``."""
        lowest = DEPTH * min(sigma, self.data_var**0.5)
        levels = noise_levels("karras", sigma_max=sigma, sigma_min=lowest, steps=self.inner)
        state, memory = x, None
        for level, level_next in pairwise(levels):
            state, _, memory = dpmpp(lambda v, s: denoise.estimate(v, s).mean, state, level, level_next, _none, memory)
        return state

    def _moment_matched(
        self, denoise: Denoise, x: Tensor, sigma: float, observation: Observation, rng: Rng, index: int
    ) -> tuple[Tensor, Tensor]:
        """``D`` and a draw of ``N(D, sigma^2 J)`` given the measurement."""
        estimate = denoise.estimate(x, sigma, grad=True)
        products: list[Tensor] = []

        def covariance(v: Tensor) -> Tensor:
            keep = len(products) + 1 < self.roots + self.iterations
            products.append(sigma**2 * estimate.vjp(v, keep=keep))
            return products[-1]

        unit = rng.normal(x, step=index, stream="estimate")
        start = estimate.mean + square_root(covariance, unit, iterations=self.roots)
        noise = scale(measurement_noise(observation, rng, step=index, stream="likelihood-data"), observation.sigma)
        variance = torch.full_like(observation.sigma, prior_variance(sigma, self.data_var))

        def gram(v: Vector) -> Vector:
            return scale(v, observation.sigma**2) + observation.A(covariance(observation.AT(v)))

        coefficients = gmres(
            gram,
            observation.residual(start) + noise,
            precondition=lambda r: observation.gram_solve(r, variance),
            iterations=self.iterations,
        )[1]
        drawn = start
        for coefficient, product in zip(coefficients, products[self.roots :], strict=True):
            drawn = drawn + expand(coefficient, x) * product
        return estimate.mean, drawn


def _none(draw: int = 0) -> Tensor:
    raise RuntimeError("the flow draws no noise")


def daps(context: Context, *, covariance: str, inner: int, moves: int, roots: int, iterations: int) -> DAPS:
    """Compose DAPS for a prior."""
    return DAPS(context.data_var, covariance, inner, moves, roots, iterations)
