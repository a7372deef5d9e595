"""Entries of the catalogue of operators, and the types of their parameters; neither torch nor deepinv is imported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

__all__ = ["AUTO", "PATH", "Boundary", "File", "Operator", "OperatorSpec", "OptionalFile", "Side", "number_or_auto"]

Boundary = Annotated[
    Literal["reflect", "circular", "free"],
    Field(
        description="beyond the frame: reflect mirrors the image (half-sample), circular wraps it, free leaves it "
        "unknown"
    ),
]
#: Mark of the parameters that name a file: resolved from the recipe's folder, and hashed by content.
PATH = "path"
File = Annotated[str, Field(min_length=1, json_schema_extra={PATH: True})]
#: Of a parameter that is estimated from the measurement.
AUTO: Final = "auto"
Side = Annotated[int, Field(ge=1)]
OptionalFile = Annotated[str | None, Field(default=None, min_length=1, json_schema_extra={PATH: True})]


def number_or_auto(
    *, above: float = -math.inf, least: float = -math.inf, most: float = math.inf, whole: bool = False
) -> BeforeValidator:
    """Checks a parameter that can be estimated: a finite number in a range, or ``auto``."""
    low = f" > {above:g}" if above > -math.inf else f" >= {least:g}" if least > -math.inf else ""
    high = f" up to {most:g}" if most < math.inf else ""

    def check(value: object) -> object:
        real = isinstance(value, int if whole else int | float) and not isinstance(value, bool) and math.isfinite(value)
        if value == AUTO or (real and value > above and value >= least and value <= most):  # type: ignore[operator]
            return value
        raise PydanticCustomError("not_allowed", f"auto (from the image), or a {'whole ' * whole}number{low}{high}")

    return BeforeValidator(check)


class Operator(BaseModel):
    """The parameters of a forward operator; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class OperatorSpec:
    """The catalogue's entry of an operator.

    Attributes:
        model: The pydantic model of its parameters; the default of its literal ``kind`` is the registry name.
        factory: Dotted path ``module:function`` of ``(params, *, shape, noise_model, dtype) -> Physics`` for an unknown
            of that shape.
        summary: One line.
        formula: What is measured, as text.
        capabilities: What methods can use: ``linear``, and ``spectral`` where the singular basis is known (in words if
            that depends on parameters).
        locate: Dotted path of ``(params, measurement_shape) -> (params, unknown_shape)``; None if the shapes are equal.
        measured: Dotted path of ``(params, measurement) -> Fitted`` (:mod:`inverse.operators.measurement`), for an
            operator that is known only with its measurement: which samples were taken, coil maps, a blur's width. None
            if its parameters say it all.
        stated: Dotted path of ``(params, facts) -> (params, sentences)``, which replaces parameters that are ``auto``
            by what the measurement's file says of them; None if files say nothing of it.
        level: Dotted path of ``measurement -> float | None``, the noise level where estimates that are for images are
            wrong; None: they are right.
        estimate: Dotted path of ``(params, measurement) -> Estimated`` (:mod:`inverse.operators.measurement`), which
            replaces parameters that are ``auto``; None if none can be.
        drawn: Dotted path of ``(params, errors, normals, *, shape, noise_model, dtype) -> Physics``: the factory with
            parameters drawn around ``params``, for an unknown of the same shape; None: what was estimated is certain.
        blind: Whether ``measured`` finds the operator itself in the measurement, to be drawn for each sample.
        result: Dotted path of ``(params, measurement_shape) -> (C, H, W)``, what is restored; None: that of the
            measurement times the parameter ``factor``, if there is one.
        example: Parameters it is checked with (``inverse list operators --check``). A value ``@name`` of a file
            parameter is a file with the array of that name in :mod:`inverse.operators.selfcheck`.
        channels: Channels of the unknown in that check, where the operator has no choice; None: three and one.
        sides: Two sizes (H, W) of the unknown in that check.
        local: Whether it does the same everywhere, so that a part of a scene is measured as the scene is.
        mask: Whether it only leaves pixels out. A scene is then measured in parts with parts of its mask.
        placed: Parameters that, where they are given, belong to places of the scene, such as a file of its size: with
            them it is not ``local``.
        any_rank: Whether its unknown may be a vector instead of an image (C, H, W).
        source: Paper or program that the formula is from.
    """

    model: type[BaseModel]
    factory: str
    summary: str
    formula: str
    capabilities: str
    locate: str | None = None
    measured: str | None = None
    stated: str | None = None
    level: str | None = None
    estimate: str | None = None
    drawn: str | None = None
    blind: bool = False
    result: str | None = None
    example: Mapping[str, Any] = field(default_factory=dict)
    channels: int | None = None
    sides: tuple[tuple[int, int], tuple[int, int]] = ((33, 47), (35, 31))
    local: bool = False
    mask: bool = False
    placed: tuple[str, ...] = ()
    any_rank: bool = False
    source: str = ""

    @property
    def kind(self) -> str:
        """The registry name."""
        return str(self.model.model_fields["kind"].default)

    def placed_by(self, params: Mapping[str, Any]) -> tuple[str, ...]:
        """Those of ``placed`` that parameters give another value than the default."""
        return tuple(name for name in self.placed if params[name] != self.model.model_fields[name].default)
