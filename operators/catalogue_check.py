"""Every catalogued operator by its example parameters, measured at two odd sizes and batch 3: ``inverse list operators --check``."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from deepinv.physics import DecomposablePhysics, LinearPhysics

from inverse.errors import InverseError
from inverse.operators.build import build_operator
from inverse.operators.catalog import operator_spec, operators
from inverse.operators.checks import Check, check_operator
from inverse.operators.examples import example_shapes, written

__all__ = ["Checked", "check_catalogue"]


@dataclass(frozen=True)
class Checked:
    """One operator at one size.

    Attributes:
        kind: Registry name.
        shape: (C, H, W) of the unknown.
        sort: ``spectral``, ``linear`` or ``nonlinear``: what it was built as; ``missing``: its optional package is not installed, and
            nothing was measured.
        checks: What was measured, by name.
    """

    kind: str
    shape: tuple[int, ...]
    sort: str
    checks: dict[str, Check]

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
