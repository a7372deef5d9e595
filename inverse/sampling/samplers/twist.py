r"""Gaussian models of ``x0`` given a noisy state, as twisted Monte Carlo needs them: their likelihood and their step.

With :math:`x_0 | x \sim N(D, C)` and :math:`w = 1 - \sigma'^2 / \sigma^2`, the state at the next level given ``x0``
is :math:`x' = (1 - w) x + w x_0 + \tau n`, :math:`\tau^2 = \sigma'^2 w`, so that the kernel, its conditional on
``y``, and what is known of ``y`` at ``x'`` are all Gaussian:

.. math::
    p(x' | x) &= N((1 - w) x + w D,\; S), \qquad S = \tau^2 + w^2 C \\
    q(x' | x, y) &= p(x' | x)\, \ell(y | x', x) / \psi(x), \qquad \psi(x) = N(y; A D,\, A C A^T + \sigma_y^2) \\
    \ell(y | x', x) &= N(y;\; A (D + w C S^{-1} (x' - (1 - w) x - w D)),\; \tau^2 A C S^{-1} A^T + \sigma_y^2)

``q`` is drawn by perturbing and solving (Matheron's rule; Papandreou & Yuille 2010): ``x0`` from the model,
corrected by the measurement.

The model here is for few measured values: :math:`C = \sigma^2 J` by products of the Jacobian with the rows of the
operator and a few random vectors (Nystrom), the rest isotropic with the trace it leaves. The moments of ``A x0`` are
exact. The one for many is :mod:`inverse.sampling.samplers.stationary`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from inverse.operators.observation import Observation

__all__ = ["Bridge", "Dense", "LowRank", "OfEigenvalues", "gather", "identity"]

TINY = 1e-30
#: A function of the eigenvalues of C.
OfEigenvalues: TypeAlias = Callable[[Tensor], Tensor]


def gather(values: Tensor, index: Tensor) -> Tensor:
    """Particles ``index`` (B, Q) of ``values`` (B, P, ...)."""
    full = index.reshape(*index.shape, *[1] * (values.ndim - 2)).expand(*index.shape, *values.shape[2:])
    return torch.gather(values, 1, full)


@dataclass(frozen=True)
class Bridge:
    r"""The step :math:`x' = (1 - w) x + w x_0 + \tau n`."""

    share: float  # ``w``
    fresh: float  # \tau^2

    @classmethod
    def between(cls, sigma: float, sigma_next: float) -> Bridge:
        """From one noise level to the next."""
        share = 1.0 - (sigma_next / sigma) ** 2
        return cls(share, sigma_next**2 * share)

    @classmethod
    def first(cls, sigma: float) -> Bridge:
        """From no knowledge to the first level."""
        return cls(1.0, sigma**2)

    def gain(self, c: Tensor) -> Tensor:
        """Regression of ``x0`` on ``x'``."""
        return self.share * c / (self.fresh + self.share**2 * c).clamp_min(TINY)

    def left(self, c: Tensor) -> Tensor:
        """Variance of ``x0`` once ``x'`` is known."""
        return c * self.fresh / (self.fresh + self.share**2 * c).clamp_min(TINY)


def identity(c: Tensor) -> Tensor:
    """The eigenvalues themselves."""
    return c


@dataclass(frozen=True)
class Dense:
    """Measurements of few values as vectors, with the operator's matrix."""

    y: Tensor  # measured values (B, m)
    rows: Tensor  # operator (B, m, n)
    noise: Tensor  # noise levels (B,), above 0
    absent: Tensor  # number of entries of ``y`` that were not observed (B,)

    @classmethod
    def of(cls, observation: Observation, noise: Tensor) -> Dense:
        """The matrix by one application of the adjoint for each value."""
        y = observation.y
        flat = y.flatten(1)
        units = torch.eye(flat.shape[1], dtype=y.dtype, device=y.device)
        rows = [observation.AT(unit.expand_as(flat).reshape(y.shape)).flatten(1) for unit in units]
        return cls(flat, torch.stack(rows, 1), noise, flat.shape[1] - observation.count().to(noise))

    def project(self, x: Tensor) -> Tensor:
        """``A x``: (B, P, n) to (B, P, m)."""
        return x @ self.rows.mT


