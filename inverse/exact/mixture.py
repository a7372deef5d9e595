r"""The 25-mode Gaussian mixture of the MCGDiff benchmark: posteriors with separate modes, known exactly.

Prior: :math:`\sum_k w_k N(m_k, I)`, :math:`m_k` the points :math:`(-8 i, -8 j)`, i, j in -2..2, repeated d / 2 times.
Operator :math:`A = U S V^T`, ``U`` and ``V`` those of a standard normal matrix (d_y, d), ``S`` sorted uniform
numbers; :math:`\sigma_y` a uniform part of its largest. The posterior is a mixture again, with one covariance for all
modes:

.. math::
    \Sigma = (I + A^T A / \sigma_y^2)^{-1}, \quad m'_k = \Sigma (m_k + A^T y / \sigma_y^2), \quad
    w'_k \propto w_k N(y; A m_k, A A^T + \sigma_y^2 I)

Source: Cardoso et al., "Monte Carlo guided diffusion for Bayesian linear inverse problems" (2024), section 5.
Deviations: there the weights depend on the state of the session, here they are drawn once; the 20 problems of a cell
(d, d_y) are published in ``mixture.json`` (weights, singular values, noise level, measurement and a hash of ``A``,
whose factors are drawn again from their numpy Philox key), which :func:`definitions` makes.

Metrics (`MixtureProblem.score`), each to be read beside that of exact samples (`MixtureProblem.floor`): sliced
Wasserstein-1 distance, mean over directions; total variation between mode weights; error of the covariance within a
mode.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import torch
from deepinv.physics import GaussianNoise
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor

from inverse.errors import InputError
from inverse.exact.problem import ExactProblem
from inverse.operators.image.matrix import Matrix
from inverse.posterior.posterior import Posterior
from inverse.priors.models.mixture import MixturePrior

__all__ = [
    "CELLS",
    "PROBLEMS",
    "PROBLEMS_PER_CELL",
    "MixturePosterior",
    "MixtureProblem",
    "MixtureScore",
    "definitions",
    "mixture_problem",
    "problem",
    "sliced_wasserstein",
]

CELLS = tuple((d, measured) for d in (8, 80, 800) for measured in (1, 2, 4))
PROBLEMS_PER_CELL = 20
PROBLEMS = tuple(f"mixture-{d}-{measured}-{k}" for d, measured in CELLS for k in range(PROBLEMS_PER_CELL))
DIRECTIONS = 10_000
SMALLEST_MODE = 50
CHUNK = 500

_Array = NDArray[np.float64]


class _Numbers:
    """Uniform and normal numbers of a key: bits to uniform numbers to quantiles, the same under every numpy."""

    def __init__(self, *key: int) -> None:
        self._generator = np.random.Generator(np.random.Philox(key=np.array(key, np.uint64)))

    def uniform(self, *shape: int) -> _Array:
        return self._generator.random(shape)

    def normal(self, *shape: int) -> _Array:
        # the open interval: no uniform number is 0 or 1
        return np.asarray(ndtri(self.uniform(*shape) + 2.0**-54), np.float64)


@dataclass(frozen=True)
class MixtureScore:
    """How far samples are from a mixture posterior."""

    wasserstein: float  # sliced Wasserstein-1 distance, mean over directions, data units
    total_variation: float  # half the sum over modes of the absolute error of its weight
    #: Relative Frobenius error of the covariance within modes, in coordinates where the exact one is the identity,
    #: Monte-Carlo error removed (0 where that explains it all); NaN where no mode has 50 samples.
    covariance: float
    covariance_floor: float  # the Monte-Carlo error that was removed, in quadrature


@dataclass(frozen=True)
class MixturePosterior:
    """A Gaussian mixture of one covariance, which is the identity but for a few directions. Tensors are float64."""

    weights: Tensor  # (M,), they sum to 1
    means: Tensor  # (M, d)
    basis: Tensor  # (d, r), orthonormal columns: the directions that the measurement sees
    spread: Tensor  # (r,) standard deviation along them

    @property
    def covariance(self) -> Tensor:
        """Covariance of each mode (d, d)."""
        identity = torch.eye(len(self.basis), dtype=torch.float64)
        return identity + self.basis * (self.spread.square() - 1) @ self.basis.mT

    def _scale(self, x: Tensor, factor: Tensor) -> Tensor:
        return x + (x @ self.basis * (factor - 1)) @ self.basis.mT

    def whiten(self, x: Tensor) -> Tensor:
        """``covariance^(-1/2) x`` of (K, d)."""
        return self._scale(x, 1 / self.spread)

    def sample(self, count: int, *, seed: int) -> Tensor:
        """Independent draws (count, d); a seed's draws are the same on every machine."""
        numbers = _Numbers(2**32 + seed, 0)
        mode = torch.searchsorted(self.weights.cumsum(0), torch.from_numpy(numbers.uniform(count)))
        noise = torch.from_numpy(numbers.normal(count, self.means.shape[1]))
        return self.means[mode.clamp_max(len(self.weights) - 1)] + self._scale(noise, self.spread)

    def log_densities(self, x: Tensor) -> Tensor:
        """``log w_k N(x; m_k, covariance)`` of (K, d): (K, M)."""
        offset = torch.cdist(self.whiten(x), self.whiten(self.means), compute_mode="donot_use_mm_for_euclid_dist")
        constant = 0.5 * x.shape[1] * math.log(2 * math.pi) + float(self.spread.log().sum())
        return self.weights.clamp_min(1e-300).log() - 0.5 * offset.square() - constant


