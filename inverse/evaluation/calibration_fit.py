"""Fit a calibration to runs with known truths, and check it on images the fit has not seen.

The check is cross-fitting: images are dealt to `FOLDS` groups, none with a source in another, and each group is
recalibrated by a map fitted to the others. So every image is judged by a map it had no part in, and the file's own map,
of all images, has more of them than any that was checked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from inverse.calibration.recalibration import FEWEST, PART, Map, fit, of_data
from inverse.calibration.statistics import Curve, Prediction, coverage, needed_levels
from inverse.errors import InputError
from inverse.recipes.calibration_file import ASSUMES, MEANING, CalibrationFile, IntervalCheck, licence
from inverse.runs.folder import RunFolder

__all__ = ["checked", "cross_fitted", "make_file"]

FOLDS = 5
SPLIT = (
    "cross-fitting: {count} groups of like images, {kept}; "
    "each is checked with a map fitted to the others, the file's is fitted to all"
)


def cross_fitted(predictions: Sequence[Prediction], clusters: Sequence[str] | None = None) -> list[Map]:
    """For each image a map fitted without it, and without any other of its source (`clusters`; default: each its own).

    Raises:
        InputError: Too few images, too few sources, or they are recalibrated already.
    """
    if any(prediction.table is not None for prediction in predictions):
        raise InputError("this run's intervals are recalibrated already", "restore with -s calibration=none, then fit")
    if len(predictions) < 2 * FEWEST:
        raise InputError(
            f"{len(predictions)} images with a truth: too few to fit and check a calibration",
            f"give {2 * FEWEST} or more; 60 make a good one",
        )
    names = list(clusters or [prediction.item for prediction in predictions])
    rough: dict[str, list[float]] = {}
    for name, prediction in zip(names, predictions, strict=True):
        steps = [np.abs(np.diff(prediction.mean, axis=axis)).mean() for axis in range(1, prediction.mean.ndim)]
        rough.setdefault(name, []).append(float(np.mean(steps)))
    ordered = sorted(rough, key=lambda name: (float(np.mean(rough[name])), name))
    count = min(FOLDS, len(ordered))
    if count < 2:
        raise InputError("all images are of one source: nothing is left to check on", "give images of other sources")
    # dealt there and back (0 1 2 2 1 0 ...), so that no group has the rougher ones
    groups = {name: min(place % (2 * count), 2 * count - 1 - place % (2 * count)) for place, name in enumerate(ordered)}
    maps = [
        fit([prediction for name, prediction in zip(names, predictions, strict=True) if groups[name] != group])
        for group in range(count)
    ]
    return [maps[groups[name]] for name in names]


def checked(
    predictions: Sequence[Prediction],  # raw ones
    maps: Sequence[Map] | None,  # each image's; None: as sampled
    clusters: Sequence[str] | None = None,  # which source an image is of, for the bootstrap; default: each its own
    conditions: Sequence[str] | None = None,  # under which it was measured, of which the worst and the best are told
) -> IntervalCheck:
    """How intervals do on images: as sampled, or recalibrated."""
    judged = list(predictions)
    if maps is not None:
        judged = [map_.apply(prediction) for map_, prediction in zip(maps, predictions, strict=True)]
    each = coverage([needed_levels(prediction) for prediction in judged], (0.5, 0.9)).each
    names = list(clusters or [prediction.item for prediction in predictions])
    grouped = np.array([each[[name == source for name in names]].mean(0) for source in dict.fromkeys(names)])
    low, high = Curve.of_images((0.5, 0.9), grouped).at(0.9)[1:]
    shares: dict[str, Any] = {}
    if conditions is not None and len(set(conditions)) > 1:
        means = [each[[name == condition for name in conditions], 1].mean() for condition in set(conditions)]
        shares["conditions90"] = min(means), max(means)
    if maps is not None:
        for name, factors in (
            ("images90", [map_.image[map_.levels.index(0.9)] for map_ in maps]),
            ("guaranteed90", [map_.guaranteed[map_.levels.index(0.9)] for map_ in maps]),
        ):
            known = [factor for factor in factors if factor is not None]
            if len(known) == len(judged):
                held = [
                    (np.abs(one.error) <= factor * one.std).mean() for one, factor in zip(judged, known, strict=True)
                ]
                shares[name] = float(np.mean(np.array(held) >= 0.9) if name == "images90" else np.mean(held))
    return IntervalCheck(
        images=len(judged), coverage50=float(each[:, 0].mean()), coverage90=float(each[:, 1].mean()),
        coverage90_low=None if math.isnan(low) else low, coverage90_high=None if math.isnan(high) else high,
        **_parts(judged), **shares,
    )  # fmt: skip


def _parts(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """90 % intervals where the data decide and where the prior does; nothing unless there is enough of both."""
    shares: dict[str, list[float]] = {"data90": [], "prior90": []}
    for prediction in predictions:
        if prediction.share is None:
            return {}
        inside, measured = np.abs(prediction.error) <= prediction.halfwidth(0.9), of_data(prediction.share)
        for name, chosen in (("data90", measured), ("prior90", ~measured)):
            if chosen.sum() >= PART:
                shares[name].append(float(inside[chosen].mean()))
    if min(map(len, shares.values())) < 2 * FEWEST:
        return {}
    return {name: float(np.mean(values)) for name, values in shares.items()}


def _sampler(run: RunFolder) -> str:
    """The method that ``auto`` chose for every item of a run; empty where the recipe names one."""
    chosen = {str(row["method"]).partition(",")[0] for row in run.done}
    return chosen.pop() if run.facts["recipe"]["method"]["kind"] == "auto" and len(chosen) == 1 else ""


def make_file(
    run: RunFolder,  # of them, for the licence
    predictions: Sequence[Prediction],  # raw ones
    *,
    noise: Sequence[float] = (),  # levels met; default: those of the run
    truths: str = "the user's",  # what the images are
    varied: str = "nothing but the images",
    clusters: Sequence[str] | None = None,  # as in `checked`
    conditions: Sequence[str] | None = None,
    guaranteed: bool = False,  # apply the factors with a guarantee rather than the point estimates
) -> CalibrationFile:
    """Fit to all images, checked by cross-fitting.

    Raises:
        InputError: The run is recalibrated already, or there are too few images, for a guarantee or at all.
    """
    point, recipe, maps = fit(predictions), run.facts["recipe"], cross_fitted(predictions, clusters)
    fitted = point
    if guaranteed:
        maps = [sure for map_ in maps if (sure := map_.sure) is not None]
        fitted = point.sure or point
        if fitted is point or len(maps) < len(predictions):
            raise InputError(f"{len(predictions)} images: too few for a guarantee of 90 % intervals", "give 12 or more")
    sources = set(clusters or [prediction.item for prediction in predictions])
    kept = "no source in two" if clusters else "every image for itself"
    levels = list(noise) or [float(row["noise_sigma"]) for row in run.done if "noise_sigma" in row]
    made: dict[str, Any] = {
        "inverse_calibration": 1,
        "title": recipe.get("title") or recipe["operator"]["kind"],
        "licence": {**licence(recipe, run.facts.get("prior", {})).model_dump(), "sampler": _sampler(run)},
        "noise": (min(levels), max(levels)) if levels else None,
        "truths": truths, "varied": varied, "images": len(predictions), "assumes": ASSUMES, "meaning": MEANING,
        "split": SPLIT.format(count=min(FOLDS, len(sources)), kept=kept),
        "std": {
            "raw": fitted.raw, "calibrated": fitted.calibrated,
            "prior_raw": fitted.prior_raw, "prior_calibrated": fitted.prior_calibrated,
            "image": {"scale": fitted.scale, "power": fitted.power, "shares": fitted.shares},
        },
        "intervals": {
            "levels": fitted.levels, "applied": "guaranteed" if guaranteed else "point",
            "factors": fitted.factors, "factors_point": point.factors,
            "factors_guaranteed": fitted.guaranteed, "factors_image": fitted.image,
        },
        "before": checked(predictions, None, clusters, conditions),
        "after": checked(predictions, maps, clusters, conditions),
    }  # fmt: skip
    return CalibrationFile.model_validate(made)
