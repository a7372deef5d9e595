"""Doubts about a result, and what else its numbers say, in sentences for a person.

A `Doubt` is one reason not to take an item at its word: a code for programs, a severity, the sentence, and the number
that gave rise to it. The sentences of `evidence` are what ``run.json`` holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from inverse.priors.mismatch import SLACK

__all__ = ["Doubt", "Judged", "doubts", "evidence", "in_doubt", "misfit_in_words", "seconds_in_words", "unusable"]

#: Misfits of images that explain their measurement.
LOW, HIGH = 0.9, 1.1
#: Misfit from which on an image explains nothing, and share of clipped values, beyond the measurement's own.
NOTHING, CLIPPED = 3.0, 0.05
#: Largest R-hat of chains that have mixed (Gelman & Rubin 1992); Vehtari et al. 2021 ask for 1.01.
MET = 1.1
#: Whiteness that one noise residual in a thousand exceeds: chi^2 of 12 lags, over 12.
COLOURED = 2.74
#: Autocorrelation below which a residual counts as noise however large the image: large images find tiny ones
#: significant.
WORTH_SAYING = 0.03
#: Particles that carry the weight, below which a population has collapsed onto one.
FEW = 2.0


@dataclass(frozen=True)
class Doubt:
    """A reason not to take an item's result at its word."""

    #: ``unusable``, ``misfit-high``, ``misfit-low``, ``misfit-unknown``, ``residual-coloured``, ``mismatch``,
    #: ``surprise``, ``point-estimate``, ``not-mixed``, ``few-particles``.
    code: str
    severity: str  # ``bad``: it does not explain its measurement; ``doubt``: may be wrong; ``note``: cannot be told
    sentence: str  # for a person, with the number
    number: float | None = None  # what gave rise to it; None where it is no number


class Judged(Protocol):
    """An item whose doubts are known: `inverse.restoration.result.ItemResult`."""

    @property
    def item(self) -> str:
        """Its id."""

    @property
    def misfit(self) -> float:
        """chi^2 / m."""

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """What stands against it."""


def unusable(misfit: float, clipped: float = 0.0) -> str:
    """Why a result must not be used, in a sentence; empty where nothing speaks against it.

    Args:
        misfit: chi^2 / m; not finite where it cannot be told.
        clipped: Share of its values beyond what its file or range can hold, less that of the measurement.
    """
    if math.isfinite(misfit) and misfit > NOTHING:
        return f"unusable: the image does not explain the measurement: misfit {misfit:.3g}, expected 1"
    if clipped > CLIPPED:
        return f"unusable: {100 * clipped:.0f} % of the values are beyond black and white, more than in the measurement"
    return ""


def misfit_in_words(misfit: float, *, estimated: bool = False) -> str:
    """What a misfit (chi^2 / m, expectation 1) says, in one sentence; of an ``estimated`` noise level it speaks too."""
    if not math.isfinite(misfit):
        return "misfit cannot be told: the noise level is zero"
    if misfit > HIGH:
        return f"the image does not fully explain the measurement: misfit {misfit:.2f}, expected 1"
    if misfit < LOW:
        what = "estimated noise: the level may be too high" if estimated else "noise"
        return f"the image follows the measurement closer than its {what}: misfit {misfit:.2f}, expected 1"
    return f"the image explains the measurement: misfit {misfit:.2f}, expected 1"


def residual_in_words(whiteness: float, correlation: float) -> str:
    """What the whiteness of a residual says (`inverse.posterior.evidence`), in one sentence."""
    if whiteness <= COLOURED:
        return f"what is left of the measurement is noise: whiteness {whiteness:.2f}, expected 1"
    if abs(correlation) < WORTH_SAYING:
        return f"what is left of the measurement is noise but for traces: neighbours correlate by {correlation:.3f}"
    return (
        f"what is left of the measurement is not noise: neighbours correlate by {correlation:.2f} "
        f"(whiteness {whiteness:.1f}, expected 1); the operator, the noise or the method is not quite right here"
    )


def evidence(numbers: Mapping[str, Any], *, point_estimate: bool = False) -> list[str]:
    """What an item says of itself without a truth, a sentence each: fit, residual, data and prior, doubts.

    ``numbers`` are ``misfit``, ``data_share`` and those of `doubts`.
    """
    lines = [str(numbers["unusable"])] if numbers.get("unusable") else []
    if not lines or "misfit" not in lines[0]:
        lines.append(misfit_in_words(numbers["misfit"], estimated=bool(numbers.get("noise_estimated"))))
    if "whiteness" in numbers and not _below_noise(numbers):
        lines.append(residual_in_words(numbers["whiteness"], numbers["correlation"]))
    prior = 100 * (1 - numbers["data_share"])
    lines.append(f"{prior:.0f} % of the image's variance was decided by the prior, {100 - prior:.0f} % by the data")
    lines += [str(numbers["regions"])] if numbers.get("regions") else []
    return lines + [doubt.sentence for doubt in _of_samples(numbers, point_estimate)]


