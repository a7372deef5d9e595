r"""The exact posterior under a Gaussian or Gaussian-mixture prior and a linear operator, in closed form, no network.

For :math:`x \sim N(\mu, \Sigma)`, :math:`y = A x + \sigma_y n` and :math:`G = A \Sigma A^T + \sigma_y^2`,

.. math::
    x = x_p + \Sigma A^T G^{-1} (y + \sigma_y n' - A x_p), \qquad x_p \sim N(\mu, \Sigma),

is a draw of the posterior (Matheron's rule: Journel & Huijbregts 1978; Hoffman & Ribak 1991; Papandreou & Yuille 2010);
without the two draws it is the mean. The variance is :math:`\mathrm{diag}(\Sigma - \Sigma A^T G^{-1} A \Sigma)`. Three
ways to the inverse (:mod:`inverse.sampling.samplers.gram`), the first that fits:

* one basis diagonalises :math:`\Sigma` and :math:`A^T A`: all closed form, variance and evidence too;
* up to 1,024 unknowns: the operator's matrix, variance and evidence too;
* else preconditioned conjugate gradients to ``tolerance``, 1e-5 (the mean is then within 1e-3 of a standard
  deviation). The variance is then that of the draws, as for any method; but for an even blur whose boundary is free,
  the same draws under the mirrored blur, whose variance is known, are a control variate: what is left to chance is near
  the borders.

Mixture: :math:`p(k | y) \propto w_k N(y; A \mu_k, G_k)`; each draw picks its component, mean and variance are the
mixture's. With conjugate gradients the determinants are by stochastic Lanczos quadrature, a few nats off where the
components of photographs differ by hundreds.

Exact for the model as declared: the operator as given, the prior as its card says. All in float64. Cost: 0 network
evaluations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from inverse.numerics.linalg import Vector, inner, scale
from inverse.numerics.rng import Rng
from inverse.operators.blur.blur import FreeBlur, ReflectBlur
from inverse.operators.observation import Observation
from inverse.priors.models.closed_form import Gaussian, closed_form
from inverse.sampling.denoiser import Denoise
from inverse.sampling.loop import Context, Move, Sampler
from inverse.sampling.samplers.gram import GramDiagonal, GramIterative, GramSolver, kernel_of, solver

__all__ = ["Exact", "exact"]

CERTAIN = 1e-6
#: Unevenness of a kernel, relative to its largest weight, that is single precision's.
ROUNDED = 1e-5
#: Pixels over which the correction of a known variance is averaged: it varies with the distance to the borders.
SMOOTH = 7
#: Smallest variance, as a share of the known one, that the correction may leave.
LOWEST = 0.25


def _double(observation: Observation) -> Observation:
    """The same problem in double precision."""

    def cast(value: Tensor) -> Tensor:
        if value.is_complex():
            return value.to(torch.complex128)
        return value.double() if value.is_floating_point() else value

    y = observation.y
    y = cast(y) if isinstance(y, Tensor) else type(y)([cast(part) for part in y])
    physics = observation.physics.clone()._apply(cast)
    return Observation(y, physics, observation.sigma.double(), observation.shape, observation.counter)


@dataclass(frozen=True)
class _Noise:
    """The unit noise of a batch."""

    prior: Tensor
    measurement: Vector
    frame: Tensor | None = None  # on the unknown's grid, where the measurement is cut out of it

    @classmethod
    def of(cls, observation: Observation, rng: Rng, index: int) -> _Noise:
        prior = rng.normal(observation.empty(), step=index, stream="prior")
        if isinstance(observation.physics, FreeBlur):
            frame = rng.normal(prior, step=index, stream="measurement")
            top, left, height, width = observation.physics.output_crop
            return cls(prior, frame[..., top : top + height, left : left + width], frame)
        y = observation.y
        if isinstance(y, Tensor):
            return cls(prior, rng.normal(y, step=index, stream="measurement"))
        drawn = [rng.normal(part, step=index, stream="measurement", draw=i) for i, part in enumerate(y)]
        return cls(prior, type(y)(drawn))

    def take(self, index: Tensor) -> _Noise:
        frame = None if self.frame is None else self.frame[index]
        y = self.measurement
        taken = y[index] if isinstance(y, Tensor) else type(y)([part[index] for part in y])
        return _Noise(self.prior[index], taken, frame)


@dataclass(frozen=True)
class _Component:
    """One component of the prior with what its posterior needs."""

    part: Gaussian
    solver: GramSolver

    def correct(self, observation: Observation, x: Tensor, right: Vector) -> Tensor:
        """``x + Sigma A^T G^-1 right``."""
        return x + self.part.covariance(observation.AT(self.solver.solve(observation, right)))

    def mean(self, observation: Observation) -> tuple[Tensor, Tensor]:
        """Posterior mean (B, C, *S), and ``r^T G^-1 r`` of its residual (B,)."""
        centre = observation.empty() + self.part.mean
        residual = observation.residual(centre)
        solved = self.solver.solve(observation, residual)
        return centre + self.part.covariance(observation.AT(solved)), inner(residual, solved)

    def draw(self, observation: Observation, noise: _Noise) -> Tensor:
        """A draw of the posterior of each item."""
        x = self.part.mean + self.part.draw(noise.prior)
        return self.correct(observation, x, observation.residual(x) + scale(noise.measurement, observation.sigma))

    def control(self, observation: Observation, noise: _Noise, offset: Tensor) -> Tensor | None:
        """Estimate of the variance from one draw each, ``offset`` from the mean, by a blur whose variance is known."""
        kernel = kernel_of(observation.physics)
        if (
            not isinstance(self.solver, GramIterative)
            or noise.frame is None
            or kernel is None
            or self.part.basis != "dct"
        ):
            return None
        even = 0.25 * (kernel + kernel.flip(0) + kernel.flip(1) + kernel.flip(0, 1))
        if 0 in (kernel.shape[0] % 2, kernel.shape[1] % 2) or float((kernel - even).abs().max()) > ROUNDED * float(
            kernel.abs().max()
        ):
            return None
        mirrored = ReflectBlur(
            even.cpu().numpy(),
            shape=observation.shape,
            noise_model=observation.physics.noise_model,
            dtype=torch.float64,
        ).to(offset.device)
        like = Observation(noise.frame, mirrored, observation.sigma, observation.shape)
        own = _Component(self.part, GramDiagonal(self.part))
        x = self.part.draw(noise.prior)
        known = own.solver.variance(like)
        assert known is not None
        moved = own.correct(like, x, scale(noise.frame, like.sigma) - like.A(x))
        change = avg_pool2d(offset.square() - moved.square(), SMOOTH, 1, SMOOTH // 2, count_include_pad=False)
        return torch.maximum(known + change, LOWEST * known)


@dataclass(frozen=True)
class Exact(Sampler):
    """The exact posterior, as a method of one step."""

    solver: str  # ``auto``, ``dense`` or ``cg``
    tolerance: float  # of the conjugate gradients, relative to the right-hand side
    iterations: int  # at most so many

    def start(self, centre: Tensor, sigma: float, rng: Rng) -> tuple[Tensor, Any]:
        """``centre``: there is no noise level to start from."""
        del sigma, rng
        return centre, None

    def _components(self, prior: Any, observation: Observation, parts: Sequence[Gaussian]) -> list[_Component]:
        y, frames = observation.y, [None] * len(parts)
        if isinstance(y, Tensor) and y.ndim == 4 and y.shape[1] == observation.shape[0] and parts[0].basis == "dct":
            frames = list(closed_form(prior, y.shape[1:], device=y.device).parts)  # type: ignore[arg-type]
        return [
            _Component(
                part,
                solver(observation, part, frame, how=self.solver, tolerance=self.tolerance, iterations=self.iterations),
            )
            for part, frame in zip(parts, frames, strict=True)
        ]

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
        """Draw from the posterior.

        Raises:
            PriorError: the prior has no closed form.
        """
        del sigma, sigma_next, memory
        prior = closed_form(denoise.prior, observation.shape, device=x.device)
        each = _double(observation)
        names = list(dict.fromkeys(rng.items))
        of_pair = torch.tensor([names.index(name) for name in rng.items], device=x.device)
        item = each.select(torch.tensor([list(rng.items).index(name) for name in names], device=x.device))
        components = self._components(denoise.prior, item, prior.parts)
        centres, squares = zip(*(component.mean(item) for component in components), strict=True)
        means, share = torch.stack(centres), item.sigma.new_ones(item.batch, 1)
        if len(components) > 1:
            logs = [q + c.solver.log_determinant(item) for c, q in zip(components, squares, strict=True)]
            share = torch.softmax(prior.log_weights - 0.5 * torch.stack(logs, 1), 1)
        chosen = _choice(share[of_pair], rng, index)
        noise = _Noise.of(each, rng, index)
        drawn = each.empty()
        estimate: list[Tensor | None] = [None] * each.batch
        for k in sorted(set(chosen.tolist())):
            mine = (chosen == k).nonzero()[:, 0]
            own, its = each.select(mine), noise.take(mine)
            drawn[mine] = components[k].draw(own, its)
            control = components[k].control(own, its, drawn[mine] - means[k, of_pair[mine]])
            for row, pair in enumerate(mine.tolist()):
                estimate[pair] = None if control is None else control[row]
        mean = torch.einsum("bk,kb...->b...", share, means)
        variance = _variance(components, item, share, means, mean)
        dtype = x.dtype
        info = {"exact_mean": mean[of_pair].to(dtype)}
        if variance is not None:
            info["exact_variance"] = variance[of_pair].to(dtype)
        known = [value for value in estimate if value is not None]
        if variance is None and float(share.amax(1).min()) > 1 - CERTAIN and len(known) == len(estimate):
            info["exact_variance"] = torch.stack(known).to(dtype)
        if len(components) > 1:
            info["responsibility"] = share[of_pair].to(dtype)
        return Move(drawn.to(dtype), info["exact_mean"], None, info)


def _choice(share: Tensor, rng: Rng, index: int) -> Tensor:
    """Component of each pair (B,), keyed."""
    unit = rng.normal(share[:, :1], step=index, stream="component")
    return torch.searchsorted(share.cumsum(1), torch.special.ndtr(unit))[:, 0].clamp_max(share.shape[1] - 1)


def _variance(
    components: Sequence[_Component], item: Observation, share: Tensor, means: Tensor, mean: Tensor
) -> Tensor | None:
    """The mixture's variance (B, C, *S), or None where that of a component that matters is not known."""
    total: tuple[Tensor, ...] = (torch.einsum("bk,kb...->b...", share, (means - mean).square()),)
    for k, component in enumerate(components):
        if float(share[:, k].max()) < CERTAIN:
            continue
        own = component.solver.variance(item)
        if own is None:
            return None
        total = (*total, own * share[:, k].reshape(-1, *[1] * (own.ndim - 1)))
    return torch.stack(torch.broadcast_tensors(*total)).sum(0)  # type: ignore[no-untyped-call]


def exact(context: Context, *, solver: str, tolerance: float, iterations: int) -> Exact:
    """Compose the exact posterior."""
    del context
    return Exact(solver, tolerance, iterations)
