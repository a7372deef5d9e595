r"""Type I guidance with a Gaussian model of :math:`p(x_0 | x)`, by its covariance: scalar, diagonal, or the Jacobian.

.. math::
    \hat x = D + \sigma^2 J^T A^T (A C A^T + \sigma_y^2)^{-1} (y - A D)

**PiGDM** (Song et al. 2023, "Pseudoinverse-guided diffusion models", ICLR): :math:`C = r^2 I`.

* ``covariance="card"``: :math:`r^2 = \sigma^2 c / (\sigma^2 + c)` with ``c`` the prior's variance in data units
  squared (the paper's :math:`\sigma^2 / (1 + \sigma^2)` is this for unit-variance data, and wrong for others).
* ``covariance="residual"``: :math:`r^2 = (\lVert y - A D \rVert^2 - m \sigma_y^2) / \lVert A \rVert_F^2`, each item's
  own, held between 0.1 and 1 times :math:`\sigma^2`: how wrong ``D`` is shows in the measurement. Not in the paper;
  it needs no constant of the prior. The lower end is for stability: where the image is rough :math:`\sigma^2 J` is
  larger than its mean, and below it the correction overshoots (at 0.01 speckles appear in single places of an inpainted
  photograph).

With ``products`` below 1 the Jacobian product is left out of the last steps: ``J`` is taken as
:math:`r^2 / \sigma^2`, its own model, so that the correction is :math:`r^2 A^T (\ldots)^{-1} r`, the proximal step of
DDS. At high noise the product carries what the prior knows of unmeasured places (without it an inpainted photograph
loses 2 dB); below about a third of the prior's standard deviation, half of the levels, it changes 0.1 dB or less.

The solve is closed form for decomposable physics, else conjugate gradients. With ``card`` the correction :math:`d` is
scaled to :math:`\min(1, \langle r, A d \rangle / \lVert A d \rVert^2)`, :math:`r = y - A D`, each item's own: with the
true covariance the number is never below 1, because then :math:`A d = M r` with :math:`0 \le M < I`; a scalar one
understates the wide directions of a long-range correlated prior, and would overshoot there by their ratio, at every
step (a 64 x 64 field with a :math:`1/k^2` spectrum ended 10^7 standard deviations off). ``residual`` sees the
overshoot in its next residual, and is left alone: scaled, it loses 0.4 dB on inpainted photographs. Cost: 1 F, 1 V a
step (``products`` of them), 1 A (``card``: 2), and the solve's A and A^T.

**TMPD** (Boys et al. 2024, "Tweedie moment projected diffusions", TMLR): :math:`C = \sigma^2 \mathrm{diag}(J 1)`, the
row sums of the covariance on its diagonal, kept positive. Conjugate gradients with the isotropic solve as
preconditioner; the correction scaled as PiGDM's. Cost: 1 F, 2 V a step.

**MMPS** (Rozet et al. 2024, "Learning diffusion priors from observations by expectation maximization", NeurIPS):
:math:`C = \sigma^2 J`, the covariance itself (Tweedie's second order). Its solve takes one Jacobian product an
iteration, by GMRES (a network's Jacobian is not symmetric) or conjugate gradients. Deviations: preconditioned by the
isotropic solve of PiGDM, so that 3 iterations do what some tens did, and the products made in the solve are kept:
:math:`J^T A^T v` is a combination of them and costs no further one. Cost: 1 F, ``iterations`` V a posterior
evaluation.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from inverse.numerics.linalg import Vector, conjugate_gradients, expand, gmres, inner, scale
from inverse.operators.observation import Observation
from inverse.sampling.denoiser import Denoise
from inverse.sampling.kernels import kernel as reverse_kernel
from inverse.sampling.loop import Context, GuidedMethod

__all__ = ["bounded", "mean_variance", "mmps", "pigdm", "prior_variance", "tmpd"]

FLOOR = 0.1
HALVINGS = 8
FLOOR_ROWS = 1e-3


def prior_variance(sigma: float, data_var: float) -> float:
    """Variance of ``x0`` given the noisy state, for a white Gaussian prior of variance ``data_var``."""
    return sigma**2 * data_var / (sigma**2 + data_var)


def mean_variance(x: Tensor, mean: Tensor, sigma: float, data_var: float) -> Tensor:
    r"""Variance of ``x0`` given the noisy state, the mean over an item's values, as the denoiser's answer tells it.

    :math:`E \lVert x - D \rVert^2 = d \sigma^2 - \mathrm{tr}\, \mathrm{Cov}[x_0 | x]` (Bao et al. 2022, "Analytic-DPM",
    ICLR), here from the one image ``x`` (B, C, *S) with ``mean`` its ``D``; (B,), from 0 to that of a white prior.
    """
    return (sigma**2 - (x - mean).flatten(1).square().mean(1)).clamp(0.0, prior_variance(sigma, data_var))


def bounded(observation: Observation, mean: Tensor, correction: Tensor, residual: Vector) -> Tensor:
    """``mean`` (B, C, *S), of that residual, with its correction, scaled down where it overshoots the measurement.

    The largest share of it that does not, in closed form; of a nonlinear operator, the first of 1, 1/2, 1/4, ... that
    does not, in ``HALVINGS`` at most.
    """

    def image(share: Tensor) -> tuple[Tensor, Tensor]:
        moved = residual - observation.residual(mean + expand(share, mean) * correction)
        return inner(residual, moved), inner(moved, moved)

    share = torch.ones_like(observation.sigma)
    along, size = image(share)
    if observation.linear:
        share = torch.where(size > 0, (along / torch.where(size > 0, size, 1.0)).clamp(0.0, 1.0), 1.0)
        return mean + expand(share, mean) * correction
    for _ in range(HALVINGS):
        over = along < size
        if not over.any():
            break
        share = torch.where(over, 0.5 * share, share)
        along, size = image(share)
    return mean + expand(share, mean) * correction


def pigdm(
    context: Context, *, covariance: str, data_var: float | None, products: float, kernel: str, eta: float
) -> GuidedMethod:
    """Compose PiGDM for a prior and an operator."""
    c = context.data_var if data_var is None else data_var

    def guidance(
        jacobian: bool, denoise: Denoise, x: Tensor, sigma: float, _: float, observation: Observation
    ) -> Tensor:
        estimate = denoise.estimate(x, sigma, grad=jacobian)
        variance = torch.full_like(observation.sigma, prior_variance(sigma, c))
        residual = observation.residual(estimate.mean)
        if covariance == "residual":
            variance = observation.excess(residual).clamp(FLOOR * sigma**2, sigma**2)
        pull = observation.gain(lambda: residual, variance, x=estimate.mean)
        correction = estimate.vjp(pull) * expand(sigma**2 / variance, x) if jacobian else pull
        if covariance == "residual" or not jacobian:
            return estimate.mean + correction
        return bounded(observation, estimate.mean, correction, residual)

    own = reverse_kernel(kernel, eta=eta)
    return GuidedMethod(partial(guidance, True), own, partial(guidance, False), math.ceil(products * context.steps))


def _isotropic(observation: Observation, sigma: float, data_var: float) -> Tensor:
    """PiGDM's variance of each item (B,)."""
    return torch.full_like(observation.sigma, prior_variance(sigma, data_var))


