"""Operators that are known only with their measurement: what they are given, and what they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

__all__ = ["Fitted", "Measurement"]


@dataclass(frozen=True)
class Measurement:
    """One image or one slice of raw data, as it comes from a file.

    Attributes:
        y: (1, C, h, w) in data units, or complex (1, coils, ...).
        valid: (1, 1 or C, h, w), 1 where the file holds a value, 0 where it does not; None: everywhere.
        facts: What the file says of itself, by name: pixel size, noise scan, trajectory.
    """

    y: Tensor
    valid: Tensor | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fitted:
    """An operator fitted to its measurement.

    Attributes:
        y: The measurement as the physics explains it (whitened, cropped, scaled), zero where nothing was observed.
        shape: (C, H, W) of the unknown.
        build: From a deepinv noise model to the physics.
        sigma: Noise level of ``y`` (of each real component) where the operator's own data tell it; None: as for any
            other.
        said: Sentences for the report: what was estimated, and from what.
        scale: The unknown in the file's units is ``x / scale``.
    """

    y: Tensor
    shape: tuple[int, ...]
    build: Callable[[Any], Any]
    sigma: float | None = None
    said: tuple[str, ...] = ()
    scale: float = 1.0
