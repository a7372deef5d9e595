"""Operators that are known only with their measurement: what they are given, and what they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

__all__ = ["Estimated", "Fitted", "Measurement"]


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
        drawn: Where parameters were estimated with an error: from a standard normal number for each to a `build` with
            parameters drawn from what is known of them; the unknown keeps its shape.
        unknowns: How many such numbers.
    """

    y: Tensor
    shape: tuple[int, ...]
    build: Callable[[Any], Any]
    sigma: float | None = None
    said: tuple[str, ...] = ()
    scale: float = 1.0
    drawn: Callable[[Sequence[float]], Callable[[Any], Any]] | None = None
    unknowns: int = 0


@dataclass(frozen=True)
class Estimated:
    """Parameters of an operator, those that were ``auto`` found in its measurement.

    Attributes:
        params: All of them, for the operator's model.
        said: What was found, a sentence.
        errors: Standard deviations of those that are uncertain, by name.
    """

    params: Mapping[str, Any]
    said: str
    errors: Mapping[str, float] = field(default_factory=dict)
