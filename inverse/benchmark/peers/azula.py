r"""Azula's samplers with our prior, each in its own conventions.

Data on [-1, 1] (its schedules assume about unit scale), ``x = alpha u + sigma n``, so
:math:`E[u | x] = 2 D((x / \alpha + 1) / 2, \sigma / 2 \alpha) - 1`; the operator is ``u -> A((u + 1) / 2)`` and ``y``,
``sigma_y`` stay as they are. Unknowns and measurements are vectors (K, n), which its solvers ask for.

Choices it leaves to the user: ``A_inv`` is the pseudo-inverse that its interface asks for, the twist the exact Gaussian
``N(y; A x, sigma_y^2 + c A A^T)``, and DPS is run sample by sample (its residual norm is taken over the batch).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from azula.denoise import Denoiser, DiracPosterior
from azula.guidance.diffpir import DiffPIRDenoiser
from azula.guidance.dps import DPSSampler
from azula.guidance.mmps import MMPSDenoiser
from azula.guidance.pgdm import PGDMSampler
from azula.guidance.tds import TDSSampler
from azula.linalg.covariance import IsotropicCovariance
from azula.noise import VPSchedule
from azula.sample import DDIMSampler
from torch import Tensor

from inverse.benchmark.peers.setting import Setting

__all__ = ["SAMPLERS"]


class _AzulaPrior(Denoiser):
    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.setting, self.schedule = setting, VPSchedule()

    def forward(self, x_t: Tensor, t: Tensor, **_: Any) -> DiracPosterior:
        alpha, sigma = self.schedule(t)
        image = (x_t / alpha + 1).reshape(-1, *self.setting.shape) / 2
        return DiracPosterior(2 * self.setting.denoise(image, sigma / alpha / 2).flatten(1) - 1)


def _problem(setting: Setting) -> tuple[_AzulaPrior, Callable[[Tensor], Tensor], Tensor, dict[str, Any]]:
    """Prior, operator and measurement on vectors, and the sampler's options."""
    options = {"silent": True, **({"steps": setting.evaluations} if setting.evaluations else {})}

    def operator(u: Tensor) -> Tensor:
        y: Tensor = setting.physics.A((u + 1).reshape(-1, *setting.shape) / 2).flatten(1)
        return y

    return _AzulaPrior(setting), operator, setting.many.flatten(1), options


def _drawn(sampler: Any, setting: Setting, count: int | None = None) -> Tensor:
    """Samples (K, C, H, W) on [0, 1], all of the setting or so many."""
    u: Tensor = sampler(sampler.init((count or setting.samples, torch.Size(setting.shape).numel())))
    return (u.reshape(-1, *setting.shape) + 1) / 2


def _dps(setting: Setting) -> Tensor:
    prior, operator, y, options = _problem(setting)
    sampler = DPSSampler(prior, y[:1], operator, **options)
    return torch.cat([_drawn(sampler, setting, 1) for _ in range(setting.samples)])


def _pigdm(setting: Setting, *, eta: float) -> Tensor:
    prior, operator, y, options = _problem(setting)

    def inverse(v: Tensor) -> Tensor:
        u: Tensor = 2 * setting.physics.A_dagger(v.reshape(-1, *setting.y.shape[1:])).flatten(1) - 1
        return u

    return _drawn(PGDMSampler(prior, y, operator, inverse, eta=eta, **options), setting)


def _diffpir(setting: Setting) -> Tensor:
    prior, operator, y, options = _problem(setting)
    # Azula's DiffPIR applies A to increments as well, so the constant goes to the measurement's side
    constant = operator(torch.zeros(1, torch.Size(setting.shape).numel()))
    guided = DiffPIRDenoiser(prior, y - constant, lambda u: operator(u) - constant, setting.sigma**2)
    return _drawn(DDIMSampler(guided, eta=1.0, **options), setting)


def _mmps(setting: Setting, *, iterations: int) -> Tensor:
    prior, operator, y, options = _problem(setting)
    noise = IsotropicCovariance(torch.tensor(setting.sigma**2))
    guided = MMPSDenoiser(prior, y, operator, noise, iterations=iterations)
    return _drawn(DDIMSampler(guided, eta=1.0, **options), setting)


def _tds(setting: Setting) -> Tensor:
    if setting.spectrum is None:
        raise ValueError("needs a population: K times the evaluations for one sample")
    prior, operator, y, options = _problem(setting)
    left, s = setting.spectrum

    def twist(u: Tensor, level: Tensor) -> Tensor:
        noise = (level / 2) ** 2
        variance = setting.sigma**2 + s**2 * noise * setting.data_var / (noise + setting.data_var)
        return -0.5 * (((y - operator(u)) @ left) ** 2 / variance).sum(1) - 0.5 * variance.log().sum()

    return _drawn(TDSSampler(prior, twist, **options), setting)


#: Name to sampler: a `Setting` to samples (K, C, H, W) on [0, 1] data.
SAMPLERS: Mapping[str, Callable[[Setting], Tensor]] = {
    "azula DPS": _dps,
    "azula PiGDM": lambda setting: _pigdm(setting, eta=0.0),
    "azula PiGDM eta 1": lambda setting: _pigdm(setting, eta=1.0),
    "azula DiffPIR": _diffpir,
    "azula MMPS": lambda setting: _mmps(setting, iterations=1),
    "azula MMPS 3 iterations": lambda setting: _mmps(setting, iterations=3),
    "azula TDS": _tds,
}
