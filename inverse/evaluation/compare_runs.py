"""Runs against each other, image by image: what differs, by how much, whether it is chance, and which images got worse.

Scores are paired by item: of run r and the reference, the difference ``d_i`` of item i, mean over the items that all
runs have. Its interval is the BCa bootstrap's (`inverse.numerics.statistics`), its p-value that of the sign-flip test
(Fisher 1935: if the runs were alike, ``d_i`` and ``-d_i`` would be as likely; exact for up to 13 items, else 9999
random flips), two-sided. They say what chance does over images like these; several metrics and runs are not corrected
for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from scipy.stats import permutation_test

from inverse.errors import InputError, UsageError
from inverse.metrics.registry import metrics as all_metrics
from inverse.numerics.statistics import mean_interval
from inverse.restoration.result import NO_SCORE
from inverse.runs.folder import RunFolder
from inverse.storage.files import csv_bytes, plain, write_bytes

__all__ = ["COST", "Comparison", "Difference", "compare", "sign_flip"]

EVIDENCE = ("misfit", "whiteness", "correlation", "surprise", "data_share", "prior_share")
COST = ("forward", "vjp", "seconds")
FLIPS = 9999


@dataclass(frozen=True)
class Difference:
    """A metric of a run against that of the reference."""

    run: str  # its label
    metric: str
    reference_mean: float  # of the reference over the paired items
    mean: float  # of the run over them
    difference: float  # of the means, run - reference
    low: float  # ends of its 95 % interval
    high: float
    median: float  # of the differences
    p: float  # two-sided, of the sign-flip test
    count: int  # paired items with a finite value in both
    better: int | None  # items that got better; None where neither way is
    worse: tuple[tuple[str, float], ...]  # items that got worse with their differences, worst first


@dataclass(frozen=True)
class Comparison:
    """Runs against a reference."""

    runs: tuple[str, ...]  # their labels, the reference first
    items: tuple[str, ...]  # those that all of them have
    unpaired: Mapping[str, tuple[str, ...]]  # by run, the items that not all have
    differences: tuple[Difference, ...]  # one a run and metric
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]  # by run, item and metric
    recipes: Mapping[str, tuple[Any, ...]]  # keys of recipes, seeds and priors that differ, with the value of each run
    definitions: Mapping[str, str]  # of the metrics, where the scores are computed or recorded
    truth: bool  # scores were computed afresh
    failures: tuple[str, ...] = ()  # lines on what could not be scored

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        rows = [
            {**vars(row), "worse": [{"item": item, "difference": value} for item, value in row.worse]}
            for row in self.differences
        ]
        content = {
            "reference": self.runs[0],
            "runs": list(self.runs),
            "items": list(self.items),
            "unpaired": {run: list(items) for run, items in self.unpaired.items()},
            "differences": rows,
            "recipes": {key: dict(zip(self.runs, values, strict=True)) for key, values in self.recipes.items()},
            "definitions": dict(self.definitions),
            "scores_computed": self.truth,
            "failures": list(self.failures),
        }
        return {key: plain(value) for key, value in content.items()}

    def to_csv(self, path: str | Path | None = None) -> str:
        """One row an item, metric and run: its value, the reference's, their difference; written to `path` if given."""
        columns = ("item", "metric", "run", "value", "reference", "difference")
        reference = self.scores[self.runs[0]]
        rows = []
        for run in self.runs[1:]:
            for item in self.items:
                for name in dict.fromkeys(row.metric for row in self.differences):
                    value, base = self.scores[run][item].get(name), reference[item].get(name)
                    if value is not None and base is not None:
                        rows.append(dict(zip(columns, (item, name, run, value, base, value - base), strict=True)))
        content = csv_bytes(rows, columns)
        if path is not None:
            write_bytes(Path(path), content)
        return content.decode()