@dataclass(frozen=True)
class MixtureProblem(ExactProblem):
    """A measurement (1, d_y) whose posterior is a known Gaussian mixture; the physics is spectral."""

    prior: MixturePrior
    matrix: Tensor  # the operator (d_y, d), float64
    sigma: float
    posterior: MixturePosterior

    def draw(self, method: str, *, samples: int = 2000, seed: int = 0, **params: Any) -> Posterior:
        """``samples`` samples of a method, in one batch."""
        return super().draw(method, samples=samples, seed=seed, **{"batch": samples, **params})

    def score(self, samples: Tensor, *, directions: int = DIRECTIONS) -> MixtureScore:
        """Compare samples (K, d) or (K, 1, d) with as many exact ones; NaN where a sample is not finite."""
        flat = samples.detach().cpu().double().reshape(len(samples), -1)
        if not bool(flat.isfinite().all()):
            return MixtureScore(math.nan, math.nan, math.nan, math.nan)
        exact = self.posterior.sample(len(flat), seed=0)
        responsibilities = torch.softmax(self.posterior.log_densities(flat), 1)
        # averaged responsibilities, not counts: unbiased for exact samples where modes overlap
        total_variation = 0.5 * float((responsibilities.mean(0) - self.posterior.weights).abs().sum())
        error, floor = self._covariance(flat, responsibilities.argmax(1))
        return MixtureScore(sliced_wasserstein(flat, exact, directions=directions), total_variation, error, floor)

    def _covariance(self, samples: Tensor, mode: Tensor) -> tuple[float, float]:
        excess, removed, total = 0.0, 0.0, 0
        size = samples.shape[1]
        for k in range(len(self.posterior.weights)):
            own = self.posterior.whiten(samples[mode == k])
            if (count := len(own)) < SMALLEST_MODE:
                continue
            wrong = torch.cov(own.mT) - torch.eye(size, dtype=torch.float64)
            # a Wishart matrix of n - 1 degrees of freedom over n - 1 is (d^2 + d) / (n - 1) from the identity, squared
            expected = (size + 1) / (count - 1)
            excess += count * (float(wrong.square().sum()) / size - expected)
            removed += count * expected
            total += count
        if not total:
            return math.nan, math.nan
        return math.sqrt(max(0.0, excess / total)), math.sqrt(removed / total)

    def floor(self, *, samples: int = 2000, directions: int = DIRECTIONS, seed: int = 1) -> MixtureScore:
        """The score of ``samples`` exact draws: what nobody beats but by chance. Seed 0 is the reference itself."""
        return self.score(self.posterior.sample(samples, seed=seed), directions=directions)


def sliced_wasserstein(first: Tensor, second: Tensor, *, directions: int = DIRECTIONS, seed: int = 0) -> float:
    """Mean over random directions, uniform on the sphere, of the Wasserstein-1 distance between projections.

    ``first`` and ``second`` are (K, d), as many; ``seed`` is that of the directions.

    Raises:
        InputError: sets of different size.
    """
    if first.shape != second.shape:
        raise InputError(f"{tuple(first.shape)} and {tuple(second.shape)} samples", "allowed: two sets of equal shape")
    numbers, size = _Numbers(2**33 + seed, first.shape[1]), first.shape[1]
    # single precision after centring: spreads of 1 within means of hundreds
    centre = second.double().mean(0)
    left, right = ((part.double() - centre).float().numpy().T for part in (first, second))
    total = 0.0
    for start in range(0, directions, CHUNK):
        drawn = numbers.normal(min(CHUNK, directions - start), size)
        unit = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
        distance = np.abs(np.sort(unit @ left, axis=1) - np.sort(unit @ right, axis=1))
        total += float(distance.mean(axis=1, dtype=np.float64).sum())
    return total / directions


