"""Held-out crops of photographs, scenes and brain slices for `calibrations.py`.

Split by source image into a fit and a check half.

Sources are sorted by roughness (mean absolute difference of neighbours) and dealt out A B B A: both halves hold like
images, and no source is in both. What is measured later has no say in it. Crops of one source lie at keyed places.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inverse.io.content import to_unit
from inverse.io.read_write import read

__all__ = ["HALVES", "Crop", "brains", "photographs", "scenes"]

Array = NDArray[np.float32]
HALVES = ("fit", "check")
GAP = 32
"""Pixels between the parts of a scene that count as sources of their own."""


@dataclass(frozen=True)
class Crop:
    """A truth.

    Attributes:
        name: ``fit/SOURCE-0`` or ``check/SOURCE-0``.
        pixels: (C, H, W) in [0, 1]; complex (H, W) of a brain slice.
    """

    name: str
    pixels: NDArray[np.generic]


def _key(name: str) -> np.random.Generator:
    digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest, "<u8").astype(np.uint64)))


def _halves(sources: dict[str, Array]) -> dict[str, str]:
    def rough(image: Array) -> float:
        return float(np.abs(np.diff(image, axis=-1)).mean() + np.abs(np.diff(image, axis=-2)).mean())

    ordered = sorted(sources, key=lambda name: rough(sources[name]))
    return {name: HALVES[(index % 4) in (1, 2)] for index, name in enumerate(ordered)}


def _cut(sources: dict[str, Array], side: int, each: Callable[[Array], int]) -> Iterator[Crop]:
    """Crops at keyed places of cells of a grid, so that those of one source do not overlap."""
    halves = _halves(sources)
    for name, image in sorted(sources.items()):
        height, width = image.shape[-2:]
        cells = [(top, left) for top in range(0, height - side + 1, side) for left in range(0, width - side + 1, side)]
        slack = height % side if height >= side else 0, width % side if width >= side else 0
        rng = _key(f"{name} {side}")
        chosen = rng.permutation(len(cells))[: each(image)]
        for index, cell in enumerate(sorted(chosen.tolist())):
            top, left = (
                place + int(rng.integers(0, extra + 1)) for place, extra in zip(cells[cell], slack, strict=True)
            )
            yield Crop(f"{halves[name]}/{name}-{index}", image[:, top : top + side, left : left + side])


def photographs(data: Path, side: int, *, each: int = 1, grey: bool = False) -> list[Crop]:
    """Crops of the 37 test photographs."""
    sources = {path.stem: to_unit(read(path)) for path in sorted((data / "photo").glob("*.png"))}
    if grey:
        weights = np.array([0.299, 0.587, 0.114], np.float32)
        sources = {name: np.tensordot(weights, image, 1)[None] for name, image in sources.items()}
    return list(_cut(sources, side, lambda image: each))


def scenes(data: Path, side: int, *, each: int = 1, bands: int = 3) -> list[Crop]:
    """Crops of the held-out aerial and satellite scenes.

    Landsat scenes are cut into parts with `GAP` pixels between them, each a source.

    Args:
        data: The folder of data.
        side: Of a crop in pixels.
        each: Crops of a source.
        bands: 3: all scenes in three bands; 6: Landsat 7's six bands.
    """
    folder = data / "satellite"
    sources = {} if bands == 6 else {path.stem: to_unit(read(path)) for path in sorted(folder.glob("*.png"))}
    if bands == 3:
        for name in [name for name in sources if name.startswith("neon")]:
            even = sources[name][:, : sources[name].shape[1] // 2 * 2, : sources[name].shape[2] // 2 * 2]
            sources[name] = even.reshape(3, even.shape[1] // 2, 2, even.shape[2] // 2, 2).mean((2, 4))
        scene = np.moveaxis(np.asarray(read(folder / "landsat8_224077_b432.tif").array, np.float32), -1, 0)
        sources |= _parts("landsat8", _stretched(scene), 4)
    etm = np.moveaxis(np.asarray(read(folder / "landsat7_etm_6band.tif").array, np.float32), -1, 0)
    chosen = etm if bands == 6 else etm[[2, 1, 0]]
    sources |= _parts("landsat7", chosen / 255 if bands == 6 else _stretched(chosen), 2)
    return list(_cut(sources, side, lambda image: each))


def _stretched(scene: Array) -> Array:
    low, high = np.percentile(scene, (0.05, 99.5))
    return np.asarray((scene - low) / (high - low), np.float32)


def _parts(name: str, scene: Array, across: int) -> dict[str, Array]:
    height, width = scene.shape[-2:]
    found = {}
    for row in range(across):
        for column in range(across):
            top, left = row * height // across, column * width // across
            bottom = (row + 1) * height // across - (GAP if row + 1 < across else 0)
            right = (column + 1) * width // across - (GAP if column + 1 < across else 0)
            found[f"{name}_{row}{column}"] = scene[:, top:bottom, left:right]
    return found


def brains(data: Path, *, each: int = 1) -> list[Crop]:
    """Complex slices.

    The held-out T1-weighted slices at half their resolution (receiver noise of the files with it), with a smooth phase
    for each.
    """
    sources = {}
    for path in sorted((data / "mri").glob("t1w_png_*.png")):
        image = to_unit(read(path))
        even = image[:1, : image.shape[1] // 4 * 4, : image.shape[2] // 4 * 4]
        sources[path.stem.removeprefix("t1w_png_")] = even.reshape(
            1, even.shape[1] // 2, 2, even.shape[2] // 2, 2
        ).mean((2, 4))
    halves = _halves(sources)
    found = []
    for name, image in sorted(sources.items()):
        for index in range(each):
            rng = _key(f"{name} phase {index}")
            rows, columns = (np.linspace(-1, 1, n) for n in image.shape[1:])
            a = rng.normal(size=5) * (0.8, 0.8, 0.5, 0.5, 0.5)
            phase = a[0] * rows[:, None] + a[1] * columns + a[2] * rows[:, None] * columns
            phase = phase + a[3] * np.cos(np.pi * rows)[:, None] + a[4] * np.cos(np.pi * columns)
            found.append(Crop(f"{halves[name]}/{name}-{index}", (image[0] * np.exp(1j * phase)).astype(np.complex64)))
    return found
