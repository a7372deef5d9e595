r"""PnP-DM: split Gibbs sampling with a diffusion prior.

Wu et al. 2024, "Principled probabilistic imaging using diffusion models as plug-and-play priors", NeurIPS. With a copy
:math:`z = x + \rho n` of the image, two draws alternate while :math:`\rho` falls, then stays:

* prior: :math:`x \sim p(x_0 | x_\rho = z)`, the reverse process from level :math:`\rho`;
* likelihood: :math:`z \sim \exp(-\lVert y - A z \rVert^2 / 2 \sigma_y^2 - \lVert z - x \rVert^2 / 2 \rho^2)`
  (`inverse.sampling.samplers.coupling`).

**Deflated noise** (not in the paper). The chain's law is :math:`p(x)\,N(z; x, \rho^2)\,N(y; A z, N)`; its ``x`` has
the likelihood :math:`N(y; A x, \rho^2 A A^T + N)`. So :math:`N = \sigma_y^2` leaves a bias that falls with
:math:`\rho`, and :math:`N = \sigma_y^2 - \rho^2 A A^T`, a covariance for :math:`\rho \le \sigma_y / s_{max}`, leaves
none. Hence :math:`\rho` need not fall further, and the chain keeps moving. At a larger :math:`\rho` as much is taken as
leaves a covariance: coordinate by coordinate for a decomposable operator, else :math:`\sigma_y^2 A A^T / 2 s_{max}^2`.
The ladder ends at 0.7 :math:`\sigma_y / s_{max}`, or the last of the given levels if that is larger; for a nonlinear
operator, whose noise is not deflated, at 0.25, and starts at two standard deviations of the prior.

**Prior step**. A step of the reverse process, with :math:`h = 1 - \sigma'^2 / \sigma^2`, has the mean
:math:`(1 - h) x + h D` and the covariance :math:`h \sigma'^2 + h^2 C`, :math:`C = \mathrm{Cov}[x_0 | x]`. Without the
second term (DDPM) 11 evaluations leave 0.7 of the variance, an error that every cycle makes.

* ``covariance="isotropic"``: :math:`C = \sigma^2 j`, :math:`j = 1 - \lVert x - D \rVert^2 / d \sigma^2`, the mean of
  the Jacobian's diagonal by Tweedie's formula (the analytic variance of Bao et al. 2022, here from the one image), at
  most that of a white prior.
* ``covariance="jacobian"``: :math:`C = \sigma^2 J` by a Krylov root of the whole covariance; exact in one step for a
  Gaussian prior.

**Mixing**. A direction of prior variance :math:`\lambda` that was not measured goes :math:`\rho^2 / (\lambda + \rho^2)`
of its way in a cycle, so where noise is small beside the prior, what it follows from measured directions it correlates
with comes late. Of 12 values with eigenvalues from 1 to 0.01, 5 random projections and noise 0.1, the mean was off by
up to 0.35 posterior standard deviations after 100 cycles, along the two widest directions alone (R-hat 2.6), and by
0.06 after 400; a Jacobian prior step or more evaluations a cycle change nothing in that. More ``steps`` do.

Each sample is a chain of its own. The cycles after the ladder are its states; ``info`` has their mean, variance and
number, from which `inverse.posterior.chains` computes R-hat and the effective sample size. The posterior sample is the
last state. Deviations from the paper: the above; :math:`\rho` follows from the noise and the operator (the paper's
ladder is tuned to the task); 100 cycles of 4 evaluations. Cost a cycle: isotropic ``inner`` F; jacobian ``inner`` F
and ``inner * roots`` V.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import exp, log
from typing import Any

import torch
from torch import Tensor

from inverse.numerics.linalg import expand, square_root
from inverse.numerics.rng import Rng
from inverse.operators.observation import Observation
from inverse.sampling.denoiser import VJP, Denoise
from inverse.sampling.guidance.covariance import mean_variance
from inverse.sampling.loop import Context, Move, Sampler
from inverse.sampling.samplers.coupling import draw
from inverse.sampling.start import noise_levels

__all__ = ["ChainStatistics", "PnPDM", "pnp_dm"]

LAST = 0.7  # of the ladder, in units of sigma_y / s_max: half of the noise's variance is deflated along s_max
LAST_NONLINEAR = 0.25  # there nothing is deflated: the noise is overstated by 3 % along s_max
TOP_NONLINEAR = 2.0  # of the ladder, in the prior's standard deviations: far off them the operator may be anything
DEPTH = 0.3  # last level of the prior step, in units of its first or of the prior's standard deviation, the smaller


@dataclass(frozen=True)
class ChainStatistics:
    """Running statistics of a chain (Welford 1962)."""

    length: int  # cycles so far
    mean: Tensor  # their mean (B, C, *S)
    square: Tensor  # sum of squared distances from it (B, C, *S)

    def add(self, x: Tensor) -> ChainStatistics:
        """With one more state."""
        delta = x - self.mean
        mean = self.mean + delta / (self.length + 1)
        return ChainStatistics(self.length + 1, mean, self.square + delta * (x - mean))

    def info(self) -> dict[str, Tensor]:
        """Mean and variance (``length - 1`` in its denominator) of each item (B, C, *S), and number (B,)."""
        length = torch.full_like(self.mean.flatten(1)[:, 0], self.length)
        return {"chain_mean": self.mean, "chain_var": self.square / max(1, self.length - 1), "chain_length": length}


@dataclass(frozen=True)
class PnPDM(Sampler):
    """PnP-DM as a method."""

    data_var: float  # variance of the prior, data units squared
    covariance: str  # "isotropic" or "jacobian"
    inner: int  # evaluations of a prior step
    roots: int  # Jacobian products of the covariance's square root
    anneal: float  # share of the cycles in which the level falls
    moves: int  # Langevin steps for a nonlinear operator

    def schedule(self, levels: tuple[float, ...], *, resolved: float, linear: bool) -> tuple[float, ...]:
        """Levels that fall as ``levels`` do, but to the last of the ladder, stay there, and end with 0."""
        given = levels[:-1]
        top = given[0] if linear else min(given[0], TOP_NONLINEAR * self.data_var**0.5)
        last = min(top, max(given[-1], (LAST if linear else LAST_NONLINEAR) * resolved))
        falling = min(len(given) - 1, round(self.anneal * len(given)))
        if falling == 0:
            return (*[last] * len(given), 0.0)
        stretch = log(top / last) / log(given[0] / given[-1]) if given[0] > given[-1] else 0.0
        places = [i * (len(given) - 1) // falling for i in range(falling)]
        ladder = [top * exp(stretch * log(given[place] / given[0])) for place in places]
        return (*ladder, *[last] * (len(given) - falling), 0.0)

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
        """One cycle: ``x`` here is the noisy copy ``z``, in and, but for the last, out."""
        image, mean = self._image(denoise, x, sigma, rng, index)
        chain: ChainStatistics | None = memory
        if sigma_next in (0.0, sigma):
            chain = ChainStatistics(1, image, torch.zeros_like(image)) if chain is None else chain.add(image)
        if sigma_next == 0 and chain is not None:
            return Move(image, mean, chain, chain.info())
        copy = draw(
            observation,
            image,
            torch.full_like(observation.sigma, sigma_next),
            rng,
            step=index,
            moves=self.moves,
            deflated=True,
        )
        return Move(copy, mean, chain)

    def _image(self, denoise: Denoise, z: Tensor, rho: float, rng: Rng, index: int) -> tuple[Tensor, Tensor]:
        """A draw of the image behind ``z``, and its mean."""
        lowest = DEPTH * min(rho, self.data_var**0.5)
        levels = noise_levels("karras", sigma_max=rho, sigma_min=lowest, steps=self.inner)
        state, first = z, z
        for place, (level, level_next) in enumerate(pairwise(levels)):
            jacobian = self.covariance == "jacobian"
            estimate = denoise.estimate(state, level, grad=jacobian)
            first = estimate.mean if place == 0 else first
            share = 1 - (level_next / level) ** 2
            unit = rng.normal(z, step=index, stream="prior", draw=place)
            if jacobian:
                left = self.roots

                def covariance(
                    v: Tensor,
                    vjp: VJP = estimate.vjp,
                    white: float = share * level_next**2,
                    tail: float = (share * level) ** 2,
                ) -> Tensor:
                    nonlocal left
                    left -= 1
                    return white * v + tail * vjp(v, keep=left > 0)

                noise = square_root(covariance, unit, iterations=self.roots)
            else:
                spread = mean_variance(state, estimate.mean, level, self.data_var)
                noise = unit * expand((share * level_next**2 + share**2 * spread).sqrt(), unit)
            state = (1 - share) * state + share * estimate.mean + noise
        return state, first


def pnp_dm(context: Context, *, covariance: str, inner: int, roots: int, anneal: float, moves: int) -> PnPDM:
    """Compose PnP-DM for a prior."""
    return PnPDM(context.data_var, covariance, inner, roots, anneal, moves)
