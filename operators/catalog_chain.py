"""Operators of operators: the models of their parameters, and where they are built."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from inverse.errors import RecipeError
from inverse.operators.spec import AUTO, Operator, OperatorSpec

__all__ = ["SPECS", "Chain"]


class Chain(Operator):
    """Operators one after the other, the first of the list acting first."""

    kind: Literal["chain"] = "chain"
    operators: tuple[dict[str, Any], ...] = Field(
        min_length=1, description="operators, each with its kind and parameters"
    )

    @field_validator("operators", mode="before")
    @classmethod
    def _known(cls, given: object) -> object:
        from inverse.operators.catalog import operator_spec

        if not isinstance(given, list | tuple):
            return given
        found = []
        for one in given:
            if isinstance(one, str):
                one = {"kind": one}
            if not isinstance(one, dict) or not isinstance(one.get("kind"), str):
                raise PydanticCustomError("not_allowed", "a list of operators, each a mapping with a kind")
            try:
                spec = operator_spec(one["kind"])
            except RecipeError as error:
                raise PydanticCustomError("not_allowed", "{text}", {"text": f"{error.message}; {error.hint}"}) from None
            if spec.kind == "chain":
                raise PydanticCustomError("not_allowed", "one list, without lists in it")
            try:
                values = spec.model.model_validate(one).model_dump()
            except ValidationError as error:
                first = error.errors()[0]
                text = f"{spec.kind}.{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
                raise PydanticCustomError("not_allowed", "{text}", {"text": text}) from None
            if spec.estimate is not None and AUTO in values.values():
                raise PydanticCustomError(
                    "not_allowed", "{kind} with numbers: auto is for one operator alone", {"kind": spec.kind}
                )
            found.append(values)
        return tuple(found)


SPECS = (
    OperatorSpec(
        "chain",
        Chain,
        "inverse.operators.chain:chain",
        "several operators one after the other: operator: [{kind: ...}, {kind: ...}]",
        "y = A_k ... A_2 A_1 x + n",
        "linear where all parts are",
        "inverse.operators.chain:locate",
        result="inverse.operators.chain:result",
        example={"operators": ({"kind": "gaussian-blur", "sigma": 1.0}, {"kind": "downsample", "factor": 2})},
    ),
)
