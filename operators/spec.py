"""What the catalogues of operators are written in. Data only: neither torch nor deepinv is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["PATH", "Boundary", "File", "Operator", "OperatorSpec", "Side"]

Boundary = Annotated[
    Literal["reflect", "circular", "free"],
    Field(
        description="beyond the frame: reflect mirrors the image (half-sample), circular wraps it, free leaves it unknown"
    ),
]
PATH = "path"
"""Mark of the parameters that name a file: resolved from the recipe's folder, and hashed by content."""

File = Annotated[str, Field(min_length=1, json_schema_extra={PATH: True})]
Side = Annotated[int, Field(ge=1)]


class Operator(BaseModel):
    """The parameters of a forward operator; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class OperatorSpec:
    """An operator.

    Attributes:
        kind: Registry name.
        model: The pydantic model of its parameters, with a literal ``kind``.
        factory: Dotted path ``module:function`` of ``(params, *, shape, noise_model, dtype) -> Physics`` for an unknown
            of that shape.
        summary: One line.
        formula: What is measured, as text.
        capabilities: What methods can use: ``linear``, and ``spectral`` where the singular basis is known (in words if
            that depends on parameters).
        locate: Dotted path of ``(params, measurement_shape) -> (params, unknown_shape)``; None if the shapes are equal.
        measured: Dotted path of ``(params, measurement) -> Fitted`` (:mod:`inverse.operators.measured`), for an operator that is known only
            with its measurement: which samples were taken, coil maps, a blur's width. None if its parameters say it all.
        result: Dotted path of ``(params, measurement_shape) -> (C, H, W)``, what is restored; None: that of the measurement times
            the parameter ``factor``, if there is one.
        example: Parameters it is checked with (``inverse list operators --check``). A value ``@name`` of a file parameter is a file with the
            array of that name in :mod:`inverse.operators.examples`.
        channels: Channels of the unknown in that check, where the operator has no choice; None: three and one.
    """

    kind: str
    model: type[BaseModel]
    factory: str
    summary: str
    formula: str
    capabilities: str
    locate: str | None = None
    measured: str | None = None
    result: str | None = None
    example: Mapping[str, Any] = field(default_factory=dict)
    channels: int | None = None