def _log_normal(residual: Tensor, gram: Tensor) -> Tensor:
    """``log N(residual; 0, gram)``: (..., m) and (..., m, m), float64."""
    if gram.shape[-1] == 1:
        power, log_det = residual[..., 0].square() / gram[..., 0, 0], gram[..., 0, 0].log()
    else:
        factor = torch.linalg.cholesky_ex(gram)[0]
        white = torch.linalg.solve_triangular(factor, residual[..., None], upper=False)[..., 0]
        power, log_det = white.square().sum(-1), 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    density: Tensor = -0.5 * (power + log_det + gram.shape[-1] * math.log(2 * math.pi))
    return density


@dataclass(frozen=True)
class LowRank:
    r"""A model of every particle: :math:`C = U \mathrm{diag}(\lambda) U^T + c (1 - U U^T)`."""

    dense: Dense  # the measurement
    mean: Tensor  # ``D`` (B, P, n)
    basis: Tensor  # ``U`` (B, P, n, k); columns that are not needed are zero
    values: Tensor  # \lambda (B, P, k), data units squared
    rest: Tensor  # ``c`` (B, P)

    @classmethod
    def fit(
        cls, dense: Dense, mean: Tensor, sigma: float, product: Callable[[Tensor], Tensor], probes: Tensor
    ) -> LowRank:
        """Moments from the Jacobian's ``product``, called once for each row of the operator and each probe.

        ``probes`` (B, q, n) are random vectors, one or more; the last tells the trace of what the others leave.
        """
        size = dense.rows.square().sum(2, keepdim=True).sqrt()
        sketch = [dense.rows / size.clamp_min(TINY), probes[:, :-1] / math.sqrt(mean.shape[2])]
        omega = torch.cat(sketch, 1).mT[:, None]
        directions = [*omega.unbind(3), probes[:, -1][:, None]]
        images = [product(direction.expand_as(mean)) for direction in directions]
        last, image = directions.pop(), images.pop()
        y = torch.stack(images, 3)
        omega = omega.expand_as(y)
        core = _symmetric(omega.mT @ y)
        inverse = _pseudo_inverse(core)
        # what the sketch leaves of the trace, seen by the last probe outside the sketched space
        own = omega[:, :1]
        metric = _pseudo_inverse(_symmetric(own.mT @ own))
        within = own @ (metric.to(y) @ (own.mT @ last[..., None]))
        outside = last - within[..., 0]
        along = y.mT @ last[..., None]
        seen = (along * (inverse.to(y) @ along)).sum((2, 3))
        rest = ((last * image).sum(2) - seen) / outside.square().sum(2).clamp_min(TINY)
        rest = rest.clamp(min=0.0)
        # J = Y core^-1 Y^T + rest (1 - projection on the sketch), in an orthonormal basis of both
        both = torch.cat([omega, y / y.square().sum(2, keepdim=True).sqrt().clamp_min(TINY)], 3)
        power, turn = torch.linalg.eigh(_symmetric(both.mT @ both))
        kept = power > 1e-6 * power.amax(2, keepdim=True)
        turn = turn * torch.where(kept, power.clamp_min(TINY).rsqrt(), 0.0)[..., None, :]
        basis = both @ turn.to(both)
        o, j = (basis.mT @ omega).double(), (basis.mT @ y).double()
        inside = j @ inverse @ j.mT
        identity = torch.eye(inside.shape[-1], dtype=inside.dtype, device=inside.device)
        inside = inside + rest[..., None, None] * (identity - o @ metric @ o.mT)
        values, vectors = torch.linalg.eigh(_symmetric(inside))
        return cls(dense, mean, basis @ vectors.to(basis), (sigma**2 * values).clamp_min(0.0).to(mean), sigma**2 * rest)

    @classmethod
    def isotropic(cls, dense: Dense, mean: Tensor, variance: float) -> LowRank:
        """``C = c I``."""
        return cls(
            dense,
            mean,
            mean.new_zeros(*mean.shape, 0),
            mean.new_zeros(*mean.shape[:2], 0),
            mean.new_full(mean.shape[:2], variance),
        )

    def take(self, index: Tensor) -> LowRank:
        """The particles ``index`` (B, Q)."""
        return replace(
            self,
            mean=gather(self.mean, index),
            basis=gather(self.basis, index),
            values=gather(self.values, index),
            rest=gather(self.rest, index),
        )

    def _apply(self, f: OfEigenvalues, v: Tensor) -> Tensor:
        rest = f(self.rest)[..., None]
        inside = (f(self.values) - rest)[..., None] * (self.basis.mT @ v[..., None])
        return rest * v + (self.basis @ inside)[..., 0]

    def _gram(self, f: OfEigenvalues) -> Tensor:
        """``A f(C) A^T + sigma_y^2`` (B, P, m, m), float64."""
        seen, rest = (self.dense.rows[:, None] @ self.basis).double(), f(self.rest).double()[..., None]
        square = (self.dense.rows @ self.dense.rows.mT).double()[:, None]
        identity = torch.eye(square.shape[-1], dtype=square.dtype, device=square.device)
        inside = (seen * (f(self.values).double() - rest)[..., None, :]) @ seen.mT
        return inside + rest[..., None] * square + self.dense.noise.double().square()[:, None, None, None] * identity

    def _log_normal(self, f: OfEigenvalues, x0: Tensor) -> Tensor:
        """``log N(y; A x0, A f(C) A^T + sigma_y^2)`` (B, P), float64."""
        residual = (self.dense.y[:, None] - self.dense.project(x0)).double()
        unseen = 0.5 * self.dense.absent.double() * torch.log(2 * math.pi * self.dense.noise.double().square())
        return _log_normal(residual, self._gram(f)) + unseen[:, None]

    def log_prior(self) -> Tensor:
        """Log-likelihood of the measurement under the model of the first particle (B,), float64."""
        return self.log_psi()[:, 0]

    def log_update(self, predicted: Tensor) -> Tensor:
        r"""``log psi(x) - log l(y | x)`` (B, P), float64, from what :meth:`predict` gave."""
        return self.log_psi() - predicted

    def log_psi(self) -> Tensor:
        """Log-likelihood of the measurement at each particle (B, P), float64."""
        return self._log_normal(identity, self.mean)

    def move(self, bridge: Bridge, x: Tensor | float, noise: tuple[Tensor, Tensor], error: Tensor) -> Tensor:
        """Draw ``x'`` given the measurement from unit noise (two of (B, P, n), and (B, P, m))."""
        x0 = self.mean + self._apply(torch.sqrt, noise[0])
        right = self.dense.y[:, None] - self.dense.project(x0) - self.dense.noise[:, None, None] * error
        solved = torch.linalg.solve(self._gram(identity), right.double()[..., None])[..., 0]
        x0 = x0 + self._apply(identity, solved.to(x0) @ self.dense.rows)
        return (1 - bridge.share) * x + bridge.share * x0 + math.sqrt(bridge.fresh) * noise[1]

    def predict(self, bridge: Bridge, x: Tensor | float, moved: Tensor) -> Tensor:
        """Log-likelihood of the measurement that the model expects at ``x'`` (B, P), float64."""
        offset = moved - (1 - bridge.share) * x - bridge.share * self.mean
        return self._log_normal(bridge.left, self.mean + self._apply(bridge.gain, offset))


def _symmetric(matrix: Tensor) -> Tensor:
    wide = matrix.double()
    return 0.5 * (wide + wide.mT)


def _pseudo_inverse(matrix: Tensor) -> Tensor:
    """Inverse of the positive part of symmetric matrices, float64."""
    if matrix.shape[-1] == 1:
        return torch.where(matrix > TINY, 1.0 / matrix.clamp_min(TINY), 0.0)
    values, vectors = torch.linalg.eigh(matrix)
    kept = values > 1e-7 * values.amax(-1, keepdim=True).clamp_min(TINY)
    inverse: Tensor = (vectors * torch.where(kept, 1.0 / values.clamp_min(TINY), 0.0)[..., None, :]) @ vectors.mT
    return inverse
