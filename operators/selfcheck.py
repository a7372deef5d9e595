"""Self-check of the catalogue: every operator by its example parameters, at two odd sizes and batch 3.

``inverse list operators --check`` prints it. Small arrays stand for a user's files: ``@kernel`` in
`OperatorSpec.example` is the file of `kernel`.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from deepinv.physics import DecomposablePhysics, LinearPhysics
from numpy.typing import NDArray

from inverse.errors import InverseError
from inverse.operators.build import build_operator
from inverse.operators.catalogue import operator_spec, operators
from inverse.operators.checks import OperatorCheck, check_operator
from inverse.operators.spec import OperatorSpec

__all__ = ["ARRAYS", "Checked", "check_catalogue", "example_shapes", "written"]


@dataclass(frozen=True)
class Checked:
    """One operator at one size.

    Attributes:
        kind: Registry name.
        shape: (C, H, W) of the unknown.
        sort: ``spectral``, ``linear`` or ``nonlinear``: what it was built as; ``missing``: its optional package is not
            installed, and nothing was measured.
        checks: What was measured, by name.
    """

    kind: str
    shape: tuple[int, ...]
    sort: str
    checks: dict[str, OperatorCheck]

    @property
    def ok(self) -> bool:
        """Whether all passed."""
        return all(check.ok for check in self.checks.values())


def check_catalogue(kinds: Iterable[str] = (), *, dtype: torch.dtype = torch.float32) -> Iterator[Checked]:
    """Measure operators, one after the other.

    Args:
        kinds: Which; default all that are installed.
        dtype: Precision of the vectors.

    Raises:
        RecipeError: a kind that there is not, or an example that does not fit its model.
    """
    for kind in kinds or operators():
        spec = operator_spec(kind)
        for shape in example_shapes(spec):
            try:
                with tempfile.TemporaryDirectory() as folder:
                    physics = build_operator(written(spec, shape, Path(folder)), shape=shape, dtype=dtype, noise=0.02)
            except InverseError as error:
                if "pip install" not in str(error):
                    raise
                yield Checked(kind, shape, "missing", {})
                continue
            sort = "linear" if isinstance(physics, LinearPhysics) else "nonlinear"
            sort = "spectral" if isinstance(physics, DecomposablePhysics) else sort
            rows = check_operator(physics, shape, dtype=dtype)
            yield Checked(kind, shape, sort, {row.name: row for row in rows})


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


#: Name to the array for an unknown (C, H, W).
ARRAYS: Mapping[str, Callable[[tuple[int, ...]], Array]] = {
    "kernel": kernel,
    "kernels": kernels,
    "mask": mask,
    "fraction": fraction,
    "matrix": matrix,
}


def example_shapes(spec: OperatorSpec) -> tuple[tuple[int, int, int], ...]:
    """Two unknowns (C, H, W) of odd size for an operator."""
    channels = (3, 1) if spec.channels is None else (spec.channels, spec.channels)
    first, second = ((count, *side) for count, side in zip(channels, spec.sides, strict=True))
    return first, second


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
