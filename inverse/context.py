"""What a method is composed from: the few numbers of a prior that its strengths follow from, and how many steps there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Context"]


@dataclass(frozen=True)
class Context:
    """Numbers of the prior and of the run.

    Attributes:
        data_var: Variance of the prior's images, data units squared.
        gain: Model units in one data unit (2 for a network on [-1, 1] and data on [0, 1]).
        mean: Mean of the prior's images, a number or a tensor that broadcasts against (B, C, *S).
        steps: Steps of the run.
    """

    data_var: float
    gain: float
    mean: Any = 0.0
    steps: int = 1