def doubts(numbers: Mapping[str, Any], *, point_estimate: bool = False) -> tuple[Doubt, ...]:
    """All doubts about an item, those about its fit first; none where nothing is known to stand against it.

    ``numbers`` are by the columns of ``items.csv``, those that are known of ``misfit``, ``whiteness`` and
    ``correlation``, ``mismatch``, ``surprise``, ``method``, ``r_hat``, ``particles_lowest``; of a ``point_estimate``
    the samples are no draws (`inverse.sampling.method_spec.MethodSpec`).
    """
    return (*_of_fit(numbers), *_of_samples(numbers, point_estimate))


def _of_fit(numbers: Mapping[str, Any]) -> list[Doubt]:
    """An image that does not explain its measurement, or leaves more than noise of it."""
    found = []
    misfit = numbers.get("misfit")
    if numbers.get("unusable"):
        found.append(Doubt("unusable", "bad", str(numbers["unusable"]), misfit))
    if misfit is not None and not LOW <= misfit <= HIGH:
        known = math.isfinite(misfit)
        code = "misfit-unknown" if not known else "misfit-high" if misfit > HIGH else "misfit-low"
        estimated = code == "misfit-low" and bool(numbers.get("noise_estimated"))
        sentence = misfit_in_words(misfit, estimated=estimated)
        found.append(Doubt(code, "bad" if known and not estimated else "note", sentence, misfit))
    whiteness, correlation = numbers.get("whiteness", 0.0), numbers.get("correlation", 0.0)
    if whiteness > COLOURED and abs(correlation) >= WORTH_SAYING and not _below_noise(numbers):
        found.append(Doubt("residual-coloured", "doubt", residual_in_words(whiteness, correlation), whiteness))
    return found


def _below_noise(numbers: Mapping[str, Any]) -> bool:
    """Whether a residual is less than the estimated noise, so that it tells of the level and not of the operator."""
    return bool(numbers.get("noise_estimated")) and numbers.get("misfit", 1.0) < LOW


def _of_samples(numbers: Mapping[str, Any], point_estimate: bool) -> list[Doubt]:
    """What stands against taking the samples for draws of the posterior."""
    found = []

    def say(code: str, sentence: str, number: float | None = None) -> None:
        found.append(Doubt(code, "doubt", sentence, number))

    if numbers.get("mismatch"):
        say("mismatch", str(numbers["mismatch"]))
    if (surprise := numbers.get("surprise", 0.0)) > 1 + SLACK:
        text = f"the prior took {surprise:.1f} times as much of this image for noise as of its own kind"
        say("surprise", f"{text}: it may not be one for these data", surprise)
    if point_estimate:
        say("point-estimate", f"{numbers['method']}: the spread of its samples is no uncertainty")
    if (r_hat := numbers.get("r_hat", 1.0)) > MET:
        text = f"the chains have not mixed: R-hat {r_hat:.2f} or more in 5 % of the values"
        say("not-mixed", f"{text} (below {MET} where they have); more steps help", r_hat)
    if (particles := numbers.get("particles_lowest", FEW)) < FEW:
        text = f"at its worst level {particles:.1f} particles carried the weight: more are needed for exact draws"
        say("few-particles", text, particles)
    return found


def in_doubt(results: Sequence[Judged]) -> list[str]:
    """What several items say of themselves together, a line each: their misfits, and how many are to be looked at."""
    misfits = sorted(result.misfit for result in results)
    middle = misfits[len(misfits) // 2]
    named = [result.item for result in results if any(doubt.severity != "note" for doubt in result.doubts)]
    lost = [result.item for result in results if any(doubt.code == "unusable" for doubt in result.doubts)]
    lines = [f"misfit       {middle:.2f} in the middle, {misfits[0]:.2f} to {misfits[-1]:.2f} (expected 1)"]
    if lost:
        more = ", ..." if len(lost) > 3 else ""
        lines.append(f"unusable     {len(lost)} of {len(results)}: {', '.join(lost[:3])}{more} (run.json says why)")
    if named:
        more = ", ..." if len(named) > 3 else ""
        lines.append(f"doubtful     {len(named)} of {len(results)}: {', '.join(named[:3])}{more} (run.json says why)")
    return lines


def seconds_in_words(seconds: float, digits: int = 1) -> str:
    """A time in seconds, minutes or hours, with so many decimals; of hours always one."""
    if seconds < 120:
        return f"{seconds:.{digits}f} s"
    return f"{seconds / 60:.{digits}f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
