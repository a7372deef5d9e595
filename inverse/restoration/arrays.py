"""Arrays as measurements, and results as arrays: numpy with the channel last, torch (B, C, H, W), k-space complex.

What a file would be taken for, an array of its values is: integers are scaled by their type or by ``data.scale``, NaN
and what a numpy masked array masks are unobserved, and results go back to the array's own units by the same ``span``.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from deepinv.physics import GaussianNoise
from numpy.typing import NDArray

from inverse.errors import InputError, UsageError
from inverse.io.content import Picture, Span
from inverse.io.read_write import read
from inverse.io.transfer import decode
from inverse.operators.build import is_fixed, operator_for
from inverse.operators.image.masks import restricted
from inverse.operators.measurement import Measurement
from inverse.posterior.posterior import Posterior
from inverse.recipes.calibration_file import opened_calibration
from inverse.recipes.recipe import Recipe
from inverse.recipes.sections import Data
from inverse.restoration.case import FOR_ARRAYS, Case, make_case, open_case, require_range, settled_operator
from inverse.restoration.frame import MINIMUM_SIDE, count, frame, zero
from inverse.restoration.item import solve
from inverse.restoration.options import Options
from inverse.restoration.prior import open_recipe_prior

__all__ = ["measurements", "restore_array", "restore_picture"]

ALLOWED = (
    "allowed: numpy (H, W), (H, W, C), (B, H, W, C), torch (B, C, H, W); "
    "complex k-space (H, W), (coils, H, W), (B, coils, H, W)"
)


def restore_array(
    recipe: Recipe, array: Any, options: Options, *, items: Sequence[str] | None = None, prior: Any = None
) -> Posterior:
    """The posterior of an array by a loaded recipe, with its prior where that is open already."""
    options.check(recipe)
    device = None if options.device == "auto" else options.resolved_device()
    images, span = measurements(array, recipe.data, device=device)
    case = _together(recipe, images)
    return _solved(recipe, case, span, options, items=items, prior=prior, alone=len(images) == 1)


def restore_picture(recipe: Recipe, path: Path, options: Options, *, item: str) -> Posterior:
    """The posterior of a file of one image, as a run has it; ``item`` keys its noise."""
    options.check(recipe)
    prior = open_recipe_prior(recipe)
    content = read(path)
    if count(content) != 1:
        raise UsageError(f"{path.name}: {count(content)} images need a folder for the results", "pass out='runs/a'")
    channels = prior.card.channels if prior.card else None
    opened = frame(content, 0, recipe.data, channels=channels, minimum=MINIMUM_SIDE)
    case = open_case(recipe, opened, device=options.resolved_device())
    for sentence in case.notes:
        logging.getLogger("inverse").info("%s: %s", path.name, sentence)
    span = opened.span
    if span is None and opened.picture is not None and opened.picture.array.dtype.kind in "ui":
        span = 0.0, float(np.iinfo(opened.picture.array.dtype).max)
    return _solved(recipe, case, span, options, items=[item], prior=prior, alone=True)


def _solved(
    recipe: Recipe,
    case: Case,
    span: Span | None,
    options: Options,
    *,
    items: Sequence[str] | None,
    prior: Any,
    alone: bool,
) -> Posterior:
    """The posterior of a case, with what brings it back to the measurement's units."""
    if case.complex and alone:
        span = 0.0, 1.0 / case.scale
    prior = open_recipe_prior(recipe) if prior is None else prior
    require_range(case, recipe, prior.card, hint=FOR_ARRAYS)
    calibration, unused = opened_calibration(recipe, prior.card)
    if unused:
        logging.getLogger("inverse").info(unused)
    compute = options.compute(recipe, prior, str(case.y.device))
    post = solve(case, prior, recipe, compute, items=items, batch=options.block(recipe) or "auto")
    if calibration is not None and (other := calibration.refused(post.method["kind"])):
        calibration = None
        logging.getLogger("inverse").info(other)
    return replace(
        post,
        span=span if recipe.data.transfer == "srgb" else None,
        calibration=None if calibration is None else calibration.map,
    )


