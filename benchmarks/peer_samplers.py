r"""deepinv's and Azula's samplers behind one call, each in its own conventions, for ``peers.py``.

The prior is ours, the exact or network denoiser ``D(x, sigma)`` on [0, 1] data, wrapped as theirs:

* deepinv: a denoiser of [0, 1] images; its samplers map to [-1, 1] themselves and take ``y`` and the physics in [0, 1] units.
* Azula: data on [-1, 1] (its schedules assume about unit scale), ``x = alpha u + sigma n``, so :math:`E[u | x] = 2 D((x / \alpha + 1) / 2, \sigma / 2 \alpha) - 1`;
  the operator is ``u -> A((u + 1) / 2)`` and ``y``, ``sigma_y`` stay as they are. Unknowns and measurements are vectors (K, n), which its solvers ask for.

Where a library leaves a choice to the user, the choice that suits the problem best was made: ancestral kernels (posterior samples, not a mode), Azula's
``A_inv`` the pseudo-inverse its interface asks for, its twist the exact Gaussian ``N(y; A x, sigma_y^2 + c A A^T)``, its DPS run sample by sample (its
residual norm is taken over the batch).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import deepinv
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
from deepinv.sampling import DDRM, DPS, DiffPIR, MomentMatchingDataFidelity, PiGDMDataFidelity, PosteriorDiffusion
from torch import Tensor

__all__ = ["PEERS", "Counted", "Setting"]


class _Tally(torch.autograd.Function):
    """The identity; its backward passes are counted, autograd's and ``torch.func``'s alike."""

    @staticmethod
    def forward(x: Tensor, owner: Counted) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Counted], output: Tensor) -> None:
        ctx.owner = inputs[1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        ctx.owner.vjp += gradients[0].shape[0]
        return gradients[0], None


class Counted(torch.nn.Module):
    """``D(x, sigma)`` with its evaluations and vector-Jacobian products counted, once for each batch entry.

    Peers ask for levels a network has not been trained on, up to 75 and down to 0. Below the lowest it gets the lowest; above the highest, where the
    answer depends on the state through ``x / sigma`` alone, the state is moved to the highest. Without this Azula's DPS loses 12 dB on photographs and
    deepinv's DDRM ends in nan.

    Args:
        denoise: The denoiser, [0, 1] data.
        lowest: Lowest level it takes.
        highest: Highest level it takes.
        mean: Mean of its data.
    """

    def __init__(
        self,
        denoise: Callable[[Tensor, Tensor], Tensor],
        *,
        lowest: float = 0.0,
        highest: float = float("inf"),
        mean: float = 0.5,
    ) -> None:
        super().__init__()
        self.denoise, self.forward_count, self.vjp = denoise, 0, 0
        self.lowest, self.highest, self.mean = lowest, highest, mean

    def forward(self, x: Tensor, sigma: Tensor | float, **_: Any) -> Tensor:
        """``x`` (B, C, H, W) on [0, 1] data, ``sigma`` a scalar or (B,)."""
        level = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).reshape(-1)
        self.forward_count += x.shape[0]
        if float(level.max()) > self.highest:
            shrink = (self.highest / level).clamp_max(1).reshape(-1, *[1] * (x.ndim - 1))
            x = self.mean + (x - self.mean) * shrink
        return _Tally.apply(self.denoise(x, level.clamp(self.lowest, self.highest)), self)


@dataclass(frozen=True)
class Setting:
    """One measurement to sample from.

    Attributes:
        y: (1, ...), data units.
        physics: A deepinv physics.
        shape: (C, H, W) of the unknown.
        sigma: Noise level.
        denoise: The counted prior, [0, 1] data.
        mean: Prior mean, and
        data_var: prior variance of a pixel, for the peers that take them.
        samples: K.
        evaluations: Network evaluations a sample; None for the peer's default.
        spectrum: ``(U^T, s)`` of the operator's matrix (m, n), for the twist; None where it is too large.
    """

    y: Tensor
    physics: Any
    shape: tuple[int, ...]
    sigma: float
    denoise: Counted
    mean: float
    data_var: float
    samples: int
    evaluations: int | None
    spectrum: tuple[Tensor, Tensor] | None = field(default=None, repr=False)

    @property
    def many(self) -> Tensor:
        """A fresh copy of ``y`` for each sample: deepinv's DDRM writes into it."""
        return self.y.expand(self.samples, *self.y.shape[1:]).clone()


