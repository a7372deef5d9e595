r"""Solves, determinants and variances with :math:`G = A \Sigma A^T + \sigma_y^2`, for the exact Gaussian posterior.

* `GramDiagonal`: :math:`\Sigma` and :math:`A^T A` in one basis (white prior and decomposable operator; DCT and reflect
  blur or no blur; Hartley and circular blur): :math:`G^{-1} = U (s^2 \lambda + \sigma_y^2)^{-1} U^T`, variance
  :math:`\mathrm{diag}\, \lambda \sigma_y^2 / (s^2 \lambda + \sigma_y^2)`;
* `GramDense`: :math:`A \Sigma A^T = Q\, \mathrm{diag}(d)\, Q^T` from the operator's matrix;
* `GramIterative`: conjugate gradients, preconditioned by the inverse of :math:`|k|^2 \lambda + \sigma_y^2` in the DCT
  of the *measurement's* frame: for a blur with its kernel's transfer function, for downsampling with the coarse
  frequencies. Determinants by stochastic Lanczos quadrature (Ubaru, Chen & Saad 2017).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from deepinv.physics import Inpainting
from torch import Tensor

from inverse.numerics.linalg import Vector, conjugate_gradients, expand, lanczos_log, parts, scale
from inverse.numerics.rng import Rng
from inverse.operators.base import Spectral, per_item
from inverse.operators.observation import Observation
from inverse.priors.models.closed_form import Gaussian

__all__ = ["DENSE_LIMIT", "GramDense", "GramDiagonal", "GramIterative", "GramSolver", "kernel_of", "signs", "solver"]

DENSE_LIMIT = 1024
PROBES, PRODUCTS = 8, 20


class GramSolver(Protocol):
    """The inverse of ``G`` for one prior and operator, whatever the items."""

    def solve(self, observation: Observation, right: Vector) -> Vector:
        """``G^-1 right``, the noise levels those of ``observation``."""
        ...

    def log_determinant(self, observation: Observation) -> Tensor:
        """``log det G`` of each item (B,), up to what does not depend on the prior."""
        ...

    def variance(self, observation: Observation) -> Tensor | None:
        """Posterior variance (B, C, *S); None where it is not known."""
        ...


@dataclass(frozen=True)
class GramDiagonal:
    """One basis for both."""

    part: Gaussian  # the prior

    def _to(self, observation: Observation, right: Tensor) -> Tensor:
        if not self.part.white and observation.physics.identity:
            return self.part.coordinates(right)
        coordinates: Tensor = observation.physics.U_adjoint(right)
        return self.part.rotated(coordinates)

    def _total(self, observation: Observation, like: Tensor) -> Tensor:
        power: Tensor = observation.physics.mask.abs().square()
        return power * self.part.values + expand(observation.sigma**2, like)

    def solve(self, observation: Observation, right: Vector) -> Vector:
        """As `GramSolver.solve`."""
        z = self._to(observation, right)
        total = self._total(observation, z)
        z = torch.where(total > 0, z / torch.where(total > 0, total, 1.0), 0.0)
        if not self.part.white and observation.physics.identity:
            return self.part.image(z)
        return observation.physics.U(self.part.unrotated(z))

    def log_determinant(self, observation: Observation) -> Tensor:
        """As `GramSolver.log_determinant`."""
        z = self._to(observation, observation.y)
        return self._total(observation, z).expand_as(z).clamp_min(1e-300).log().flatten(1).sum(1)

    def variance(self, observation: Observation) -> Tensor | None:
        """As `GramSolver.variance`."""
        like = observation.empty()
        total = self._total(observation, like)
        noise = expand(observation.sigma**2, like)
        left = torch.where(total > 0, noise / torch.where(total > 0, total, 1.0), 1.0) * self.part.values
        if not self.part.white:
            return self.part.diagonal(left.expand_as(like))
        if isinstance(observation.physics, Inpainting):
            return left.expand_as(like)
        squared = getattr(observation.physics, "basis_squared", None)
        if squared is None:
            return None
        known: Tensor = squared(left.expand_as(like)).expand_as(like)
        return known


@dataclass(frozen=True)
class GramDense:
    """Small problems by their matrices."""

    gain: Tensor  # ``A Sigma`` (m, n), measurements as real vectors
    vectors: Tensor  # ``Q`` (m, m)
    values: Tensor  # ``d`` (m,)
    prior_variance: Tensor  # diagonal of ``Sigma`` (n,)

    @classmethod
    def build(cls, observation: Observation, part: Gaussian) -> GramDense:
        """From the operator applied to every unit vector."""
        count = torch.Size(observation.shape).numel()
        units = torch.eye(count, dtype=torch.float64, device=observation.sigma.device)
        units = units.reshape(count, *observation.shape)
        matrix = _flat(observation.physics.A(units)).T
        covariance = part.covariance(units).flatten(1)
        gain = matrix @ covariance
        gram = gain @ matrix.T
        values, vectors = torch.linalg.eigh(0.5 * (gram + gram.T))
        return cls(gain, vectors, values.clamp_min(0.0), covariance.diagonal())

    def _inverse(self, observation: Observation) -> Tensor:
        total = self.values + observation.sigma[:, None] ** 2
        # without noise, what the measurement cannot see stays out
        seen = total > 1e-12 * total.amax(1, keepdim=True)
        return torch.where(seen, 1 / torch.where(seen, total, 1.0), 0.0)

    def solve(self, observation: Observation, right: Vector) -> Vector:
        """As `GramSolver.solve`."""
        solved = ((_flat(right) @ self.vectors) * self._inverse(observation)) @ self.vectors.T
        return _shaped(solved, right)

    def log_determinant(self, observation: Observation) -> Tensor:
        """As `GramSolver.log_determinant`."""
        return (self.values + observation.sigma[:, None] ** 2).clamp_min(1e-300).log().sum(1)

    def variance(self, observation: Observation) -> Tensor:
        """As `GramSolver.variance`."""
        seen = (self.vectors.T @ self.gain).square()
        left = self.prior_variance - self._inverse(observation) @ seen
        return left.clamp_min(0.0).reshape(-1, *observation.shape)


@dataclass(frozen=True)
class GramIterative:
    """Conjugate gradients."""

    part: Gaussian  # the prior
    precondition: Callable[[Observation, Vector], Vector] | None  # ``G^-1 r``, roughly; None: none
    tolerance: float  # relative to the right-hand side
    iterations: int  # at most so many

    def _gram(self, observation: Observation, v: Vector) -> Vector:
        return scale(v, observation.sigma**2) + observation.A(self.part.covariance(observation.AT(v)))

    def solve(self, observation: Observation, right: Vector) -> Vector:
        """As `GramSolver.solve`."""
        precondition = self.precondition
        return conjugate_gradients(
            lambda v: self._gram(observation, v),
            right,
            precondition=None if precondition is None else lambda r: precondition(observation, r),
            tolerance=self.tolerance,
            iterations=self.iterations,
        )

    def log_determinant(self, observation: Observation) -> Tensor:
        """As `GramSolver.log_determinant`, estimated."""
        power = observation.sigma**2

        def gram(v: Vector) -> Vector:
            return scale(self._gram(observation, v), 1.0 / power)

        probes = [signs(observation.y, draw) for draw in range(PROBES)]
        return torch.stack([lanczos_log(gram, probe, iterations=PRODUCTS) for probe in probes]).mean(0)

    def variance(self, observation: Observation) -> None:
        """Not known."""
        del observation


def _flat(vector: Vector) -> Tensor:
    """(B, m) real."""
    return torch.cat(
        [(torch.view_as_real(p) if p.is_complex() else p).reshape(p.shape[0], -1) for p in parts(vector)], 1
    )


def _shaped(flat: Tensor, like: Vector) -> Vector:
    """The inverse of `_flat`."""
    tensors, start = [], 0
    for part in parts(like):
        real = torch.view_as_real(part) if part.is_complex() else part
        count = real[0].numel()
        piece = flat[:, start : start + count].reshape(real.shape)
        tensors.append(torch.view_as_complex(piece.contiguous()) if part.is_complex() else piece)
        start += count
    return tensors[0] if isinstance(like, Tensor) else type(like)(tensors)


def signs(like: Vector, draw: int) -> Vector:
    """Rademacher vectors shaped as measurements, the same for every item: probes of determinants."""
    if isinstance(like, Tensor):
        return Rng(0, ("",) * len(like), (0,) * len(like)).signs(like, step=0, stream="determinant", draw=draw)
    return type(like)([signs(part, draw * len(like) + i) for i, part in enumerate(like)])


def _one_basis(observation: Observation, part: Gaussian) -> bool:
    physics = observation.physics
    if not observation.spectral:
        return False
    if part.white:
        return isinstance(physics, Spectral | Inpainting)
    if len(observation.shape) != 3:
        return False
    return getattr(physics, "identity", False) or getattr(physics, "basis_name", None) == part.basis


def kernel_of(physics: Any) -> Tensor | None:
    """The kernel (h, w) of a blur by valid convolution, float64; None for another operator."""
    return physics.stored_kernel() if hasattr(physics, "stored_kernel") else None


def _power(kernel: Tensor, height: int, width: int) -> Tensor:
    """``|k|^2`` at the frequencies of an H x W DCT-II, the mean over the sign of one of them."""
    power: Tensor = torch.fft.fft2(kernel, s=(2 * height, 2 * width)).abs().square()
    return 0.5 * (power + power.flip(-1).roll(1, -1))[:height, :width]


def _preconditioner(
    observation: Observation, part: Gaussian, frame: Gaussian | None
) -> Callable[[Observation, Vector], Vector] | None:
    physics = observation.physics
    kernel = kernel_of(physics)
    if kernel is not None and frame is not None and min(2 * s for s in observation.y.shape[-2:]) >= max(kernel.shape):
        power = _power(kernel, *observation.y.shape[-2:])

        def blurred(own: Observation, r: Vector) -> Vector:
            return frame.apply(r, 1 / (power * frame.values + expand(own.sigma**2, r)).clamp_min(1e-30))

        return blurred
    if getattr(physics, "coarse", False) and part.basis == "dct" and frame is not None:
        height, width = observation.y.shape[-2:]
        turn = None if part.rotation is None else part.rotation[..., :height, :width]
        coarse = Gaussian(part.mean, part.values[..., :height, :width] / physics.factor**2, "dct", turn)

        def reduced(own: Observation, r: Vector) -> Vector:
            return coarse.apply(r, 1 / (coarse.values + expand(own.sigma**2, r)).clamp_min(1e-30))

        return reduced
    level = float(part.values.mean())
    if observation.spectral:
        return lambda own, r: own.gram_solve(r, torch.full_like(own.sigma, level))
    custom = getattr(physics, "precondition_gram", None)
    if custom is None:
        return None
    return lambda own, r: custom(own.sigma**2, torch.full_like(own.sigma, level))(r)


def solver(
    observation: Observation, part: Gaussian, frame: Gaussian | None, *, how: str, tolerance: float, iterations: int
) -> GramSolver:
    """The cheapest exact way, by ``how``: ``auto``, ``dense`` or ``cg``; all in double precision.

    ``part`` is the prior on the unknown's grid, ``frame`` on the measurement's, where that is an image with as many
    channels; for the preconditioner.
    """
    count = torch.Size(observation.shape).numel()
    diagonal = GramDiagonal(part)
    fits = how == "auto" and _one_basis(observation, part)
    if fits and (count > DENSE_LIMIT or diagonal.variance(observation) is not None):
        return diagonal
    if how == "dense" or (
        how == "auto" and count <= DENSE_LIMIT and not per_item(observation.physics, observation.batch)
    ):
        return GramDense.build(observation, part)
    return GramIterative(part, _preconditioner(observation, part, frame), tolerance, iterations)
