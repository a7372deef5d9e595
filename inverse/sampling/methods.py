"""The methods by name: the built-in ones, and those of other packages (entry point group ``inverse.methods``).

A method is a file in `guidance` or `samplers` and its entry here. Data alone: no torch is imported.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib import metadata
from types import MappingProxyType
from typing import Any

from inverse.errors import RecipeError, did_you_mean
from inverse.sampling.method_spec import COMMON, MethodSpec, Parameter, evaluations, evaluations_of_step

__all__ = ["AUTO", "BUDGETS", "METHODS", "budget", "in_words", "method_spec", "methods"]

#: What a sample may cost by the quality asked for: F + 3 V network evaluations.
BUDGETS = {"draft": 20, "normal": 100, "best": 1000}


def _spec(steps: int, own: Mapping[str, Parameter], **fields: object) -> MethodSpec:
    """A method with noise levels, ``steps`` of them by default."""
    parameters = {"steps": Parameter(steps, "noise levels, one evaluation each", low=1, high=100_000), **own, **COMMON}
    return MethodSpec(parameters=MappingProxyType(parameters), **fields)  # type: ignore[arg-type]


_KERNEL = Parameter(
    "ddim",
    "reverse kernel; heun and dpmpp are of second order and draw no noise",
    choices=("ddim", "ancestral", "renoise", "heun", "dpmpp", "corrected"),
)
_ETA = Parameter(1.0, "fresh noise of the DDIM kernel: 1 ancestral, 0 deterministic", low=0.0, high=1.0)


def _daps_cost(values: Mapping[str, Any]) -> tuple[int, int]:
    steps = int(values["steps"])
    if values["covariance"] == "jacobian":
        return steps, steps * (int(values["roots"]) + int(values["iterations"]))
    return steps * (int(values["inner"]) if values["covariance"] == "paper" else 1), 0


def _pigdm_cost(values: Mapping[str, Any]) -> tuple[int, int]:
    calls, steps = evaluations(values), int(values["steps"])
    taken = math.ceil(float(values["products"]) * steps)
    return calls, min(calls, taken * evaluations_of_step(values))


def _pnp_cost(values: Mapping[str, Any]) -> tuple[int, int]:
    calls = int(values["steps"]) * int(values["inner"])
    return calls, calls * int(values["roots"]) if values["covariance"] == "jacobian" else 0


def _population(values: Mapping[str, Any]) -> tuple[int, int]:
    """F and V of smc: ``auto`` as for an image (1 V), ``jacobian`` at most."""
    states = int(values["steps"]) * int(values["particles"])
    products = {"card": 0, "jacobian": int(values["rank"]) + int(values["probes"])}
    return states, states * products.get(str(values["twist"]), 1)


def _pigdm_tiles(values: Mapping[str, Any], diagonal: bool) -> str:
    fits = diagonal and values["covariance"] == "residual"
    return "" if fits else "pigdm has coupled tiles with covariance=residual, for noise, masks and area means alone"


def _dds_tiles(values: Mapping[str, Any], diagonal: bool) -> str:
    why = "dds stops its solve early, which couples the whole scene: no coupled tiles for a blur or a sensor"
    return "" if diagonal else why


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
            factory="inverse.sampling.guidance.gradient:dps",
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
                "products": Parameter(
                    1.0, "share of the steps, the first ones, that take the Jacobian product", low=0.0, high=1.0
                ),
                "kernel": _KERNEL,
                "eta": _ETA,
            },
            name="pigdm",
            title="Pseudoinverse-guided diffusion (Song et al. 2023)",
            summary="Gaussian likelihood of the measurement given the noisy state, through the network",
            factory="inverse.sampling.guidance.covariance:pigdm",
            needs=frozenset({"linear", "grad"}),
            count=_pigdm_cost,
            tiles=_pigdm_tiles,
            totals=True,
            # with the product with the Jacobian a step sees twice as far
            reach=lambda values: 2 if values["products"] > 0 else 1,
        ),
        "tmpd": _spec(
            50,
            {"kernel": _KERNEL, "eta": _ETA},
            name="tmpd",
            title="Tweedie moment projected diffusions (Boys et al. 2024)",
            summary="as pigdm, with the row sums of the denoiser's Jacobian as variance of each pixel",
            factory="inverse.sampling.guidance.covariance:tmpd",
            needs=frozenset({"linear", "grad"}),
            vjp=2,
        ),
        "mmps": _spec(
            50,
            {
                "solver": Parameter("gmres", "for the Jacobian's system", choices=("gmres", "cg")),
                "iterations": Parameter(5, "of the solver, one Jacobian product each", low=1, high=100),
                "kernel": replace(_KERNEL, default="heun"),
                "eta": _ETA,
            },
            name="mmps",
            title="Moment matching posterior sampling (Rozet et al. 2024)",
            summary="as pigdm, with the whole covariance from the denoiser's Jacobian: the least biased guidance",
            factory="inverse.sampling.guidance.covariance:mmps",
            needs=frozenset({"linear", "grad"}),
            vjp=lambda values: int(values["iterations"]),
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
            factory="inverse.sampling.guidance.proximal:diffpir",
            needs=frozenset({"linear"}),
            tiles=True,
        ),
        "dds": _spec(
            50,
            {
                "iterations": Parameter(5, "conjugate gradient steps from the denoiser's answer", low=1, high=1000),
                "kernel": _KERNEL,
                "eta": replace(_ETA, default=0.85),
            },
            name="dds",
            title="Decomposed diffusion sampler (Chung et al. 2024)",
            summary="a few conjugate gradient steps toward the measurement; made for MRI and tomography",
            factory="inverse.sampling.guidance.proximal:dds",
            needs=frozenset({"linear"}),
            tiles=_dds_tiles,
        ),
        "mpgd": _spec(
            50,
            {"kernel": _KERNEL, "eta": _ETA},
            name="mpgd",
            title="Manifold preserving guided diffusion (He et al. 2024)",
            summary="one gradient step on the denoiser's answer; any differentiable operator, "
            "no gradient of the network",
            factory="inverse.sampling.guidance.proximal:mpgd",
            tiles=True,
            # beside ddnm and diffpir in the table of auto, but behind them below the noise levels measured there:
            # CRPS 0.0078, 0.0067 and 0.0066 of a scene at twice its resolution, noise 0.005
            tiles_auto=False,
        ),
        "ddnm": _spec(
            50,
            {
                "form": Parameter(
                    "filter", "Wiener filter, any linear operator; or the paper's rule", choices=("filter", "paper")
                ),
                "eta": replace(_ETA, default=0.85),
            },
            name="ddnm",
            title="Denoising diffusion null-space model, DDNM+ (Wang et al. 2023)",
            summary="range from the measurement as far as its noise allows, null space from the prior; "
            "any linear operator",
            factory="inverse.sampling.samplers.ddnm:ddnm",
            needs=frozenset({"linear"}),
            needs_with={"form=paper": frozenset({"spectral"})},
            tiles=True,
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
            factory="inverse.sampling.samplers.ddrm:ddrm",
            needs=frozenset({"linear", "spectral"}),
            tiles=True,
        ),
        "daps": _spec(
            50,
            {
                "covariance": Parameter(
                    "isotropic",
                    "of p(x0 | x): its mean on the diagonal, or all of it (nearly exact, linear operators), "
                    "or the paper's",
                    choices=("isotropic", "jacobian", "paper"),
                ),
                "inner": Parameter(5, "evaluations of the probability flow a level, paper", low=1, high=1000),
                "moves": Parameter(50, "Langevin steps a level, nonlinear operators", low=1, high=100_000),
                "roots": Parameter(3, "Jacobian products of the covariance's square root", low=1, high=100),
                "iterations": Parameter(3, "Jacobian products of the solve", low=1, high=100),
            },
            name="daps",
            title="Decoupled annealing posterior sampling (Zhang et al. 2025)",
            summary="draws the image given its estimate and the measurement, then new noise; "
            "any differentiable operator",
            factory="inverse.sampling.samplers.daps:daps",
            needs_with={"covariance=jacobian": frozenset({"linear", "grad"})},
            count=_daps_cost,
        ),
        "smc": _spec(
            50,
            {
                "particles": Parameter(
                    32, "of each sample's population; the bias falls as one over it", low=1, high=1_000_000
                ),
                "twist": Parameter(
                    "auto",
                    "covariance of x0 given the state: the Jacobian where few values were measured, else its spectrum; "
                    "or the card's variance",
                    choices=("auto", "jacobian", "spectrum", "card"),
                ),
                "rank": Parameter(16, "most measured values for the Jacobian, one product each", low=0, high=1024),
                "probes": Parameter(
                    2, "random Jacobian products beside those with the operator's rows", low=1, high=256
                ),
                "threshold": Parameter(
                    0.5, "share of the particles that must be effective, else they are resampled", low=0.0, high=1.0
                ),
            },
            name="smc",
            title="Twisted sequential Monte Carlo (Wu et al. 2023; Cardoso et al. 2024), moment-matched",
            summary="weighted particles: exact as they grow in number, with the evidence; "
            "for modes that guidance misses",
            factory="inverse.sampling.samplers.smc:smc",
            needs=frozenset({"linear", "grad"}),
            particles="particles",
            count=_population,
            gate={"particles": 2, "steps": 10},  # exact on the Gaussian problems at any number of either
        ),
        "pnp-dm": _spec(
            100,
            {
                "covariance": Parameter(
                    "isotropic",
                    "of x0 in a prior step: an estimate of the Jacobian's mean, or the Jacobian",
                    choices=("isotropic", "jacobian"),
                ),
                "inner": Parameter(4, "evaluations of a prior step; 1 may do with the Jacobian", low=1, high=1000),
                "roots": Parameter(3, "Jacobian products of the covariance's square root", low=1, high=100),
                "anneal": Parameter(
                    0.5, "share of the cycles in which the level falls; then it stays", low=0.0, high=1.0
                ),
                "moves": Parameter(50, "Langevin steps a cycle, nonlinear operators", low=1, high=100_000),
            },
            name="pnp-dm",
            title="Plug-and-play diffusion models, split Gibbs (Wu et al. 2024)",
            summary="draws of prior and likelihood in turn, with R-hat and effective sample size; "
            "any differentiable operator",
            factory="inverse.sampling.samplers.pnpdm:pnp_dm",
            needs_with={"covariance=jacobian": frozenset({"grad"})},
            count=_pnp_cost,
        ),
        "red-diff": _spec(
            200,
            {},
            name="red-diff",
            title="Regularisation by denoising diffusion (Mardani et al. 2024)",
            summary="Adam on one image: a point estimate, not a draw; any differentiable operator",
            factory="inverse.sampling.samplers.reddiff:red_diff",
            point_estimate=True,
        ),
        "reverse": MethodSpec(
            parameters=MappingProxyType(
                {
                    "steps": Parameter(
                        20, "noise levels of a draw, at even distances from the measurement's", low=1, high=100_000
                    ),
                }
            ),
            name="reverse",
            title="The reverse process from the measurement on: the posterior of denoising (Robbins 1956; Efron 2011)",
            summary="mean, variance and draws of denoising white noise or noise of photons, by the prior alone",
            factory="inverse.sampling.samplers.reverse:reverse",
            needs=frozenset({"linear", "identity"}),
            count=lambda values: (int(values["steps"]) + 1, 0),
            tiles=True,
            knows=True,
        ),
        "exact": MethodSpec(
            name="exact",
            title="The exact posterior of a Gaussian or mixture prior (Matheron; Papandreou & Yuille 2010)",
            summary="independent draws, mean and variance in closed form; priors of kind gaussian and mixture, "
            "any linear operator; no network",
            factory="inverse.sampling.samplers.exact:exact",
            parameters=MappingProxyType(
                {
                    "solver": Parameter(
                        "auto",
                        "closed form or matrix where there is one, else conjugate gradients; or always one of them",
                        choices=("auto", "dense", "cg"),
                    ),
                    "tolerance": Parameter(
                        1e-5, "of the conjugate gradients, relative to the right-hand side", low=1e-14, high=0.1
                    ),
                    "iterations": Parameter(1000, "of the conjugate gradients, at most", low=1, high=1_000_000),
                }
            ),
            needs=frozenset({"linear"}),
            closed_form=True,
            count=lambda values: (0, 0),
        ),
    }
)


def budget(params: Mapping[str, Any]) -> int:
    """F + 3 V a sample that these parameters of ``auto`` allow."""
    number = params.get("max_evaluations")
    return int(number) if number else BUDGETS[str(params.get("quality") or "normal")]


AUTO = MethodSpec(
    name="auto",
    title="The measured best within a budget (benchmarks/pareto.py)",
    summary="method, steps and parameters chosen from the operator, the noise and a budget",
    factory="inverse.sampling.auto:choose",
    parameters={
        "quality": Parameter("normal", "what a sample may cost: F + 3 V of 20, 100, 1000", choices=tuple(BUDGETS)),
        "max_evaluations": Parameter(None, "the same as a number", low=1, high=1e9),
        "time_budget": Parameter(None, "the same in seconds a sample, by one timed evaluation", low=1e-9),
        "steps": Parameter(
            None, "noise levels of the method that is chosen; default: the table's", low=1, high=100_000
        ),
    },
    count=lambda values: (int(values.get("steps") or budget(values)), 0),
)


@cache
def methods() -> Mapping[str, MethodSpec]:
    """The built-in methods and those of entry points in the group ``inverse.methods``."""
    plugins = {entry.name: entry.load() for entry in metadata.entry_points(group="inverse.methods")}
    return MappingProxyType({**METHODS, AUTO.name: AUTO, **plugins})


def method_spec(name: str) -> MethodSpec:
    """The method called ``name``.

    Raises:
        RecipeError: there is none; the message suggests one.
    """
    if name not in methods():
        raise RecipeError(f"unknown method '{name}'", did_you_mean(name, methods()))
    return methods()[name]


def in_words(name: str, params: Mapping[str, Any]) -> str:
    """A method with its parameters, for a person."""
    spec = method_spec(name)
    if spec.closed_form:
        return f"{name}, closed form"
    amount = f"{params['steps']} steps" if params.get("steps") else f"quality {params.get('quality')}"
    return f"{name}, {amount}" + (", a point estimate" if spec.point_estimate else "")
