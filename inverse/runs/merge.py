"""Parts put together: the blocks of an item into its posterior, and the frames of an input into one file.

**Blocks** are samples of an item that were drawn apart. Each is kept in ``.inverse/parts``; merged they are in order
and their cost is summed, as if they had been drawn at once. The blocks go only once the item's marker is written.

**Frames** are the slices of a volume or the images of a scan, solved as items of their own. Each leaves what it
restored in ``.inverse/slices``; once all of a file are there, the file and the standard deviations beside it are
written.

Both can be repeated at any time, by anyone: what is there and unchanged is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from inverse.errors import OutputError
from inverse.io.content import Picture, Scan, Volume, float_volume, widths
from inverse.io.nodata import filled_by, still_valid
from inverse.io.read_write import read, write_scan, write_volume
from inverse.io.transfer import from_data
from inverse.posterior.posterior import Cost, Posterior
from inverse.recipes.recipe import Recipe
from inverse.restoration.frame import Content, frame
from inverse.restoration.plan import Item, Job, Plan, Unit, item_name
from inverse.restoration.write_item import slice_path
from inverse.runs.ledger import Ledger
from inverse.sampling.problem import Problem
from inverse.storage.files import file_hash, read_hdf5, write_hdf5

__all__ = ["assemble", "merged", "write_part"]

#: Before the names of what a method said of its samples, in the parts of an item.
SAID = "diagnostics."


def write_part(ledger: Ledger, unit: Unit, item: Item, post: Posterior) -> None:
    """Keep a block in ``.inverse/parts`` until all are there, and mark it."""
    path = f".inverse/parts/{unit.name}.h5"
    cost = {key: float(value) for key, value in post.cost.as_dict().items()}
    arrays = {"states": post.states, **{f"{SAID}{name}": value for name, value in post.diagnostics.items()}}
    digest = write_hdf5(ledger.out / path, {name: value.cpu().numpy() for name, value in arrays.items()}, {"": cost})
    ledger.mark(unit.name, item.sha256, {path: digest}, cost=cost)


def merged(ledger: Ledger, blocks: Sequence[Unit], item: Item, problem: Problem) -> Posterior:
    """The posterior of an item from its blocks.

    Args:
        ledger: Where the blocks are marked.
        blocks: All of the item's.
        item: The item.
        problem: What the samples were drawn for.

    Raises:
        OutputError: If a block is not there, or is not what was written.
    """
    costs, parts = [], []
    for unit in blocks:
        marker = ledger.valid(unit.name, item.sha256)
        if marker is None:
            raise OutputError(
                f"{item.item}: the samples {unit.start} to {unit.stop} are gone or changed",
                "run the same command again: they are drawn again",
            )
        costs.append(marker["cost"])
        parts.append(read_hdf5(ledger.out / next(iter(marker["files"]))))
    total = {key: sum(cost[key] for cost in costs) for key in costs[0]}
    total["peak_bytes"] = max(cost["peak_bytes"] for cost in costs)
    device = problem.observation.sigma.device
    whole = {name: torch.cat([torch.from_numpy(part[name]) for part in parts]).to(device) for name in parts[0]}
    return Posterior(
        states=whole.pop("states"),
        observation=problem.observation,
        prior_mean=problem.prior_mean,
        data_var=problem.card.data_var,
        cost=Cost(**total),
        items=problem.items,
        method={"kind": problem.spec.name, **problem.params},
        label=problem.label,
        levels=problem.levels,
        diagnostics={name.removeprefix(SAID): value for name, value in whole.items()},
    )


def assemble(job: Job, plan: Plan, paths: Mapping[str, Path], ledger: Ledger) -> None:
    """Write every file whose frames are all done.

    Args:
        job: The run.
        plan: What it computes.
        paths: Input files by id; others are left alone.
        ledger: What is done.

    Raises:
        OutputError: a file cannot be written.
    """
    for source, path in paths.items():
        frames = plan.frames(source)
        name, digest = item_name(f"{source}//"), frames[0].sha256 if frames else ""
        parts = [job.out / slice_path(item) for item in frames]
        if not frames or not all(part.is_file() for part in parts) or ledger.valid(name, digest):
            continue
        if not all(ledger.valid(item_name(item.item), digest) for item in frames):
            continue
        written = _write(job, frames, read(path), [read_hdf5(part) for part in parts])
        ledger.mark(name, digest, {file.relative_to(job.out).as_posix(): file_hash(file) for file in written})


def _write(job: Job, frames: tuple[Item, ...], content: Content, parts: Sequence[Mapping[str, Any]]) -> list[Path]:
    """The restored file and the standard deviations, as far as all frames have them."""
    provenance, written = {"inverse:run": job.stamp}, []
    for kind, magnitude in (("restored", "rss"), ("std", "rss_std")):
        if not all(kind in part for part in parts):
            continue
        target = job.out / kind / frames[0].source
        if isinstance(content, Scan):
            images = _images([part[kind] for part in parts], pairs=kind == "restored")
            rss = [part[magnitude][0] for part in parts if magnitude in part]
            shown = np.stack(rss) if len(rss) == len(parts) else None
            written.append(
                write_scan(target, images, magnitude=shown, like=content, provenance=provenance, overwrite=True)
            )
            continue
        assert isinstance(content, Volume)
        slices = [_slice(content, item, part[kind], job.recipe, kind) for item, part in zip(frames, parts, strict=True)]
        made = replace(content, slices=tuple(slices))
        if kind == "std":
            planes = np.stack([picture.array.reshape(*picture.size, -1) for picture in slices])
            made = float_volume(planes.transpose(0, 3, 1, 2), like=made)
        written.append(write_volume(target, made, provenance=provenance, overwrite=True))
    return written


def _images(parts: Sequence[Any], *, pairs: bool) -> Any:
    """(S, H, W) of slices (1, H, W), or (2, H, W): real and imaginary part, or their standard deviations."""
    values = np.stack(parts)
    if values.shape[1] == 1:
        return values[:, 0]
    return values[:, 0] + np.complex64(1j) * values[:, 1] if pairs else np.sqrt(np.square(values).sum(1))


def _slice(content: Volume, item: Item, values: Any, recipe: Recipe, kind: str) -> Picture:
    opened = frame(content, item.frame, recipe.data)
    picture = opened.picture
    assert picture is not None
    fill = filled_by(recipe.located()["operator"])
    valid = still_valid(picture.valid, fill=fill, size=(int(values.shape[-2]), int(values.shape[-1])))
    if kind == "restored":
        restored, _ = from_data(values, like=picture, transfer=recipe.data.transfer, span=opened.span)
        return replace(restored, valid=valid)
    planes = np.moveaxis(widths(opened.span) * values, 0, -1).astype(np.float32)
    return replace(picture, array=planes[..., 0] if picture.array.ndim == 2 else planes, valid=valid)
