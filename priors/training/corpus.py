"""Images to train or measure on, from files, folders and HDF5 files, of any sizes.

An HDF5 file holds encoded images (a dataset of byte strings, one PNG, WebP, ... an entry) or arrays (N, H, W),
(N, H, W, C) of numbers; real or complex. Every dataset of one of these forms is taken unless one is named:
``FILE.h5:DATASET``. A dataset of texts called ``source`` or ``<dataset>_source`` says where each image comes from.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from inverse.errors import InputError
from inverse.io.content import STRETCH, to_unit
from inverse.io.read_write import read_pictures, whole
from inverse.io.sources import find

__all__ = ["Corpus", "read_corpus"]

HDF5 = (".h5", ".hdf5")


@dataclass(frozen=True)
class Corpus:
    """Images and where they come from."""

    #: each (C, H, W), uint8 on 0 to 255 or float32 on 0 to 1 (complex: real and imaginary part, magnitude up to 1)
    images: tuple[Tensor, ...]
    sources: tuple[str, ...]  # a text for each
    complex: bool = False  # whether two channels are the two parts of complex values

    @property
    def channels(self) -> int:
        """Channels of what is trained: two for complex values, even where the files hold magnitudes."""
        return 2 if self.complex else self.images[0].shape[0]

    @property
    def digest(self) -> str:
        """A hash of the images, to know them again."""
        sha256 = hashlib.sha256()
        for image in self.images:
            sha256.update(image.numpy().tobytes())
        return sha256.hexdigest()

    def variance(self) -> float:
        """Mean square about the mean, over all values; of complex ones half the mean square: any phase is alike."""
        values = map(self.value, range(len(self.images)))
        total = torch.stack([torch.stack([v.sum(), v.square().sum(), torch.tensor(v.numel())]) for v in values])
        first, second, count = map(float, total.double().sum(0).tolist())
        if self.complex:
            return second / count / 2 if self.images[0].shape[0] == 1 else second / count
        return second / count - (first / count) ** 2

    def mean(self) -> float:
        """Mean of all values; 0 for complex ones."""
        if self.complex:
            return 0.0
        total = sum(float(self.value(i).sum()) for i in range(len(self.images)))
        return total / sum(image.numel() for image in self.images)

    def value(self, index: int) -> Tensor:
        """Image ``index`` as float32, data units."""
        image = self.images[index]
        return image.float() / 255.0 if image.dtype == torch.uint8 else image

    def select(self, indices: Sequence[int]) -> Corpus:
        """Some of the images."""
        return Corpus(tuple(self.images[i] for i in indices), tuple(self.sources[i] for i in indices), self.complex)

    def split(self, held_out: int, seed: int) -> tuple[Corpus, Corpus]:
        """Images to train on, and held out: where there are several sources, whole ones, so that no crop leaks."""
        names = sorted(set(self.sources))
        order = np.random.Generator(np.random.Philox(seed)).permutation(len(names))
        kept: list[int] = []
        members: dict[str, list[int]] = {name: [] for name in names}
        for i, source in enumerate(self.sources):
            members[source].append(i)
        for j in order:
            group = members[names[j]]
            if kept and len(kept) + len(group) > max(1, min(held_out, len(self.images) // 5)):
                break
            kept += group
        if len(kept) == len(self.images):
            return self, self
        out = set(kept)
        return self.select([i for i in range(len(self.images)) if i not in out]), self.select(kept)

    def described(self) -> str:
        """How many images of which origin, in words."""
        groups = Counter(re.split(r"[/:]", source)[0] for source in self.sources)
        shown = ", ".join(f"{count} {name}" for name, count in groups.most_common(6))
        rest = f", {len(groups) - 6} more" if len(groups) > 6 else ""
        sizes = Counter(tuple(image.shape[1:]) for image in self.images)
        (height, width), most = sizes.most_common(1)[0]
        size = f"{width} x {height}" if most == len(self.images) else "several sizes"
        return f"{len(self.images):,} images of {size}" + (f" ({shown}{rest})" if len(groups) < 50 else "")


def read_corpus(
    paths: Sequence[str | Path], *, image: str = "auto", sources: Sequence[str] = (), smallest: int = 1
) -> Corpus:
    """The corpus of images, folders, globs, ``@list.txt`` and HDF5 files, without images with a side below `smallest`.

    `image` is ``rgb``, ``grey``, ``bands``, ``complex`` or ``auto``: RGB where all are grey or RGB and one is RGB. Of
    HDF5 entries those are kept whose source begins with one of `sources`; empty keeps all.

    Raises:
        InputError: nothing is there, a file cannot be read, or the images do not go together.
    """
    rows: list[tuple[str, Tensor]] = []
    for path in paths:
        rows += _hdf5(str(path)) if str(path).partition(":")[0].lower().endswith(HDF5) else _files(path)
    if sources:
        rows = [(source, value) for source, value in rows if source.startswith(tuple(sources))]
    if not rows:
        raise InputError("no images are left", "check the paths, and -s sources=...")
    large = [(source, value) for source, value in rows if min(value.shape[-2:]) >= smallest]
    if not large:
        side = max(min(value.shape[-2:]) for _, value in rows)
        raise InputError(
            f"no image has {smallest} pixels along both sides; the largest has {side}", "a smaller -s crop=..."
        )
    names, values = zip(*large, strict=True)
    return _unified(values, names, image)


def _unified(values: Sequence[Tensor], names: Sequence[str], image: str) -> Corpus:
    counts = Counter(len(value) for value in values)
    has_complex = any(value.is_complex() for value in values)
    if image == "auto":
        image = "complex" if has_complex else "rgb" if set(counts) <= {1, 3} and counts[3] else "bands"
    if image == "complex":
        return Corpus(tuple(_parts(value) for value in values), tuple(names), complex=True)
    if has_complex:
        raise InputError("some images are complex", "-s image=complex")
    if image == "grey":
        values = [_mean(value) for value in values]
    elif image == "rgb":
        wrong = next((name for name, value in zip(names, values, strict=True) if len(value) not in (1, 3)), None)
        if wrong is not None:
            raise InputError(f"{wrong} is neither grey nor RGB", "-s image=bands for images with other bands")
        values = [value.expand(3, -1, -1) for value in values]
    elif len(counts) > 1:
        raise InputError(f"images with {', '.join(map(str, sorted(counts)))} channels", "train on one kind at a time")
    return Corpus(tuple(value.contiguous() for value in values), tuple(names))


def _mean(value: Tensor) -> Tensor:
    if len(value) == 1:
        return value
    grey = value.float().mean(0, keepdim=True)
    return grey.round().to(torch.uint8) if value.dtype == torch.uint8 else grey


def _parts(value: Tensor) -> Tensor:
    """Real and imaginary part: (2, H, W); a real image is a magnitude with phase 0, and keeps one channel."""
    if value.is_complex():
        return torch.view_as_real(value[0]).permute(2, 0, 1).float().contiguous()
    return _mean(value)


def _files(path: str | Path) -> list[tuple[str, Tensor]]:
    rows = []
    for source in find([path]):
        for picture in read_pictures(source.path, name=source.item):
            array = whole(picture).array.reshape(*picture.size, -1)
            value = array.transpose(2, 0, 1) if array.dtype == np.uint8 else to_unit(picture)
            rows.append((source.item, torch.from_numpy(np.ascontiguousarray(value))))
    return rows


def _hdf5(text: str) -> list[tuple[str, Tensor]]:
    """The images of ``FILE`` or ``FILE:DATASET`` with their sources."""
    name, _, wanted = text.partition(":")
    path = Path(name)
    rows: list[tuple[str, Tensor]] = []
    try:
        with h5py.File(name, "r") as file:
            keys = [wanted] if wanted else [key for key in sorted(file) if _holds_images(file[key])]
            if not keys or (wanted and (wanted not in file or not _holds_images(file[wanted]))):
                what = f"no dataset of images{' called ' + wanted if wanted else ''}"
                raise InputError(f"{path.name}: {what}: it has {', '.join(sorted(file))}")
            for key in keys:
                count = len(file[key])
                texts = next((k for k in (f"{key}_source", "source") if k in file and len(file[k]) == count), None)
                labels = [f"{path.stem}/{key}/{i}" for i in range(count)]
                if texts is not None:
                    labels = [t.decode() if isinstance(t, bytes) else str(t) for t in file[texts][:]]
                values = map(torch.from_numpy, _entries(file[key], f"{path.name}:{key}"))
                rows += zip(labels, values, strict=True)
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {str(error).splitlines()[0][:120]}") from error
    return rows


def _holds_images(dataset: Any) -> bool:
    if not isinstance(dataset, h5py.Dataset) or dataset.size == 0:
        return False
    encoded = dataset.ndim == 1 and h5py.check_vlen_dtype(dataset.dtype) == np.uint8
    return encoded or (dataset.ndim in (3, 4) and dataset.dtype.kind in "uifc")


def _entries(dataset: Any, name: str) -> list[NDArray[Any]]:
    """Each (C, H, W): uint8, float32 on 0 to 1, or complex64 with magnitude up to 1."""
    if dataset.ndim == 1:
        try:
            images = [Image.open(io.BytesIO(bytes(entry))) for entry in dataset]
            return [
                np.atleast_3d(np.asarray(i.convert("L" if i.mode in ("1", "L") else "RGB"))).transpose(2, 0, 1).copy()
                for i in images
            ]
        except (UnidentifiedImageError, OSError, ValueError) as error:
            raise InputError(f"{name}: an entry is not an image: {error}") from error
    array = dataset[:]
    if array.ndim == 3:
        array = array[..., None]
    array = np.ascontiguousarray(array.transpose(0, 3, 1, 2))
    if not np.isfinite(array).all():
        raise InputError(f"{name} has NaN or infinite values")
    if array.dtype.kind == "c":
        return list((array / max(np.percentile(np.abs(array), STRETCH[1]), 1e-30)).astype(np.complex64))
    if array.dtype == np.uint8:
        return list(array)
    if array.dtype.kind in "ui":
        low, high = np.percentile(array, STRETCH)
        array = (array - low) / max(high - low, 1e-30)
    return list(array.clip(0, 1).astype(np.float32) if array.dtype.kind in "ui" else array.astype(np.float32))
