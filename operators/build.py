"""Build a physics from an operator's kind and parameters, or find the unknown's shape from a measurement's."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from math import prod
from operator import index
from typing import Any

import torch
from deepinv.physics import Physics
from pydantic import BaseModel, ValidationError

from inverse.errors import InputError, MemoryLimitError, RecipeError, UsageError, did_you_mean
from inverse.numerics.defaults import independent
from inverse.operators.arrays import with_files
from inverse.operators.catalogue import operator_spec
from inverse.operators.functions import function_operator
from inverse.operators.measurement import Estimated, Fitted, Measurement
from inverse.operators.noise.models import noise_model
from inverse.operators.spec import AUTO, OperatorSpec

__all__ = [
    "autos",
    "build_operator",
    "fitted_operator",
    "fitted_to",
    "is_fixed",
    "located",
    "operator_for",
    "own_level",
    "resolved",
    "result_shape",
    "stated_operator",
    "unmeasured",
]


@independent
def build_operator(
    operator: str | Mapping[str, Any] | BaseModel | Callable[..., Any],
    *,
    shape: Sequence[int],
    noise: Any = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    adjoint: Callable[..., Any] | None = None,
    **params: Any,
) -> Physics:
    """A deepinv physics.

    Args:
        operator: A kind (``inverse list operators``), or a mapping with a ``kind``, as in a recipe; or a linear
            function of batches (B, C, H, W), torch or numpy.
        shape: Shape (C, H, W) of one unknown, or (d,) for a vector.
        noise: Standard deviation in data units (one number, or (B,) for each item its own), a mapping ``{kind:
            gaussian, sigma: 0.02}``, a deepinv noise model (copied), or None for 0.
        device: Where it computes.
        dtype: Precision of its kernels, masks and matrices: that of the measurement, or lower.
        adjoint: Of an operator that is a function: its adjoint; None: by autograd.
        params: The operator's parameters, where ``operator`` is a kind. One that names a file (a mask, a kernel, a
            matrix) takes an array as well, under its own name or as ``mask`` or ``kernel``.

    Returns:
        A ``LinearPhysics``; a ``DecomposablePhysics`` where the singular basis is known.

    Raises:
        RecipeError: an unknown kind or parameter, a bad value, or a bad noise level.
        InputError: a kernel, mask or matrix file that cannot be read or does not fit the shape.
    """
    if callable(operator) and not isinstance(operator, BaseModel):
        if adjoint is not None and not callable(adjoint):
            raise RecipeError(f"an adjoint of type {type(adjoint).__name__}", "allowed: a function, or None")
        if params:
            raise RecipeError(f"a function has no parameter '{next(iter(params))}'", "allowed: adjoint, shape, noise")
        model_of_noise = noise_model(noise, dtype=dtype)
        return function_operator(operator, adjoint, shape=_shape(shape), noise_model=model_of_noise).to(device)
    if adjoint is not None:
        raise RecipeError("adjoint is of an operator that is a function", "leave it away")
    spec, model = _validated(operator, params)
    return _build(spec, model, _shape(shape), noise, device, dtype)


@independent
def operator_for(
    operator: str | Mapping[str, Any] | BaseModel,
    measurement_shape: Sequence[int],
    *,
    noise: Any = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    **params: Any,
) -> tuple[Physics, tuple[int, ...]]:
    """The physics that made a measurement of a given shape, and the shape of its unknown.

    Args:
        operator: As in `build_operator`.
        measurement_shape: Shape (C, H, W) or (m,) of one measurement.
        noise: As in `build_operator`.
        device: As in `build_operator`.
        dtype: As in `build_operator`.
        params: As in `build_operator`.

    Returns:
        The physics, and the unknown's shape: times the factor for ``downsample``, extended by the kernel for a blur
        with a free boundary, else the same.

    Raises:
        RecipeError: as in `build_operator`.
        InputError: as in `build_operator`.
    """
    _, model = _validated(operator, params)
    complete, shape = located(model, measurement_shape)
    return _build(*_validated(complete, {}), shape, noise, device, dtype), shape


def located(
    operator: Mapping[str, Any] | BaseModel, measurement_shape: Sequence[int]
) -> tuple[dict[str, Any], tuple[int, ...]]:
    """An operator's parameters completed for a measurement of a shape, and the shape of its unknown; nothing is built.

    Raises:
        RecipeError: as in `build_operator`.
        InputError: as in `build_operator`.
    """
    spec, model = _validated(operator, {})
    _require_numbers(spec, model)
    shape = _shape(measurement_shape)
    if spec.locate is not None:
        model, shape = resolved(spec.locate)(model, shape)
    return model.model_dump(), shape


@independent
def fitted_operator(operator: Mapping[str, Any] | BaseModel, measurement: Measurement) -> Fitted:
    """The physics that made a measurement, fitted to it where its kind asks for that.

    Args:
        operator: As in `build_operator`.
        measurement: What a file holds.

    Returns:
        The measurement as the physics explains it, and how the physics is built for a noise model.

    Raises:
        RecipeError: as in `build_operator`.
        InputError: as in `build_operator`, or the measurement does not fit the kind.
    """
    operator, read = stated_operator(operator, measurement.facts)
    spec, model = _validated(operator, {})
    if spec.measured is not None:
        fitted: Fitted = resolved(spec.measured)(model, measurement)
        return fitted
    if measurement.y.is_complex():
        raise InputError(f"operator '{spec.kind}' is for images, this is raw k-space", "try -s operator.kind=mri")
    said: tuple[str, ...] = ()
    errors: Mapping[str, float] = {}
    if autos(model.model_dump()):
        found: Estimated = resolved(spec.estimate)(model, measurement)
        model, said, errors = spec.model.model_validate(found.params), (found.said,), found.errors
    if "pattern" in measurement.facts and _last(spec, model).kind != "demosaick":
        raise InputError(
            f"a camera's raw file: each pixel has one colour, of which operator '{spec.kind}' knows nothing",
            "inverse restore demosaic FILE first, or let the last operator of a list be demosaick",
        )
    return fitted_to(model, measurement, errors=errors, said=(*read, *said))


def fitted_to(
    operator: Mapping[str, Any] | BaseModel,
    measurement: Measurement,
    *,
    errors: Mapping[str, float],
    said: tuple[str, ...] = (),
) -> Fitted:
    """As `fitted_operator`, of an operator whose parameters are all numbers, some of them with ``errors`` by name."""
    spec, model = _validated(operator, {})
    params, shape = located(model, measurement.y.shape[1:])
    model, dtype = spec.model.model_validate(params), measurement.y.dtype

    def build(noise: Any) -> Physics:
        return _build(spec, model, shape, noise, measurement.y.device, dtype)

    def drawn(normals: Sequence[float]) -> Callable[[Any], Physics]:
        return lambda noise: resolved(spec.drawn)(
            model, errors, normals, shape=shape, noise_model=noise_model(noise, dtype=dtype), dtype=dtype
        ).to(measurement.y.device)

    uncertain = bool(errors) and spec.drawn is not None
    return Fitted(
        measurement.y, shape, build, sigma=own_level(model, measurement), said=said,
        drawn=drawn if uncertain else None, unknowns=len(errors) if uncertain else 0,
    )  # fmt: skip


def autos(params: Mapping[str, Any]) -> list[str]:
    """The parameters of an operator, or of those in its list, that are ``auto`` and estimated from a measurement."""
    if operator_spec(str(params["kind"])).estimate is None:
        return []
    own = [name for name, value in params.items() if isinstance(value, str) and value == AUTO]
    return own + [f"{index}.{name}" for index, part in enumerate(params.get("operators", ())) for name in autos(part)]


def own_level(operator: Mapping[str, Any] | BaseModel, measurement: Measurement) -> float | None:
    """The noise level of a measurement by a rule of its operator's, where those for images are wrong; else None.

    Raises:
        RecipeError: as in `build_operator`.
    """
    last = _last(*_validated(operator, {}))
    return None if last.level is None else resolved(last.level)(measurement)


def _last(spec: OperatorSpec, model: BaseModel) -> OperatorSpec:
    """The entry of the operator that a measurement is of: of a chain the last one."""
    members = getattr(model, "operators", None)
    return _validated(members[-1], {})[0] if members else spec


def stated_operator(
    operator: Mapping[str, Any] | BaseModel, facts: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """An operator, or each of a chain, with what its measurement's file says of it, and sentences on that.

    Raises:
        RecipeError: as in `build_operator`.
        InputError: what the file says does not fit the kind.
    """
    spec, model = _validated(operator, {})
    params = model.model_dump()
    if "operators" in params:
        members = [stated_operator(member, facts) for member in params["operators"]]
        said = tuple(sentence for _, sentences in members for sentence in sentences)
        return {**params, "operators": [member for member, _ in members]}, said
    if spec.stated is None:
        return params, ()
    model, said = resolved(spec.stated)(model, facts)
    return model.model_dump(), said


def unmeasured(operator: Mapping[str, Any] | BaseModel) -> tuple[str, ...]:
    """The parameters of an operator that could be estimated from a measurement, and were given as numbers."""
    spec, model = _validated(operator, {})
    if spec.estimate is None:
        return ()
    names = {name for name, field in spec.model.model_fields.items() if AUTO in str(field.annotation)}
    return tuple(name for name, value in model.model_dump().items() if name in names and value != AUTO)


def is_fixed(operator: Mapping[str, Any] | BaseModel) -> bool:
    """Whether an operator's parameters say all of it, whatever was measured."""
    spec, model = _validated(operator, {})
    return spec.measured is None and not autos(model.model_dump())


