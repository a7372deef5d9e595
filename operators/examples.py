"""Small arrays that stand for a user's files where operators are checked: ``@kernel`` in `OperatorSpec.example` is the file of `kernel`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inverse.operators.spec import OperatorSpec

__all__ = ["ARRAYS", "example_shapes", "written"]

Array = NDArray[Any]


def _random(*shape: int) -> Array:
    return np.random.Generator(np.random.Philox(key=0)).random(shape)


def kernel(shape: tuple[int, ...]) -> Array:
    """A positive 5 x 4 kernel without symmetry."""
    del shape
    return _random(5, 4)


def kernels(shape: tuple[int, ...]) -> Array:
    """A grid of 2 x 3 kernels of 5 x 5 pixels, most of each in its middle."""
    del shape
    grid = _random(2, 3, 5, 5)
    grid[..., 2, 2] += 20
    return grid


def mask(shape: tuple[int, ...]) -> Array:
    """0 and 1 in an image's frame, 60 % ones."""
    return (_random(*shape[-2:]) < 0.6).astype(np.uint8)


def fraction(shape: tuple[int, ...]) -> Array:
    """Values from 0.2 to 1 in an image's frame: a transmission, a gain."""
    return 0.2 + 0.8 * _random(*shape[-2:])


def matrix(shape: tuple[int, ...]) -> Array:
    """Two thirds as many rows as the unknown has values."""
    unknowns = math.prod(shape)
    return _random(2 * unknowns // 3, unknowns) - 0.5


ARRAYS: Mapping[str, Callable[[tuple[int, ...]], Array]] = {
    "kernel": kernel,
    "kernels": kernels,
    "mask": mask,
    "fraction": fraction,
    "matrix": matrix,
}
"""Name to the array for an unknown (C, H, W)."""


def example_shapes(spec: OperatorSpec) -> tuple[tuple[int, int, int], ...]:
    """Two unknowns (C, H, W) of odd size for an operator; small ones for a matrix, which holds all their products."""
    if spec.kind == "matrix":
        return (3, 5, 7), (1, 7, 9)
    first, second = (spec.channels, spec.channels) if spec.channels is not None else (3, 1)
    return (first, 33, 47), (second, 35, 31)


def written(spec: OperatorSpec, shape: tuple[int, ...], folder: Path) -> dict[str, Any]:
    """The operator's example parameters, kind included, with each array in a file of its own in ``folder``."""
    params: dict[str, Any] = {"kind": spec.kind}
    for name, value in spec.example.items():
        if isinstance(value, str) and value.startswith("@"):
            path = folder / f"{spec.kind}-{'x'.join(map(str, shape))}-{value[1:]}.npy"
            np.save(path, ARRAYS[value[1:]](shape))
            value = str(path)
        params[name] = value
    return params
