"""``method="auto"``: method, steps and parameters from the operator, the noise and a budget, by a measured table.

``auto.json`` is made by ``benchmarks/pareto.py`` on photographs: for each kind of operator and noise level, what
every method and setting costs (F + 3 V network evaluations a sample) and how good the posterior is (CRPS, which counts
mean and spread; PSNR of the mean; coverage). The choice is the setting of smallest CRPS that the operator admits and
the budget pays for; if the budget pays for none, the cheapest one with as few levels as it pays for. A function of the
item alone, so that a batch changes nothing. White noise on an image as it is needs no table: ``reverse`` is exact.

Operators are told apart by what they leave of the unknown: ``mask`` (values of it, or of its Fourier transform, are
missing), ``reduced`` (fewer measured values than unknowns), ``full``, and ``nonlinear``. No torch is imported
here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from inverse.errors import RecipeError, UsageError
from inverse.sampling.method_spec import VJP_WEIGHT
from inverse.sampling.methods import budget, method_spec

if TYPE_CHECKING:  # the table is read without torch
    from inverse.operators.observation import Observation

__all__ = ["Admits", "MeasuredSetting", "best", "choose", "cost_of", "evaluations_in", "kind_of", "rows"]

#: Steps of a draw of denoising by the quality asked for; its mean and variance are the same with all.
DRAW_STEPS = {"draft": 2, "normal": 2, "best": 20}
#: Whether a method with all of its parameters may be chosen.
Admits = Callable[[str, Mapping[str, Any]], bool]


@dataclass(frozen=True)
class MeasuredSetting:
    """A row of the table: a method with its parameters, what it cost and how good it was."""

    kind: str  # of operator it was measured on
    noise: float  # noise level over the standard deviation of the prior's images
    method: str
    params: Mapping[str, Any]  # where they are not the defaults
    cost: int  # F + 3 V of a sample
    psnr: float  # of the mean, dB
    crps: float  # continuous ranked probability score, data units; smaller is better
    coverage: float  # share of values in their 90 % interval


@cache
def rows() -> tuple[MeasuredSetting, ...]:
    """The table."""
    text = (resources.files("inverse.sampling") / "auto.json").read_text(encoding="utf-8")
    return tuple(MeasuredSetting(**row) for row in json.loads(text)["rows"])


def cost_of(method: str, params: Mapping[str, Any]) -> int:
    """F + 3 V of a sample."""
    forward, vjp = method_spec(method).cost(params)
    return forward + VJP_WEIGHT * vjp


def best(
    kind: str, noise: float, has: frozenset[str], limit: int, *, admits: Admits | None = None
) -> tuple[str, dict[str, Any]]:
    """Method and parameters, ``steps`` included, for an operator of a kind that ``has`` these capabilities.

    ``noise`` is over the standard deviation of the prior's images, ``limit`` F + 3 V a sample; a choice must meet
    ``admits`` too.

    Raises:
        RecipeError: there is none, or the budget pays for none.
    """
    fitting = [row for row in rows() if row.kind == kind and method_spec(row.method).needs_for(row.params) <= has]
    if admits is not None:
        fitting = [row for row in fitting if admits(row.method, {**method_spec(row.method).defaults, **row.params})]
    if not fitting:
        raise RecipeError("no method of the table of 'auto' is possible here", "name one: inverse list methods")
    measured = {row.noise for row in fitting}
    nearest = min(measured, key=lambda level: abs(math.log(max(noise, 1e-6) / level)))
    fitting = [row for row in fitting if row.noise == nearest]
    paid = [row for row in fitting if row.cost <= limit]
    if paid:
        chosen = min(paid, key=lambda row: row.crps)
        return chosen.method, {**method_spec(chosen.method).defaults, **chosen.params}
    cheapest = min(fitting, key=lambda row: row.cost)
    params = {**method_spec(cheapest.method).defaults, **cheapest.params}
    while params["steps"] > 1 and cost_of(cheapest.method, params) > limit:
        params["steps"] -= 1
    if cost_of(cheapest.method, params) > limit:
        raise RecipeError(
            f"max_evaluations = {limit} pays for no method here",
            f"'{cheapest.method}' needs {cost_of(cheapest.method, params)} at the least",
        )
    return cheapest.method, params


def kind_of(observation: Observation) -> str:
    """Kind of operator, as the table tells them apart."""
    from inverse.numerics.linalg import parts

    if not observation.linear:
        return "nonlinear"
    tensors = parts(observation.y)
    values = sum((2 if tensor.is_complex() else 1) * tensor[0].numel() for tensor in tensors)
    stacked = tensors[0] is not observation.y
    if not stacked and float(observation.count().min()) < values:
        return "mask"
    return "reduced" if values < math.prod(observation.shape) else "full"


def choose(
    observation: Observation,
    has: frozenset[str],
    data_var: float,
    params: Mapping[str, Any],
    *,
    admits: Admits | None = None,
) -> tuple[str, dict[str, Any]]:
    """Method and parameters for a batch of measurements.

    Raises:
        RecipeError: their noise levels ask for different ones, or the budget pays for none.
    """
    steps = {"steps": int(params["steps"])} if params.get("steps") else {}
    exact = {**method_spec("reverse").defaults, "steps": _draw_steps(params), **steps}
    if (
        "identity" in has
        and (steps or cost_of("reverse", exact) <= budget(params))
        and (not admits or admits("reverse", exact))
    ):
        return "reverse", exact  # no approximation, so nothing to compare by a table
    choices = [
        best(kind_of(observation), level / data_var**0.5, has, budget(params), admits=admits)
        for level in sorted(set(observation.sigma.tolist()))
    ]
    if any(other != choices[0] for other in choices[1:]):
        names = ", ".join(sorted({f"{name} ({values['steps']} steps)" for name, values in choices}))
        raise RecipeError(
            f"the items' noise levels ask for different methods: {names}", "restore them one by one, or name one"
        )
    name, values = choices[0]
    return name, {**values, **steps}


def _draw_steps(params: Mapping[str, Any]) -> int:
    """Steps of a draw by ``reverse``: mean and variance, which a budget is for, are known after the first."""
    given = params.get("max_evaluations")
    return min(20, max(1, int(given) - 1)) if given else DRAW_STEPS[str(params.get("quality") or "normal")]


def evaluations_in(seconds: float, forward_seconds: float) -> int:
    """F + 3 V that a sample may cost in so many seconds.

    Raises:
        UsageError: not even one.
    """
    count = int(seconds / forward_seconds)
    if count < 1:
        raise UsageError(
            f"a time budget of {seconds:.3g} s a sample", f"one network evaluation takes {forward_seconds:.3g} s here"
        )
    return count
