"""Files, folders and run folders as pairs: matched by name, read one file at a time, volumes slice by slice.

Of a fastMRI file the reconstruction is compared: of the truth ``reconstruction_rss``, else ``reconstruction_esc``, else
``reconstruction``; of the prediction ``reconstruction`` first. ``FILE.h5::NAME`` names any other data set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from inverse.errors import InputError
from inverse.evaluation.pairs import Comparand, FilePairs, Pair, Pairing
from inverse.io.content import Span
from inverse.io.read_write import read_pictures
from inverse.io.sources import find, match
from inverse.io.transfer import encode
from inverse.runs.folder import RunFolder
from inverse.storage.paths import is_store, locate

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["is_folder", "pairs_of_files", "pairs_of_run"]

PREDICTED = ("reconstruction", "reconstruction_rss", "reconstruction_esc")
TARGET = ("reconstruction_rss", "reconstruction_esc", "reconstruction")


def _companions(beside: Mapping[str, Path], items: Sequence[str]) -> dict[str, dict[str, Path]]:
    """By item its further files by role (mask, ms, pan): one for all, or of a folder those matched like the truths."""
    files: dict[str, dict[str, Path]] = {item: {} for item in items}
    for role, path in beside.items():
        _exists(path)
        sources = {source.item: source.path for source in find([path])}
        for item, name in match(items, sources).items() if is_folder(path) else ():
            files[item][role] = sources[name]
        for item in items if not is_folder(path) else ():
            files[item][role] = path
    return files


def pairs_of_files(prediction: Path, truth: Path, beside: Mapping[str, Path]) -> Pairing:
    """Match two files or two folders.

    Raises:
        InputError: One does not exist, or nothing matches.
    """
    for path in (prediction, truth):
        _exists(path)
    given = {source.item: source.path for source in find([prediction])}
    known = {source.item: source.path for source in find([truth])}
    single = not is_folder(prediction) and not is_folder(truth) and len(given) == len(known) == 1
    pairs = dict(zip(given, known, strict=True)) if single else match(given, known)
    if not pairs:
        raise InputError(
            f"none of the {len(given)} predictions is named like one of the {len(known)} truths",
            "name the files alike: relative paths or stems are compared",
        )
    further = _companions(beside, list(pairs))

    def group(item: str, name: str) -> FilePairs:
        return FilePairs(item, lambda: _load(item, given[item], known[name], further[item], beside))

    groups = tuple(group(item, pairs[item]) for item in given if item in pairs)
    taken = set(pairs.values())
    return Pairing(groups, tuple(n for n in given if n not in pairs), tuple(n for n in known if n not in taken))


def pairs_of_run(run: RunFolder, truth: Path, beside: Mapping[str, Path]) -> Pairing:
    """Match what a run restored with truths; its samples belong to it.

    Raises:
        InputError: No truth fits.
    """
    _exists(truth)
    truths = run.truths(truth)
    rows = {row["item"]: row for row in run.done}
    by_file: dict[str, list[str]] = {}
    for item, row in rows.items():
        if item in truths:
            by_file.setdefault(str(row["restored"]), []).append(item)
    names = {restored: _file_of(items[0], restored) for restored, items in by_file.items()}
    further = _companions(beside, list(names.values()))

    def group(restored: str, items: list[str]) -> FilePairs:
        name = names[restored]
        return FilePairs(name, lambda: _of_run(run, restored, items, truths[items[0]], further[name], beside))

    sources = {source.item: source.path for source in find([truth])}
    used = {path.resolve() for path in truths.values()}
    alone = tuple(name for name, path in sources.items() if path.resolve() not in used)
    recipe: Mapping[str, Any] = run.facts.get("recipe", {})
    factor = recipe.get("operator", {}).get("factor")
    return Pairing(
        tuple(group(restored, items) for restored, items in by_file.items()),
        tuple(item for item in rows if item not in truths),
        alone,
        ratio=float(factor) if isinstance(factor, int | float) else None,
        no_samples=_no_samples(run, next(iter(truths))),
    )


def _no_samples(run: RunFolder, item: str) -> str:
    """Why the samples of a run cannot be compared with truths; "" where they can."""
    if _complex(run):
        return "those of raw k-space are complex images, the truth is a magnitude"
    path = run.path / "items" / item / "posterior.h5"
    if h5py.is_hdf5(path) and "samples" not in run.kept(item, ["samples"]).arrays:
        return "the run kept none: restore with --keep samples,mean,std"
    return ""


def _file_of(item: str, restored: str) -> str:
    """The file an item of a run belongs to: itself, or the file it is a slice of."""
    head, _, tail = item.rpartition("/")
    written = restored.removeprefix("restored/")
    return head if tail.isdigit() and written.startswith(head) and written != item else item


def is_folder(path: Path) -> bool:
    """Whether a path holds several items; a store is one."""
    return path.is_dir() and not is_store(path)


def _exists(path: Path) -> None:
    place, _ = locate(path)
    if not place.exists():
        raise InputError(f"{path}: no such file or folder", "check the spelling and the current folder")


def _frames(path: Path, *, name: str, wanted: Sequence[str] = ()) -> list[Comparand]:
    """The images of a file."""
    if wanted:
        path = _reconstruction(path, wanted) or path
    frames = []
    for picture in read_pictures(path, name=name):
        values = picture.array[..., None] if picture.array.ndim == 2 else picture.array
        valid = picture.valid
        if valid is not None:
            valid = valid[None] if valid.ndim == 2 else np.moveaxis(valid, -1, 0)
        frames.append(Comparand(np.moveaxis(values, -1, 0), valid))
    return frames


def _reconstruction(path: Path, wanted: Sequence[str]) -> Path | None:
    """The first of the data sets that an HDF5 file has at its top; the one that is named, if it is one of them."""
    place, inner = locate(path)
    if inner is not None:
        return path if inner.strip("/") in wanted else None
    if not place.is_file() or not h5py.is_hdf5(place):
        return None
    try:
        with h5py.File(place, "r") as file:
            name = next((name for name in wanted if isinstance(file.get(name, getlink=True), h5py.HardLink)), None)
    except (OSError, RuntimeError):
        return None
    return Path(f"{place}::/{name}") if name else None


def _mask(frame: Comparand) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = (frame.values != 0).all(0, keepdims=True)
    return mask if frame.valid is None else mask & frame.valid.all(0, keepdims=True)


def _load(
    item: str, prediction: Path, truth: Path, further: Mapping[str, Path], roles: Mapping[str, Path]
) -> list[Pair]:
    """All images of a pair of files."""
    slices = _slices(item, prediction, truth, further, roles)
    names = [item] if len(slices) == 1 else [f"{item}/{index:04d}" for index in range(len(slices))]
    return [Pair(item=name, **fields) for name, fields in zip(names, slices, strict=True)]


def _slices(
    item: str, prediction: Path, truth: Path, further: Mapping[str, Path], roles: Mapping[str, Path]
) -> list[dict[str, Any]]:
    """The fields of `Pair` that files of an item give, slice by slice."""
    given = _frames(prediction, name=item, wanted=PREDICTED)
    known = _frames(truth, name=f"{item}, truth", wanted=TARGET)
    if len(given) != len(known):
        raise InputError(f"{item}: {len(given)} slices, truth {len(known)}", "compare files of as many slices")
    beside = _beside(item, len(known), further, roles)
    shared = {"peak": _peak(known), "magnitude": _reconstruction(truth, TARGET) is not None}
    return [
        {"prediction": one, "truth": other, **shared, **more}
        for one, other, more in zip(given, known, beside, strict=True)
    ]


def _peak(frames: Sequence[Comparand]) -> float:
    values = [
        frame.values if frame.valid is None else frame.values[np.broadcast_to(frame.valid, frame.values.shape)]
        for frame in frames
    ]
    return max((float(numbers.max()) for numbers in values if numbers.size), default=float("nan"))


def _beside(item: str, count: int, further: Mapping[str, Path], roles: Mapping[str, Path]) -> list[dict[str, Any]]:
    """For each slice its mask, multispectral and panchromatic image; one image serves all slices."""
    fields: list[dict[str, Any]] = [{} for _ in range(count)]
    for role in roles:
        if role not in further:
            raise InputError(f"{item}: no file of that name in --{role}", "name the files alike")
        frames = _frames(further[role], name=f"{item}, {role}")
        if len(frames) not in (1, count):
            raise InputError(f"{item}: {count} slices, {role} {len(frames)}")
        for index in range(count):
            frame = frames[index if len(frames) > 1 else 0]
            fields[index][role] = _mask(frame) if role == "mask" else frame
    return fields


def _of_run(
    run: RunFolder,
    restored: str,
    items: Sequence[str],
    truth: Path,
    further: Mapping[str, Path],
    roles: Mapping[str, Path],
) -> list[Pair]:
    """The images of a restored file that are done."""
    name = _file_of(items[0], restored)
    slices = _slices(name, run.path / restored, truth, further, roles)
    low, high = run.facts["recipe"]["data"]["range"]
    pairs = []
    for item in items:
        fields = slices[int(item.rpartition("/")[2]) if item != name else 0]
        pairs.append(
            Pair(
                item=item,
                span=_span(run.kept(item, []).attributes.get("span")),
                white=None if _complex(run) else float(high - low),
                samples=_sampler(run, item, fields["truth"].values.shape),
                **fields,
            )
        )
    return pairs


def _complex(run: RunFolder) -> bool:
    """Whether the run is of raw k-space, whose images have the scale of their own file."""
    return bool(run.facts.get("prior", {}).get("channels") == 2)


def _span(value: Any) -> Span | None:
    low, high = np.asarray((0.0, 1.0) if value is None else value, dtype=float).tolist()
    if (low, high) == (0.0, 1.0):
        return None
    return (low, high) if isinstance(low, float) else (tuple(low), tuple(high))


def _sampler(run: RunFolder, item: str, shape: Sequence[int]) -> Callable[[], Tensor]:
    def samples() -> Tensor:
        import torch

        kept = run.kept(item, ["samples"])
        values = kept.draws
        if values is None:
            raise InputError(f"{item}: the run kept no samples", "restore with --keep samples,mean,std")
        if values.shape[1:] != tuple(shape):
            sizes = (" x ".join(str(n) for n in (*size[-2:], *size[:-2])) for size in (values.shape[1:], tuple(shape)))
            raise InputError(
                "{}: sizes differ, samples {}, truth {}".format(item, *sizes), "leave out crps, energy and coverage90"
            )
        return torch.from_numpy(encode(values) if kept.attributes.get("transfer") == "linear" else values)

    return samples
