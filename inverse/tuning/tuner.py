"""Find a recipe's parameters on pictures with a known truth, and say whether the gain holds on others.

The images are split by file: settings are compared on one half, and the best is held against the recipe's own on the
other, which no trial has seen. All settings see the same measurements and the same noise (common random numbers), so
that what differs between two scores is the setting.

The default score is the CRPS in its fair form: it is proper, so the best expectation belongs to the honest posterior,
whereas PSNR of the mean says nothing of the spread, and coverage alone is met by any posterior that is wide enough.

    OUT/simulated/    measurements and truths, where none were given
    OUT/trials.csv    one setting a line: values, score, seconds; running the same command again goes on after the last
    OUT/tune.json     what is searched, the split, the scores of both sets
    OUT/recipe.yaml   the recipe with the best values
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import Any

from inverse.errors import InputError, InverseError, OutputError, RecipeError, UsageError, did_you_mean
from inverse.io.sources import find
from inverse.metrics.registry import Metric, metrics
from inverse.numerics.statistics import mean_interval
from inverse.recipes.recipe import Recipe, load, recipe_text
from inverse.recipes.yaml_layers import dump, parse_mapping
from inverse.restoration.options import Options
from inverse.restoration.simulate import simulate_files
from inverse.restoration.truth import Truths
from inverse.storage.files import csv_bytes, file_hash, read_csv, read_json, write_bytes, write_json
from inverse.storage.paths import output_folder
from inverse.tuning.bench import TuningBench
from inverse.tuning.search import SEARCHES, Axis, ScoredSetting, best_of, parse, propose, value_of

__all__ = ["Tuned", "split", "tune"]

LOGGER = logging.getLogger("inverse")
#: Images below which no split says anything, and below which an interval over half of them is called rough.
FEWEST, FEW = 4, 6


@dataclass(frozen=True)
class Tuned:
    """The result of a search."""

    out: Path  # the folder
    metric: str  # what was optimised
    own: Mapping[str, Any]  # the recipe's own values, by key
    best: Mapping[str, Any]  # the best ones
    trials: int  # settings tried
    tuning: tuple[float, float]  # mean score on the tuning set: of the recipe's own, and of the best
    evaluation: tuple[float, float]  # the same on the evaluation set
    gain: tuple[float, float, float]  # mean on the evaluation set, positive where the best are better; 95 % interval
    says: tuple[str, ...]  # all of it in sentences

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        names = ("metric", "own", "best", "trials", "tuning", "evaluation", "gain", "says")
        return {name: getattr(self, name) for name in names}


def split(items: Sequence[str], *, seed: int = 0) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Items to tune on and items to evaluate on: halves by the hash of their names, whatever the folder's order.

    Raises:
        InputError: fewer than four, of which no two halves can be made that say anything.
    """
    if len(items) < FEWEST:
        raise InputError(
            f"{len(items)} images: no split into tuning and evaluation is possible", f"give {FEWEST} or more, better 20"
        )
    order = sorted(items, key=lambda item: hashlib.sha256(f"{seed}/{item}".encode()).digest())
    half = len(items) // 2
    return tuple(sorted(order[:half])), tuple(sorted(order[half:]))


def tune(
    recipe: str | Path | Mapping[str, Any] | Recipe,  # name, path, mapping or a loaded recipe
    truth: str | Path,  # folder, glob or @ list of true pictures, four or more
    *,
    params: Sequence[str],  # what may be set: name=lo:hi, name=lo:hi:log or name=a,b,c
    out: str | Path,  # the folder to write; a search there goes on
    trials: int = 20,  # settings to try, the recipe's own not counted
    metric: str = "crps",  # or another metric of an image or of samples that has a better and a worse
    measured: str | Path | None = None,  # measurements, matched by name; None: they are simulated by the recipe
    overrides: Sequence[str] = (),  # key=value changes of the recipe
    search: str = "auto",  # tpe (optuna), plain, or auto: the first that is installed
    options: Options | None = None,  # device, precision and batch
) -> Tuned:
    """Search a recipe's parameters.

    Raises:
        InputError: fewer than four images.
        RecipeError: a parameter that the recipe does not have, or a folder that holds another search.
    """
    search = _search(search, trials if params else 0)
    base, folder, scored = load(recipe, overrides), output_folder(out), _metric(metric)
    if scored.kind == "samples" and base.run.samples < 2:
        raise UsageError(f"{metric} is a score of samples, the recipe draws one", "use --samples 4 or more")
    axes = _axes(params, base)
    pairs = _pairs(base, truth, measured, folder)
    tuning, evaluation = split(list(pairs), seed=base.run.seed)
    state = {
        "schema": 1, "recipe_hash": base.hash, "params": [str(axis) for axis in axes], "metric": metric,
        "search": search, "seed": base.run.seed, "tuning": list(tuning), "evaluation": list(evaluation),
        "inputs": {item: [file_hash(path) for path in paths] for item, paths in pairs.items()},
    }  # fmt: skip
    _claim(folder, state)
    LOGGER.info("%d images to tune on, %d to evaluate on", len(tuning), len(evaluation))
    bench = TuningBench(base, pairs, scored, options or Options())
    sign = -1.0 if scored.higher_is_better else 1.0
    done = _searched(bench, axes, tuning, folder, trials=trials, search=search, sign=sign)
    best = best_of(done)
    if best is None or not math.isfinite(done[0].loss):
        raise RecipeError("the recipe's own values give no score", "see the lines above; does it restore these images?")
    images = {name: bench.score(trial.values, evaluation) for name, trial in (("own", done[0]), ("best", best))}
    gains = [sign * (images["own"][item] - images["best"][item]) for item in evaluation]
    gain = fmean(gains), *(mean_interval(gains) if best is not done[0] else (0.0, 0.0))
    scores = (sign * done[0].loss, sign * best.loss), (fmean(images["own"].values()), fmean(images["best"].values()))
    says = _said(scored, done, best, *scores, gain, len(tuning), len(evaluation))
    write_bytes(folder / "recipe.yaml", _recipe(recipe, base, overrides, best, done[0], folder, says).encode())
    result = Tuned(folder, metric, done[0].values, best.values, len(done) - 1, *scores, gain, says)
    write_json(folder / "tune.json", {**state, "result": {**result.as_dict(), "per_image": images}})
    return result


