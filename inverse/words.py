"""What the numbers of a run say, in sentences for a person."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from inverse.mismatch import SLACK

__all__ = ["doubts", "misfit_in_words"]

MET = 1.1
"""Largest R-hat of chains that have mixed (Gelman & Rubin 1992); Vehtari et al. 2021 ask for 1.01."""
FEW = 2.0
"""Particles that carry the weight, below which a population has collapsed onto one."""


def misfit_in_words(misfit: float) -> str:
    """What a misfit (chi^2 / m, expectation 1) says, in one sentence."""
    if not math.isfinite(misfit):
        return "misfit cannot be told: the noise level is zero"
    if misfit > 1.1:
        return f"the image does not fully explain the measurement: misfit {misfit:.2f}, expected 1"
    if misfit < 0.9:
        return f"the image follows the measurement closer than its noise: misfit {misfit:.2f}, expected 1"
    return f"the image explains the measurement: misfit {misfit:.2f}, expected 1"


def doubts(row: Mapping[str, Any]) -> list[str]:
    """What stands against taking an item's samples for draws of the posterior, from its row of ``items.csv``; empty where nothing is known to."""
    lines = [str(row["mismatch"])] if row.get("mismatch") else []
    if row.get("surprise", 0.0) > 1 + SLACK:
        lines.append(
            f"the prior took {row['surprise']:.1f} times as much of this image for noise as of its own kind: it may not be one for these data"
        )
    if "point estimate" in row["method"]:
        lines.append(f"{row['method']}: the spread of its samples is no uncertainty")
    if row.get("r_hat", 1.0) > MET:
        lines.append(
            f"the chains have not mixed: R-hat {row['r_hat']:.2f} or more in 5 % of the values (below {MET} where they have); more steps help"
        )
    if row.get("particles_lowest", FEW) < FEW:
        lines.append(
            f"at its worst level {row['particles_lowest']:.1f} particles carried the weight: more are needed for exact draws"
        )
    return lines
