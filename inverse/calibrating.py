"""Fit a calibration to runs with known truths, and check it on images the fit has not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from inverse.calibration import Curve, Prediction, coverage, needed_levels
from inverse.calibration_file import ASSUMES, MEANING, CalibrationFile, Check, licence
from inverse.errors import InputError
from inverse.recalibration import FEWEST, Map, fit

if TYPE_CHECKING:
    from inverse.run_folder import RunFolder

__all__ = ["checked", "halves", "make_file"]

MOST = 0.92
"""Share that 90 % intervals with a guarantee may hold before point estimates are taken instead."""


def halves(predictions: Sequence[Prediction]) -> tuple[list[Prediction], list[Prediction]]:
    """Images for the fit and for the check: sorted by the roughness of what was restored and dealt A B B A, so that both hold like images.

    Raises:
        InputError: Fewer than `FEWEST` for each, or they are recalibrated already.
    """
    _raw(predictions)
    if len(predictions) < 2 * FEWEST:
        raise InputError(
            f"{len(predictions)} images with a truth: too few to fit and check a calibration",
            f"give {2 * FEWEST} or more; 60 make a good one",
        )

    def rough(one: Prediction) -> float:
        return float(np.mean([np.abs(np.diff(one.mean, axis=axis)).mean() for axis in range(1, one.mean.ndim)]))

    ordered = sorted(predictions, key=rough)
    second = [index % 4 in (1, 2) for index in range(len(ordered))]
    return (
        [one for one, other in zip(ordered, second, strict=True) if not other],
        [one for one, other in zip(ordered, second, strict=True) if other],
    )


def _raw(predictions: Sequence[Prediction]) -> None:
    if any(one.table is not None for one in predictions):
        raise InputError("this run's intervals are recalibrated already", "restore with -s calibration=none, then fit")


def checked(predictions: Sequence[Prediction], fitted: Map | None, clusters: Sequence[str] | None = None) -> Check:
    """How intervals do on images: as sampled, or recalibrated.

    Args:
        predictions: Raw ones.
        fitted: The map; None: as sampled.
        clusters: Which source an image is of, for the bootstrap; default: each its own.
    """
    made = [one if fitted is None else fitted.apply(one) for one in predictions]
    each = coverage([needed_levels(one) for one in made], (0.5, 0.9)).each
    names = list(clusters or [one.item for one in predictions])
    grouped = np.array([each[[name == own for name in names]].mean(0) for own in dict.fromkeys(names)])
    low, high = Curve.of_images((0.5, 0.9), grouped).at(0.9)[1:]
    image = None
    if fitted is not None and (factor := fitted.image[fitted.levels.index(0.9)]) is not None:
        image = float(np.mean([(np.abs(one.error) <= factor * one.std).mean() >= 0.9 for one in made]))
    return Check(
        images=len(made), coverage50=float(each[:, 0].mean()), coverage90=float(each[:, 1].mean()),
        coverage90_low=None if math.isnan(low) else low, coverage90_high=None if math.isnan(high) else high,
        images90=image,
    )  # fmt: skip


def _chosen(point: Map, predictions: Sequence[Prediction], clusters: Sequence[str] | None) -> tuple[Map, Check]:
    """The guaranteed factors unless they hold more than `MOST` of the check images in 90 % intervals, else the point estimates; and their check."""
    plain = checked(predictions, point, clusters)
    if point.sure is None:
        return point, plain.model_copy(update={"point90": plain.coverage90})
    sure = checked(predictions, point.sure, clusters)
    both = {"point90": plain.coverage90, "guaranteed90": sure.coverage90}
    if sure.coverage90 > MOST:
        return point, plain.model_copy(update=both)
    return point.sure, sure.model_copy(update=both)


def make_file(
    run: RunFolder,
    predictions: tuple[Sequence[Prediction], Sequence[Prediction]],
    *,
    noise: Sequence[float] = (),
    truths: str = "the user's",
    varied: str = "nothing but the images",
    split: str = "images sorted by the roughness of what was restored and dealt out A B B A",
    clusters: tuple[Sequence[str], Sequence[str]] | None = None,
) -> CalibrationFile:
    """Fit on the first images, check on the second.

    Args:
        run: A run of them, for the licence.
        predictions: Raw ones, fit and check.
        noise: Noise levels met; default: those of the run.
        truths: What the images are.
        varied: What was varied.
        split: How the two were told apart.
        clusters: Which source each image is of.

    Raises:
        InputError: The run is recalibrated already.
    """
    first, second = predictions
    _raw([*first, *second])
    point, recipe = fit(first), run.facts["recipe"]
    others = None if clusters is None else clusters[1]
    fitted, after = _chosen(point, second, others)
    levels = list(noise) or [float(row["noise_sigma"]) for row in run.done if "noise_sigma" in row]
    made: dict[str, Any] = {
        "inverse_calibration": 1,
        "title": recipe.get("title") or recipe["operator"]["kind"],
        "licence": licence(recipe, run.facts.get("prior", {})),
        "noise": (min(levels), max(levels)) if levels else None,
        "truths": truths, "varied": varied, "images": len(first), "split": split, "assumes": ASSUMES, "meaning": MEANING,
        "std": {"raw": fitted.raw, "calibrated": fitted.calibrated},
        "intervals": {
            "levels": fitted.levels, "applied": "point" if fitted is point else "guaranteed",
            "factors": fitted.factors, "factors_point": point.factors,
            "factors_guaranteed": fitted.guaranteed, "factors_image": fitted.image,
        },
        "before": checked(second, None, others), "after": after,
    }  # fmt: skip
    return CalibrationFile.model_validate(made)