def _together(recipe: Recipe, images: Sequence[Measurement]) -> Case:
    """One case of all images, which have the operator and white noise in common, but each a level of its own.

    Raises:
        InputError: The recipe's operator or noise is fitted to each image.
    """
    cases = [make_case(recipe, image) for image in images]
    if len(cases) == 1:
        return cases[0]
    operators = [settled_operator(recipe, image)[0] for image in images]
    operator, device = operators[0], images[0].y.device
    white = recipe.noise.kind == "gaussian" and not isinstance(recipe.noise.sigma, tuple)
    if not white or not is_fixed(operator) or any(other != operator for other in operators):
        raise InputError(
            f"{len(cases)} images, each with an operator or a noise of its own by this recipe",
            "restore them one by one",
        )
    noise = GaussianNoise(torch.tensor([case.sigma for case in cases], device=device, dtype=torch.float32))
    physics, shape = operator_for(operator, tuple(images[0].y.shape[1:]), noise=noise, device=device)
    if any(image.valid is not None for image in images):
        valid = [
            torch.ones_like(image.y) if image.valid is None else image.valid.expand(image.y.shape) for image in images
        ]
        physics = restricted(physics, torch.cat(valid), shape)
    return replace(cases[0], y=torch.cat([case.y for case in cases]), physics=physics, shape=shape, seen=None)


def measurements(array: Any, data: Data, *, device: str | None = None) -> tuple[list[Measurement], Span | None]:
    """An array as measurements, one an image.

    Args:
        array: numpy (H, W), (H, W, C) or (B, H, W, C), masked or not; torch (B, C, H, W); complex k-space of either
            kind, (B, coils, ...).
        data: The recipe's section: scale and transfer.
        device: Where to compute; None: where the array is.

    Returns:
        The measurements, each (1, C, H, W) in data units, float32, or float64 where the array is; and the array's
        values that are 0 and 1.

    Raises:
        InputError: another shape or type, an infinite value, no value at all.
        UsageError: an xarray object, whose order of axes only its names tell.
    """
    values = _planes(array)
    if 0 in values.shape:
        raise InputError(f"an empty array of shape {tuple(np.shape(array))}", ALLOWED)
    planes, valid, span = _scaled(values, data)
    if data.transfer == "linear":
        planes = decode(planes).astype(planes.dtype)
    here = array.device if isinstance(array, torch.Tensor) else torch.device("cpu")
    target = here if device is None else torch.device(device)
    images = []
    for item in range(len(planes)):
        y = torch.from_numpy(planes[item][None]).to(target)
        if valid is None or valid[item].all():
            images.append(Measurement(y, None, zero(span)))
            continue
        mask = valid[item] if not (valid[item] == valid[item][:1]).all() else valid[item][:1]
        images.append(Measurement(y, torch.from_numpy(mask[None].astype(planes.dtype)).to(target), zero(span)))
    return images, span


