"""What the numbers of a run say, in sentences for a person."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from inverse.priors.mismatch import SLACK

__all__ = ["doubtful", "doubts", "evidence", "in_doubt", "misfit_in_words"]

LOW, HIGH = 0.9, 1.1
"""Misfits of images that explain their measurement."""
MET = 1.1
"""Largest R-hat of chains that have mixed (Gelman & Rubin 1992); Vehtari et al. 2021 ask for 1.01."""
COLOURED = 2.74
"""Whiteness that one noise residual in a thousand exceeds: chi^2 of 12 lags, over 12."""
WORTH_SAYING = 0.03
"""Autocorrelation below which a residual counts as noise however large the image: large images find tiny ones significant."""
FEW = 2.0
"""Particles that carry the weight, below which a population has collapsed onto one."""


def misfit_in_words(misfit: float) -> str:
    """What a misfit (chi^2 / m, expectation 1) says, in one sentence."""
    if not math.isfinite(misfit):
        return "misfit cannot be told: the noise level is zero"
    if misfit > HIGH:
        return f"the image does not fully explain the measurement: misfit {misfit:.2f}, expected 1"
    if misfit < LOW:
        return f"the image follows the measurement closer than its noise: misfit {misfit:.2f}, expected 1"
    return f"the image explains the measurement: misfit {misfit:.2f}, expected 1"


def evidence(row: Mapping[str, Any]) -> list[str]:
    """What an item says of itself without a truth, from its row of ``items.csv``, a sentence each: fit, residual, data and prior, then what stands against it."""
    lines = [misfit_in_words(row["misfit"])]
    if "whiteness" in row:
        lines.append(residual_in_words(row["whiteness"], row["correlation"]))
    prior = 100 * (1 - row["data_share"])
    lines.append(f"{prior:.0f} % of the image's variance was decided by the prior, {100 - prior:.0f} % by the data")
    lines += [str(row["regions"])] if row.get("regions") else []
    return lines + doubts(row)


def residual_in_words(whiteness: float, correlation: float) -> str:
    """What the whiteness of a residual says (`inverse.posterior.evidence`), in one sentence."""
    if whiteness <= COLOURED:
        return f"what is left of the measurement is noise: whiteness {whiteness:.2f}, expected 1"
    if not _coloured(whiteness, correlation):
        return f"what is left of the measurement is noise but for traces: neighbours correlate by {correlation:.3f}"
    return (
        f"what is left of the measurement is not noise: neighbours correlate by {correlation:.2f} (whiteness {whiteness:.1f}, expected 1); "
        "the operator, the noise or the method is not quite right here"
    )


def _coloured(whiteness: float, correlation: float) -> bool:
    """Whether a residual is more than noise by so much that it is to be looked at."""
    return whiteness > COLOURED and abs(correlation) >= WORTH_SAYING


def in_doubt(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What several items say of themselves together, a line each: their misfits, and how many are to be looked at."""
    misfits = sorted(row["misfit"] for row in rows)
    middle = misfits[len(misfits) // 2]
    named = [str(row["item"]) for row in rows if doubtful(row)]
    lines = [f"misfit       {middle:.2f} in the middle, {misfits[0]:.2f} to {misfits[-1]:.2f} (expected 1)"]
    if named:
        more = ", ..." if len(named) > 3 else ""
        lines.append(f"doubtful     {len(named)} of {len(rows)}: {', '.join(named[:3])}{more} (run.json says why)")
    return lines


def doubtful(row: Mapping[str, Any]) -> bool:
    """Whether an item does not explain its measurement, leaves more than noise, or `doubts` has something to say of it."""
    coloured = "whiteness" in row and _coloured(row["whiteness"], row["correlation"])
    return not LOW <= row["misfit"] <= HIGH or coloured or bool(doubts(row))


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