def result_shape(operator: Mapping[str, Any] | BaseModel, measurement_shape: Sequence[int]) -> tuple[int, ...]:
    """Shape (C, H, W) of what is restored from a measurement of a shape, in the measurement's frame; nothing is built.

    Raises:
        RecipeError: as in `build_operator`.
    """
    spec, model = _validated(operator, {})
    if spec.result is not None:
        shape: tuple[int, ...] = resolved(spec.result)(model, tuple(measurement_shape))
        return shape
    if getattr(model, "gsd", None) is not None:
        raise RecipeError("operator.gsd is of a file that says how large its pixels are", "give operator.factor")
    factor = getattr(model, "factor", 1)
    if len(measurement_shape) != 3:
        raise RecipeError(f"operator '{spec.kind}' is of measurements (C, H, W), given {tuple(measurement_shape)}")
    channels, height, width = measurement_shape
    return channels, round(height * factor), round(width * factor)


def _build(
    spec: OperatorSpec,
    model: BaseModel,
    shape: tuple[int, ...],
    noise: Any,
    device: str | torch.device,
    dtype: torch.dtype,
) -> Physics:
    _require_numbers(spec, model)
    if dtype not in (torch.float32, torch.float64):
        raise UsageError(f"dtype {dtype!r}", "allowed: torch.float32, torch.float64")
    if len(shape) != 3 and not spec.any_rank:
        raise RecipeError(
            f"operator '{spec.kind}' acts on images, the unknown's shape is {shape}", "allowed: (C, H, W)"
        )
    physics = resolved(spec.factory)(model, shape=shape, noise_model=noise_model(noise, dtype=dtype), dtype=dtype)
    try:
        return physics.to(torch.device(device))
    except RuntimeError as error:
        raise UsageError(
            f"device {device!r}: {str(error).splitlines()[0][:100]}", "allowed: 'cpu', 'cuda', ..."
        ) from error


