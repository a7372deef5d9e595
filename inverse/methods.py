"""The methods by name: what each composes, its defaults, what it needs, what it costs and its measured bias.

Data only: neither torch nor deepinv is imported here. The composition itself is built by the dotted path ``factory`` with the
parameters of :attr:`MethodSpec.parameters`; methods of other packages join through the entry point group ``inverse.methods``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata, resources
from types import MappingProxyType
from typing import Any

from inverse.errors import RecipeError, did_you_mean

__all__ = ["METHODS", "MethodSpec", "Parameter", "method_spec", "methods", "recorded_bias"]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a method.

    Attributes:
        default: Its default; None means that it follows from the prior and the operator.
        summary: What it does, with units.
        choices: Allowed strings.
        low: Smallest allowed number.
        high: Largest allowed number.
    """

    default: float | int | str | None
    summary: str
    choices: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf

    def problem(self, value: object) -> str | None:
        """What is wrong with ``value``, or None."""
        if value is None and self.default is None:
            return None
        if self.choices:
            return None if value in self.choices else f"allowed: {', '.join(self.choices)}"
        allowed = f"allowed: a number from {self.low:g} to {self.high:g}"
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return allowed
        if isinstance(self.default, int) and not isinstance(self.default, bool) and value != int(value):
            return allowed.replace("a number", "a whole number")
        return None if self.low <= value <= self.high else allowed


COMMON = {
    "sigma_max": Parameter(None, "first noise level, data units", low=1e-6),
    "sigma_min": Parameter(None, "last noise level before 0, data units", low=1e-9),
    "levels": Parameter("karras", "spacing of the noise levels", choices=("karras", "log")),
}


@dataclass(frozen=True)
class MethodSpec:
    """A method.

    Attributes:
        name: Registry name.
        title: Full name and source.
        summary: One line.
        factory: Dotted path of the function ``(**parameters) -> Method``.
        parameters: Its own parameters, the common ones included.
        needs: Capabilities it asks of the operator and prior: ``linear``, ``spectral``, ``grad``.
        forward: Network evaluations a step and sample (F).
        vjp: Vector-Jacobian products a step and sample (V).
    """

    name: str
    title: str
    summary: str
    factory: str
    parameters: Mapping[str, Parameter]
    needs: frozenset[str] = field(default_factory=frozenset)
    forward: int = 1
    vjp: int = 0

    @property
    def bias(self) -> Mapping[str, Mapping[str, float]]:
        """Recorded on exact Gaussian posteriors (:mod:`inverse.gates`): problem to the fields of ``Bias``; empty if not measured."""
        problems: Mapping[str, Mapping[str, Mapping[str, float]]] = recorded_bias()["problems"]
        return {problem: found[self.name] for problem, found in problems.items() if self.name in found}

    @property
    def defaults(self) -> dict[str, float | int | str | None]:
        """Parameter name to default."""
        return {name: parameter.default for name, parameter in self.parameters.items()}

    def validate(self, params: Mapping[str, object]) -> dict[str, object]:
        """Defaults updated by ``params``.

        Raises:
            RecipeError: an unknown name (with a suggestion) or a value out of range.
        """
        for name, value in params.items():
            if name not in self.parameters:
                raise RecipeError(
                    f"method '{self.name}' has no parameter '{name}'", did_you_mean(name, self.parameters)
                )
            problem = self.parameters[name].problem(value)
            if problem:
                raise RecipeError(f"method.{name} = {value!r} is not valid for '{self.name}'", problem)
        return {**self.defaults, **params}


def _spec(steps: int, own: Mapping[str, Parameter], **fields: object) -> MethodSpec:
    parameters = {"steps": Parameter(steps, "noise levels, one evaluation each", low=1, high=100_000), **own, **COMMON}
    return MethodSpec(parameters=MappingProxyType(parameters), **fields)  # type: ignore[arg-type]


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


@cache
def recorded_bias() -> Mapping[str, Any]:
    """``bias.json``: ``samples`` each record was made from, and ``problems``: problem, method, fields of ``inverse.gates.Bias``."""
    data: dict[str, Any] = json.loads((resources.files("inverse") / "bias.json").read_text(encoding="utf-8"))
    return data


@cache
def methods() -> Mapping[str, MethodSpec]:
    """The built-in methods and those of entry points in the group ``inverse.methods``."""
    found = dict(METHODS)
    for entry in metadata.entry_points(group="inverse.methods"):
        found[entry.name] = entry.load()
    return MappingProxyType(found)


def method_spec(name: str) -> MethodSpec:
    """The method called ``name``.

    Raises:
        RecipeError: there is none; the message suggests one.
    """
    if name not in methods():
        raise RecipeError(f"unknown method '{name}'", did_you_mean(name, methods()))
    return methods()[name]
