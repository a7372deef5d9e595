"""The methods by name: what each composes, its defaults, what it needs, what it costs and its measured bias.

Data only: neither torch nor deepinv is imported here. The composition itself is built by the dotted path ``factory`` with the
parameters of :attr:`MethodSpec.parameters`; methods of other packages join through the entry point group ``inverse.methods``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata, resources
from types import MappingProxyType
from typing import Any

from inverse.errors import RecipeError, did_you_mean

__all__ = [
    "COMMON",
    "MethodSpec",
    "Parameter",
    "evaluations",
    "evaluations_of_step",
    "in_words",
    "method_spec",
    "methods",
    "recorded_bias",
]


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


def evaluations(values: Mapping[str, Any]) -> int:
    """Posterior evaluations of a sample with these parameters: those of its steps, the last of which never looks again."""
    each = evaluations_of_step(values)
    return each * int(values["steps"]) - (each - 1)


def evaluations_of_step(values: Mapping[str, Any]) -> int:
    """Posterior evaluations of a step: one; two with the kernels that look again."""
    return 2 if values.get("kernel") in ("heun", "corrected") else 1


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
        needs_with: What a choice asks beside, by ``"parameter=value"``.
        forward: Network evaluations (F) of one posterior evaluation.
        vjp: Vector-Jacobian products (V) of one posterior evaluation: a number, or the parameters' function.
        count: F and V of a sample from the parameters, where it is not evaluations times those two.
        particles: Name of the parameter that multiplies the states a sample holds; None is one.
        point_estimate: Whether its samples are estimates and not draws of a posterior.
        closed_form: Whether it is one step without noise levels, for priors with a closed form alone.
    """

    name: str
    title: str
    summary: str
    factory: str
    parameters: Mapping[str, Parameter]
    needs: frozenset[str] = field(default_factory=frozenset)
    needs_with: Mapping[str, frozenset[str]] = field(default_factory=dict)
    forward: int = 1
    vjp: int | Callable[[Mapping[str, Any]], int] = 0
    count: Callable[[Mapping[str, Any]], tuple[int, int]] | None = None
    particles: str | None = None
    point_estimate: bool = False
    closed_form: bool = False

    def cost(self, params: Mapping[str, Any]) -> tuple[int, int]:
        """Network evaluations and vector-Jacobian products of one sample, from parameters that override the defaults."""
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

    @property
    def bias(self) -> Mapping[str, Mapping[str, float]]:
        """Recorded on exact Gaussian posteriors (:mod:`inverse.exact.gaussian`): problem to the fields of ``Bias``; empty if not measured."""
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


def in_words(name: str, params: Mapping[str, Any]) -> str:
    """A method with what it was given, for a person."""
    spec = method_spec(name)
    if spec.closed_form:
        return f"{name}, closed form"
    amount = f"{params['steps']} steps" if params.get("steps") else f"quality {params.get('quality')}"
    return f"{name}, {amount}" + (", a point estimate" if spec.point_estimate else "")


@cache
def recorded_bias() -> Mapping[str, Any]:
    """``bias.json``: ``samples`` each record was made from, and ``problems``: problem, method, fields of ``inverse.exact.gaussian.Bias``."""
    data: dict[str, Any] = json.loads((resources.files("inverse.sampling") / "bias.json").read_text(encoding="utf-8"))
    return data


@cache
def methods() -> Mapping[str, MethodSpec]:
    """The built-in methods and those of entry points in the group ``inverse.methods``."""
    from inverse.sampling.auto import AUTO
    from inverse.sampling.methods import METHODS

    found = {**METHODS, AUTO.name: AUTO}
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
