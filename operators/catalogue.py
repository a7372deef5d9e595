"""The operators by kind: a typed model of each one's parameters, and where it is built.

Data only: neither torch nor deepinv is imported here. Operators of other packages join through the entry point group
``inverse.operators``: its names are kinds, its values `OperatorSpec` objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import metadata
from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from inverse.errors import RecipeError, did_you_mean
from inverse.operators.blur.spec import SPECS as BLUR
from inverse.operators.image.spec import SPECS as IMAGE
from inverse.operators.mri.spec import SPECS as MRI
from inverse.operators.projection.spec import SPECS as PROJECTION
from inverse.operators.satellite.spec import SPECS as SATELLITE
from inverse.operators.spec import AUTO, Operator, OperatorSpec

__all__ = ["OPERATORS", "Chain", "Operator", "OperatorSpec", "is_drawn", "operator_spec", "operators"]


class Chain(Operator):
    """Operators one after the other, the first of the list acting first."""

    kind: Literal["chain"] = "chain"
    operators: tuple[dict[str, Any], ...] = Field(
        min_length=1, description="operators, each with its kind and parameters"
    )

    @field_validator("operators", mode="before")
    @classmethod
    def _known(cls, members: object) -> object:
        if not isinstance(members, list | tuple):
            return members
        known = tuple(_member(member) for member in members)
        if blind := next((member["kind"] for member in known if operator_spec(member["kind"]).blind), None):
            raise PydanticCustomError("not_allowed", "no {kind}, which is found in the image alone", {"kind": blind})
        if sum(operator_spec(member["kind"]).estimate is not None and AUTO in member.values() for member in known) > 1:
            raise PydanticCustomError("not_allowed", "auto for one operator of a list, numbers for the others")
        return known


def _member(params: object) -> dict[str, Any]:
    """The validated parameters of one operator of a chain."""
    params = {"kind": params} if isinstance(params, str) else params
    if not isinstance(params, dict) or not isinstance(params.get("kind"), str):
        raise PydanticCustomError("not_allowed", "a list of operators, each a mapping with a kind")
    try:
        spec = operator_spec(params["kind"])
    except RecipeError as error:
        raise PydanticCustomError("not_allowed", "{text}", {"text": f"{error.message}; {error.hint}"}) from None
    if spec.model is Chain:
        raise PydanticCustomError("not_allowed", "one list, without lists in it")
    try:
        values = spec.model.model_validate(params).model_dump()
    except ValidationError as error:
        first = error.errors()[0]
        text = f"{spec.kind}.{'.'.join(str(key) for key in first['loc'])}: {first['msg']}"
        raise PydanticCustomError("not_allowed", "{text}", {"text": text}) from None
    return values


CHAIN = OperatorSpec(
    Chain,
    "inverse.operators.chain:chain",
    "several operators one after the other: operator: [{kind: ...}, {kind: ...}]",
    "y = A_k ... A_2 A_1 x + n",
    "linear where all parts are",
    "inverse.operators.chain:locate",
    result="inverse.operators.chain:result",
    estimate="inverse.operators.chain:estimate",
    drawn="inverse.operators.chain:drawn",
    example={"operators": ({"kind": "gaussian-blur", "sigma": 1.0}, {"kind": "downsample", "factor": 2})},
)

#: The operators of this package by kind.
OPERATORS: Mapping[str, OperatorSpec] = MappingProxyType(
    {spec.kind: spec for spec in (*IMAGE, *BLUR, CHAIN, *PROJECTION, *MRI, *SATELLITE)}
)


@cache
def operators() -> Mapping[str, OperatorSpec]:
    """All installed operators by kind: :data:`OPERATORS`, and those of other packages."""
    plugins = {point.name: point.load() for point in metadata.entry_points(group="inverse.operators")}
    return MappingProxyType({**plugins, **OPERATORS})


def operator_spec(kind: str) -> OperatorSpec:
    """The operator of a kind.

    Raises:
        RecipeError: there is no such kind; the message suggests one.
    """
    if kind not in operators():
        raise RecipeError(f"unknown operator '{kind}'", did_you_mean(kind, operators()))
    return operators()[kind]


def is_drawn(operator: Mapping[str, Any]) -> bool:
    """Whether parameters of a recipe's operator are estimated from the measurement and drawn for each sample."""
    links = operator.get("operators") or ()
    if links:
        return any(is_drawn(link) for link in links)
    spec = operator_spec(operator["kind"])
    return spec.blind or (AUTO in operator.values() and spec.drawn is not None)
