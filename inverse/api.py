"""``inverse.restore``: a recipe and files give a `Run`; a recipe and arrays give a `Posterior`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

from inverse.errors import UsageError
from inverse.posterior.posterior import Posterior
from inverse.recipes.recipe import Recipe, load
from inverse.restoration.arrays import restore_array
from inverse.restoration.options import Options
from inverse.runs.executors import opened_executor
from inverse.runs.run import restore as restore_files
from inverse.runs.summary import Run

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
        measurement: Paths (files, folders, globs, ``@`` lists); or numpy (H, W), (H, W, C) or (B, H, W, C), or torch
            (B, C, H, W); raw k-space as complex (coils, H, W) or (B, coils, H, W). Values are taken as a file's are:
            integers scaled by their type or by ``data.scale``, floats as data units, with ``data.transfer: linear`` as
            sRGB-encoded. NaN, and what a numpy masked array masks, is unobserved.
        out: The run folder; required for paths.
        samples: Posterior draws; default the recipe's.
        seed: Seed; default the recipe's.
        overrides: ``key=value`` changes of the recipe.
        truth: A file or folder of truths, for the scores of a run only.
        options: How a run is carried out.
        items: Names of the images of an array, which key their noise; default "0", "1", ..., the same for every call:
            give names where many calls are compared or averaged. The name of a file gives what restoring that file
            gives.

    Returns:
        For paths a `Run`. For arrays a `Posterior` in the frame of the array: where a ``free`` boundary extends the
        unknown past it, `Posterior.crop` is set and every image it returns is cropped; super-resolution's frame is the
        array's on the finer grid. Its tensors are in data units, `Posterior.to_numpy` gives the array's own (channel
        last). With ``data.transfer: linear`` both are in linear light (`inverse.io.transfer.encode` gives values as
        stored).

    Raises:
        UsageError: Paths without ``out``, or arrays with it.
        InverseError: As `inverse.runs.run.restore`.
    """
    chosen = [*overrides]
    chosen += [f"run.samples={samples}"] if samples is not None else []
    chosen += [f"run.seed={seed}"] if seed is not None else []
    if _paths(measurement):
        if out is None:
            raise UsageError("restoring files needs a folder for the results", "pass out='runs/a'")
        if items is not None:
            raise UsageError("items names the images of an array; files are named by their paths", "leave it away")
        return restore_files(recipe, measurement, out=out, overrides=chosen, truth=truth, options=options)
    if out is not None or truth is not None:
        raise UsageError("out and truth are for files; arrays give a Posterior", "leave them away, or pass paths")
    chosen_options = options or Options()
    opened_executor(chosen_options)
    return restore_array(load(recipe, chosen), measurement, chosen_options, items=items)


def _paths(measurement: Any) -> bool:
    if isinstance(measurement, str | Path):
        return True
    return isinstance(measurement, list | tuple) and all(isinstance(path, str | Path) for path in measurement)
