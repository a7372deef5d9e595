"""One file from the frames of its input: the slices of a volume, the images of a scan.

Frames are solved as items of their own; each leaves what it restored in ``.inverse/slices``. Once all frames of a file are there, the file and
the standard deviations beside it are written. This can be repeated at any time: a file that is there and unchanged is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from inverse.io.content import Picture, Scan, Volume, widths
from inverse.recipes.recipe import Recipe
from inverse.restoration.frame import Content, Frame
from inverse.restoration.plan import Item, Plan, item_name
from inverse.restoration.provenance import stamp
from inverse.restoration.write_item import slice_path
from inverse.runs.ledger import Ledger
from inverse.storage.files import file_hash, read_hdf5

__all__ = ["assemble"]


def assemble(folder: Path, plan: Plan, recipe: Recipe, card: Any, paths: Mapping[str, Path], ledger: Ledger) -> None:
    """Write every file whose frames are all done.

    Args:
        folder: The run folder.
        plan: What the run computes.
        recipe: How.
        card: The prior's.
        paths: Input files by id; others are left alone.
        ledger: What is done.

    Raises:
        OutputError: a file cannot be written.
    """
    line = stamp(plan.terms.recipe, card, recipe.run.seed)
    for source, path in paths.items():
        frames = plan.frames(source)
        name, digest = item_name(f"{source}//"), frames[0].sha256 if frames else ""
        parts = [slice_path(item) for item in frames]
        if not frames or not all((folder / part).is_file() for part in parts) or ledger.valid(name, digest):
            continue
        if not all(ledger.valid(item_name(item.item), digest) for item in frames):
            continue
        written = _write(folder, frames, path, recipe, line)
        ledger.mark(name, digest, {file.relative_to(folder).as_posix(): file_hash(file) for file in written})


def _write(folder: Path, frames: tuple[Item, ...], path: Path, recipe: Recipe, line: str) -> list[Path]:
    from inverse.io.read_write import read

    content: Content = read(path)
    provenance, source = {"inverse:run": line}, frames[0].source
    parts = [read_hdf5(folder / slice_path(item)) for item in frames]
    written = []
    for kind, own in (("restored", "rss"), ("std", "rss_std")):
        if not all(kind in part for part in parts):
            continue
        target = folder / kind / source
        if isinstance(content, Scan):
            from inverse.io.formats.kspace import write_scan

            images = _images([part[kind] for part in parts], pairs=kind == "restored")
            rss = [part[own][0] for part in parts if own in part]
            shown = np.stack(rss) if len(rss) == len(parts) else None
            written.append(
                write_scan(target, images, magnitude=shown, like=content, provenance=provenance, overwrite=True)
            )
            continue
        from inverse.io.content import float_volume
        from inverse.io.read_write import write_volume

        assert isinstance(content, Volume)
        slices = [_slice(content, item, part[kind], recipe, kind) for item, part in zip(frames, parts, strict=True)]
        made = replace(content, slices=tuple(slices))
        if kind == "std":
            made = float_volume(
                np.stack([one.array.reshape(*one.size, -1) for one in slices]).transpose(0, 3, 1, 2), like=made
            )
        written.append(write_volume(target, made, provenance=provenance, overwrite=True))
    return written


def _images(parts: Sequence[Any], *, pairs: bool) -> Any:
    """(S, H, W) of slices (2, H, W) of real and imaginary part, or of their standard deviations; (1, H, W) is what it is."""
    values = np.stack(parts)
    if values.shape[1] == 1:
        return values[:, 0]
    return values[:, 0] + np.complex64(1j) * values[:, 1] if pairs else np.sqrt(np.square(values).sum(1))


def _slice(content: Volume, item: Item, values: Any, recipe: Recipe, kind: str) -> Picture:
    from inverse.io.nodata import filled_by, still_valid
    from inverse.io.transfer import from_data
    from inverse.restoration.frame import frame

    opened: Frame = frame(content, item.frame, recipe.data)
    picture = opened.picture
    assert picture is not None
    fill = filled_by(recipe.located()["operator"])
    valid = still_valid(picture.valid, fill=fill, size=(int(values.shape[-2]), int(values.shape[-1])))
    if kind == "restored":
        result = from_data(values, like=picture, transfer=recipe.data.transfer, span=opened.span)[0]
        return replace(result, valid=valid)
    planes = np.moveaxis(widths(opened.span) * values, 0, -1).astype(np.float32)
    return replace(picture, array=planes[..., 0] if picture.array.ndim == 2 else planes, valid=valid)
