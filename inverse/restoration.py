"""``inverse.restore``: a recipe and files give a `Run`; a recipe and arrays give a `Posterior`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from inverse.errors import InputError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from inverse.options import Options
    from inverse.posterior import Posterior
    from inverse.recipe import Recipe
    from inverse.run import Run

__all__ = ["restore"]


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
) -> Run | Posterior:
    """Restore measurements by a recipe.

    Args:
        recipe: Name, path, mapping, or a loaded recipe.
        measurement: Paths (files, folders, globs, ``@`` lists); or one image as numpy (H, W) or (H, W, C), or a batch
            as torch (B, C, H, W). Integers are scaled to [0, 1] by their type, floats are data units. With
            ``data.transfer: linear`` they are taken as sRGB-encoded, as the values of a file are.
        out: The run folder; required for paths.
        samples: Posterior draws; default the recipe's.
        seed: Seed; default the recipe's.
        overrides: ``key=value`` changes of the recipe.
        truth: A file or folder of truths, for the scores of a run only.
        options: How a run is carried out.

    Returns:
        For paths a `Run`. For arrays a `Posterior` in the frame of the array: where a ``free`` boundary extends the unknown past
        it, `Posterior.crop` is set and every image it returns is cropped; super-resolution's frame is the array's on the finer grid.
        With ``data.transfer: linear`` it is in linear light (`inverse.light.encode` gives values as stored).

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
        return run.restore(recipe, measurement, out=out, overrides=chosen, truth=truth, options=options)
    if out is not None or truth is not None:
        raise UsageError("out and truth are for files; arrays give a Posterior", "leave them away, or pass paths")
    return _arrays(load(recipe, chosen), _tensor(measurement), options or run.Options())


def _paths(measurement: Any) -> bool:
    if isinstance(measurement, str | Path):
        return True
    return isinstance(measurement, list | tuple) and all(isinstance(path, str | Path) for path in measurement)


def _tensor(measurement: Any) -> Tensor:
    """(B, C, H, W), float."""
    import numpy as np
    import torch

    y = measurement
    if not isinstance(y, torch.Tensor):
        array = np.asarray(y)
        array = array[..., None] if array.ndim == 2 else array
        if array.ndim != 3:
            raise InputError(
                f"an array of shape {array.shape}", "allowed: numpy (H, W) or (H, W, C), torch (B, C, H, W)"
            )
        y = torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 0)))[None]
    if y.ndim != 4:
        raise InputError(
            f"a tensor of shape {tuple(y.shape)}", "allowed: numpy (H, W) or (H, W, C), torch (B, C, H, W)"
        )
    if y.dtype.is_floating_point:
        return y if y.dtype in (torch.float32, torch.float64) else y.float()
    if y.dtype not in (torch.uint8, torch.uint16):
        raise InputError(f"pixels of type {y.dtype} have no defined range", "allowed: uint8, uint16, floats")
    return y.float() / torch.iinfo(y.dtype).max


def _shared(recipe: Recipe) -> bool:
    """Whether all items of a batch have the same operator, and white noise of a level."""
    from inverse.operators.build import is_fixed

    return (
        is_fixed(recipe.located()["operator"])
        and recipe.noise.kind == "gaussian"
        and not isinstance(recipe.noise.sigma, tuple)
    )


def _arrays(recipe: Recipe, y: Tensor, options: Options) -> Posterior:
    import torch
    from deepinv.physics import GaussianNoise

    from inverse.api import sample
    from inverse.case import fit_prior, make_case, method_kind, open_recipe_prior, resolve_dtype
    from inverse.light import decode
    from inverse.operators.build import operator_for

    options.check(recipe)
    device = options.resolved_device() if options.device != "auto" else str(y.device)
    if recipe.data.transfer == "linear":
        y = torch.from_numpy(decode(y.cpu().numpy())).to(y.dtype)
    cases = [make_case(recipe, item.to(device)[None]) for item in y]
    physics, shape = cases[0].physics, cases[0].shape
    if len(cases) > 1:
        if not _shared(recipe):
            raise InputError(
                f"{len(cases)} images, each with an operator or a noise of its own by this recipe",
                "restore them one by one",
            )
        levels = torch.tensor([case.sigma for case in cases], device=device)
        physics, shape = operator_for(
            recipe.located()["operator"], tuple(y.shape[1:]), noise=GaussianNoise(levels), device=device
        )
    prior = open_recipe_prior(recipe)
    dtype = resolve_dtype(recipe.run.dtype if options.dtype == "auto" else options.dtype, prior, device)
    post = sample(
        torch.cat([case.y for case in cases]), physics, fit_prior(prior, shape[0], dtype=dtype, device=device),
        method=method_kind(recipe), samples=recipe.run.samples, seed=recipe.run.seed, shape=shape, dtype=dtype,
        batch=options.block(recipe) or "auto", progress=False,
        **{name: value for name, value in recipe.params.items() if value is not None},
    )  # fmt: skip
    return replace(post, crop=getattr(physics, "output_crop", None))
