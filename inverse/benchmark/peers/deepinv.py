"""deepinv's samplers and plug-and-play reconstructions, each in its own conventions, with our prior.

Its samplers take a denoiser of [0, 1] images, map to [-1, 1] themselves, and take ``y`` and the physics in units of
[0, 1]. Where it leaves a choice to the user, the choice that suits the problem best was made: ancestral kernels
(posterior samples, not a mode). What has constants without a default that fits all problems yields several results,
each with its option: the best is chosen with the truth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import deepinv
import torch
from deepinv.sampling import DDRM, DPS, DiffPIR, MomentMatchingDataFidelity, PiGDMDataFidelity, PosteriorDiffusion
from torch import Tensor

from inverse.benchmark.peers.setting import Setting
from inverse.operators.blur.kernels import gaussian_kernel

__all__ = ["SAMPLERS", "diffpir", "dpir", "own_physics", "total_variation"]

#: Where DPIR's noise levels start (Zhang et al. 2021).
_FIRST_LEVEL = 49 / 255


def _dps(setting: Setting, **options: Any) -> Tensor:
    if setting.evaluations:
        options["num_steps"] = setting.evaluations + 1
    model = DPS(setting.denoise, **options)
    samples: Tensor = model(setting.many, setting.physics, x_init=(setting.samples, *setting.shape))
    return samples


def _ddrm(setting: Setting) -> Tensor:
    levels = torch.linspace(1, 0, setting.evaluations).tolist() if setting.evaluations else None
    samples: Tensor = DDRM(setting.denoise, sigmas=levels)(setting.many, setting.physics)
    return samples


def _diffpir(setting: Setting, **options: Any) -> Tensor:
    options |= {"max_iter": setting.evaluations} if setting.evaluations else {}
    model = DiffPIR(setting.denoise, deepinv.optim.L2(), sigma=setting.sigma, **options)
    samples: Tensor = model(setting.many, setting.physics)
    return samples


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
    samples: Tensor = model(y, physics, x_init=(setting.samples, *setting.shape))
    return samples


def _guided(setting: Setting, fidelity: Any, **options: Any) -> Tensor:
    return _ancestral(setting, fidelity, setting.denoise, setting.many, setting.physics, **options)


def _pigdm_standardised(setting: Setting) -> Tensor:
    """On data of mean 0 and variance 1, where its ``r^2 = sigma^2 / (1 + sigma^2)`` is right."""
    scale, mean = setting.data_var**0.5, setting.mean
    physics = setting.physics.clone()
    physics.noise_model = deepinv.physics.GaussianNoise(setting.sigma / scale)
    y = (setting.many - physics.A(torch.full((setting.samples, *setting.shape), mean))) / scale

    class Standardised(torch.nn.Module):
        def forward(self, x: Tensor, sigma: Tensor, **_: Any) -> Tensor:
            clean: Tensor = (setting.denoise(mean + scale * x, scale * torch.as_tensor(sigma)) - mean) / scale
            return clean

    drawn = _ancestral(setting, PiGDMDataFidelity(), Standardised(), y, physics, minus_one_one=False)
    shifted: Tensor = mean + scale * drawn
    return shifted


def diffpir(setting: Setting) -> Iterator[tuple[str, Tensor]]:
    """DiffPIR with four choices of its constants, weight of the data and share of fresh noise; its own first."""
    for weight, fresh in ((7.0, 0.1), (7.0, 1.0), (1.0, 1.0), (30.0, 1.0)):
        yield f"lambda {weight:g}, zeta {fresh:g}", _diffpir(setting, lambda_=weight, zeta=fresh)


def dpir(setting: Setting) -> Iterator[tuple[str, Tensor]]:
    """DPIR (Zhang et al. 2021): half-quadratic splitting with our denoiser in place of its own.

    Its noise levels start at 49 / 255 and the data weigh 4.3, which is the first choice here; holes ask for higher
    levels to start from, and other weights are better for other operators.
    """
    count, lowest = setting.evaluations or 8, max(setting.sigma, 1e-3)
    prior = deepinv.optim.PnP(denoiser=setting.denoise)
    for first, weight in ((_FIRST_LEVEL, 4.3), (_FIRST_LEVEL, 15.0), (0.5, 15.0), (0.5, 50.0), (2.0, 4.3), (2.0, 50.0)):
        levels = torch.logspace(math.log10(first), math.log10(lowest), count)
        model = deepinv.optim.HQS(
            data_fidelity=deepinv.optim.L2(),
            prior=prior,
            max_iter=count,
            sigma_denoiser=levels,
            stepsize=weight * (levels / max(0.01, setting.sigma)) ** 2,
            g_first=False,
        )
        yield f"from {first:.2g}, data weight {weight:g}", model(setting.y, setting.physics)


def total_variation(setting: Setting) -> Iterator[tuple[str, Tensor]]:
    """Total variation (Rudin, Osher, Fatemi 1992) by FISTA, 100 steps of ``1 / |A|^2``; five weights."""
    norm = float(
        setting.physics.compute_sqnorm(torch.zeros(1, *setting.shape) + 0.5, max_iter=20, tol=1e-2, verbose=False)
    )
    for weight in (0.02, 0.1, 0.3, 1.0, 3.0):
        model = deepinv.optim.FISTA(
            data_fidelity=deepinv.optim.L2(),
            prior=deepinv.optim.TVPrior(n_it_max=20),
            lambda_reg=weight * setting.sigma,
            stepsize=1 / norm,
            max_iter=100,
            early_stop=True,
        )
        yield f"weight {weight:g} sigma", model(setting.y, setting.physics)


#: Its levels are spaced in log sigma: the better schedule where steps are few.
_VE = deepinv.sampling.VarianceExplodingDiffusion

#: Name to sampler: a `Setting` to samples (K, C, H, W) on [0, 1] data.
SAMPLERS: Mapping[str, Callable[[Setting], Tensor]] = {
    "deepinv DPS": _dps,
    "deepinv DPS annealed": lambda setting: _dps(setting, guidance="annealed"),
    "deepinv PiGDM": lambda setting: _guided(setting, PiGDMDataFidelity()),
    "deepinv PiGDM unit var": _pigdm_standardised,
    "deepinv PiGDM VE": lambda setting: _guided(setting, PiGDMDataFidelity(), schedule=_VE),
    "deepinv moment matching": lambda setting: _guided(setting, MomentMatchingDataFidelity()),
    "deepinv moment matching VE": lambda setting: _guided(setting, MomentMatchingDataFidelity(), schedule=_VE),
    "deepinv DiffPIR": _diffpir,
    "deepinv DDRM": _ddrm,
}


def own_physics(operator: Mapping[str, Any], ours: Any, shape: tuple[int, ...], sigma: float) -> Any:
    """Deepinv's physics of the same operator where it has one, else ours.

    Some of its samplers ask for singular values in its own layout.
    """
    noise = deepinv.physics.GaussianNoise(sigma)
    if operator["kind"] == "random-mask":
        return deepinv.physics.Inpainting(shape, mask=ours.mask.expand(1, *shape).clone(), noise_model=noise)
    if operator["kind"] == "gaussian-blur" and operator["boundary"] == "circular":
        kernel = torch.from_numpy(gaussian_kernel(operator["sigma"])).float()[None, None]
        return deepinv.physics.BlurFFT(shape, filter=kernel, noise_model=noise)
    return ours
