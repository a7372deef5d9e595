r"""The images of a suite: files, folders, those in scikit-image's wheel, and those that come with this package.

An image is cropped to its middle. Where the unknown is complex, a magnitude image gets a smooth phase keyed by its
name, a sum of the lowest 2-D cosines, as coils and off-resonance give; fully sampled raw k-space of several coils is
combined by its own ESPIRiT maps, its phase kept.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inverse.benchmark.suite import FIXTURES
from inverse.errors import InputError, did_you_mean
from inverse.io.content import Scan
from inverse.io.read_write import read
from inverse.io.sources import find
from inverse.operators.mri.cartesian import fourier, to_pair
from inverse.operators.mri.coils import centre, espirit
from inverse.recipes.sections import Data
from inverse.restoration.frame import MINIMUM_SIDE, frame

__all__ = ["find_images", "load_truth"]

_SKIMAGE = "skimage:"
_MULTIPLE = 8
_SUFFIXES = (".png", ".jpg", ".tif")


def find_images(given: Sequence[str], folder: Path) -> dict[str, Path]:
    """Files by name, in the order in which a suite gives them; relative paths start at the folder.

    Raises:
        InputError: There is none of that name.
    """
    paths: dict[str, Path] = {}
    for entry in given:
        if entry.startswith((_SKIMAGE, FIXTURES)):
            paths[entry.partition(":")[2]] = _bundled(entry)
        else:
            paths |= {source.item: source.path for source in find([folder / Path(entry).expanduser()])}
    for name, path in paths.items():
        if not path.is_file():
            raise InputError(f"no image at '{name}'", "give a file, a folder, skimage:NAME or fixture:NAME")
    return paths


def _bundled(entry: str) -> Path:
    """The file of ``fixture:NAME`` or ``skimage:NAME``."""
    package, place = ("inverse.benchmark", "suites/images") if entry.startswith(FIXTURES) else ("skimage", "data")
    folder = Path(str(resources.files(package))) / place
    name = entry.partition(":")[2]
    files = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix in _SUFFIXES}
    if name not in files:
        raise InputError(f"no image '{entry}'", did_you_mean(name, files))
    return files[name]


def load_truth(path: Path, data: Data, *, crop: int, complex_image: bool, name: str) -> Tensor:
    """The middle of an image, `crop` pixels square (0: all), as (1, C, H, W) in data units; sides are multiples of 8.

    Of a complex unknown it has two channels, and a phase keyed by the name.

    Raises:
        InputError: It cannot be read, or is too small.
    """
    content = read(path)
    if isinstance(content, Scan):
        return _cropped(_combined(content.kspace[0]), crop, path.name)
    x = _cropped(frame(content, 0, data).measurement(data.transfer).y, crop, path.name)
    return _phased(x.mean(1, keepdim=True), name) if complex_image else x


def _cropped(x: Tensor, crop: int, name: str) -> Tensor:
    height, width = x.shape[-2:]
    if min(height, width) < max(crop, MINIMUM_SIDE):
        raise InputError(f"{name}: {height} x {width} pixels, the suite crops {crop or MINIMUM_SIDE}", "crop less")
    rows, columns = (min(n, crop or n) // _MULTIPLE * _MULTIPLE for n in (height, width))
    top, left = (height - rows) // 2, (width - columns) // 2
    return x[..., top : top + rows, left : left + columns].float().contiguous()


def _combined(kspace: Any) -> Tensor:
    coils = torch.from_numpy(kspace)
    maps = espirit(centre(coils, (24, 24)), (coils.shape[1], coils.shape[2]))[0]
    image = (maps.conj() * fourier(coils, inverse=True)).sum(0)
    return to_pair(image[None, None] / image.abs().flatten().quantile(0.999))


def _phased(x: Tensor, name: str) -> Tensor:
    rng = np.random.default_rng(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big"))
    v, u = (torch.linspace(0, 1, n, dtype=torch.float32) for n in x.shape[-2:])
    phase = torch.full(x.shape[-2:], float(rng.uniform(0, 2 * math.pi)), dtype=torch.float32)
    for k in [(0, 1), (1, 0), (1, 1), (0, 2), (2, 0)]:
        size = 1.5 / math.hypot(*k) * float(rng.standard_normal())
        phase = phase + size * torch.cos(math.pi * k[0] * v)[:, None] * torch.cos(math.pi * k[1] * u)
    return torch.cat([x * torch.cos(phase), x * torch.sin(phase)], 1)