def _search(name: str, trials: int) -> str:
    """The search of that name; of ``auto`` the first that is installed."""
    if name not in SEARCHES:
        raise UsageError(f"--search {name}", did_you_mean(name, SEARCHES))
    if trials < 1:
        raise UsageError("nothing to try", "give --param name=lo:hi and --trials 1 or more")
    return ("tpe" if find_spec("optuna") else "plain") if name == "auto" else name


def _axes(params: Sequence[str], recipe: Recipe) -> list[Axis]:
    axes = [parse(text, recipe) for text in params]
    keys = [axis.key for axis in axes]
    if twice := {key for key in keys if keys.count(key) > 1}:
        raise UsageError(f"--param {', '.join(sorted(twice))} is given twice", "give each once")
    return axes


def _metric(name: str) -> Metric:
    every = metrics(of=("image", "samples"))
    usable = {key: metric for key, metric in every.items() if metric.higher_is_better is not None}
    if name not in usable:
        raise UsageError(f"--metric {name} cannot be optimised", did_you_mean(name, usable))
    return usable[name]


def _pairs(
    recipe: Recipe, truth: str | Path, measured: str | Path | None, folder: Path
) -> dict[str, tuple[Path, Path]]:
    """Item to its measurement and its truth."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: cannot be written: it is a file", "choose another folder with -o")
    if measured is not None:
        sources = find([measured])
        truths = Truths.find(truth, [source.item for source in sources]).paths
        alone = [source.item for source in sources if source.item not in truths]
        if alone:
            LOGGER.warning("%d without a truth: %s", len(alone), ", ".join(alone))
        return {source.item: (source.path, truths[source.item]) for source in sources if source.item in truths}
    split([source.item for source in find([truth], exclude=folder)])
    made = simulate_files(recipe, truth, out=folder / "simulated", overwrite=True)
    for line in made.notes:
        if line.partition(": ")[0] not in {row["item"] for row in made.rows}:
            LOGGER.info(line)
    for failure in made.failures:
        LOGGER.warning(failure.line)
    place = folder / "simulated"
    return {row["item"]: (place / row["measured"], place / row["truth"]) for row in made.rows}


def _claim(folder: Path, state: Mapping[str, Any]) -> None:
    """Refuse a folder of another search."""
    old = read_json(folder / "tune.json")
    if old is not None:
        words = {"recipe_hash": "recipe", "inputs": "images"}
        for name, value in json.loads(json.dumps(state)).items():
            if old.get(name) != value:
                raise RecipeError(
                    f"the folder holds a search with another {words.get(name, name)}",
                    "choose another folder with -o, or give the same command",
                )
        return
    write_json(folder / "tune.json", state)


def _searched(
    bench: TuningBench,
    axes: Sequence[Axis],
    items: Sequence[str],
    folder: Path,
    *,
    trials: int,
    search: str,
    sign: float,
) -> list[ScoredSetting]:
    """All trials, the recipe's own values first; those of the folder are taken over."""
    keys = [axis.key for axis in axes]
    rows = _read(folder / "trials.csv", keys)
    done = [ScoredSetting({key: json.loads(row[key]) for key in keys}, sign * float(row["score"])) for row in rows]
    if rows:
        LOGGER.info("%d trials are done already", len(rows) - 1)
    while len(done) <= trials:
        values = propose(axes, done, search=search, seed=bench.recipe.run.seed) if done else bench.own(keys)
        began, note = time.perf_counter(), ""
        repeated = next((index for index, trial in enumerate(done) if trial.values == values), None)
        if repeated is not None:
            loss, note = done[repeated].loss, f"as trial {repeated}"
        else:
            try:
                loss = sign * fmean(bench.score(values, items).values())
            except InverseError as error:
                loss, note = math.nan, error.message
        done.append(ScoredSetting(values, loss))
        row: dict[str, Any] = {"trial": len(done) - 1, **{key: json.dumps(values[key]) for key in keys}}
        row |= {"score": sign * loss, "seconds": round(time.perf_counter() - began, 2), "note": note}
        rows.append({key: str(value) for key, value in row.items()})
        write_bytes(folder / "trials.csv", csv_bytes(rows, list(rows[0])))
        best = best_of(done)
        shown = ", ".join(f"{key.partition('.')[2]} {value}" for key, value in values.items())
        score = f"{bench.metric.name} {sign * loss:.5g} (best {sign * best.loss if best else math.nan:.5g})"
        LOGGER.info("%d/%d  %s: %s%s", len(done) - 1, trials, shown, score, f"  {note}" if note else "")
    return done[: trials + 1]


