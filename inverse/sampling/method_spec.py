"""What a method says of itself: parameters with their defaults, needs, cost, traits and measured bias.

Types alone: the table is `inverse.sampling.methods`. Neither torch nor deepinv is imported here; the method itself is
built by the function at the dotted path ``factory``, called with the parameters of `MethodSpec.parameters`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from inverse.errors import RecipeError, did_you_mean

__all__ = [
    "COMMON",
    "SECOND_LOOK",
    "VJP_SECONDS",
    "VJP_WEIGHT",
    "MethodSpec",
    "Parameter",
    "evaluations",
    "evaluations_of_step",
    "recorded_bias",
]

#: Evaluations that a vector-Jacobian product counts for in a budget and in the table of `auto`: the product, and the
#: graph that its evaluation keeps. A convention: ``auto.json`` has it in its costs, another changes what is chosen.
VJP_WEIGHT = 3
#: Seconds of a vector-Jacobian product alone, over those of an evaluation: for forecasts of a run's time.
VJP_SECONDS = 2.0
#: Kernels that evaluate the network a second time in a step.
SECOND_LOOK = ("heun", "corrected")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a method."""

    default: float | int | str | None  # None: it follows from the prior and the operator
    summary: str  # what it does, with units
    choices: tuple[str, ...] = ()  # allowed strings
    low: float = -math.inf  # smallest allowed number
    high: float = math.inf  # largest

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


def evaluations(values: Mapping[str, Any]) -> int:
    """Posterior evaluations of a sample with these parameters: of its steps, the last of which never looks again."""
    each = evaluations_of_step(values)
    return each * int(values["steps"]) - (each - 1)


def evaluations_of_step(values: Mapping[str, Any]) -> int:
    """Posterior evaluations of a step: one; two with the kernels that look again."""
    return 2 if values.get("kernel") in SECOND_LOOK else 1


@dataclass(frozen=True)
class MethodSpec:
    """A method."""

    name: str
    title: str  # full name and source
    summary: str  # one line
    factory: str  # dotted path of the function ``(**parameters) -> Method``
    parameters: Mapping[str, Parameter]  # its own, and the common ones
    #: Capabilities it asks of the operator and prior: ``linear``, ``spectral``, ``identity``, ``grad``.
    needs: frozenset[str] = field(default_factory=frozenset)
    #: What a choice asks beside, by ``"parameter=value"``.
    needs_with: Mapping[str, frozenset[str]] = field(default_factory=dict)
    forward: int = 1  # network evaluations (F) of one posterior evaluation
    #: Vector-Jacobian products (V) of one posterior evaluation: a number, or the parameters' function.
    vjp: int | Callable[[Mapping[str, Any]], int] = 0
    #: F and V of a sample from the parameters, where it is not evaluations times those two.
    count: Callable[[Mapping[str, Any]], tuple[int, int]] | None = None
    particles: str | None = None  # the parameter that multiplies the states a sample holds; None: one state
    point_estimate: bool = False  # whether its samples are estimates and not draws of a posterior
    knows: bool = False  # whether each sample brings, in its first step, the posterior's mean and variance
    closed_form: bool = False  # whether it is one step without noise levels, for priors with a closed form alone
    #: Whether a step on a window of a scene is the scene's step there (`inverse.scenes.coupled`): one state, and no
    #: inner product over the scene. Or a function of the parameters and of whether the operator is diagonal: why it is
    #: not, in words, or empty where it is.
    tiles: bool | Callable[[Mapping[str, Any], bool], str] = False
    tiles_auto: bool = True  # whether ``auto`` may choose it for a scene with tiles
    #: Whether its step asks for `Observation.excess`, a sum over the whole measurement: a scene's pass more.
    totals: bool = False
    #: How far a step with tiles sees through the prior, in radii of the network: a number, or the parameters' function.
    reach: int | Callable[[Mapping[str, Any]], int] = 1
    #: Parameters with which it is held to the exact posteriors, where its defaults would take an hour there.
    gate: Mapping[str, int] = field(default_factory=dict)

    def cost(self, params: Mapping[str, Any]) -> tuple[int, int]:
        """Network evaluations and vector-Jacobian products of a sample, by parameters that override the defaults."""
        values = {**self.defaults, **params}
        if self.count is not None:
            return self.count(values)
        calls = evaluations(values)
        return calls * self.forward, calls * (self.vjp(values) if callable(self.vjp) else self.vjp)

    def needs_for(self, params: Mapping[str, Any]) -> frozenset[str]:
        """Capabilities that these parameters ask for."""
        values = {**self.defaults, **params}
        extra = [need for key, need in self.needs_with.items() if str(values[key.split("=")[0]]) == key.split("=")[1]]
        return self.needs.union(*extra)

    def reach_for(self, params: Mapping[str, Any]) -> int:
        """`reach` with these parameters."""
        return self.reach({**self.defaults, **params}) if callable(self.reach) else self.reach

    @property
    def bias(self) -> Mapping[str, Mapping[str, float]]:
        """By exact Gaussian problem the recorded fields of `inverse.exact.gaussian.Bias`; empty if not measured."""
        problems: Mapping[str, Mapping[str, Mapping[str, float]]] = recorded_bias()["problems"]
        return {problem: record[self.name] for problem, record in problems.items() if self.name in record}

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


@cache
def recorded_bias() -> Mapping[str, Any]:
    """``bias.json``: ``samples`` of each record, and ``problems``: by problem and method the fields of `Bias`."""
    data: dict[str, Any] = json.loads((resources.files("inverse.sampling") / "bias.json").read_text(encoding="utf-8"))
    return data
