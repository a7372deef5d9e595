"""The values that a search may set, and those it tries next.

Both are pure functions of the trials so far, so that a search resumes as if it had not stopped.

Two searches. ``plain``: the first points are Halton's (1960; scrambled, by the seed), spread evenly whatever their
number; from the fifth on, every second one lies near the best so far, in a box that shrinks by a fifth each time.
``tpe``: optuna's tree-structured Parzen estimator (Bergstra et al. 2011), asked again for what it was told.
"""

from __future__ import annotations

import math
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from scipy.stats import qmc

from inverse.errors import RecipeError, UsageError, did_you_mean
from inverse.recipes.recipe import Recipe, load

__all__ = ["SEARCHES", "Axis", "Choice", "Range", "ScoredSetting", "best_of", "parse", "propose", "value_of"]

SEARCHES = ("auto", "tpe", "plain")
#: Where a bare name is looked for, in this order.
SECTIONS = ("method", "operator", "noise", "data")
SPREAD, WIDTH, SHRINK = 4, 0.25, 0.8
FIXED = ("run.seed", "metrics", "output", "calibration")


@dataclass(frozen=True)
class Range:
    """Numbers between two ends."""

    key: str  # of the recipe, as method.lam
    low: float
    high: float
    log: bool  # their logarithm is spread evenly
    whole: bool

    def __str__(self) -> str:
        return f"{self.key}={self.low:g}:{self.high:g}{':log' if self.log else ''}"

    def at(self, place: float) -> float:
        """The value at a place from 0 to 1; four significant digits, so that a recipe says all of it."""
        if self.log:
            return self.rounded(self.low * (self.high / self.low) ** place)
        return self.rounded(self.low + place * (self.high - self.low))

    def rounded(self, value: float) -> float:
        """Inside the range, whole or of four significant digits."""
        value = round(value) if self.whole else float(f"{value:.4g}")
        return min(max(value, self.low), self.high)

    def place(self, value: float) -> float:
        """Where a value is, from 0 to 1; those outside are at the ends."""
        value = min(max(value, self.low), self.high)
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        return ((math.log(value) if self.log else value) - low) / (high - low)


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    key: str  # of the recipe
    values: tuple[Any, ...]  # as their texts are read in a recipe

    def __str__(self) -> str:
        return f"{self.key}={','.join(map(str, self.values))}"

    def at(self, place: float) -> Any:
        """The value at a place from 0 to 1."""
        return self.values[min(int(place * len(self.values)), len(self.values) - 1)]

    def place(self, value: Any) -> float:
        """The middle of a value's share of 0 to 1."""
        return (self.values.index(value) + 0.5) / len(self.values) if value in self.values else 0.5


Axis = Range | Choice


@dataclass(frozen=True)
class ScoredSetting:
    """One setting and its score."""

    values: Mapping[str, Any]  # by key
    loss: float  # smaller is better; NaN where it failed


def best_of(trials: Sequence[ScoredSetting]) -> ScoredSetting | None:
    """The best setting, of equal ones the first; None where all failed."""
    return min((trial for trial in trials if math.isfinite(trial.loss)), key=lambda trial: trial.loss, default=None)


def parse(text: str, recipe: Recipe) -> Axis:
    """The axis that ``name=lo:hi``, ``name=lo:hi:log`` or ``name=a,b,c`` stands for.

    A name without a dot is the method's, the operator's, the noise's or the data's.

    Raises:
        UsageError: it is not of that form.
        RecipeError: the recipe has no such value, or does not allow it.
    """
    name, equals, given = text.partition("=")
    if not equals or not given.strip():
        raise UsageError(f"--param {text}", "allowed: name=lo:hi, name=lo:hi:log, name=a,b,c")
    key = _key(name.strip(), recipe)
    axis: Axis
    if ":" in given and "," not in given:
        match = re.fullmatch(r"([^:]+):([^:]+)(:log)?", given.strip())
        try:
            low, high = (float(match[1]), float(match[2])) if match else (math.nan, math.nan)
        except ValueError:
            low = high = math.nan
        log = bool(match and match[3])
        if not (low < high and math.isfinite(high - low)) or (log and low <= 0):
            raise UsageError(
                f"--param {text}", "allowed: lo:hi with lo < hi, or lo:hi:log with lo above 0, such as lam=0.1:10:log"
            )
        whole = _whole(recipe, key)
        if whole and (low % 1 or high % 1):
            raise UsageError(f"--param {text}: {key} is a whole number", "give whole ends")
        axis = Range(key, int(low) if whole else low, int(high) if whole else high, log, whole)
        ends: tuple[Any, ...] = (axis.low, axis.high)
    else:
        texts = [part.strip() for part in given.split(",") if part.strip()]
        if len(set(texts)) < 2:
            raise UsageError(f"--param {text}: one value leaves nothing to choose", "give two or more: name=a,b,c")
        ends = tuple(value_of(load(recipe, [f"{key}={part}"]), key) for part in texts)
        axis = Choice(key, ends)
    for end in ends:
        load(recipe, [f"{key}={end}"])
    return axis


