"""The recipe's ``noise`` section: one model a kind, told apart by ``kind``. Nothing here imports torch or deepinv."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

__all__ = [
    "DEFAULTS",
    "ESTIMATORS",
    "NOISES",
    "CorrelatedNoise",
    "GaussianNoise",
    "JpegNoise",
    "Noise",
    "PoissonGaussianNoise",
    "PoissonNoise",
    "RicianNoise",
    "UniformNoise",
    "noise_keys",
]

#: What stands in a simulation for a value that a recipe leaves to be estimated.
DEFAULTS = {"sigma": 0.02, "gain": 0.01, "step": 1 / 255}

#: How an unknown level is estimated: by neighbourhoods, by the wavelet MAD, from the darkest part.
ESTIMATORS = ("auto", "wavelet", "background")


def _number(value: object, *, least: float = 0.0) -> bool:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return real and math.isfinite(value) and value >= least  # type: ignore[operator,arg-type]


def _sigma(value: object) -> object:
    if value in ESTIMATORS or _number(value):
        return value
    raise PydanticCustomError(
        "not_allowed",
        "auto (estimated from the measurement; other estimates: wavelet, background), or a number >= 0 in data units",
    )


def _sigmas(value: object) -> object:
    if isinstance(value, list | tuple) and value and all(_number(one) and one > 0 for one in value):
        return tuple(value)
    try:
        return _sigma(value)
    except PydanticCustomError as error:
        raise PydanticCustomError(
            "not_allowed", f"{error.message()}, or a list of numbers > 0, one for each band"
        ) from None


def _auto_or(*, above: float) -> BeforeValidator:
    def check(value: object) -> object:
        if value == "auto" or (_number(value) and value > above):  # type: ignore[operator]
            return value
        raise PydanticCustomError(
            "not_allowed",
            "auto (estimated from the measurement), or a number > {above} in data units",
            {"above": above},
        )

    return BeforeValidator(check)


Sigma = Annotated[float | Literal["auto", "wavelet", "background"], BeforeValidator(_sigma)]
Sigmas = Annotated[float | tuple[float, ...] | Literal["auto", "wavelet", "background"], BeforeValidator(_sigmas)]


class _Kind(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GaussianNoise(_Kind):
    """White Gaussian noise."""

    kind: Literal["gaussian"] = "gaussian"
    sigma: Sigmas = Field(
        default="auto",
        description="standard deviation in data units, or one for each band; auto estimates it from the measurement "
        "(wavelet, background: by other rules)",
    )


class CorrelatedNoise(_Kind):
    """Gaussian noise whose neighbours are alike: covariance ``sigma^2 exp(-r / correlation)`` at r pixels."""

    kind: Literal["correlated"] = "correlated"
    sigma: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(description="standard deviation in data units")
    correlation: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] = Field(
        description="distance in pixels over which the correlation falls to 1 / e"
    )


class PoissonNoise(_Kind):
    """Counts: ``y = gain * Poisson(A x / gain)``, variance ``gain * A x``."""

    kind: Literal["poisson"] = "poisson"
    gain: Annotated[float | Literal["auto"], _auto_or(above=0)] = Field(
        default="auto", description="data units of one count: 1 / (counts at full scale); auto estimates it"
    )


class PoissonGaussianNoise(_Kind):
    """Counts and electronics: variance ``gain * A x + sigma^2``."""

    kind: Literal["poisson-gaussian"] = "poisson-gaussian"
    gain: Annotated[float | Literal["auto"], _auto_or(above=0)] = Field(
        default="auto", description="data units of one count; auto estimates it"
    )
    sigma: Annotated[float | Literal["auto"], _auto_or(above=-1e-300)] = Field(
        default="auto", description="standard deviation of the electronics in data units; auto estimates it"
    )


class RicianNoise(_Kind):
    """The magnitude of a complex value with Gaussian noise in both parts, as of MRI."""

    kind: Literal["rician"] = "rician"
    sigma: Sigma = Field(
        default="auto",
        description="standard deviation of each part in data units; auto estimates it from the darkest part",
    )


class UniformNoise(_Kind):
    """Rounding to multiples of a step: variance ``step^2 / 12``."""

    kind: Literal["uniform"] = "uniform"
    step: Annotated[float | Literal["auto"], _auto_or(above=0)] = Field(
        default="auto", description="distance of neighbouring values in data units; auto: the smallest that occurs"
    )


class JpegNoise(_Kind):
    """The rounding of a JPEG file, as its own tables state it, beside noise of the sensor."""

    kind: Literal["jpeg"] = "jpeg"
    sigma: Annotated[float | Literal["auto"], _auto_or(above=-1e-300)] = Field(
        default="auto", description="standard deviation of the sensor in data units; auto estimates it from the file"
    )


#: Noise kind to the model that checks it.
NOISES: dict[str, type[BaseModel]] = {
    str(model.model_fields["kind"].default): model
    for model in (
        GaussianNoise,
        CorrelatedNoise,
        PoissonNoise,
        PoissonGaussianNoise,
        RicianNoise,
        UniformNoise,
        JpegNoise,
    )
}


class _AnyOf:
    """In the JSON schema: any of the kinds, since one without ``kind`` is gaussian and may look like several."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: Any) -> JsonSchemaValue:
        schema: JsonSchemaValue = handler(core)
        schema["anyOf"] = schema.pop("oneOf")
        return schema


#: What the measurement adds to the operator's output.
Noise = Annotated[
    GaussianNoise | CorrelatedNoise | PoissonNoise | PoissonGaussianNoise | RicianNoise | UniformNoise | JpegNoise,
    Field(discriminator="kind"),
    _AnyOf(),
]


def noise_keys(kind: object) -> frozenset[str] | None:
    """The keys that a noise of this kind may have, or None if there is no such kind."""
    model = NOISES.get(str(kind))
    return None if model is None else frozenset(model.model_fields)
