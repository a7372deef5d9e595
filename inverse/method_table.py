"""The built-in methods: names, parameters with their defaults, needs and cost. Data only, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from inverse.methods import COMMON, MethodSpec, Parameter

__all__ = ["METHODS"]


def _spec(steps: int, own: Mapping[str, Parameter], **fields: object) -> MethodSpec:
    parameters = {"steps": Parameter(steps, "noise levels, one evaluation each", low=1, high=100_000), **own, **COMMON}
    return MethodSpec(parameters=MappingProxyType(parameters), **fields)  # type: ignore[arg-type]


_KERNEL = Parameter(
    "ddim",
    "reverse kernel; heun and dpmpp are of second order and draw no noise",
    choices=("ddim", "ancestral", "renoise", "heun", "dpmpp"),
)
_ETA = Parameter(1.0, "fresh noise of the DDIM kernel: 1 ancestral, 0 deterministic", low=0.0, high=1.0)

METHODS: Mapping[str, MethodSpec] = MappingProxyType(
    {
        "dps": _spec(
            100,
            {
                "form": Parameter(
                    "consistent", "sigma-consistent, or the paper's step", choices=("consistent", "paper")
                ),
                "zeta": Parameter(0.3, "step of the paper form, for 1000 steps on [-1, 1] data", low=0.0, high=100.0),
                "kernel": _KERNEL,
                "eta": _ETA,
            },
            name="dps",
            title="Diffusion posterior sampling (Chung et al. 2023)",
            summary="gradient of the residual through the network; any differentiable operator",
            factory="inverse.guidance.dps:dps",
            needs=frozenset({"grad"}),
            vjp=1,
        ),
        "pigdm": _spec(
            50,
            {
                "covariance": Parameter(
                    "card",
                    "p(x0 | x) variance: sigma^2 c / (sigma^2 + c), or matched to the residual",
                    choices=("card", "residual"),
                ),
                "data_var": Parameter(
                    None, "the c of that formula, data units squared; default the prior's", low=1e-12
                ),
                "kernel": _KERNEL,
                "eta": _ETA,
            },
            name="pigdm",
            title="Pseudoinverse-guided diffusion (Song et al. 2023)",
            summary="Gaussian likelihood of the measurement given the noisy state, through the network",
            factory="inverse.guidance.covariance:pigdm",
            needs=frozenset({"linear", "grad"}),
            vjp=1,
        ),
        "diffpir": _spec(
            20,
            {
                "lam": Parameter(3.0, "weight of the prior: p(x0 | x) variance is sigma^2 / lam", low=1e-6, high=1e6),
                "zeta": Parameter(0.5, "fresh share of the re-noising: 1 all new, 0 deterministic", low=0.0, high=1.0),
            },
            name="diffpir",
            title="Denoising diffusion for plug-and-play restoration (Zhu et al. 2023)",
            summary="proximal step on the measurement, closed form or conjugate gradients; no gradient of the network",
            factory="inverse.guidance.proximal:diffpir",
            needs=frozenset({"linear"}),
        ),
        "ddrm": _spec(
            20,
            {
                "eta": Parameter(
                    0.85, "fresh noise where the measurement is noisier than the state", low=0.0, high=1.0
                ),
                "eta_b": Parameter(
                    1.0, "weight of the measurement where it is sharper than the state", low=0.0, high=1.0
                ),
            },
            name="ddrm",
            title="Denoising diffusion restoration models (Kawar et al. 2022)",
            summary="per-coordinate update in the operator's singular basis; no gradient of the network",
            factory="inverse.samplers.ddrm:ddrm",
            needs=frozenset({"linear", "spectral"}),
        ),
    }
)