def _read(path: Path, keys: Sequence[str]) -> list[dict[str, str]]:
    """The rows of ``trials.csv``; a last one that is not whole is left out."""
    if not path.is_file():
        return []
    rows = read_csv(path)
    return [row for row in rows if all(row.get(key) for key in (*keys, "score"))]


def _said(
    metric: Metric,
    done: Sequence[ScoredSetting],
    best: ScoredSetting,
    tuning: tuple[float, float],
    evaluation: tuple[float, float],
    gain: tuple[float, float, float],
    tuned_on: int,
    evaluated_on: int,
) -> tuple[str, ...]:
    better = f"{metric.name} ({'larger' if metric.higher_is_better else 'smaller'} is better)"
    if best is done[0]:
        return (
            f"none of {len(done) - 1} settings was better than the recipe's own on the {tuned_on} tuning images",
            f"{better} on the tuning set: {tuning[0]:.5g}; on the evaluation set: {evaluation[0]:.5g}",
        )
    mean, low, high = gain
    verdict = (
        "the gain holds on images it was not tuned on"
        if low > 0
        else "the new values are worse on images they were not tuned on: keep the old ones"
        if high < 0
        else "the gain is not shown on images it was not tuned on: the interval holds 0"
    )
    shown = ", ".join(f"{key} {value} (was {done[0].values[key]})" for key, value in best.values.items())
    lines = [
        f"best of {len(done) - 1} settings: {shown}",
        f"{better} on {tuned_on} tuning images: {tuning[0]:.5g} -> {tuning[1]:.5g}, "
        "chosen as the best there, so too good",
        f"{metric.name} on {evaluated_on} evaluation images: {evaluation[0]:.5g} -> {evaluation[1]:.5g}",
        f"gain {mean:.3g}, 95 % interval {low:.3g} to {high:.3g} (bootstrap over images): {verdict}",
    ]
    if evaluated_on < FEW:
        lines.append(f"{evaluated_on} images make a rough interval; 20 make a good one")
    return tuple(lines)


def _recipe(
    given: Any,
    base: Recipe,
    overrides: Sequence[str],
    best: ScoredSetting,
    own: ScoredSetting,
    folder: Path,
    says: Sequence[str],
) -> str:
    """A recipe that extends the given one, where it can be extended; else all of it."""
    values = best.values if best is not own else {}
    dropped = {"calibration": "none"} if values and base.calibration is not None else {}  # it is of the old values
    changed = load(base, [f"{key}={json.dumps(value)}" for key, value in {**values, **dropped}.items()])
    comment = "".join(f"# {line}\n" for line in ("made by inverse tune", *says))
    plain = changed.resolved()
    for key, path in changed.files.items():
        _put(plain, key, os.path.relpath(path, folder))
    if isinstance(given, str | Path) and not overrides:
        text, label, place = recipe_text(given)
        if "extends" not in parse_mapping(text, label=label, folder=place).data:
            name = str(given) if not label.endswith(str(given)) else os.path.relpath(Path(given), folder)
            layer: dict[str, Any] = {"extends": name}
            for key in values:
                _put(layer, key, value_of(changed, key))
            return comment + dump(layer | dropped)
    return comment + dump(plain)


def _put(plain: dict[str, Any], key: str, value: Any) -> None:
    *above, last = key.split(".")
    place: Any = plain
    for step in above:
        place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
    place[int(last) if isinstance(place, list) else last] = value
