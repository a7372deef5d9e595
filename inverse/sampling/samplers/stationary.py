r"""The Gaussian model of twisted Monte Carlo for many measured values: a covariance diagonal in the Fourier basis.

As :mod:`inverse.sampling.samplers.twist`, with :math:`C = F^* \mathrm{diag}(c) F` on the image's grid, one for all
particles of an item: :math:`c = \sigma^2` times the spectrum of the Jacobian, from one product of each particle with
white noise ``z``,

.. math:: c_k = \sigma^2 \frac{\sum_p \Re(\bar{\hat z}_k\, (\widehat{J z})_k)}{\sum_p |\hat z_k|^2},

which is exact where the prior is a stationary Gaussian field, whatever the noise. Vectors have one number instead of a
spectrum. Solves are conjugate gradients in the measurement's space. The determinants are the same for all particles of
an item: they matter to the evidence alone. The first is exact up to 512 measured values, beyond by stochastic Lanczos
quadrature (Ubaru, Chen & Saad 2017), a few nats off at some hundreds of values; the changes from level to level are by
Hutchinson's trace. The error is the same for all samples of an item.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from inverse.numerics.linalg import Vector, conjugate_gradients, inner, lanczos_log, scale
from inverse.operators.observation import Observation
from inverse.sampling.samplers.gram import signs
from inverse.sampling.samplers.twist import Bridge, OfEigenvalues, gather, identity

__all__ = ["Predicted", "Stationary"]

LOWEST = 1e-6
TOLERANCE = 1e-3
PROBES = 8
MATRIX = 512


class Predicted(NamedTuple):
    """What :meth:`Stationary.predict` expects."""

    value: Tensor  # log-likelihood up to the determinant (B, P)
    model: Stationary | None  # whose determinant that is; None where no determinant was counted yet


@dataclass(frozen=True)
class Stationary:
    """One covariance for all particles of an item; the mean is each particle's own."""

    item: Observation  # the measurement (B, ...)
    each: Observation  # each item ``P`` times
    mean: Tensor  # ``D`` (B, P, *S)
    spectrum: Tensor  # eigenvalues of ``C``, data units squared: (B, 1, C, H, W // 2 + 1); axes of length 1 where white
    prior: bool = False  # whether this is the model before the first level

    @classmethod
    def fit(
        cls,
        item: Observation,
        each: Observation,
        mean: Tensor,
        sigma: float,
        product: Callable[[Tensor], Tensor],
        probe: Tensor,
    ) -> Stationary:
        """Spectrum of the Jacobian from its product ``v -> J v`` with white noise ``probe`` (B, P, *S)."""
        image = product(probe)
        if mean.ndim < 5:
            dims = tuple(range(1, mean.ndim))
            share = (probe * image).sum(dims, keepdim=True) / probe.square().sum(dims, keepdim=True)
        else:
            seen, answer = torch.fft.rfft2(probe), torch.fft.rfft2(image)
            share = (seen.conj() * answer).real.sum(1, keepdim=True) / seen.abs().square().sum(1, keepdim=True)
        return cls(item, each, mean, sigma**2 * share.clamp_min(LOWEST))

    @classmethod
    def isotropic(
        cls, item: Observation, each: Observation, mean: Tensor, variance: float, *, prior: bool = False
    ) -> Stationary:
        """``C = c I``."""
        return cls(item, each, mean, mean.new_full((mean.shape[0], *[1] * (mean.ndim - 1)), variance), prior)

    def take(self, index: Tensor) -> Stationary:
        """The particles ``index`` (B, Q), ``Q`` of each item: all as many as before, or one."""
        each = self.each if index.shape[1] == self.mean.shape[1] else self.item
        return replace(self, each=each, mean=gather(self.mean, index))

    def _apply(self, f: OfEigenvalues, v: Tensor) -> Tensor:
        weight = f(self.spectrum)
        if self.spectrum[0].numel() == 1:
            return weight * v
        filtered: Tensor = torch.fft.irfft2(torch.fft.rfft2(v) * weight, s=v.shape[-2:])
        return filtered

    def _solve(self, own: Observation, f: OfEigenvalues, right: Vector) -> Vector:
        """``(A f(C) A^T + sigma_y^2)^-1 right`` for the measurements of each particle, or of each item."""
        level = f(self.spectrum).flatten(1).mean(1).repeat_interleave(own.batch // len(self.spectrum))
        if self.spectrum[0].numel() == 1:
            return own.gram_solve(right, level, tolerance=TOLERANCE)
        return conjugate_gradients(
            lambda v: self._gram(own, f, v),
            right,
            precondition=(lambda r: own.gram_solve(r, level)) if own.spectral else None,
            tolerance=TOLERANCE,
        )

    def _gram(self, own: Observation, f: OfEigenvalues, v: Vector) -> Vector:
        back = own.AT(v)
        filtered = self._apply(f, back.reshape(len(self.spectrum), -1, *self.mean.shape[2:])).reshape(back.shape)
        return scale(v, own.sigma**2) + own.A(filtered)

    def _quadratic(self, f: OfEigenvalues, x0: Tensor) -> Tensor:
        """``log N(y; A x0, A f(C) A^T + sigma_y^2)`` (B, P) without its determinant, float64."""
        residual = self.each.residual(x0.flatten(0, 1))
        solved = inner(residual, self._solve(self.each, f, residual))
        return -0.5 * solved.double().reshape(x0.shape[:2])

    def _log_determinant(self) -> Tensor:
        """``log det (A C A^T / sigma_y^2 + 1)`` (B,), float64: of a small matrix, else by quadrature."""
        power, y = self.item.sigma**2, self.item.y

        def gram(v: Vector) -> Vector:
            return scale(self._gram(self.item, identity, v), 1.0 / power)

        if isinstance(y, Tensor) and not y.is_complex() and y[0].numel() <= MATRIX:
            units = torch.eye(y[0].numel(), dtype=y.dtype, device=y.device).reshape(-1, *y.shape[1:])
            columns = [gram(unit.expand_as(y).contiguous()).flatten(1) for unit in units]
            determinant: Tensor = torch.linalg.slogdet(torch.stack(columns, 2).double())[1]
            return determinant
        return torch.stack([lanczos_log(gram, signs(y, draw)) for draw in range(PROBES)]).mean(0)

    def log_prior(self) -> Tensor:
        """Log-likelihood of the measurement under the first particle's model (B,), float64, without its determinant."""
        power = self.item.sigma**2
        noise = self.item.count().to(power.device) * torch.log(2 * math.pi * power.double())
        residual = self.item.residual(self.mean[:, 0])
        misfit = inner(residual, self._solve(self.item, identity, residual)).double()
        return -0.5 * (misfit + noise)

    def _growth(self, before: Stationary) -> Tensor:
        """``log det`` of this model's matrix less that of one of nearly the same spectrum (B,), float64."""
        probe = signs(self.item.y, 0)
        change = self._gram(self.item, identity, probe) - before._gram(self.item, identity, probe)
        # to second order in the change: the trace with the mean of both inverses
        sides = [inner(probe, model._solve(self.item, identity, change)).double() for model in (self, before)]
        return 0.5 * (sides[0] + sides[1])

    def log_update(self, predicted: Predicted) -> Tensor:
        r"""``log psi(x) - log l(y | x)`` (B, P), float64, from what :meth:`predict` gave."""
        growth = self._log_determinant() if predicted.model is None else self._growth(predicted.model)
        return self._quadratic(identity, self.mean) - predicted.value - 0.5 * growth[:, None]

    def move(self, bridge: Bridge, x: Tensor | float, noise: tuple[Tensor, Tensor], error: Vector) -> Tensor:
        """Draw ``x'`` given the measurement from unit noise (two of (B, P, *S), and one shaped as the measurements)."""
        x0 = self.mean + self._apply(torch.sqrt, noise[0])
        right = self.each.residual(x0.flatten(0, 1)) - scale(error, self.each.sigma)
        pull = self.each.AT(self._solve(self.each, identity, right)).reshape(x0.shape)
        x0 = x0 + self._apply(identity, pull)
        return (1 - bridge.share) * x + bridge.share * x0 + math.sqrt(bridge.fresh) * noise[1]

    def predict(self, bridge: Bridge, x: Tensor | float, moved: Tensor) -> Predicted:
        """Log-likelihood of the measurement that the model expects at ``x'``."""
        offset = moved - (1 - bridge.share) * x - bridge.share * self.mean
        value = self._quadratic(bridge.left, self.mean + self._apply(bridge.gain, offset))
        after = replace(self, spectrum=bridge.left(self.spectrum), prior=False)
        if self.prior:
            return Predicted(value - 0.5 * after._growth(self)[:, None], None)
        return Predicted(value, after)