def tmpd(context: Context, *, kernel: str, eta: float) -> GuidedMethod:
    """Compose TMPD for a prior and an operator."""

    def guidance(denoise: Denoise, x: Tensor, sigma: float, sigma_next: float, observation: Observation) -> Tensor:
        estimate = denoise.estimate(x, sigma, grad=True)
        rows = estimate.vjp(torch.ones_like(x), keep=True).clamp_min(FLOOR_ROWS)
        variance = _isotropic(observation, sigma, context.data_var)

        def gram(v: Vector) -> Vector:
            inside = observation.A(sigma**2 * rows * observation.AT(v))
            return scale(v, observation.sigma**2) + inside

        residual = observation.residual(estimate.mean)
        v = conjugate_gradients(
            gram, residual, precondition=lambda r: observation.gram_solve(r, variance), tolerance=1e-4
        )
        return bounded(observation, estimate.mean, sigma**2 * estimate.vjp(observation.AT(v)), residual)

    return GuidedMethod(guidance, reverse_kernel(kernel, eta=eta))


def mmps(context: Context, *, solver: str, iterations: int, kernel: str, eta: float) -> GuidedMethod:
    """Compose MMPS for a prior and an operator."""

    def guidance(denoise: Denoise, x: Tensor, sigma: float, sigma_next: float, observation: Observation) -> Tensor:
        estimate = denoise.estimate(x, sigma, grad=True)
        variance = _isotropic(observation, sigma, context.data_var)
        products: list[Tensor] = []

        def gram(v: Vector) -> Vector:
            product = estimate.vjp(observation.AT(v), keep=len(products) + 1 < iterations)
            products.append(product)
            return scale(v, observation.sigma**2) + observation.A(sigma**2 * product)

        def precondition(r: Vector) -> Vector:
            return observation.gram_solve(r, variance)

        right = observation.residual(estimate.mean)
        if solver == "gmres":
            coefficients = gmres(gram, right, precondition=precondition, iterations=iterations)[1]
        else:
            taken: list[Tensor] = []
            conjugate_gradients(
                gram, right, precondition=precondition, tolerance=0.0, iterations=iterations, on_step=taken.append
            )
            coefficients = torch.stack(taken)
        pull = torch.zeros_like(x)
        for coefficient, product in zip(coefficients, products, strict=True):
            pull = pull + expand(coefficient, x) * product
        return estimate.mean + sigma**2 * pull

    return GuidedMethod(guidance, reverse_kernel(kernel, eta=eta))