def _deepinv_dps(setting: Setting, **options: Any) -> Tensor:
    if setting.evaluations:
        options["num_steps"] = setting.evaluations + 1
    model = DPS(setting.denoise, **options)
    return model(setting.many, setting.physics, x_init=(setting.samples, *setting.shape))


def _deepinv_ddrm(setting: Setting) -> Tensor:
    levels = torch.linspace(1, 0, setting.evaluations).tolist() if setting.evaluations else None
    return DDRM(setting.denoise, sigmas=levels)(setting.many, setting.physics)


def _deepinv_diffpir(setting: Setting) -> Tensor:
    options = {"max_iter": setting.evaluations} if setting.evaluations else {}
    model = DiffPIR(setting.denoise, deepinv.optim.L2(), sigma=setting.sigma, **options)
    return model(setting.many, setting.physics)


def _ancestral(
    setting: Setting,
    fidelity: Any,
    denoise: Any,
    y: Tensor,
    physics: Any,
    *,
    minus_one_one: bool = True,
    schedule: Callable[..., Any] = deepinv.sampling.VariancePreservingDiffusion,
) -> Tensor:
    steps = setting.evaluations or 1000
    sde = schedule(alpha=1.0, minus_one_one=minus_one_one)
    solver = deepinv.sampling.DDPMSolver(timesteps=torch.linspace(1, 0, steps + 1, dtype=torch.float64))
    model = PosteriorDiffusion(fidelity, denoise, sde, solver, minus_one_one=minus_one_one)
    return model(y, physics, x_init=(setting.samples, *setting.shape))


def _deepinv_pigdm(setting: Setting) -> Tensor:
    return _ancestral(setting, PiGDMDataFidelity(), setting.denoise, setting.many, setting.physics)


def _deepinv_exploding(setting: Setting, fidelity: Any) -> Tensor:
    """On the variance-exploding schedule, whose levels are spaced in log sigma: better than the other where steps are few."""
    schedule = deepinv.sampling.VarianceExplodingDiffusion
    return _ancestral(setting, fidelity, setting.denoise, setting.many, setting.physics, schedule=schedule)


def _deepinv_mmps(setting: Setting) -> Tensor:
    return _ancestral(setting, MomentMatchingDataFidelity(), setting.denoise, setting.many, setting.physics)


def _deepinv_pigdm_standardised(setting: Setting) -> Tensor:
    """On data of mean 0 and variance 1, where its ``r^2 = sigma^2 / (1 + sigma^2)`` is right."""
    scale, mean = setting.data_var**0.5, setting.mean
    physics = setting.physics.clone()
    physics.noise_model = deepinv.physics.GaussianNoise(setting.sigma / scale)
    y = (setting.many - physics.A(torch.full((setting.samples, *setting.shape), mean))) / scale

    class Standardised(torch.nn.Module):
        def forward(self, x: Tensor, sigma: Tensor, **_: Any) -> Tensor:
            return (setting.denoise(mean + scale * x, scale * torch.as_tensor(sigma)) - mean) / scale

    return mean + scale * _ancestral(setting, PiGDMDataFidelity(), Standardised(), y, physics, minus_one_one=False)


class _AzulaPrior(Denoiser):
    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.setting, self.schedule = setting, VPSchedule()

    def forward(self, x_t: Tensor, t: Tensor, **_: Any) -> DiracPosterior:
        alpha, sigma = self.schedule(t)
        image = (x_t / alpha + 1).reshape(-1, *self.setting.shape) / 2
        return DiracPosterior(2 * self.setting.denoise(image, sigma / alpha / 2).flatten(1) - 1)


def _azula(setting: Setting) -> tuple[_AzulaPrior, Callable[[Tensor], Tensor], Tensor, dict[str, Any]]:
    """Prior, operator and measurement on vectors, and the sampler's options."""
    options = {"silent": True, **({"steps": setting.evaluations} if setting.evaluations else {})}

    def operator(u: Tensor) -> Tensor:
        return setting.physics.A((u + 1).reshape(-1, *setting.shape) / 2).flatten(1)

    return _AzulaPrior(setting), operator, setting.many.flatten(1), options


