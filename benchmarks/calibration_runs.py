"""Runs of the shipped recipes on simulated measurements of held-out crops, for `calibrations.py`.

What is simulated, over which noise and operators.

A condition is one run folder: an operator and a noise level of the range that users meet. Crops of both halves are
dealt out to the conditions in turn. Each is measured, restored as by the command (noise level estimated where the
recipe estimates it), and its truth kept beside it. Interrupted, it goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from calibration_crops import HALVES, Crop, brains, photographs, scenes
from numpy.typing import NDArray

from inverse.io.content import Picture
from inverse.io.read_write import read, write
from inverse.numerics.rng import Rng
from inverse.operators.build import build_operator
from inverse.operators.mri.cartesian import fourier
from inverse.recipes.recipe import load
from inverse.restoration.case import open_case
from inverse.restoration.frame import frame
from inverse.restoration.simulate import simulate_files
from inverse.runs.run import Options, restore

__all__ = ["TASKS", "Condition", "Task", "runs"]

Array = NDArray[np.generic]
ALONE = 1000
"""Number of the first run of the check half, where each crop is a run of its own."""
KEEP = "samples,mean,std,quantiles,data_share,misfit"


@dataclass(frozen=True)
class Condition:
    """One run.

    Attributes:
        both: Overrides of simulation and restoration: the operator, and a noise level where the recipe is told it.
        noise: Overrides of the simulation alone.
        values: Numbers for `Task.measure`.
    """

    both: tuple[str, ...] = ()
    noise: tuple[str, ...] = ()
    values: tuple[float, ...] = ()


Measure = Callable[[str, Crop, Condition, Path], tuple[str, ...]]


@dataclass(frozen=True)
class Task:
    """What is simulated for a recipe.

    Attributes:
        crops: From the folder of data to truths.
        conditions: The runs.
        images: What the truths are.
        varied: What was varied.
        measure: Writes ``measured/`` and ``truth/`` of a crop where `inverse.restoration.simulate` does not, and
            returns overrides of its restoration.
        alone: Whether each crop is a run of its own, for an operator of its own.
    """

    crops: Callable[[Path], list[Crop]]
    conditions: tuple[Condition, ...]
    images: str
    varied: str
    measure: Measure | None = None
    alone: bool = False


def _pairs(
    operators: Sequence[tuple[str, ...]], levels: Sequence[float], *, told: bool = False
) -> tuple[Condition, ...]:
    """Operators with noise levels, one by one; ``told``: the restoration is given the level."""
    return tuple(
        Condition((*ops, f"noise.sigma={level}")) if told else Condition(ops, (f"noise.sigma={level}",))
        for ops, level in zip(operators, levels, strict=True)
    )


def _each(name: str, *values: object) -> list[tuple[str, ...]]:
    return [(f"operator.{name}={value}",) for value in values]


def _normal(crop: Crop, like: Array, draw: int = 0) -> Array:
    noise = Rng(0, [crop.name], [0]).normal(torch.zeros(1, *like.shape), step=0, stream="measurement", draw=draw)
    return np.asarray(noise[0].numpy())


def _save(folder: Path, name: str, pixels: Array) -> None:
    planes = np.moveaxis(np.asarray(pixels, np.float32), 0, -1)
    array = np.ascontiguousarray(planes[..., 0] if planes.shape[-1] == 1 else planes)
    write(folder / f"{name}.tif", Picture(array=array, format="tiff"), overwrite=True)


def _stripes(recipe: str, crop: Crop, condition: Condition, folder: Path) -> tuple[str, ...]:
    """Offsets of columns and white noise."""
    tau, sigma = condition.values
    offsets = tau * _normal(crop, np.zeros((len(crop.pixels), 1, crop.pixels.shape[-1])), 1)
    _save(folder / "measured", crop.name, crop.pixels + offsets + sigma * _normal(crop, crop.pixels))
    _save(folder / "truth", crop.name, crop.pixels)
    return ()


def _speckle(recipe: str, crop: Crop, condition: Condition, folder: Path) -> tuple[str, ...]:
    """Amplitudes under gamma speckle."""
    (looks,) = condition.values
    x = crop.pixels[:1].clip(0.02, None)
    key = np.frombuffer(hashlib.blake2b(crop.name.encode(), digest_size=16).digest(), "<u8").astype(np.uint64)
    speckle = np.random.Generator(np.random.Philox(key=key)).gamma(looks, 1 / looks, x.shape)
    _save(folder / "measured", crop.name, x * np.sqrt(speckle))
    _save(folder / "truth", crop.name, x)
    return ()


def _pan(recipe: str, crop: Crop, condition: Condition, folder: Path) -> tuple[str, ...]:
    """Bands at half the resolution, and their weighted sum at all of it."""
    (sigma,) = condition.values
    x = torch.from_numpy(np.asarray(crop.pixels))[None]
    bands = build_operator("sensor", shape=tuple(x.shape[1:]), factor=2).A(x)[0].numpy()
    pan = np.tensordot(np.array([0.3, 0.4, 0.3], np.float32), crop.pixels, 1)
    _save(folder / "measured", crop.name, bands + sigma * _normal(crop, bands))
    _save(folder / "truth", crop.name, crop.pixels)
    path = folder / "pan" / f"{crop.name.replace('/', '-')}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, pan + sigma * _normal(crop, pan[None], 1)[0])
    return (f"operator.pan={path.resolve()}",)


def _clouds(recipe: str, crop: Crop, condition: Condition, folder: Path) -> tuple[str, ...]:
    """Two discs of cloud, white, the same in all crops of a condition."""
    sigma, radius, seed = condition.values
    height, width = crop.pixels.shape[-2:]
    places = np.random.default_rng(int(seed)).uniform(0.15, 0.85, (2, 2)) * (height, width)
    rows, columns = np.mgrid[:height, :width]
    cloud = np.any([np.hypot(rows - top, columns - left) < radius for top, left in places], 0)
    _save(folder / "measured", crop.name, np.where(cloud, 1.0, crop.pixels + sigma * _normal(crop, crop.pixels)))
    _save(folder / "truth", crop.name, crop.pixels)
    np.save(folder / "clouds.npy", cloud)
    return (f"operator.file={(folder / 'clouds.npy').resolve()}",)


def _coil_maps(size: tuple[int, ...], coils: int, name: str) -> Array:
    """Smooth maps of coils around the head, sum of squares 1; (1, H, W) of ones for one coil."""
    if coils == 1:
        return np.ones((1, *size), np.complex64)
    rng = np.random.Generator(np.random.Philox(key=int(hashlib.blake2b(name.encode(), digest_size=8).hexdigest(), 16)))
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, n) for n in size), indexing="ij")
    turn = rng.uniform(0, 2 * np.pi)
    angles = turn + 2 * np.pi * np.arange(coils) / coils
    maps = [
        np.exp(-((rows - 1.2 * np.sin(a)) ** 2 + (columns - 1.2 * np.cos(a)) ** 2) / 1.6)
        * np.exp(1j * (a + 0.8 * (rows * np.cos(a + turn) + columns * np.sin(a - turn))))
        for a in angles
    ]
    return np.asarray(maps / np.sqrt((np.abs(maps) ** 2).sum(0)), np.complex64)


def _kspace(recipe: str, crop: Crop, condition: Condition, folder: Path) -> tuple[str, ...]:
    """Fully sampled noisy k-space, of which the recipe keeps a part.

    The truth is combined by the maps that the recipe finds.
    """
    sigma, coils = condition.values
    maps = _coil_maps(crop.pixels.shape, int(coils), crop.name)
    clean = fourier(torch.from_numpy(maps * crop.pixels)).numpy()
    noise = sigma * (_normal(crop, clean.real) + 1j * _normal(crop, clean.real, 1))
    measured, truth = (folder / part / f"{crop.name}.npy" for part in ("measured", "truth"))
    for path in (measured, truth):
        path.parent.mkdir(parents=True, exist_ok=True)
    np.save(measured, (clean + noise).astype(np.complex64))
    chosen = load(recipe, condition.both)
    case = open_case(chosen, frame(read(measured), 0, chosen.data))
    own = case.physics.maps[0].numpy() if int(coils) > 1 else maps
    combined = (own.conj() * maps * crop.pixels).sum(0)
    np.save(truth, np.asarray(combined, np.complex64))
    return ()


def _photos(side: int, *, grey: bool = False, each: int = 1) -> Callable[[Path], list[Crop]]:
    return lambda data: photographs(data, side, grey=grey, each=each)


def _scenes(side: int) -> Callable[[Path], list[Crop]]:
    return lambda data: scenes(data, side, each=1)


_MOTION = [
    (f"operator.length={length}", f"operator.angle={angle}")
    for length, angle in ((9, 0), (15, 30), (15, 0), (21, 60), (11, 120), (15, 90))
]
_LINES = [
    ("operator.pattern=equispaced", f"operator.acceleration={factor}", f"operator.center_lines={lines}")
    for factor, lines in ((4, 20), (3, 16), (6, 20))
]
_PHOTO, _SCENE = "test photographs of CBSD68 and Set14", "RSSCN7 at half size, NEON, Landsat 7 and 8"
_BRAIN = "T1-weighted brain slices at half their resolution with smooth phase"

TASKS = {
    "deblur": Task(
        _photos(112),
        _pairs(_each("sigma", 2.0, 1.5, 1.0, 2.0, 3.0, 1.5), (0.02, 0.01, 0.02, 0.05, 0.01, 0.05)),
        _PHOTO,
        "blur 1 to 3 pixels, noise 0.01 to 0.05",
    ),
    "inpaint": Task(
        _photos(96),
        _pairs(
            [(f"operator.missing={share}", f"operator.seed={seed}") for seed, share in enumerate((0.7, 0.5, 0.9, 0.7))],
            (0.02, 0.01, 0.02, 0.05),
        ),
        _PHOTO,
        "50 to 90 % missing, noise 0.01 to 0.05",
    ),
    "super-resolution": Task(
        _photos(120),
        _pairs(_each("factor", 4, 2, 3, 4), (0.02, 0.01, 0.005, 0.05)),
        _PHOTO,
        "factors 2 to 4, noise 0.005 to 0.05",
    ),
    "denoise": Task(_photos(80, each=2), _pairs([()] * 4, (0.02, 0.05, 0.1, 0.2)), _PHOTO, "noise 0.02 to 0.2"),
    "deblur-motion": Task(
        _photos(96),
        _pairs(_MOTION, (0.02, 0.01, 0.05, 0.02, 0.05, 0.01)),
        _PHOTO,
        "lengths 9 to 21 pixels in five directions, noise 0.01 to 0.05",
    ),
    "mri-multicoil": Task(
        brains,
        tuple(
            Condition(lines, (), (sigma, 8))
            for lines, sigma in zip((*_LINES, _LINES[0]), (0.01, 0.02, 0.01, 0.04), strict=True)
        ),
        _BRAIN + " and eight simulated coils",
        "3 to 6 times undersampled, noise 0.01 to 0.04 of white",
        _kspace,
    ),
    "mri-cartesian": Task(
        brains,
        tuple(
            Condition(lines, (), (sigma, 1))
            for lines, sigma in zip((*_LINES, _LINES[0]), (0.01, 0.02, 0.01, 0.04), strict=True)
        ),
        _BRAIN,
        "3 to 6 times undersampled, noise 0.01 to 0.04 of white",
        _kspace,
    ),
    "mri-radial": Task(
        brains,
        tuple(
            Condition((f"operator.spokes={spokes}",), (), (sigma, 8))
            for spokes, sigma in ((32, 0.01), (24, 0.02), (48, 0.01), (32, 0.04))
        ),
        _BRAIN + " and eight simulated coils, resampled along spokes",
        "24 to 48 spokes, noise 0.01 to 0.04 of white",
        _kspace,
    ),
    "satellite-super-resolution": Task(
        _scenes(80),
        _pairs(_each("sensor", "generic", "landsat-8", "sentinel-2", "generic"), (0.005, 0.01, 0.005, 0.02)),
        _SCENE,
        "factor 2, noise 0.005 to 0.02",
    ),
    "low-light": Task(
        _photos(80),
        tuple(
            Condition((f"operator.exposure={exposure}",), (f"noise.gain={gain}", "noise.sigma=0.002"))
            for exposure, gain in ((0.1, 0.001), (0.2, 0.001), (0.05, 0.0005), (0.1, 0.003))
        ),
        _PHOTO,
        "exposure 0.05 to 0.2, 33 to 200 photons at white, electronics 0.002",
    ),
    "demosaic": Task(
        _photos(80),
        _pairs(_each("pattern", "RGGB", "BGGR", "RGGB"), (0.01, 0.005, 0.02), told=True),
        _PHOTO,
        "noise 0.005 to 0.02, told",
    ),
    "jpeg": Task(
        _photos(80),
        tuple(Condition((f"operator.quality={quality}",)) for quality in (20, 10, 40, 60)),
        _PHOTO,
        "quality 10 to 60",
    ),
    "destripe": Task(
        _scenes(80),
        tuple(Condition((), (), values) for values in ((0.05, 0.01), (0.02, 0.005), (0.1, 0.01), (0.05, 0.02))),
        _SCENE,
        "offsets 0.02 to 0.1, noise 0.005 to 0.02",
        _stripes,
    ),
    "despeckle-sar": Task(
        _scenes(80),
        tuple(Condition((f"operator.looks={looks}",), (), (looks,)) for looks in (4, 1, 10)),
        _SCENE + ", in place of SAR",
        "1 to 10 looks, amplitude",
        _speckle,
    ),
    "pansharpen": Task(
        _scenes(64),
        tuple(Condition((), (), (sigma,)) for sigma in (0.002, 0.01, 0.005)),
        _SCENE,
        "factor 2, noise 0.002 to 0.01",
        _pan,
        True,
    ),
    "cloud-gapfill": Task(
        _scenes(80),
        tuple(Condition((), (), values) for values in ((0.01, 12, 0), (0.005, 8, 1), (0.02, 16, 2))),
        _SCENE,
        "two discs of 8 to 16 pixels radius, noise 0.005 to 0.02",
        _clouds,
    ),
    "colorize": Task(
        _photos(80), _pairs([()] * 3, (0.01, 0.005, 0.02), told=True), _PHOTO, "noise 0.005 to 0.02, told"
    ),
    "deconvolve-microscopy": Task(
        _photos(96, grey=True),
        tuple(
            Condition((f"operator.numerical_aperture={aperture}",), (f"noise.gain={gain}", "noise.sigma=0.005"))
            for aperture, gain in ((1.2, 0.002), (0.8, 0.001), (1.4, 0.005), (1.0, 0.002))
        ),
        _PHOTO + " in grey, in place of micrographs",
        "numerical aperture 0.8 to 1.4, 200 to 1000 photons at white",
    ),
    "phase-retrieval": Task(
        _photos(64),
        _pairs(_each("seed", 0, 1, 2), (0.05, 0.02, 0.1), told=True),
        _PHOTO,
        "four masks, noise 0.02 to 0.1, told",
    ),
    "landsat7-gapfill": Task(
        _scenes(64),
        tuple(Condition(("operator.pattern=slc-off",), (f"noise.sigma={sigma}",)) for sigma in (0.01, 0.005, 0.02)),
        _SCENE,
        "22 % missing, noise 0.005 to 0.02",
    ),
}


def runs(recipe: str, data: Path, work: Path, *, limit: int = 0) -> Iterator[tuple[Path, Path]]:
    """Do a recipe's runs, and give their folders with those of their truths as they are done.

    Args:
        recipe: One of `TASKS`.
        data: The folder of data.
        work: Where runs are kept.
        limit: Only so many crops of each half; 0 for all.
    """
    task = TASKS[recipe]
    dealt: dict[int, list[Crop]] = {}
    crops = task.crops(data)
    for half in HALVES:
        own = [crop for crop in crops if crop.name.startswith(f"{half}/")]
        for index, crop in enumerate(own[: limit or None]):
            place = index if task.alone else (index + index // len(task.conditions)) % len(task.conditions)
            dealt.setdefault(place + ALONE * HALVES.index(half) * task.alone, []).append(crop)
    for index, chosen in sorted(dealt.items()):
        condition, folder = task.conditions[index % len(task.conditions)], work / recipe / f"{index:03d}"
        extra = _simulated(recipe, task, condition, chosen, folder)
        restore(
            recipe,
            folder / "sim" / "measured",
            out=folder / "run",
            overrides=[*condition.both, *extra, "calibration=none"],
            options=Options(keep=KEEP, progress="off"),
        )
        yield folder / "run", folder / "sim" / "truth"


def _simulated(recipe: str, task: Task, condition: Condition, crops: Sequence[Crop], folder: Path) -> tuple[str, ...]:
    if task.measure is not None:
        found: tuple[str, ...] = ()
        for crop in crops:
            found = task.measure(recipe, crop, condition, folder / "sim")
        return found
    for crop in crops:
        _save(folder / "crops", crop.name, crop.pixels)
    # a scene is stretched once, by its measurement: the simulation takes the truth's values as they are
    plain = ["data.scale=type", *condition.both, *condition.noise]
    simulate_files(recipe, folder / "crops", out=folder / "sim", overrides=plain, overwrite=True)
    return ()