def _factors(d: int, measured: int, k: int) -> tuple[_Array, _Array]:
    """``U`` (d_y, d_y) and ``V^T`` (d_y, d) of the operator."""
    left, _, right = np.linalg.svd(_Numbers(100 * d + measured, 2 * k).normal(measured, d), full_matrices=False)
    return left, right


def _hash(matrix: _Array) -> str:
    # six decimals: what the singular value decompositions of two machines agree on
    return hashlib.sha256(np.rint(matrix * 1e6).astype("<i4").tobytes()).hexdigest()


def _modes(d: int) -> _Array:
    corner = -8.0 * np.arange(-2, 3)
    grid = np.stack(np.meshgrid(corner, corner, indexing="ij"), -1).reshape(25, 2)
    return np.tile(grid, (1, d // 2))


def _define(d: int, measured: int, k: int, weights: _Array) -> dict[str, Any]:
    numbers = _Numbers(100 * d + measured, 2 * k + 1)
    s = np.sort(numbers.uniform(measured))[::-1]
    sigma = float(numbers.uniform() * s[0])
    left, right = _factors(d, measured, k)
    matrix = (left * s) @ right
    mode = min(int(np.searchsorted(weights.cumsum(), numbers.uniform())), len(weights) - 1)
    truth = _modes(d)[mode] + numbers.normal(d)
    y = (matrix @ truth + sigma * numbers.normal(measured)).astype(np.float32)
    return {"s": s.tolist(), "sigma": sigma, "y": [float(f"{v:.9g}") for v in y], "sha256": _hash(matrix)}


def definitions() -> dict[str, Any]:
    """What ``mixture.json`` holds: the weights, and by cell ("d,d_y") its problems, drawn from their keys."""
    weights = np.square(_Numbers(0, 0).normal(25))
    weights /= weights.sum()
    cells = {f"{d},{m}": [_define(d, m, k, weights) for k in range(PROBLEMS_PER_CELL)] for d, m in CELLS}
    return {"weights": weights.tolist(), "problems": cells}


@cache
def _published() -> Mapping[str, Any]:
    data: dict[str, Any] = json.loads((resources.files("inverse.exact") / "mixture.json").read_text(encoding="utf-8"))
    return data


def _solve(weights: Tensor, modes: Tensor, matrix: Tensor, y: Tensor, sigma: float) -> MixturePosterior:
    left, s, right = torch.linalg.svd(matrix, full_matrices=False)
    power = s.square() + sigma**2
    # U^T (y - A m_k): its variance given mode k is s^2 + sigma^2, coordinate by coordinate
    residual = (y - modes @ matrix.mT) @ left
    log_w = weights.log() - 0.5 * (residual.square() / power).sum(1)
    return MixturePosterior(
        weights=torch.softmax(log_w, 0),
        means=modes + (residual * s / power) @ right,
        basis=right.mT.contiguous(),
        spread=sigma / power.sqrt(),
    )


@cache
def mixture_problem(d: int, d_y: int, k: int) -> MixtureProblem:
    """Problem ``k`` (0 to 19) of cell (``d``, ``d_y``), one of :data:`CELLS`, with its exact posterior.

    Raises:
        InputError: there is no such problem, or this machine draws another operator than the published one.
    """
    if (d, d_y) not in CELLS or k not in range(PROBLEMS_PER_CELL):
        cells = ", ".join(f"{a},{b}" for a, b in CELLS)
        raise InputError(
            f"mixture problem {k} of cell {d},{d_y}", f"allowed: cells {cells}; problems 0 to {PROBLEMS_PER_CELL - 1}"
        )
    own = _published()["problems"][f"{d},{d_y}"][k]
    left, right = _factors(d, d_y, k)
    values = (left * np.array(own["s"])) @ right
    if _hash(values) != own["sha256"]:
        raise InputError(
            f"the operator of problem {k} of cell {d},{d_y} is not the published one",
            "compare numpy and scipy versions",
        )
    weights, modes = torch.tensor(_published()["weights"], dtype=torch.float64), torch.from_numpy(_modes(d))
    matrix, y = torch.from_numpy(values), torch.tensor([own["y"]], dtype=torch.float32)
    return MixtureProblem(
        prior=MixturePrior(modes, weights, torch.ones(25, dtype=torch.float64), name=f"mixture-{d}"),
        physics=Matrix(
            matrix, shape=(d,), measured=(d_y,), noise_model=GaussianNoise(own["sigma"]), dtype=torch.float32
        ),
        y=y,
        shape=(d,),
        matrix=matrix,
        sigma=own["sigma"],
        posterior=_solve(weights, modes, matrix, y[0].double(), own["sigma"]),
    )


def problem(name: str) -> MixtureProblem:
    """One of `PROBLEMS`."""
    d, measured, k = map(int, name.split("-")[1:])
    return mixture_problem(d, measured, k)
