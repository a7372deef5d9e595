r"""Nonlinear problems in two unknowns whose posterior is known by quadrature: a gate for methods of any operator.

:math:`y = A(x) + \sigma_y n`, :math:`x \in R^2`, with

* ``squares``: :math:`A(x)_i = (b_i \cdot x)^2`, real phase retrieval: one mode for each pattern of signs of
  :math:`b_i \cdot x`, four in all;
* ``norm``: :math:`A(x) = (|x|^2 + \delta^2)^{1/2}`: the posterior is a ring, its mass along it set by the prior;

and a Gaussian or a Gaussian-mixture prior. ``p(x | y)`` is evaluated on a grid finer than the noise resolves (the sum
then converges faster than any power of the step), which gives mean, covariance, the mass of each sign cell, the
expected misfit, and draws: a grid point, then uniform within its square.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from deepinv.physics import GaussianNoise, Physics
from torch import Tensor

from inverse.exact.problem import ExactProblem
from inverse.priors.models.gaussian import GaussianPrior
from inverse.priors.models.mixture import MixturePrior
from inverse.sampling.posterior_samples import simulate

__all__ = ["PROBLEMS", "NonlinearBias", "NonlinearProblem", "Norm", "Squares", "problem", "sliced_w1"]

GRID = 601
REACH = 3.0
DIRECTIONS = 64
SETS = 4
DELTA = 0.01


class Squares(Physics):
    """``A(x)_i = (b_i . x)^2``, with Gaussian noise ``sigma``."""

    forms: Tensor  # ``b`` (m, d)

    def __init__(self, forms: Tensor, *, sigma: float) -> None:
        super().__init__(noise_model=GaussianNoise(sigma))
        self.register_buffer("forms", forms)

    def A(self, x: Tensor, **_: Any) -> Tensor:
        """(B, d) to (B, m)."""
        return (x @ self.forms.to(x).mT).square()


class Norm(Physics):
    """``A(x) = (|x|^2 + delta^2)^(1/2)``, rounded within a radius ``delta`` of 0, with Gaussian noise ``sigma``."""

    def __init__(self, *, sigma: float, delta: float = DELTA) -> None:
        super().__init__(noise_model=GaussianNoise(sigma))
        self.delta = delta

    def A(self, x: Tensor, **_: Any) -> Tensor:
        """(B, d) to (B, 1)."""
        return (x.square().sum(1, keepdim=True) + self.delta**2).sqrt()


@dataclass(frozen=True)
class NonlinearBias:
    """How far samples are from the posterior."""

    w1: float  # sliced Wasserstein-1 distance to as many exact draws, mean over `SETS` sets of them, data units
    floor: float  # the same between sets of exact draws
    mean: float  # error of the mean over the root mean square posterior standard deviation
    covariance: float  # frobenius norm of the covariance's error over that of the covariance
    weights: float  # total variation between the masses of the sign cells
    chi2: float  # mean misfit over its posterior expectation


@dataclass(frozen=True)
class NonlinearProblem(ExactProblem):
    """A measurement (1, m) with its posterior on a grid."""

    prior: GaussianPrior | MixturePrior
    sigma: float
    axis: Tensor  # grid points along each axis (GRID,), float64
    mass: Tensor  # posterior probability of each grid point (GRID * GRID,), first coordinate slowest
    forms: Tensor  # rows whose signs name a cell (2, 2)

    @property
    def points(self) -> Tensor:
        """Grid points (GRID * GRID, 2)."""
        return torch.cartesian_prod(self.axis, self.axis)

    @property
    def mean(self) -> Tensor:
        """Posterior mean (2,)."""
        return self.mass @ self.points

    @property
    def covariance(self) -> Tensor:
        """Posterior covariance (2, 2)."""
        offset = self.points - self.mean
        return (offset * self.mass[:, None]).mT @ offset

    @property
    def weights(self) -> Tensor:
        """Posterior mass of each cell (4,)."""
        return torch.zeros(4, dtype=torch.float64).index_add(0, self.cells(self.points), self.mass)

    @property
    def chi2(self) -> float:
        """Posterior expectation of ``|y - A(x)|^2 / sigma_y^2``."""
        return float(self.mass @ self._misfit(self.points))

    def cells(self, x: Tensor) -> Tensor:
        """Number 0 to 3 of the sign cell of each point (B, 2)."""
        positive = (x @ self.forms.to(x).mT > 0).long()
        return 2 * positive[:, 0] + positive[:, 1]

    def _misfit(self, x: Tensor) -> Tensor:
        misfit: Tensor = (self.y.to(x) - self.physics.A(x)).square().sum(1) / self.sigma**2
        return misfit

    def exact(self, count: int, *, seed: int = 0) -> Tensor:
        """Independent draws of the posterior (count, 2), float64."""
        generator = torch.Generator().manual_seed(seed)
        uniform = torch.rand(count, 3, generator=generator, dtype=torch.float64)
        index = torch.searchsorted(self.mass.cumsum(0), uniform[:, 0].contiguous()).clamp_max(len(self.mass) - 1)
        step = self.axis[1] - self.axis[0]
        return self.points[index] + step * (uniform[:, 1:] - 0.5)

    def bias(self, samples: Tensor) -> NonlinearBias:
        """Compare samples (K, 1, 2), K at least 2, with the posterior."""
        drawn = samples.double().reshape(len(samples), 2)
        sets = [self.exact(len(drawn), seed=seed) for seed in range(1, 2 * SETS + 1)]
        first, second = sets[:SETS], sets[SETS:]
        covariance = self.covariance
        share = torch.bincount(self.cells(drawn), minlength=4) / len(drawn)
        return NonlinearBias(
            w1=sum(sliced_w1(drawn, other) for other in first) / SETS,
            floor=sum(map(sliced_w1, first, second)) / SETS,
            mean=float((drawn.mean(0) - self.mean).square().sum() / covariance.trace()) ** 0.5,
            covariance=float((drawn.mT.cov() - covariance).norm() / covariance.norm()),
            weights=float((share - self.weights).abs().sum()) / 2,
            chi2=float(self._misfit(drawn).mean()) / self.chi2,
        )


def sliced_w1(left: Tensor, right: Tensor) -> float:
    """Mean over directions of the plane of the Wasserstein-1 distance between two sets (K, 2) of equal size."""
    angle = torch.arange(DIRECTIONS, dtype=torch.float64) * (math.pi / DIRECTIONS)
    axes = torch.stack([angle.cos(), angle.sin()])
    return float(((left @ axes).sort(0).values - (right @ axes).sort(0).values).abs().mean())


def log_prior(prior: GaussianPrior | MixturePrior, x: Tensor) -> Tensor:
    """Log density of an isotropic Gaussian or a mixture at (B, 2), up to a constant."""
    if isinstance(prior, GaussianPrior):
        return -0.5 * (x - torch.as_tensor(prior.mean).to(x)).square().sum(1) / prior.variance
    variances = prior.variances.to(x)
    distance = (x[:, None] - prior.means.to(x)).square().sum(-1)
    return torch.logsumexp(prior.weights.to(x).log() - variances.log() - 0.5 * distance / variances, 1)


def _priors() -> dict[str, GaussianPrior | MixturePrior]:
    means = torch.tensor([[0.9, 0.2], [-0.8, 0.6], [0.1, -0.9]], dtype=torch.float32)
    return {
        "gaussian": GaussianPrior(torch.tensor([0.3, 0.1], dtype=torch.float32), 0.25),
        "mixture": MixturePrior(
            means,
            torch.tensor([0.5, 0.3, 0.2], dtype=torch.float32),
            torch.tensor([0.09, 0.06, 0.04], dtype=torch.float32),
        ),
    }


def _operators() -> dict[str, tuple[Physics, float, Tensor]]:
    forms = torch.tensor([[1.0, 0.4], [-0.3, 1.0]], dtype=torch.float32)
    return {
        "squares": (Squares(forms, sigma=0.1), 0.1, forms),
        "norm": (Norm(sigma=0.05), 0.05, torch.eye(2, dtype=torch.float32)),
    }


PROBLEMS = tuple(f"{prior}-{operator}" for prior in ("gaussian", "mixture") for operator in ("squares", "norm"))


@cache
def problem(name: str) -> NonlinearProblem:
    """One of `PROBLEMS`."""
    prior_name, operator = name.split("-")
    prior, (physics, sigma, forms) = _priors()[prior_name], _operators()[operator]
    truth = torch.tensor([[0.7, 0.5]], dtype=torch.float32)
    y: Tensor = simulate(truth, physics, seed=1)
    axis = torch.linspace(-REACH, REACH, GRID, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis)
    misfit = (y.double() - physics.A(points)).square().sum(1) / sigma**2
    mass = torch.softmax(log_prior(prior, points) - 0.5 * misfit, 0)
    return NonlinearProblem(prior, physics, y, (2,), sigma, axis, mass, forms.double())
