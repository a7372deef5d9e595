"""``inverse.restore``: a recipe and files give a `Run`; a recipe and arrays give a `Posterior`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from inverse.errors import InputError, UsageError

if TYPE_CHECKING:
    from inverse.options import Options
    from inverse.posterior import Posterior
    from inverse.recipe import Recipe
    from inverse.run import Run

__all__ = ["restore", "restore_array"]


@overload
def restore(
    recipe: str | Path | dict[str, Any] | Recipe,
    measurement: str | Path | Sequence[str | Path],
    *,
    out: str | Path,
    samples: int | None = None,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    truth: str | Path | None = None,
    options: Options | None = None,
) -> Run: ...
@overload
def restore(
    recipe: str | Path | dict[str, Any] | Recipe,
    measurement: Any,
    *,
    out: None = None,
    samples: int | None = None,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    truth: None = None,
    options: Options | None = None,
    items: Sequence[str] | None = None,
) -> Posterior: ...


def restore(
    recipe: str | Path | dict[str, Any] | Recipe,
    measurement: Any,
    *,
    out: str | Path | None = None,
    samples: int | None = None,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    truth: str | Path | None = None,
    options: Options | None = None,
    items: Sequence[str] | None = None,
) -> Run | Posterior:
    """Restore measurements by a recipe.

    Args:
        recipe: Name, path, mapping, or a loaded recipe.
        measurement: Paths (files, folders, globs, ``@`` lists); or numpy (H, W), (H, W, C) or (B, H, W, C), or torch (B, C, H, W);
            raw k-space as complex (coils, H, W) or (B, coils, H, W). Values are taken as a file's are: integers scaled by their
            type or by ``data.scale``, floats as data units, with ``data.transfer: linear`` as sRGB-encoded. NaN, and what a
            numpy masked array masks, is unobserved.
        out: The run folder; required for paths.
        samples: Posterior draws; default the recipe's.
        seed: Seed; default the recipe's.
        overrides: ``key=value`` changes of the recipe.
        truth: A file or folder of truths, for the scores of a run only.
        options: How a run is carried out.
        items: Names of the images of an array, which key their noise; default "0", "1", ..., the same for every call: give names
            where many calls are compared or averaged. The name of a file gives what restoring that file gives.

    Returns:
        For paths a `Run`. For arrays a `Posterior` in the frame of the array: where a ``free`` boundary extends the unknown past
        it, `Posterior.crop` is set and every image it returns is cropped; super-resolution's frame is the array's on the finer grid.
        Its tensors are in data units, `Posterior.to_numpy` gives the array's own (channel last). With ``data.transfer: linear`` both are
        in linear light (`inverse.light.encode` gives values as stored).

    Raises:
        UsageError: Paths without ``out``, or arrays with it.
        InverseError: As `inverse.run.restore`.
    """
    from inverse import run
    from inverse.recipe import load

    chosen = [*overrides]
    chosen += [f"run.samples={samples}"] if samples is not None else []
    chosen += [f"run.seed={seed}"] if seed is not None else []
    if _paths(measurement):
        if out is None:
            raise UsageError("restoring files needs a folder for the results", "pass out='runs/a'")
        if items is not None:
            raise UsageError("items names the images of an array; files are named by their paths", "leave it away")
        return run.restore(recipe, measurement, out=out, overrides=chosen, truth=truth, options=options)
    if out is not None or truth is not None:
        raise UsageError("out and truth are for files; arrays give a Posterior", "leave them away, or pass paths")
    return restore_array(load(recipe, chosen), measurement, options or run.Options(), items=items)


def _paths(measurement: Any) -> bool:
    if isinstance(measurement, str | Path):
        return True
    return isinstance(measurement, list | tuple) and all(isinstance(path, str | Path) for path in measurement)


def _shared(recipe: Recipe) -> bool:
    """Whether all items of a batch have the same operator, and white noise of a level."""
    from inverse.operators.build import is_fixed

    return (
        is_fixed(recipe.located()["operator"])
        and recipe.noise.kind == "gaussian"
        and not isinstance(recipe.noise.sigma, tuple)
    )


def restore_array(
    recipe: Recipe, array: Any, options: Options, *, items: Sequence[str] | None = None, prior: Any = None
) -> Posterior:
    """`restore` of an array by a loaded recipe, with its prior where that is open already."""
    import torch
    from deepinv.physics import GaussianNoise

    from inverse.api import sample
    from inverse.arrays import measurements
    from inverse.calibration_file import opened_calibration
    from inverse.case import fit_prior, make_case, method_kind, open_recipe_prior, resolve_dtype
    from inverse.operators.build import operator_for
    from inverse.operators.masks import restricted

    options.check(recipe)
    given, span = measurements(
        array, recipe.data, device=options.resolved_device() if options.device != "auto" else None
    )
    device = str(given[0].y.device)
    cases = [make_case(recipe, one) for one in given]
    physics, shape = cases[0].physics, cases[0].shape
    if len(cases) > 1:
        if not _shared(recipe):
            raise InputError(
                f"{len(cases)} images, each with an operator or a noise of its own by this recipe",
                "restore them one by one",
            )
        levels = torch.tensor([case.sigma for case in cases], device=device)
        physics, shape = operator_for(
            recipe.located()["operator"], tuple(given[0].y.shape[1:]), noise=GaussianNoise(levels), device=device
        )
        if any(one.valid is not None for one in given):
            whole = [torch.ones_like(one.y) if one.valid is None else one.valid.expand(one.y.shape) for one in given]
            physics = restricted(physics, torch.cat(whole), shape)
    elif cases[0].complex:
        span = 0.0, 1.0 / cases[0].scale
    prior = open_recipe_prior(recipe) if prior is None else prior
    calibration, unused = opened_calibration(recipe, prior.card)
    if unused:
        logging.getLogger("inverse").info(unused)
    dtype = resolve_dtype(recipe.run.dtype if options.dtype == "auto" else options.dtype, prior, device)
    post = sample(
        torch.cat([case.y for case in cases]), physics, fit_prior(prior, shape[0], dtype=dtype, device=device),
        method=method_kind(recipe), samples=recipe.run.samples, seed=recipe.run.seed, shape=shape, items=items, dtype=dtype,
        batch=options.block(recipe) or "auto", progress=False,
        **{name: value for name, value in recipe.params.items() if value is not None},
    )  # fmt: skip
    return replace(
        post,
        crop=getattr(physics, "output_crop", None),
        span=span if recipe.data.transfer == "srgb" else None,
        calibration=None if calibration is None else calibration.map,
    )