def _planes(array: Any) -> Any:
    """(B, C, ...) of the array's own values."""
    if isinstance(array, torch.Tensor):
        if array.ndim != 4 and not (array.is_complex() and array.ndim == 3):
            hint = "add the batch axis: tensor[None]" if array.ndim == 3 else ALLOWED
            raise InputError(f"a tensor of shape {tuple(array.shape)}: torch has (B, C, H, W)", hint)
        if not array.is_complex() and min(array.shape[1:3]) > 4 >= array.shape[3]:
            raise InputError(
                f"a tensor of {array.shape[1]} channels and {array.shape[2]} x {array.shape[3]} pixels: channels last?",
                "torch tensors have the channel first: tensor.permute(0, 3, 1, 2); numpy arrays last",
            )
        host = array.detach().cpu()
        return (host.float() if host.dtype in (torch.float16, torch.bfloat16) else host).resolve_conj().numpy().copy()
    if type(array).__module__.partition(".")[0] == "xarray":
        raise UsageError("an xarray object: its dimensions have names", "inverse.restore_blocks reads them")
    values: Any = array if isinstance(array, np.ma.MaskedArray) else np.asarray(array)
    if values.dtype.kind not in "buifc":
        raise InputError(f"an array of type {values.dtype}", "allowed: uint8, uint16, floats, complex")
    values = values.astype(values.dtype.newbyteorder("="))
    if values.dtype.kind == "c":
        values = values[None] if values.ndim == 2 else values
        values = values[None] if values.ndim == 3 else values
        if values.ndim != 4:
            raise InputError(f"a complex array of shape {np.shape(array)}", ALLOWED)
        return values
    values = values[..., None] if values.ndim == 2 else values
    values = values[None] if values.ndim == 3 else values
    if values.ndim != 4:
        raise InputError(f"an array of shape {np.shape(array)}", ALLOWED)
    if min(values.shape[1:3]) <= 4 < values.shape[3]:
        raise InputError(
            f"an image of {values.shape[1]} x {values.shape[2]} pixels, {values.shape[3]} channels: channels first?",
            "numpy arrays have the channel last: np.moveaxis(array, -3, -1); torch tensors (B, C, H, W)",
        )
    return np.moveaxis(values, -1, 1)


def _scaled(planes: Any, data: Data) -> tuple[NDArray[Any], NDArray[np.bool_] | None, Span | None]:
    """Data units, where there is a value (None: everywhere), and the values that became 0 and 1."""
    masked: NDArray[np.bool_] | None = ~np.ma.getmaskarray(planes) if isinstance(planes, np.ma.MaskedArray) else None
    values: NDArray[Any] = np.ascontiguousarray(np.ma.getdata(planes))
    if values.dtype.kind == "c":
        if masked is not None or not np.isfinite(values).all():
            raise InputError("k-space with values that are missing or not finite", "lines that were not measured are 0")
        return values.astype(np.complex64 if values.dtype.itemsize <= 8 else np.complex128), None, None
    valid = masked
    if values.dtype.kind == "f":
        present = ~np.isnan(values)
        valid = present if masked is None else present & masked
        if np.isinf(values[valid]).any():
            raise InputError("the array has infinite values", "set what is missing to NaN: it is taken as unobserved")
    if valid is not None and valid.all():
        valid = None
    if valid is not None and not valid.reshape(len(valid), -1).any(1).all():
        raise InputError("no pixel of the array holds a value", "NaN is taken as unobserved")
    span = _span(values, valid, data)
    dtype = np.float64 if values.dtype == np.float64 else np.float32
    unit: NDArray[Any] = values.astype(dtype)
    if span is not None:
        ends: list[Any] = [np.asarray(end, dtype).reshape(-1, 1, 1) for end in span]
        unit = (unit - ends[0]) / (ends[1] - ends[0])
    return unit if valid is None else np.where(valid, unit, 0), valid, span


def _span(values: NDArray[Any], valid: NDArray[np.bool_] | None, data: Data) -> Span | None:
    if data.scale == "type":
        if values.dtype.kind == "f":
            return None
        if values.dtype not in (np.uint8, np.uint16):
            raise InputError(
                f"pixels of type {values.dtype} have no defined range: allowed are uint8, uint16, floats",
                "stretch them: overrides=['data.scale=auto'], "
                "or say which are black and white: ['data.scale=[0,10000]']",
            )
        return 0.0, float(np.iinfo(values.dtype).max)
    if not isinstance(data.scale, str):
        return data.scale
    if len(values) > 1:
        raise InputError(
            f"{len(values)} images, each with a scale of its own by this recipe", "restore them one by one"
        )
    observed = None if valid is None else np.moveaxis(valid[0], 0, -1)
    picture = Picture(array=np.moveaxis(values[0], 0, -1), format="npy", valid=observed, source="the array")
    return frame(picture, 0, data).span
