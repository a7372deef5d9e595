"""Parts put together: the blocks of an item into its posterior, and the frames of an input into one file.

**Blocks** are samples of an item that were drawn apart. Each is kept in ``.inverse/parts``; merged they are in order
and their cost is summed, as if they had been drawn at once. The blocks go only once the item's marker is written.

**Frames** are the slices of a volume or the images of a scan, solved as items of their own. Each leaves what it
restored in ``.inverse/slices``; once all of a file are there, the file and the standard deviations beside it are
written. A slice that is empty or failed never costs the others: it is written as it was measured, without a standard
deviation (NaN), and the file says which (``inverse:unrestored``).

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
from inverse.io.kspace.grid import combined
from inverse.io.patient.written import write_placed
from inverse.io.read_write import read, write_scan, write_volume
from inverse.io.transfer import from_data
from inverse.posterior.posterior import Cost, Posterior
from inverse.recipes.recipe import Recipe
from inverse.restoration.frame import Content, frame
from inverse.restoration.plan import Item, Job, Plan, Unit, item_name, split
from inverse.restoration.write_item import result_valid, slice_path
from inverse.runs.ledger import Ledger
from inverse.sampling.problem import Problem
from inverse.storage.files import file_hash, read_hdf5, write_hdf5

__all__ = ["assemble", "merged", "write_part"]

#: Before the names of what a method said of its samples, in the parts of an item.
SAID = "diagnostics."
#: States of frames that are written as they were measured.
_LEFT = ("empty", "failed")


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
        antithetic=problem.antithetic,
    )


def assemble(job: Job, plan: Plan, paths: Mapping[str, Path], ledger: Ledger) -> list[str]:
    """Write every file whose frames are all done, or empty, or failed; return what is to be said of those.

    Args:
        job: The run.
        plan: What it computes.
        paths: Input files by id; others are left alone.
        ledger: What is done.

    Raises:
        OutputError: a file cannot be written.
    """
    said = []
    for source, path in paths.items():
        frames = plan.frames(source)
        name, digest = item_name(f"{source}//"), frames[0].sha256 if frames else ""
        there = [(job.out / slice_path(item)).is_file() for item in frames]
        if not any(there):
            continue
        states = [_state(ledger, plan, item) for item in frames]
        solved = [state == "done" and part for state, part in zip(states, there, strict=True)]
        if not any(solved) or not all(ok or state in _LEFT for ok, state in zip(solved, states, strict=True)):
            continue
        left = [index for index, ok in enumerate(solved) if not ok]
        marker = ledger.valid(name, digest)
        if marker is not None and marker.get("left", []) == left:
            continue
        parts = [read_hdf5(job.out / slice_path(item)) if ok else None for item, ok in zip(frames, solved, strict=True)]
        written = _write(job, frames, read(path), parts)
        files = {file.relative_to(job.out).as_posix(): file_hash(file) for file in written}
        ledger.mark(name, digest, files, **({"left": left} if left else {}))
        if failed := [index for index in left if states[index] == "failed"]:
            said.append(f"{source}: written with {_slices(failed)} as measured, not restored")
    return said


def _state(ledger: Ledger, plan: Plan, item: Item) -> str:
    """``done``, ``empty``, ``failed``, or ``pending``."""
    names = [item_name(item.item), *(unit.name for unit in split(item, plan.terms.samples))]
    if any(ledger.failure(name) for name in names):
        return "failed"
    marker = ledger.finished(names[0], item.sha256)
    if marker is None:
        return "pending"
    return "empty" if marker.get("empty") else "done"


def _slices(indices: Sequence[int]) -> str:
    return f"slice{'s' * (len(indices) > 1)} {', '.join(map(str, indices))}"


def _write(
    job: Job, frames: tuple[Item, ...], content: Content, parts: Sequence[Mapping[str, Any] | None]
) -> list[Path]:
    """The restored file and the standard deviations, as far as all frames that were solved have them."""
    provenance, written = {"inverse:run": job.stamp}, []
    if left := [index for index, part in enumerate(parts) if part is None]:
        provenance["inverse:unrestored"] = _slices(left)
    solved = [part for part in parts if part is not None]
    for kind, magnitude in (("restored", "rss"), ("std", "rss_std")):
        if not all(kind in part for part in solved):
            continue
        target = job.out / kind / frames[0].source
        if isinstance(content, Scan):
            whole = [
                _measured(content, item.frame, solved[0]) if part is None else part
                for item, part in zip(frames, parts, strict=True)
            ]
            images = _images([part[kind] for part in whole], pairs=kind == "restored")
            rss = [part[magnitude][0] for part in whole if magnitude in part]
            shown = np.stack(rss) if len(rss) == len(parts) else None
            if (form := job.recipe.format) != "own":
                written += write_placed(
                    target,
                    images,
                    like=content,
                    form=form,
                    deviation=kind == "std",
                    provenance=provenance,
                    overwrite=True,
                )
                continue
            written.append(
                write_scan(target, images, magnitude=shown, like=content, provenance=provenance, overwrite=True)
            )
            continue
        assert isinstance(content, Volume)
        size = tuple(solved[0][kind].shape)
        slices = [
            _as_it_was(content.slices[item.frame], size, kind)
            if part is None
            else _slice(content, item, part[kind], job.recipe, kind)
            for item, part in zip(frames, parts, strict=True)
        ]
        made = replace(content, slices=tuple(slices))
        if kind == "std":
            planes = np.stack([picture.array.reshape(*picture.size, -1) for picture in slices])
            made = float_volume(planes.transpose(0, 3, 1, 2), like=made)
        written.append(write_volume(target, made, provenance=provenance, overwrite=True))
    return written


def _measured(scan: Scan, index: int, like: Mapping[str, Any]) -> dict[str, Any]:
    """What stands for a slice that was not solved: its image by Fourier transform alone; no standard deviation."""
    image = combined(scan, index)
    made: dict[str, Any] = {}
    for name, values in like.items():
        plane = image if image.shape == values.shape[-2:] else np.zeros(values.shape[-2:], np.complex64)
        pair = np.stack([plane.real, plane.imag]) if len(values) == 2 else np.abs(plane)[None]
        made[name] = (np.full_like(pair, np.nan) if "std" in name else pair).astype(np.float32)
    return made


def _as_it_was(picture: Picture, size: tuple[int, ...], kind: str) -> Picture:
    """A slice that was not solved, on the grid (C, H, W) of the others: its own nearest pixels, or no deviation."""
    channels, height, width = size
    rows, columns = (np.arange(new) * old // new for new, old in zip((height, width), picture.size, strict=True))
    places = rows[:, None], columns[None, :]
    valid = None if picture.valid is None else np.ascontiguousarray(picture.valid[places])
    array = picture.array[places]
    if channels != picture.channels:
        array = np.repeat(array.reshape(height, width, -1)[..., :1], channels, axis=-1)
    if kind == "std":
        array = np.full(array.shape, np.nan, np.float32)
    return replace(picture, array=np.ascontiguousarray(array), valid=valid)


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
    valid = result_valid(opened, recipe, (int(values.shape[-2]), int(values.shape[-1])))
    if kind == "restored":
        restored, _ = from_data(values, like=picture, transfer=recipe.data.transfer, span=opened.span)
        return replace(restored, valid=valid)
    planes = np.moveaxis(widths(opened.span) * values, 0, -1).astype(np.float32)
    return replace(picture, array=planes[..., 0] if picture.array.ndim == 2 else planes, valid=valid)