def sign_flip(differences: Sequence[float], *, seed: int = 0) -> float:
    """Two-sided p-value of the mean of paired differences, were their signs chance; NaN for fewer than two."""
    values = np.asarray(differences, float)
    if values.size < 2:
        return math.nan
    if not values.any():
        return 1.0
    test = permutation_test(
        (values,),
        lambda x, axis: x.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=FLIPS,
        batch=max(1, 1_000_000 // values.size),
        rng=np.random.default_rng(seed),
    )
    return float(test.pvalue)


def compare(
    runs: Sequence[str | Path], *, truth: str | Path | None = None, metrics: Sequence[str] | str | None = None
) -> Comparison:
    """Compare run folders with the first of them.

    With a file or folder of truths the scores are computed afresh by `inverse.evaluate`, alike for all runs; by default
    those of the metrics that all recipes have.

    Raises:
        UsageError: Fewer than two runs, or metrics without a truth that the runs do not have.
        InputError: One is no run folder, or they have no item in common.
    """
    if len(runs) < 2:
        raise UsageError("one run has nothing to be compared with", "inverse compare RUN RUN")
    opened = [RunFolder.open(run) for run in runs]
    labels = _labels([Path(run) for run in runs])
    scores: dict[str, dict[str, dict[str, float]]] = {}
    definitions: dict[str, str] = {}
    failures: list[str] = []
    for label, run in zip(labels, opened, strict=True):
        scores[label] = {str(row["item"]): _recorded(row, fresh=truth is not None) for row in run.done}
        if truth is None:
            definitions |= run.facts.get("metrics", {})
            continue
        definitions |= _computed(label, run, truth, metrics, opened, scores[label], failures)
    common = [item for item in scores[labels[0]] if all(item in items for items in scores.values())]
    if not common:
        raise InputError(f"the {len(runs)} runs have no item in common", "compare runs of the same inputs")
    names = _names(scores, labels, metrics if truth is None else None)
    unpaired = {
        label: tuple(item for item in items if item not in set(common))
        for label, items in scores.items()
        if len(items) > len(common)
    }
    base = scores[labels[0]]
    pairs = {label: {item: (base[item], scores[label][item]) for item in common} for label in labels[1:]}
    every = (_difference(label, name, pairs[label]) for label in labels[1:] for name in names)
    differences = tuple(
        row for row in every if row.count and (row.mean or row.reference_mean or row.metric not in COST)
    )
    compared = {row.metric for row in differences}
    return Comparison(
        runs=tuple(labels),
        items=tuple(common),
        unpaired=unpaired,
        differences=differences,
        scores=scores,
        recipes=_recipes(opened),
        definitions={name: text for name, text in definitions.items() if name in compared},
        truth=truth is not None,
        failures=tuple(failures),
    )


def _labels(paths: Sequence[Path]) -> list[str]:
    """Names of folders, with as many of those above as tell them apart; a run given twice is numbered."""
    folders = [path.resolve().parts for path in paths]
    for depth in range(1, max(map(len, folders))):
        names = ["/".join(parts[-depth:]) for parts in folders]
        if len(set(names)) == len(names):
            return names
    return [f"{path.name} ({index})" for index, path in enumerate(paths, start=1)]


def _recorded(row: Mapping[str, Any], *, fresh: bool) -> dict[str, float]:
    """The numbers of a row of ``items.csv`` that say something; with fresh scores evidence and cost alone."""
    return {
        key: float(value)
        for key, value in row.items()
        if key not in NO_SCORE
        and isinstance(value, int | float)
        and not isinstance(value, bool)
        and (key in (*EVIDENCE, *COST) or not fresh)
    }


def _computed(
    label: str,
    run: RunFolder,
    truth: str | Path,
    metrics: Sequence[str] | str | None,
    opened: Sequence[RunFolder],
    scores: dict[str, dict[str, float]],
    failures: list[str],
) -> dict[str, str]:
    """Add scores against a truth; items that have none are dropped and said."""
    from inverse.evaluation.evaluate import evaluate  # loads torch, which runs without a truth do not need

    shared = [
        name
        for name in opened[0].facts.get("metrics", {})
        if name in all_metrics() and all(name in other.facts.get("metrics", {}) for other in opened)
    ]
    table = evaluate(run.path, truth, metrics=metrics or shared or None)
    failures += [f"{label}: {failure.line}" for failure in table.failures]
    rows = {row["item"]: row for row in table.rows}
    for item in list(scores):
        if item not in rows:
            del scores[item]
            continue
        scores[item] |= {name: rows[item][name] for name in table.metrics if name in rows[item]}
    return dict(table.definitions)


def _names(
    scores: Mapping[str, Mapping[str, Mapping[str, float]]], labels: Sequence[str], wanted: Sequence[str] | str | None
) -> list[str]:
    """Metrics, then evidence, then cost.

    Raises:
        UsageError: One that was asked for is in no run.
    """
    recorded = dict.fromkeys(name for label in labels for row in scores[label].values() for name in row)
    if wanted is not None:
        names = [wanted] if isinstance(wanted, str) else list(wanted)
        for name in names:
            if name not in recorded:
                raise UsageError(f"the runs have no scores '{name}'", "give --truth PATH to compute it")
        return names
    last = [name for name in (*EVIDENCE, *COST) if name in recorded]
    return [*(name for name in recorded if name not in last), *last]


def _difference(
    run: str, name: str, pairs: Mapping[str, tuple[Mapping[str, float], Mapping[str, float]]]
) -> Difference:
    values = {
        item: (base[name], other[name])
        for item, (base, other) in pairs.items()
        if name in base and name in other and math.isfinite(base[name]) and math.isfinite(other[name])
    }
    change = {item: other - base for item, (base, other) in values.items()}
    each = list(change.values())
    low, high = mean_interval(each)
    good = _sign(name)
    worse = sorted(
        ((item, value) for item, value in change.items() if good and value * good < 0), key=lambda x: x[1] * (good or 1)
    )
    return Difference(
        run=run,
        metric=name,
        reference_mean=fmean(base for base, _ in values.values()) if values else math.nan,
        mean=fmean(other for _, other in values.values()) if values else math.nan,
        difference=fmean(each) if each else math.nan,
        low=low,
        high=high,
        median=median(each) if each else math.nan,
        p=sign_flip(each),
        count=len(each),
        better=sum(value * good > 0 for value in each) if good else None,
        worse=tuple(worse),
    )


def _sign(name: str) -> int | None:
    """1 where more is better, -1 where less is, None where neither."""
    if name in COST:
        return -1
    known = all_metrics().get(name) or all_metrics().get(name.removesuffix("_sample"))
    if known is None or known.higher_is_better is None:
        return None
    return 1 if known.higher_is_better else -1


def _recipes(runs: Sequence[RunFolder]) -> dict[str, tuple[Any, ...]]:
    """What was set differently: recipe keys, and the prior's weights, precision and versions."""
    flat = [
        {
            **_flat(run.facts.get("recipe", {})),
            **{f"prior weights.{key}": run.facts.get("prior", {}).get(key) for key in ("name", "sha256")},
            **{key: run.facts.get(key) for key in ("seed", "samples", "dtype", "device")},
            **{f"version of {key}": value for key, value in run.facts.get("versions", {}).items()},
        }
        for run in runs
    ]
    keys = dict.fromkeys(key for settings in flat for key in settings)
    every = {key: tuple(settings.get(key) for settings in flat) for key in keys}
    doubled = {"seed": "run.seed", "samples": "run.samples", "prior weights.name": "prior.name"}
    return {
        key: values
        for key, values in every.items()
        if any(value != values[0] for value in values) and every.get(doubled.get(key, ""), ()) != values
    }


def _flat(value: Any, key: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {
            name: leaf
            for step, inner in value.items()
            for name, leaf in _flat(inner, f"{key}.{step}" if key else str(step)).items()
        }
    return {key: value}
