"""``method="auto"``: method, steps and parameters from the operator, the noise and a budget, by a measured table.

``auto.json`` is made by ``benchmarks/pareto.py`` on photographs: for each kind of operator and noise level, what every method and setting
costs (F + 3 V network evaluations a sample) and how good the posterior is (CRPS, which counts mean and spread; PSNR of the mean; coverage).
The choice is the setting of smallest CRPS that the operator admits and the budget pays for; if the budget pays for none, the cheapest one
with as few levels as it pays for. A function of the item alone, so that a batch changes nothing.

Operators are told apart by what they leave of the unknown: ``mask`` (values of it, or of its Fourier transform, are missing), ``reduced`` (fewer
measured values than unknowns), ``full``, and ``nonlinear``. No torch is imported here.
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
from inverse.sampling.method_spec import MethodSpec, Parameter, method_spec

if TYPE_CHECKING:
    from inverse.operators.observation import Observation

__all__ = ["AUTO", "BUDGETS", "Admits", "Row", "best", "budget", "choose", "kind_of", "rows"]

Admits = Callable[[str, Mapping[str, Any]], bool]
"""Whether a method with all of its parameters may be chosen."""

BUDGETS = {"draft": 20, "normal": 100, "best": 1000}
"""F + 3 V a sample that a quality may cost."""

VJP_WEIGHT = 3


@dataclass(frozen=True)
class Row:
    """One measured setting.

    Attributes:
        kind: Kind of operator it was measured on.
        noise: Noise level over the standard deviation of the prior's images.
        method: Registry name.
        params: Its parameters, where they are not the defaults.
        cost: F + 3 V of a sample.
        psnr: Of the mean, dB.
        crps: Continuous ranked probability score, data units; smaller is better.
        coverage: Share of values in their 90 % interval.
    """

    kind: str
    noise: float
    method: str
    params: Mapping[str, Any]
    cost: int
    psnr: float
    crps: float
    coverage: float


@cache
def rows() -> tuple[Row, ...]:
    """The table."""
    text = (resources.files("inverse.sampling") / "auto.json").read_text(encoding="utf-8")
    return tuple(Row(**row) for row in json.loads(text)["rows"])


def cost_of(method: str, params: Mapping[str, Any]) -> int:
    """F + 3 V of a sample."""
    forward, vjp = method_spec(method).cost(params)
    return forward + VJP_WEIGHT * vjp


def budget(params: Mapping[str, Any]) -> int:
    """F + 3 V a sample that these parameters of ``auto`` allow."""
    given = params.get("max_evaluations")
    return int(given) if given else BUDGETS[str(params.get("quality") or AUTO.defaults["quality"])]


def best(
    kind: str, noise: float, has: frozenset[str], limit: int, *, admits: Admits | None = None
) -> tuple[str, dict[str, Any]]:
    """Method and parameters for a kind of operator.

    Args:
        kind: ``mask``, ``reduced``, ``full`` or ``nonlinear``.
        noise: Noise level over the standard deviation of the prior's images.
        has: Capabilities of the operator.
        limit: F + 3 V a sample.
        admits: What else a choice must meet.

    Returns:
        Registry name and parameters, ``steps`` included.

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
    from torch import Size, Tensor

    from inverse.numerics.linalg import parts

    if not observation.linear:
        return "nonlinear"
    values = sum((2 if part.is_complex() else 1) * part[0].numel() for part in parts(observation.y))
    if isinstance(observation.y, Tensor) and float(observation.count().min()) < values:
        return "mask"
    return "reduced" if values < Size(observation.shape).numel() else "full"


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
    found = [
        best(kind_of(observation), level / data_var**0.5, has, budget(params), admits=admits)
        for level in sorted(set(observation.sigma.tolist()))
    ]
    if any(other != found[0] for other in found[1:]):
        names = ", ".join(sorted({f"{name} ({values['steps']} steps)" for name, values in found}))
        raise RecipeError(
            f"the items' noise levels ask for different methods: {names}", "restore them one by one, or name one"
        )
    return found[0]


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


AUTO = MethodSpec(
    name="auto",
    title="The measured best within a budget (benchmarks/pareto.py)",
    summary="method, steps and parameters chosen from the operator, the noise and a budget",
    factory="inverse.sampling.auto:choose",
    parameters={
        "quality": Parameter("normal", "what a sample may cost: F + 3 V of 20, 100, 1000", choices=tuple(BUDGETS)),
        "max_evaluations": Parameter(None, "the same as a number", low=1, high=1e9),
        "time_budget": Parameter(None, "the same in seconds a sample, by one timed evaluation", low=1e-9),
    },
    count=lambda values: (budget(values), 0),
)