def _require_numbers(spec: OperatorSpec, model: BaseModel) -> None:
    unknown = autos(model.model_dump()) if spec.estimate else []
    if unknown:
        raise RecipeError(
            f"operator.{unknown[0]} = auto is estimated from a measurement, and there is none", "give a number"
        )


def resolved(path: str | None) -> Any:
    """What a dotted path ``module:name`` of an entry names."""
    assert path is not None
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def _shape(shape: Sequence[int]) -> tuple[int, ...]:
    try:
        sides = tuple(index(side) for side in shape)
    except TypeError:
        sides = ()
    if not sides or min(sides) < 1:
        raise RecipeError(
            f"shape {shape} of an image"[:100], "allowed: (C, H, W) or (d,), whole numbers, each at least 1"
        )
    needed = 4 * prod(sides)
    if needed > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
        raise MemoryLimitError(
            f"an image of {' x '.join(map(str, sides))} values is {needed / 1e9:,.0f} GB, more than this machine has",
            "solve a scene by tiles: inverse restore ... --tile auto",
        )
    return sides


def _validated(
    operator: str | Mapping[str, Any] | BaseModel, params: Mapping[str, Any]
) -> tuple[OperatorSpec, BaseModel]:
    if isinstance(operator, BaseModel):
        operator = operator.model_dump()
    if not isinstance(operator, str | Mapping):
        raise RecipeError(f"an operator of type {type(operator).__name__}", "allowed: a kind, or a mapping with one")
    values: dict[str, Any] = {"kind": operator} if isinstance(operator, str) else dict(operator)
    values.update(params)
    if not isinstance(values.get("kind"), str):
        raise RecipeError(
            "the operator has no kind", "give one: {kind: gaussian-blur, sigma: 2.0}; see inverse list operators"
        )
    spec = operator_spec(values["kind"])
    values = with_files(values, spec.model)
    try:
        return spec, spec.model.model_validate(values)
    except ValidationError as error:
        raise _explained(spec, error) from None


def _explained(spec: OperatorSpec, error: ValidationError) -> RecipeError:
    errors = error.errors(include_url=False)
    first = next((row for row in errors if row["type"] == "extra_forbidden"), errors[0])
    key = ".".join(str(step) for step in first["loc"])
    names = [name for name in spec.model.model_fields if name != "kind"]
    if first["type"] == "extra_forbidden":
        hint = did_you_mean(key, names) if names else "it has none"
        return RecipeError(f"operator '{spec.kind}' has no parameter '{key}'", hint)
    field = spec.model.model_fields.get(str(first["loc"][0])) if first["loc"] else None
    hint = f"{key}: {field.description}" if field is not None and field.description else ""
    if first["type"] == "missing":
        return RecipeError(f"operator '{spec.kind}' needs '{key}'", hint)
    message = first["msg"].replace("Input should be", "allowed:")
    shown = repr(first["input"])
    return RecipeError(f"operator.{key} = {shown[:60]} is not valid for '{spec.kind}'; {message}", hint)
