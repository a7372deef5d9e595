"""The models a recipe is checked by: fixed sections here, `operator` and `method` built from the catalogues.

Nothing here imports torch or deepinv.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Annotated, Any, Literal, Union

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, create_model, field_validator
from pydantic_core import PydanticCustomError

from inverse.errors import RecipeError
from inverse.operators.catalogue import operators
from inverse.operators.noise.spec import noise_keys
from inverse.sampling.method_spec import MethodSpec
from inverse.sampling.methods import methods

__all__ = [
    "OPERATOR_DEFAULTS",
    "Data",
    "FileFormat",
    "Output",
    "Prior",
    "RunSection",
    "Section",
    "format_of_output",
    "keys_of",
    "method_models",
    "operator_models",
    "union",
]


#: Defaults of recipes where they differ from `build_operator`'s: a real scene goes on past the frame.
OPERATOR_DEFAULTS = {"boundary": "free"}


class Section(BaseModel):
    """A mapping in a recipe: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _whole(*names: str, low: int) -> BeforeValidator:
    def check(value: object) -> object:
        if value in names or (isinstance(value, int) and not isinstance(value, bool) and value >= low):
            return value
        raise PydanticCustomError(
            "not_allowed", "{allowed}", {"allowed": f"{', '.join(names)}, or a whole number >= {low}"}
        )

    return BeforeValidator(check)


def _interval(value: object) -> object:
    numbers = value if isinstance(value, list | tuple) and len(value) == 2 else ()
    if numbers and all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
        low, high = numbers
        if low < high:
            return value
    raise PydanticCustomError("not_allowed", "two finite numbers, the smaller first, such as [0, 1]")


def _scale(value: object) -> object:
    if value in ("type", "auto", "bands"):
        return value
    try:
        return _interval(value)
    except PydanticCustomError:
        raise PydanticCustomError(
            "not_allowed", "type, auto, bands, or two finite numbers, the smaller first"
        ) from None


def _output(given: object) -> object:
    if given in ("mean", "sample", "rss"):
        return given
    raise PydanticCustomError("not_allowed", "mean, sample, rss, nifti, dicom")


def format_of_output(given: Any) -> Any:
    """Values of a recipe, where ``output: nifti`` is the mean in the format ``nifti``, and ``dicom`` alike."""
    if not isinstance(given, dict) or given.get("output") not in ("nifti", "dicom"):
        return given
    return {**given, "output": "mean", "format": given["output"]}


Output = Annotated[
    Literal["mean", "sample", "rss"],
    BeforeValidator(_output),
    Field(
        description="what restored/ holds: the posterior mean, one draw, or (of raw k-space of several coils) the root "
        "sum of squares that full k-space would have shown, noise and all; nifti, dicom: the mean, in that format"
    ),
]
FileFormat = Annotated[
    Literal["own", "nifti", "dicom"],
    Field(description="what results of raw k-space are: own, of the input's kind; nifti; dicom, one file a slice"),
]
Interval = Annotated[tuple[float, float], BeforeValidator(_interval)]


class Prior(Section):
    """The denoiser that says what pictures look like."""

    name: Annotated[str, Field(min_length=1)] = Field(default="photo", description="an embedded prior, or a file")
    data_range: Interval | None = Field(
        default=None, description="the data units that the prior's own range stands for"
    )


class Data(Section):
    """What the numbers in the files mean."""

    range: Interval = Field(default=(0.0, 1.0), description="black and white in data units")
    scale: Annotated[Literal["type", "auto", "bands"] | tuple[float, float], BeforeValidator(_scale)] = Field(
        default="type",
        description="the values of a file that are 0 and 1 in data units. type: 0 and full scale of unsigned integers, "
        "floats as they are; auto: the 0.05 and 99.5 percentiles of the scene; bands: those of each band; or two "
        "numbers, such as [0, 10000]. Undone at the write",
    )
    transfer: Literal["srgb", "linear"] = Field(
        default="srgb",
        description="srgb: the operator acts on the values as stored; linear: files are sRGB-encoded, the operator and "
        "its noise level are in linear light; restored files and scores are encoded again, std maps and posterior.h5 "
        "stay in linear light",
    )

    @field_validator("transfer")
    @classmethod
    def _curve_fits(cls, transfer: str, info: ValidationInfo) -> str:
        plain = info.data.get("range", (0.0, 1.0)) == (0.0, 1.0) and info.data.get("scale", "type") == "type"
        if transfer == "linear" and not plain:
            raise PydanticCustomError(
                "not_allowed",
                "srgb; linear only with data.range [0, 1] and data.scale type, where its curve is defined",
            )
        return transfer


class RunSection(Section):
    """How much is computed, and from which random numbers."""

    samples: int = Field(default=4, ge=1, le=100_000, description="posterior draws for each item")
    antithetic: bool = Field(
        default=False, description="samples in pairs of opposite noise, whose mean is that of many more"
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="the seed of all noise")
    batch: Annotated[int | Literal["auto"], _whole("auto", low=1)] = Field(
        default="auto", description="states in one network call"
    )
    tile: Annotated[int | Literal["auto", "off", "independent"], _whole("auto", "off", "independent", low=64)] = Field(
        default="auto",
        description="tiles of large scenes: a side in pixels of coupled ones; auto: where a scene does not fit; "
        "independent: runs of their own, approximate",
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(default="auto", description="the network's precision")


@cache
def operator_models() -> dict[str, type[BaseModel]]:
    """Operator kind to the model that checks it."""
    return {kind: spec.model for kind, spec in operators().items()}


@cache
def method_models() -> dict[str, type[BaseModel]]:
    """Method kind to the model that checks it, made from its declared parameters."""
    return {name: _method_model(spec) for name, spec in methods().items()}


def _method_model(spec: MethodSpec) -> type[BaseModel]:
    fields: dict[str, Any] = {"kind": (Literal[spec.name], spec.name)}
    for name, parameter in spec.parameters.items():
        kind: Any = type(parameter.default) if parameter.default is not None else float
        if parameter.choices:
            kind = Literal[parameter.choices]
        bounds: dict[str, Any] = {}
        if kind in (int, float):
            bounds = {"ge": parameter.low} if math.isfinite(parameter.low) else {}
            bounds |= {"le": parameter.high} if math.isfinite(parameter.high) else {}
            bounds |= {"allow_inf_nan": False} if kind is float else {}
            kind = Annotated[kind, Field(**bounds)]
        if parameter.default is None:
            kind = kind | None
        fields[name] = (kind, Field(default=parameter.default, description=parameter.summary))
    title = "".join(part.capitalize() for part in spec.name.split("-"))
    return create_model(title, __base__=Section, __doc__=spec.summary, **fields)


def union(models: dict[str, type[BaseModel]]) -> Any:
    """One of several models, told apart by ``kind``."""
    kinds = tuple(models.values())
    return kinds[0] if len(kinds) == 1 else Annotated[Union[kinds], Field(discriminator="kind")]  # noqa: UP007


def keys_of(section: str, kind: object) -> frozenset[str] | None:
    """The keys that a section of this kind may have, or None if there is no such kind."""
    tables = {"operator": operator_models, "method": method_models}
    fixed: dict[str, type[BaseModel]] = {"prior": Prior, "data": Data, "run": RunSection}
    if section == "noise":
        return noise_keys(kind)
    if section in fixed:
        return frozenset(fixed[section].model_fields)
    if section not in tables:
        return None
    try:
        model = tables[section]().get(str(kind))
    except RecipeError:
        return None
    return None if model is None else frozenset(model.model_fields)
