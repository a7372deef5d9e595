r"""Samples of a posterior and what they say: mean, spread, intervals, misfit, and what the data determine of it.

With ``c`` the prior's variance, :math:`R = c A^T (c A A^T + \sigma_y^2)^{-1} A`:

* ``data_share`` is :math:`\mathrm{diag}\,R`: 1 where the measurement determines a pixel, 0 where only the prior does;
  for a white Gaussian prior it equals 1 - posterior variance / prior variance. A nonlinear operator is linearised at
  the mean. Closed form where the physics knows the squares of its basis (``basis_squared``), else from keyed
  Rademacher probes, smoothed, with their standard error.
* ``invented`` is :math:`d - R d` with ``d = mean - prior mean``: the part of the result that the data do not determine.
* A method that knows its posterior's mean and variance (`inverse.sampling.samplers.exact` and `reverse`) says them,
  ``exact_mean`` and ``exact_variance``: then they are the mean and the standard deviation, each averaged over the
  samples, which may bring estimates of their own (NaN: none); and of one Gaussian the quantiles. Of operators that
  are drawn (`inverse.restoration.item`) it is the first pair's mean alone that is said.
* ``misfit`` is :math:`\chi^2 / m`, ``m`` the number of observed real values (a complex value counts as two); its
  expectation is about 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from inverse.calibration.recalibration import Map
from inverse.errors import UsageError, did_you_mean
from inverse.io.content import Span
from inverse.numerics.defaults import independent
from inverse.numerics.linalg import parts
from inverse.numerics.rng import Rng
from inverse.numerics.statistics import EMPIRICAL, interval_quantile
from inverse.numerics.transforms import smoothed
from inverse.operators.base import portable
from inverse.operators.observation import Observation
from inverse.posterior.chains import ess, r_hat
from inverse.posterior.display import ITEMS, ItemView, posterior_html
from inverse.posterior.views import Views
from inverse.posterior.welford import Welford

__all__ = ["Cost", "Posterior"]

PROBES = 32


@dataclass(frozen=True)
class Cost:
    """What the sampling of one item took."""

    forward: float  # network evaluations (F)
    vjp: float  # vector-Jacobian products of the network (V)
    a: float  # applications of the operator
    at: float  # applications of its adjoint
    seconds: float  # wall time
    peak_bytes: int  # largest resident memory of the process, or allocated memory of the accelerator

    def as_dict(self) -> dict[str, float]:
        """The counts as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Posterior(Views):
    """Samples of the posterior of a batch of items.

    Attributes:
        states: (K, B, C, *S) samples of the whole unknown, data units.
        observation: What they are conditioned on.
        prior_mean: Mean of the prior, broadcasting against (B, C, *S).
        data_var: The prior's variance ``c``.
        cost: What sampling took, one an item.
        items: Names of the items.
        method: The method and its parameters.
        levels: The noise levels of each item.
        crop: (top, left, height, width) of the part that is reported; None is all.
        diagnostics: What the method said of its samples, by name, each (K, B, ...).
        span: The values of the array that was restored that are 0 and 1 in data units; None: they are data units.
        calibration: What standard deviation and quantiles are recalibrated by; the samples never are.
        label: The method in words, such as ``diffpir, 20 steps``.
        antithetic: Whether samples 2 k and 2 k + 1 are a pair of opposite noise (`inverse.numerics.rng`).
    """

    states: Tensor
    observation: Observation
    prior_mean: Tensor
    data_var: float
    cost: Cost
    items: Sequence[str]
    method: dict[str, object]
    levels: tuple[tuple[float, ...], ...]
    crop: tuple[int, int, int, int] | None = None
    diagnostics: Mapping[str, Tensor] = field(default_factory=dict)
    span: Span | None = None
    calibration: Map | None = None
    label: str = ""
    antithetic: bool = False

    def __getstate__(self) -> dict[str, Any]:
        """For a pickle: its physics is one that can be."""
        observation = replace(self.observation, physics=portable(self.observation.physics))
        kept = {name: value for name, value in self.__dict__.items() if name != "_local"}  # another view of the physics
        return {**kept, "observation": observation}

    def _frame(self, image: Tensor) -> Tensor:
        if self.crop is None:
            return image
        top, left, height, width = self.crop
        return image[..., top : top + height, left : left + width]

    @property
    def samples(self) -> Tensor:
        """The samples (K, B, C, *S), data units."""
        return self._frame(self.states)

    @property
    def draws(self) -> Tensor:
        """Independent samples (K, B, C, *S): one of each antithetic pair."""
        return self.samples[::2] if self.antithetic else self.samples

    @cached_property
    @independent
    def _statistics(self) -> Welford:
        statistics = Welford(antithetic=self.antithetic)
        for sample in self.states:
            statistics.add(sample)
        return statistics

    @property
    def knows_spread(self) -> bool:
        """Whether the method gave the variance, so that one sample has a standard deviation too."""
        return "exact_variance" in self.diagnostics

    @property
    def _gaussian(self) -> bool:
        """Whether mean and variance say all."""
        share = self.diagnostics.get("responsibility")
        return self.knows_spread and (share is None or float(share.amax(-1).min()) > 1 - 1e-6)

    @property
    def whole_mean(self) -> Tensor:
        """:attr:`mean` of the whole unknown, also past the frame that is reported."""
        known = self.diagnostics.get("exact_mean")
        mean = self._statistics.mean if known is None else known.double().nanmean(0)
        return mean.to(self.states.dtype)

    @property
    def mean(self) -> Tensor:
        """Posterior mean (B, C, *S): the method's where it knows it, else the samples'."""
        return self._frame(self.whole_mean)

    @property
    def std(self) -> Tensor:
        """Posterior standard deviation (B, C, *S): the method's, or the samples'.

        With a ``calibration`` it is the root mean square error of the mean to expect where the sampler says that.

        Raises:
            UsageError: there is one sample only, and the method does not know it.
        """
        known = self.diagnostics.get("exact_variance")
        whole = self._statistics.std if known is None else known.double().mean(0).clamp_min(0.0).sqrt()
        raw = self._frame(whole.to(self.states.dtype))
        if self.calibration is None:
            return raw
        given = raw.detach().cpu().numpy()
        shares = self.data_share.detach().cpu().numpy() if self.calibration.needs_share else [None] * len(given)
        widened = [self.calibration.std(*pair) for pair in zip(given, shares, strict=True)]
        return torch.from_numpy(np.stack(widened)).to(raw)

    @independent
    def quantile(self, q: float) -> Tensor:
        """Quantile ``q`` of the posterior predictive of each value, (B, C, *S).

        Fewer than 39 samples cannot hold a 90 % interval empirically (the extremes of 4 cover 60 %), so below that it
        is ``mean + t_{K-1}(q) std sqrt(1 + 1/K)``; from 39 on it is the empirical quantile. Antithetic samples count
        as half as many and one, since the two of a pair tell one deviation.

        Where the method knows mean and variance of a Gaussian posterior, it is that Gaussian's. With a ``calibration``
        it is ``mean +- factor * std``.

        Raises:
            UsageError: ``q`` outside (0, 1), or one sample only.
        """
        if isinstance(q, bool) or not isinstance(q, int | float | np.floating | np.integer):
            raise UsageError(f"quantile {q!r}"[:80], "allowed: a number in (0, 1)")
        if self.calibration is not None and 0 < q < 1:
            return self.mean + math.copysign(self.calibration.factor(abs(2 * q - 1)), q - 0.5) * self.std
        if self._gaussian and 0 < q < 1:
            return self.mean + float(stats.norm.ppf(q)) * self.std
        centred = interval_quantile(self.samples, q, antithetic=self.antithetic)
        if "exact_mean" in self.diagnostics and len(self.states) < EMPIRICAL:
            return centred + self.mean - self._frame(self._statistics.mean.to(self.states.dtype))
        return centred

    @property
    def complex(self) -> bool:
        """Whether the unknown is a complex image, held as two real channels."""
        return parts(self.observation.y)[0].is_complex() and self.observation.shape[0] == 2

    @property
    def share_is_known(self) -> bool:
        """Whether `data_share` has a closed form, or was computed before."""
        return "_share" in self.__dict__ or (
            self.observation.spectral and getattr(self.observation.physics, "basis_squared", None) is not None
        )

    def __repr__(self) -> str:
        count, items = self.states.shape[:2]
        shape = " x ".join(str(n) for n in self.samples.shape[2:])
        return (
            f"<Posterior: {_counted(count, 'sample')} of {_counted(items, 'item')}, {shape}, {self._said}, "
            f"{self.cost.forward:g} evaluations an item, {self.cost.seconds:.3g} s>"
        )

    @property
    def _said(self) -> str:
        """The method in words."""
        return self.label or str(self.method["kind"])

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        count, items = self.states.shape[:2]
        took = f"{self.cost.forward:g} network evaluations"
        took += f" and {self.cost.vjp:g} gradients" if self.cost.vjp else ""
        foot = f"{_counted(count, 'sample')} by {self._said}; an item took {took}, {self.cost.seconds:.3g} s"
        return posterior_html([self._view(index) for index in range(min(items, ITEMS))], items, foot)

    def _view(self, index: int) -> ItemView:
        """What a notebook shows of an item."""

        def array(values: Tensor) -> NDArray[Any]:
            return values[index].detach().float().cpu().numpy()

        return ItemView(
            str(self.items[index]),
            float(self.misfit[:, index].mean()),
            array(self.mean),
            array(self.std) if len(self.states) > 1 or self.knows_spread else None,
            array(self.data_share) if self.share_is_known else None,
            self.complex,
        )

    def to_numpy(self, name: str = "mean") -> NDArray[Any]:
        """A statistic as numpy, the channel last: (B, H, W, C), in the units of the array that was restored.

        Values are ``low + (high - low) x`` of data units, widths (``std``, ``invented``) without ``low``;
        shares stay. A complex unknown, two real channels inside, gives complex values (..., H, W) of ``mean``,
        ``samples``, ``invented``.

        Args:
            name: ``mean``, ``std``, ``samples`` (K, B, H, W, C), ``data_share`` or ``invented``.

        Raises:
            UsageError: another name; or ``std`` of one sample.
        """
        known = ("mean", "std", "samples", "data_share", "invented")
        if name not in known:
            raise UsageError(f"a posterior has no array '{name}'", did_you_mean(name, known))
        values: Tensor = getattr(self, name)
        planes = values.detach().cpu().numpy()
        channel = planes.ndim - len(self.observation.shape)
        if name != "data_share" and self.span is not None:
            low, high = (np.asarray(end, planes.dtype).reshape(-1, 1, 1) for end in self.span)
            planes = planes * (high - low) + (0 if name in ("std", "invented") else low)
        if self.complex and name in ("mean", "samples", "invented"):
            real, imaginary = (planes.take(index, channel) for index in (0, 1))
            return np.ascontiguousarray(real + 1j * imaginary)
        return np.ascontiguousarray(np.moveaxis(planes, channel, -1))

    @cached_property
    @independent
    def misfit(self) -> Tensor:
        """``chi^2 / m`` of each sample, (K, B), by its own operator where that was drawn; about 1 is expected."""
        if "own_misfit" in self.diagnostics:
            return self.diagnostics["own_misfit"]
        return torch.stack([self.observation.misfit(sample).to(self.states) for sample in self.states])

    @property
    def r_hat(self) -> Tensor:
        """Agreement of the chains (B, C, *S), 1 at best (:func:`inverse.posterior.chains.r_hat`).

        Raises:
            UsageError: the method's samples are not chains, or there is one only.
        """
        return self._frame(r_hat(self.diagnostics))

    @property
    def ess(self) -> Tensor:
        """Independent draws that all the chains' states are worth (B, C, *S) (:func:`inverse.posterior.chains.ess`).

        Raises:
            UsageError: as :attr:`r_hat`.
        """
        return self._frame(ess(self.diagnostics))

    @cached_property
    @independent
    def _local(self) -> Observation:
        """The observation; where it is not linear, its tangent at the mean."""
        return self.observation.linearised(self.whole_mean)

    @independent
    def determined(self, d: Tensor, *, tolerance: float = 1e-4) -> Tensor:
        """What the data determine of an image of the whole unknown (B, C, *S): ``R d``."""
        observation = self._local
        if observation.spectral:
            coordinates = observation.physics.V_adjoint(d)
            determined: Tensor = observation.physics.V(self._shares(coordinates) * coordinates).to(d.dtype)
            return determined
        variance = torch.full_like(observation.sigma, self.data_var)
        return observation.pulled(observation.A(d), variance, tolerance=tolerance)

    def _shares(self, coordinates: Tensor) -> Tensor:
        """Spectrum of ``R``: ``c s^2 / (c s^2 + sigma_y^2)``, 0 where ``s`` is 0."""
        power = self.data_var * self.observation.physics.mask.abs().square()
        noise = self.observation.sigma.square().reshape(-1, *[1] * (coordinates.ndim - 1))
        return torch.where(power > 0, power / (power + noise).clamp_min(1e-30), 0.0)

    @cached_property
    @independent
    def _share(self) -> tuple[Tensor, float]:
        observation, like = self.observation, self.observation.empty()
        squared = getattr(observation.physics, "basis_squared", None)
        if observation.spectral and squared is not None:
            coordinates = observation.physics.V_adjoint(like)
            shares = self._shares(coordinates).expand_as(coordinates)
            return squared(shares).expand_as(like).to(like.dtype), 0.0
        rng = Rng(0, self.items, (0,) * len(self.items))
        total, square = torch.zeros_like(like), torch.zeros_like(like)
        for draw in range(PROBES):
            z = rng.signs(like, step=0, stream="probe", draw=draw)
            value = smoothed(z * self.determined(z, tolerance=1e-2))
            total, square = total + value, square + value.square()
        mean = total / PROBES
        error = ((square / PROBES - mean.square()).clamp_min(0.0) / (PROBES - 1)).mean().sqrt()
        return mean.clamp(0.0, 1.0), float(error)

    @property
    def data_share(self) -> Tensor:
        """Share of each value's prior variance that the measurement removes, (B, C, *S), 0 to 1."""
        return self._frame(self._share[0])

    @property
    def data_share_error(self) -> float:
        """Root mean square standard error of :attr:`data_share`; 0 where it is closed form."""
        return self._share[1]

    @cached_property
    @independent
    def invented(self) -> Tensor:
        """The part of the mean that the data do not determine, (B, C, *S), data units."""
        d = self.whole_mean - self.prior_mean
        return self._frame(d - self.determined(d))


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count > 1)}"
