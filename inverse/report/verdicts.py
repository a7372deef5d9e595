"""Verdicts on the items of a run in words, and which of them is the worst.

The order is by the first metric of the run that has a better end, where truths were given, else by how badly an item
explains its measurement. Every fault is a sentence with its number.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from inverse.metrics.registry import metrics
from inverse.posterior.words import doubts, misfit_in_words, seconds_in_words
from inverse.restoration.result import ItemResult

__all__ = ["Fault", "Verdicts", "cost_in_words"]

#: Shares of the truth in an item's 90 % intervals past which they are called too narrow or too wide.
LOW, HIGH = 0.85, 0.95
#: The same for the mean over a run, which varies less.
RUN_LOW, RUN_HIGH = 0.88, 0.92
#: Share of clipped values that is worth saying.
CLIPPED = 0.01
#: Standard deviations below the median of the run at which a score is called low.
OUTLIER = 2.0
#: A few words for a doubt, by its code; those about the misfit say its number.
BADGES = {
    "residual-coloured": "residual not noise",
    "point-estimate": "point estimate",
    "not-mixed": "chains not mixed",
    "few-particles": "few particles",
    "surprise": "prior may not fit",
    "mismatch": "prior may not fit",
}

#: Levels of a fault, worst first.
LEVELS = ("bad", "doubt", "note")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Fault:
    """Something wrong with an item."""

    level: str  # of LEVELS
    badge: str  # a few words
    sentence: str  # with its number


@dataclass(frozen=True)
class Verdicts:
    """The finished items of a run, judged beside each other."""

    rows: tuple[Row, ...]  # of items.csv, finished items only
    metrics: tuple[str, ...]  # of the run's recipe, as far as they were computed
    ranked: str  # the first of them that has a better and a worse end; empty where there is none
    higher: bool  # that one is better when higher

    @classmethod
    def of(cls, rows: Sequence[Row], names: Sequence[str]) -> Verdicts:
        """Judge rows by the metrics that they hold."""
        present = tuple(name for name in names if any(_number(row, name) is not None for row in rows))
        known = metrics()
        ends = {name: known[name].higher_is_better for name in present if name in known}
        ranked = next((name for name, higher in ends.items() if higher is not None), "")
        return cls(tuple(rows), present, ranked, bool(ends.get(ranked, True)))

    @cached_property
    def _scores(self) -> tuple[list[float], float, float]:
        """Those of the ranked metric in order, their median, and their spread as a standard deviation."""
        scores = sorted(value for value in (_number(row, self.ranked) for row in self.rows) if value is not None)
        middle = statistics.median(scores)
        return scores, middle, 1.4826 * statistics.median([abs(value - middle) for value in scores])

    @cached_property
    def order(self) -> tuple[Row, ...]:
        """Worst first."""
        return tuple(sorted(self.rows, key=self._badness))

    @property
    def ordered_by(self) -> str:
        """What the order is by, in words."""
        if self.ranked:
            return f"{'lowest' if self.higher else 'highest'} {self.ranked.upper()} first"
        return "what explains its measurement worst first"

    def _badness(self, row: Row) -> tuple[Any, ...]:
        score = _number(row, self.ranked)
        misfit = float(row.get("misfit", math.nan))
        away = abs(math.log(misfit)) if math.isfinite(misfit) and misfit > 0 else math.inf
        levels = [fault.level for fault in self.faults(row, relative=False)]
        trouble = (-levels.count("bad"), -levels.count("doubt"), -away, float(row.get("data_share", 0.0)))
        if score is None:
            return (1, 0.0, *trouble, str(row["item"]))
        return (0, score if self.higher else -score, *trouble, str(row["item"]))

    def place(self, row: Row) -> str:
        """Where an item stands in the run by the ranked metric; empty without truth."""
        score = _number(row, self.ranked)
        if score is None or len(self.rows) < 2:
            return ""
        scores, middle, _ = self._scores
        worse = bisect_left(scores, score) if self.higher else len(scores) - bisect_right(scores, score)
        rank = "worst" if worse == 0 else "best" if worse == len(scores) - 1 else f"number {worse + 1} from below"
        return f"{rank} of {len(scores)} by {self.ranked.upper()}: {score:.4g}, median of the run {middle:.4g}"

    def faults(self, row: Row, *, relative: bool = True) -> list[Fault]:
        """What is wrong with an item, worst first; where `relative`, its place in the run too."""
        faults = [
            Fault(doubt.severity, BADGES.get(doubt.code) or f"misfit {doubt.number:.2f}", doubt.sentence)
            for doubt in ItemResult.from_row(row).doubts
            if doubt.severity != "note"
        ]
        cover = _number(row, "coverage90")
        if cover is not None and not LOW <= cover <= HIGH:
            much = "few: they are too narrow" if cover < LOW else "much: they are too wide"
            level = "doubt" if cover < LOW else "note"
            sentence = f"the 90 % intervals hold {100 * cover:.0f} % of the true values, too {much}"
            faults.append(Fault(level, f"intervals hold {100 * cover:.0f} %", sentence))
        clipped = float(row.get("clipped", 0.0) or 0.0)
        if clipped > CLIPPED:
            share, why = 100 * clipped, "of the values did not fit the file's integers and were clipped at the write"
            faults.append(Fault("doubt", f"{share:.0f} % clipped", f"{share:.1f} % {why}"))
        if relative:
            faults = self._low_scores(row) + faults
        return sorted(faults, key=lambda fault: LEVELS.index(fault.level))

    def _low_scores(self, row: Row) -> list[Fault]:
        score = _number(row, self.ranked)
        if score is None:
            return []
        name = self.ranked
        scores, middle, spread = self._scores
        away = middle - score if self.higher else score - middle
        if len(scores) < 3 or away <= OUTLIER * spread or away <= 0:
            return []
        sentence = f"{name.upper()} {score:.4g} is far from the others: their median is {middle:.4g}"
        return [Fault("doubt", f"{'low' if self.higher else 'high'} {name.upper()}", sentence)]

    @property
    def summary(self) -> list[str]:
        """What the items say together, a sentence each."""
        rows = self.rows
        if not rows:
            return []
        lines = []
        doubted = [row for row in rows if any(f.level in ("bad", "doubt") for f in self.faults(row))]
        misfits = sorted(float(row["misfit"]) for row in rows if math.isfinite(float(row.get("misfit", math.nan))))
        if len(misfits) == 1:
            lines.append(misfit_in_words(misfits[0]))
        elif misfits:
            fits = sum(not doubts({"misfit": value}) for value in misfits)
            ends = f"{statistics.median(misfits):.2f} in the middle, {misfits[0]:.2f} to {misfits[-1]:.2f}, expected 1"
            lines.append(f"{fits} of {len(misfits)} images explain their measurement: misfit {ends}")
        shares = [float(row["data_share"]) for row in rows if "data_share" in row]
        if shares:
            share = 100 * statistics.fmean(shares)
            lines.append(f"the data decided {share:.0f} % of the images' variance, the prior {100 - share:.0f} %")
        covers = [value for value in (_number(row, "coverage90") for row in rows) if value is not None]
        if covers:
            cover = statistics.fmean(covers)
            word = "too narrow" if cover < RUN_LOW else "too wide" if cover > RUN_HIGH else "as they should"
            lines.append(f"the 90 % intervals hold {100 * cover:.0f} % of the true values: {word}")
        if doubted and len(rows) > 1:
            lines.append(f"something speaks against {len(doubted)} of {len(rows)}: their badges name it")
        return lines


def _number(row: Row, name: str) -> float | None:
    value = row.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def cost_in_words(cost: Mapping[str, Any]) -> str:
    """Network evaluations, derivatives, operator calls, time and memory of a run or an item."""
    texts = [f"{_count(cost.get('forward', 0))} network evaluations"]
    if cost.get("vjp"):
        texts.append(f"{_count(cost['vjp'])} derivatives")
    texts.append(f"{_count(cost.get('a', 0) + cost.get('at', 0))} operator calls")
    if "seconds" in cost:
        texts.append(seconds_in_words(float(cost["seconds"])))
    if cost.get("peak_bytes"):
        texts.append(f"{cost['peak_bytes'] / 2**30:.2g} GiB at most")
    return ", ".join(texts)


def _count(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ")