def _back(setting: Setting, u: Tensor) -> Tensor:
    return (u.reshape(-1, *setting.shape) + 1) / 2


def _start(sampler: Any, setting: Setting, count: int | None = None) -> Tensor:
    return sampler.init((count or setting.samples, torch.Size(setting.shape).numel()))


def _azula_dps(setting: Setting) -> Tensor:
    prior, operator, y, options = _azula(setting)
    sampler = DPSSampler(prior, y[:1], operator, **options)
    return _back(setting, torch.cat([sampler(_start(sampler, setting, 1)) for _ in range(setting.samples)]))


def _azula_pigdm(setting: Setting, *, eta: float) -> Tensor:
    prior, operator, y, options = _azula(setting)

    def inverse(v: Tensor) -> Tensor:
        return 2 * setting.physics.A_dagger(v.reshape(-1, *setting.y.shape[1:])).flatten(1) - 1

    sampler = PGDMSampler(prior, y, operator, inverse, eta=eta, **options)
    return _back(setting, sampler(_start(sampler, setting)))


def _azula_diffpir(setting: Setting) -> Tensor:
    prior, operator, y, options = _azula(setting)
    guided = DiffPIRDenoiser(prior, y, _linear(operator, setting), setting.sigma**2)
    guided.y = y - operator(torch.zeros(1, torch.Size(setting.shape).numel()))
    sampler = DDIMSampler(guided, eta=1.0, **options)
    return _back(setting, sampler(_start(sampler, setting)))


def _linear(operator: Callable[[Tensor], Tensor], setting: Setting) -> Callable[[Tensor], Tensor]:
    """Azula's DiffPIR applies ``A`` to increments as well, so the constant goes to the measurement's side."""
    constant = operator(torch.zeros(1, torch.Size(setting.shape).numel()))
    return lambda u: operator(u) - constant


def _azula_mmps(setting: Setting, *, iterations: int) -> Tensor:
    prior, operator, y, options = _azula(setting)
    noise = IsotropicCovariance(torch.tensor(setting.sigma**2))
    guided = MMPSDenoiser(prior, y, operator, noise, iterations=iterations)
    sampler = DDIMSampler(guided, eta=1.0, **options)
    return _back(setting, sampler(_start(sampler, setting)))


def _azula_tds(setting: Setting) -> Tensor:
    if setting.spectrum is None:
        raise ValueError("needs a population: K times the evaluations for one sample")
    prior, operator, y, options = _azula(setting)
    left, s = setting.spectrum

    def twist(u: Tensor, level: Tensor) -> Tensor:
        own = (level / 2) ** 2
        variance = setting.sigma**2 + s**2 * own * setting.data_var / (own + setting.data_var)
        return -0.5 * (((y - operator(u)) @ left) ** 2 / variance).sum(1) - 0.5 * variance.log().sum()

    sampler = TDSSampler(prior, twist, **options)
    return _back(setting, sampler(_start(sampler, setting)))


PEERS: dict[str, Callable[[Setting], Tensor]] = {
    "deepinv DPS": _deepinv_dps,
    "deepinv DPS annealed": lambda setting: _deepinv_dps(setting, guidance="annealed"),
    "deepinv PiGDM": _deepinv_pigdm,
    "deepinv PiGDM unit var": _deepinv_pigdm_standardised,
    "deepinv PiGDM VE": lambda setting: _deepinv_exploding(setting, PiGDMDataFidelity()),
    "deepinv moment matching": _deepinv_mmps,
    "deepinv moment matching VE": lambda setting: _deepinv_exploding(setting, MomentMatchingDataFidelity()),
    "deepinv DiffPIR": _deepinv_diffpir,
    "deepinv DDRM": _deepinv_ddrm,
    "azula DPS": _azula_dps,
    "azula PiGDM": lambda setting: _azula_pigdm(setting, eta=0.0),
    "azula PiGDM eta 1": lambda setting: _azula_pigdm(setting, eta=1.0),
    "azula DiffPIR": _azula_diffpir,
    "azula MMPS": lambda setting: _azula_mmps(setting, iterations=1),
    "azula MMPS 3 iterations": lambda setting: _azula_mmps(setting, iterations=3),
    "azula TDS": _azula_tds,
}
"""Name to sampler: a `Setting` to samples (K, C, H, W) on [0, 1] data."""
