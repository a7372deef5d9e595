"""``inverse.restore``: a recipe and files give a `Run`; a recipe and arrays, or one file, give a `Posterior`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from inverse.errors import UsageError, did_you_mean
from inverse.io.sources import find
from inverse.numerics.defaults import independent
from inverse.operators.arrays import as_file, is_array
from inverse.posterior.posterior import Posterior
from inverse.recipes.recipe import Recipe, load
from inverse.recipes.shortcuts import shortcuts
from inverse.restoration.arrays import restore_array, restore_picture
from inverse.restoration.options import Options
from inverse.runs.executors import opened_executor
from inverse.runs.run import restore as restore_files
from inverse.runs.summary import Run

__all__ = ["restore"]


Recipes = str | Path | dict[str, Any] | Recipe
Overrides = Sequence[str] | Mapping[str, Any]


@overload
def restore(
    recipe: Recipes,
    measurement: str | Path | Sequence[str | Path],
    *,
    out: str | Path,
    samples: int | None = None,
    seed: int | None = None,
    overrides: Overrides = (),
    truth: str | Path | None = None,
    options: Options | None = None,
    **settings: Any,
) -> Run: ...
@overload
def restore(
    recipe: Recipes,
    measurement: Any,
    *,
    out: None = None,
    samples: int | None = None,
    seed: int | None = None,
    overrides: Overrides = (),
    truth: None = None,
    options: Options | None = None,
    items: Sequence[str] | None = None,
    **settings: Any,
) -> Posterior: ...


@independent
def restore(
    recipe: Recipes,
    measurement: Any,
    *,
    out: str | Path | None = None,
    samples: int | None = None,
    seed: int | None = None,
    overrides: Overrides = (),
    truth: str | Path | None = None,
    options: Options | None = None,
    items: Sequence[str] | None = None,
    **settings: Any,
) -> Run | Posterior:
    """Restore measurements by a recipe.

    Args:
        recipe: Name, path, mapping, or a loaded recipe.
        measurement: Paths (files, folders, globs, ``@`` lists); or numpy (H, W), (H, W, C) or (B, H, W, C), or torch
            (B, C, H, W); raw k-space as complex (coils, H, W) or (B, coils, H, W). Values are taken as a file's are:
            integers scaled by their type or by ``data.scale``, floats as data units, with ``data.transfer: linear`` as
            sRGB-encoded. NaN, and what a numpy masked array masks, is unobserved.
        out: The run folder; required for several files. Of one file without it a `Posterior` is returned.
        samples: Posterior draws; default the recipe's.
        seed: Seed; default the recipe's.
        overrides: Changes of the recipe: ``key=value`` texts, or a mapping, nested or with dots
            (``{"operator.sigma": 1.5}``, ``{"operator": {"kind": "file-mask", "file": array}}``).
        truth: A file or folder of truths, for the scores of a run only.
        options: How a run is carried out.
        items: Names of the images of an array, which key their noise; default "0", "1", ..., the same for every call:
            give names where many calls are compared or averaged. The name of a file gives what restoring that file
            gives.
        **settings: What is set most often, by name: ``method`` and ``steps`` of the sampler; ``mask`` (a file or an
            array, not 0 = observed), ``sigma`` (the blur's width, or "auto"), ``noise`` (its level, or "auto"), ``gsd``
            (side of a scene's pixels in the result, in metres);
            ``device`` and any other field of `Options`.

    Returns:
        For paths with ``out`` a `Run`. For arrays, and one file without ``out``, a `Posterior` in the frame of the
        measurement: where a ``free`` boundary extends the unknown past it, `Posterior.crop` is set and every image it
        returns is cropped; super-resolution's frame is the array's on the finer grid. Its tensors are in data units,
        `Posterior.to_numpy` gives the measurement's own (channel last). With ``data.transfer: linear`` both are in
        linear light (`inverse.io.transfer.encode` gives values as stored).

    Raises:
        UsageError: Several paths without ``out``, arrays with it, or a setting that there is not.
        InverseError: As `inverse.runs.run.restore`.
    """
    if options is not None and not isinstance(options, Options):
        raise UsageError(f"options of type {type(options).__name__}", "allowed: inverse.Options")
    if out is not None and (not isinstance(out, str | Path) or out == ""):
        raise UsageError(f"out {out!r}" if out == "" else f"out of type {type(out).__name__}", "allowed: a path")
    chosen = _changes(recipe, overrides, settings)
    chosen += [f"run.samples={samples}"] if samples is not None else []
    chosen += [f"run.seed={seed}"] if seed is not None else []
    carried = _options(options, settings)
    if out is not None and _paths(measurement):
        if items is not None:
            raise UsageError("items names the images of an array; files are named by their paths", "leave it away")
        return restore_files(recipe, measurement, out=out, overrides=chosen, truth=truth, options=carried)
    if out is not None or truth is not None:
        raise UsageError("out and truth are for files; arrays give a Posterior", "leave them away, or pass paths")
    opened_executor(carried)
    loaded = load(recipe, chosen)
    if _paths(measurement):
        path = _one_file(measurement)
        return restore_picture(loaded, path, carried, item=items[0] if items else path.name)
    return restore_array(loaded, measurement, carried, items=items)


_SHORT = ("mask", "sigma", "gsd", "noise", "method")


def _changes(recipe: Recipes, overrides: Overrides, settings: Mapping[str, Any]) -> list[str]:
    """All changes of a recipe as texts."""
    fields = [field.name for field in dataclasses.fields(Options)]
    for name in settings:
        if name not in (*_SHORT, "steps", *fields):
            raise UsageError(f"restore has no setting '{name}'", did_you_mean(name, (*_SHORT, "steps", *fields)))
    if isinstance(overrides, Mapping):
        chosen = [*_flat(overrides)]
    elif isinstance(overrides, str):
        chosen = [overrides]
    elif isinstance(overrides, Iterable):
        chosen = [*overrides]
    else:
        raise UsageError(
            f"overrides of type {type(overrides).__name__}", "allowed: texts, such as 'method.steps=50', or a mapping"
        )
    short = {name: settings[name] for name in _SHORT if settings.get(name) is not None}
    mask = short.get("mask")
    if isinstance(mask, list | tuple):
        mask = np.asarray(mask)
    if mask is not None and not is_array(mask) and not isinstance(mask, str | Path):
        raise UsageError(
            f"a mask of type {type(mask).__name__}", "allowed: a file, or an array that is not 0 = observed"
        )
    if is_array(mask):
        short["mask"] = as_file(mask)
    chosen = shortcuts(recipe, chosen, **short)
    return chosen + ([f"method.steps={settings['steps']}"] if settings.get("steps") is not None else [])


def _flat(overrides: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """``key=value`` texts of a mapping, kinds first, because they decide which other keys there are."""
    if wrong := [key for key in overrides if not isinstance(key, str)]:
        raise UsageError(f"overrides with the key {wrong[0]!r}", "allowed: texts, such as 'method.steps'")
    for key, value in sorted(overrides.items(), key=lambda pair: pair[0].rpartition(".")[2] != "kind"):
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}={json.dumps(_plain(value), default=str)}"


def _plain(value: Any) -> Any:
    """What a recipe says in place of a value: a number for an array of one, a file for one of more, a path's text."""
    if isinstance(value, np.generic) or (is_array(value) and value.ndim == 0):
        return value.item()
    if isinstance(value, list | tuple):
        return [*map(_plain, value)]
    return as_file(value) if is_array(value) else str(value) if isinstance(value, Path) else value


def _options(options: Options | None, settings: Mapping[str, Any]) -> Options:
    """The options with the settings that are fields of theirs."""
    fields = {field.name for field in dataclasses.fields(Options)}
    return dataclasses.replace(options or Options(), **{key: settings[key] for key in settings if key in fields})


def _one_file(measurement: Any) -> Path:
    """The only file that paths stand for.

    Raises:
        UsageError: There are several.
    """
    if not measurement:
        raise UsageError(f"no measurement: {measurement!r}", "give a file, or an array")
    sources = find([measurement] if isinstance(measurement, str | Path) else list(measurement))
    if len(sources) != 1:
        raise UsageError(f"{len(sources)} files need a folder for the results", "pass out='runs/a', or one file")
    return sources[0].path


def _paths(measurement: Any) -> bool:
    if isinstance(measurement, str | Path):
        return True
    return isinstance(measurement, list | tuple) and all(isinstance(path, str | Path) for path in measurement)