def value_of(recipe: Recipe, key: str) -> Any:
    """The value of a recipe at a key."""
    value: Any = recipe.resolved()
    for step in key.split("."):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def _key(name: str, recipe: Recipe) -> str:
    sections = {section: values for section, values in recipe.resolved().items() if isinstance(values, dict)}
    every = [f"{section}.{key}" for section, values in sections.items() for key in values if key != "kind"]
    known = [key for key in every if key not in FIXED]
    if "." in name:
        if name not in known and not _exists(recipe, name):
            raise RecipeError(f"the recipe has no '{name}'", did_you_mean(name, known))
        return name
    for section in SECTIONS:
        if f"{section}.{name}" in known:
            return f"{section}.{name}"
    bare = [key.partition(".")[2] for key in known]
    raise RecipeError(f"the recipe has no parameter '{name}'", did_you_mean(name, bare))


def _exists(recipe: Recipe, key: str) -> bool:
    if key.partition(".")[0] in FIXED or key in FIXED or key.endswith(".kind"):
        return False
    try:
        value_of(recipe, key)
    except (KeyError, IndexError, TypeError, ValueError):
        return False
    return True


def _whole(recipe: Recipe, key: str) -> bool:
    section, _, name = key.partition(".")
    model = getattr(recipe, section, None)
    field = type(model).model_fields.get(name) if model is not None and hasattr(type(model), "model_fields") else None
    if field is None:
        return isinstance(value_of(recipe, key), int)
    kinds = _kinds(field.annotation)
    return int in kinds and float not in kinds


def _kinds(annotation: Any) -> set[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return set().union(*(_kinds(part) for part in get_args(annotation)))
    return {annotation}


def propose(axes: Sequence[Axis], trials: Sequence[ScoredSetting], *, search: str, seed: int) -> dict[str, Any]:
    """The values that ``plain`` or ``tpe`` try next, after trials in their order, the recipe's own values first."""
    places = _tpe(axes, trials, seed) if search == "tpe" else _plain(axes, trials, seed)
    return {axis.key: axis.at(place) for axis, place in zip(axes, places, strict=True)}


def _plain(axes: Sequence[Axis], trials: Sequence[ScoredSetting], seed: int) -> list[float]:
    number = len(trials) - 1
    local = number - SPREAD + 1 if number >= SPREAD else 0
    rounds = (local + 1) // 2
    even = [float(place) for place in qmc.Halton(len(axes), rng=seed).random(number + 1)[number]]
    best = best_of(trials)
    if best is None or local % 2 == 0:
        return even
    width = WIDTH * SHRINK ** (rounds - 1)
    near = []
    for axis, place in zip(axes, even, strict=True):
        centre = axis.place(best.values[axis.key])
        if isinstance(axis, Range):
            near.append(min(max(centre + width * (2 * place - 1), 0.0), 1.0))
        else:
            near.append(centre if place < 1 - width else place)
    return near


def _tpe(axes: Sequence[Axis], trials: Sequence[ScoredSetting], seed: int) -> list[float]:
    try:
        import optuna
    except ImportError:
        raise UsageError(
            "the search 'tpe' needs optuna", "pip install 'inverse-imaging[tune]', or --search plain"
        ) from None
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space: dict[str, BaseDistribution] = {
        axis.key: FloatDistribution(0.0, 1.0)
        if isinstance(axis, Range)
        else CategoricalDistribution(list(range(len(axis.values))))
        for axis in axes
    }
    sampler = optuna.samplers.TPESampler(seed=seed + len(trials), n_startup_trials=SPREAD, multivariate=False)
    study = optuna.create_study(direction="minimize", sampler=sampler)
    for trial in trials:
        inside = {
            axis.key: axis.place(trial.values[axis.key])
            if isinstance(axis, Range)
            else axis.values.index(trial.values[axis.key])
            for axis in axes
            if isinstance(axis, Range) or trial.values[axis.key] in axis.values
        }
        if math.isfinite(trial.loss) and len(inside) == len(axes):
            study.add_trial(
                create_trial(params=inside, distributions=space, value=trial.loss, state=TrialState.COMPLETE)
            )
    asked = study.ask(space)
    return [
        asked.params[axis.key] if isinstance(axis, Range) else (asked.params[axis.key] + 0.5) / len(axis.values)
        for axis in axes
    ]
