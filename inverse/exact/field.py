r"""An image-shaped Gaussian random field with its exact posterior: the gate that goes through the image code.

A stationary field :math:`x_0 \sim N(\mu, \Sigma)` on a torus, ``Sigma`` diagonal in the DFT with a power law, seen
through a circular blur, a random mask or downsampling, with noise ``sigma_y``. The posterior is exact at any size:

* circular blur: diagonal in the DFT, :math:`P_k = (1 / S_k + |\lambda_k|^2 / \sigma_y^2)^{-1}`.
* others: the mean by conjugate gradients on
  :math:`(\Sigma^{-1} + A^T A / \sigma_y^2) d = A^T (y - A \mu) / \sigma_y^2`, and draws by the same solve with
  :math:`A^T n / \sigma_y + \Sigma^{-1/2} e` on the right, whose solution has covariance ``P`` exactly (Papandreou &
  Yuille 2010). Float64; preconditioned by the circulant :math:`(\Sigma^{-1} + |A|_F^2 / n \sigma_y^2)^{-1}`.

A method's samples are compared in whitened Fourier bands :math:`|F (x - \bar x)|^2 / S`, whose posterior expectation
comes from the diagonal or from `DRAWS` exact draws, and by how much of the exact posterior its pixel intervals hold.
All is pooled over pixels, so a few samples say much.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from inverse.exact.problem import ExactProblem
from inverse.numerics.linalg import conjugate_gradients
from inverse.numerics.rng import Rng
from inverse.numerics.statistics import EMPIRICAL, interval_quantile
from inverse.operators.build import build_operator
from inverse.priors.models.gaussian import GaussianPrior, power_law
from inverse.sampling.posterior_samples import simulate

__all__ = ["PROBLEMS", "FieldBias", "FieldProblem", "FourierBand", "problem", "solve"]

NOISE = 0.05
DRAWS = 64
INTERVAL = 0.9
OPERATORS: dict[str, tuple[str, dict[str, Any]]] = {
    "blur": ("gaussian-blur", {"sigma": 1.5, "boundary": "circular"}),
    "mask": ("random-mask", {"missing": 0.7, "seed": 0}),
    "downsample": ("downsample", {"factor": 4}),
}
PROBLEMS = tuple(f"{operator}-{size}" for size in (64, 256) for operator in OPERATORS)


@dataclass(frozen=True)
class FourierBand:
    """Whitened power of one octave of frequencies."""

    low: float  # lowest frequency, cycles per image
    high: float  # first frequency of the next band
    count: int  # number of real degrees of freedom
    share: float  # 1 - posterior / prior variance: what the data determine
    ratio: float  # standard deviation of the samples over the exact one
    error: float  # its Monte-Carlo standard error, that of the exact draws included


@dataclass(frozen=True)
class FieldBias:
    """How far samples are from the exact posterior of a field."""

    bands: tuple[FourierBand, ...]  # standard-deviation ratio by octave of frequency
    std_seen: float  # ratio pooled over the bands of which the data determine half or more; nan where there is none
    std_unseen: float  # ratio pooled over the others; nan where there is none
    mean: float  # root mean square error of the samples' mean over the root mean square posterior standard deviation
    floor: float  # what exact samples would have there
    chi2: float  # mean misfit over its posterior expectation
    coverage: float  # share of the exact posterior that the pixels' central 90 % intervals hold
    nominal: float  # what those of exact samples would hold


@dataclass(frozen=True)
class FieldProblem(ExactProblem):
    """A measurement (1, 1, h, w) of a Gaussian field whose posterior can be drawn from exactly."""

    prior: GaussianPrior
    exact_physics: Any  # the physics in float64
    spectrum: Tensor  # eigenvalues of the prior covariance (H, W), float64
    transfer: Tensor | None  # eigenvalues of a circulant operator (H, W), complex, or None
    mean: Tensor  # exact posterior mean (1, H, W), float64

    @property
    def posterior_spectrum(self) -> Tensor | None:
        """Eigenvalues of the posterior covariance (H, W) where it is circulant, else None."""
        if self.transfer is None:
            return None
        power: Tensor = 1 / (1 / self.spectrum + self.transfer.abs().square() / NOISE**2)
        return power

    def exact(self, count: int, *, seed: int = 0) -> Tensor:
        """Independent draws of the posterior (count, 1, H, W), float64."""
        rng = Rng(seed, [f"exact-{i}" for i in range(count)], [0] * count)
        like = torch.zeros(count, *self.shape, dtype=torch.float64)
        unit = rng.normal(like, step=0, stream="prior")
        power = self.posterior_spectrum
        if power is not None:
            return self.mean + _filter(unit, power.sqrt())
        noise = rng.normal(self.y.double().expand(count, *self.y.shape[1:]), step=0, stream="measurement")
        right = self.exact_physics.A_adjoint(noise) / NOISE + _filter(unit, self.spectrum.rsqrt())
        return self.mean + solve(self.exact_physics, self.spectrum, right)

    def whitened(self, deviation: Tensor) -> Tensor:
        """Mean over a batch of ``|F d|^2 / (S n)``, (H, W): 1 for draws of the prior about its mean."""
        n = self.spectrum.numel()
        power: Tensor = (torch.fft.fft2(deviation.double()).abs().square() / n).flatten(0, 1).mean(0) / self.spectrum
        return power

    @cached_property
    def reference(self) -> Tensor:
        """`DRAWS` exact draws (DRAWS, 1, H, W), the same ones for every method."""
        return self.exact(DRAWS, seed=1)

    def bias(self, samples: Tensor) -> FieldBias:
        """Compare samples (K, 1, 1, H, W), K at least 2, with the exact posterior."""
        drawn = samples.double().reshape(len(samples), *self.shape)
        exact, count = self.reference, len(drawn)
        freedom = count - 1
        spread = self.whitened(drawn - drawn.mean(0)) * (count / freedom)
        power = self.posterior_spectrum
        expected = self.whitened(exact - self.mean) if power is None else power / self.spectrum
        own_error = 0.0 if power is not None else 1 / DRAWS
        bands = []
        for low, high, chosen in _octaves(*self.shape[-2:]):
            part = expected[chosen]
            wanted = float(part.mean())
            # frequencies of unequal variance count for less
            size = float(part.sum().square() / part.square().sum())
            error = math.sqrt((1 / freedom + own_error) / (2 * size))
            ratio = math.sqrt(float(spread[chosen].mean()) / wanted)
            bands.append(FourierBand(low, high, len(part), 1 - wanted, ratio, error))
        wrong = (drawn.mean(0) - self.mean).square().mean() / (exact - self.mean).square().mean()
        lower, upper = (interval_quantile(drawn, q) for q in ((1 - INTERVAL) / 2, (1 + INTERVAL) / 2))
        return FieldBias(
            bands=tuple(bands),
            std_seen=_pool([band for band in bands if band.share >= 0.5]),
            std_unseen=_pool([band for band in bands if band.share < 0.5]),
            mean=float(wrong.sqrt()),
            floor=1 / math.sqrt(count),
            chi2=self._misfit(drawn) / self._misfit(exact),
            coverage=float(((exact >= lower) & (exact <= upper)).double().mean()),
            # empirical quantiles of K samples, the ends at (K - 1) q of K - 1 gaps, hold q (K - 1) / (K + 1)
            nominal=INTERVAL if count < EMPIRICAL else INTERVAL * (count - 1) / (count + 1),
        )

    def _misfit(self, x: Tensor) -> float:
        residual = self.y.double() - self.exact_physics.A(x)
        return float(residual.square().flatten(1).sum(1).mean()) / NOISE**2


def _pool(bands: list[FourierBand]) -> float:
    total = sum(band.count for band in bands)
    return math.sqrt(sum(band.count * band.ratio**2 for band in bands) / total) if bands else math.nan


def _octaves(height: int, width: int) -> list[tuple[float, float, Tensor]]:
    """Frequencies [0, 2), [2, 4), [4, 8), ... cycles per image, the last with all above; masks (H, W)."""
    rows, columns = (torch.fft.fftfreq(n, dtype=torch.float64) * n for n in (height, width))
    radius = (rows[:, None] ** 2 + columns[None] ** 2).sqrt()
    edges = [0.0, *(2.0**i for i in range(1, int(math.log2(min(height, width) / 2)))), math.inf]
    return [(a, b, (radius >= a) & (radius < b)) for a, b in pairwise(edges)]


def _filter(v: Tensor, gain: Tensor) -> Tensor:
    filtered: Tensor = torch.fft.ifft2(torch.fft.fft2(v) * gain).real
    return filtered


def solve(physics: Any, spectrum: Tensor, right: Tensor, *, tolerance: float = 1e-9) -> Tensor:
    """``(Sigma^-1 + A^T A / sigma_y^2)^-1 right`` (B, 1, H, W) by conjugate gradients, all in float64.

    ``spectrum`` (H, W) has the eigenvalues of ``Sigma``; ``tolerance`` is each item's relative residual.
    """
    probe = Rng(0, ("probe",), (0,)).signs(right[:1], step=0, stream="probe")
    power = float(physics.A(probe).square().mean() * physics.A(probe).numel() / probe.numel())
    circulant = 1 / (1 / spectrum + power / NOISE**2)
    solution: Tensor = conjugate_gradients(
        lambda v: _filter(v, 1 / spectrum) + physics.A_adjoint(physics.A(v)) / NOISE**2,
        right,
        precondition=lambda r: _filter(r, circulant),
        tolerance=tolerance,
        iterations=1000,
    )
    return solution


@cache
def problem(name: str) -> FieldProblem:
    """One of `PROBLEMS`, ``operator-size``; any even size works."""
    operator, size = name.rsplit("-", 1)
    kind, params = OPERATORS[operator]
    shape = (1, int(size), int(size))
    spectrum = power_law(shape[1], shape[2], std=0.25)
    prior = GaussianPrior(0.5, 0.0625, spectrum, name="field")
    physics = build_operator(kind, shape=shape, noise=NOISE, **params)
    exact = build_operator(kind, shape=shape, noise=NOISE, dtype=torch.float64, **params)
    truth = prior.sample(
        Rng(1, ("truth",), (0,)).normal(torch.zeros(1, *shape, dtype=torch.float32), step=0, stream="truth")
    )
    y: Tensor = simulate(truth, physics, seed=1)
    centre = torch.full((1, *shape), float(prior.mean), dtype=torch.float64)
    right = exact.A_adjoint(y.double() - exact.A(centre)) / NOISE**2
    transfer = None
    if params.get("boundary") == "circular":
        delta = torch.zeros(1, *shape, dtype=torch.float64)
        delta[..., 0, 0] = 1
        transfer = torch.fft.fft2(exact.A(delta))[0, 0]
        mean = centre + _filter(right, 1 / (1 / spectrum + transfer.abs().square() / NOISE**2))
    else:
        mean = centre + solve(exact, spectrum, right)
    return FieldProblem(prior, physics, y, shape, exact, spectrum, transfer, mean[0])
