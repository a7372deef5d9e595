"""Calibration files: a `Map` with what it is for, what it assumes and how it did on images it has not seen.

They are JSON, to be read by a person too.

A file has a licence: the method with all its parameters, the prior's weights, the kind of the operator, the number of
samples and the data units it was fitted with. Other noise levels than its own are applied, and said; anything else is
refused (`unfit`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from inverse.calibration.recalibration import Map
from inverse.errors import RecipeError
from inverse.operators.catalogue import is_drawn
from inverse.priors.card import prior_facts
from inverse.recipes.recipe import Recipe, shipped_folder
from inverse.storage.files import file_hash
from inverse.storage.regular import read_small_text

__all__ = [
    "ASSUMES",
    "CalibrationFile",
    "IntervalCheck",
    "Licence",
    "licence",
    "opened_calibration",
    "read_calibration",
    "recorded",
    "unfit",
]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Level = Annotated[float, Field(gt=0, lt=1)]
ASSUMES = (
    "a new image is exchangeable with those of the fit: the same kind of scene, operator and noise, measured and "
    "restored in the same way",
    "the operator is the true one: errors of a blur, of coil maps or of a response are not in these intervals unless "
    "the recipe estimates it",
    "statements are about the share of an image's values and an average over images, not about every pixel of every "
    "image",
)
MEANING = {
    "std": "root mean square error of the restored mean to expect where the sampler's standard deviation is raw; "
    "between knots log-linear, beyond them in proportion. prior_raw, prior_calibrated: the same where data_share is "
    "below 0.5; empty: one map for all. image: all of it times scale * (d / (1 - d)) ** power, d the image's mean "
    "data_share, kept within shares",
    "intervals": "mean +- factor * calibrated std, with factors; applied says which of the two below they are",
    "factors_point": "so that intervals hold level on the images of the fit, on average over them: as likely a little "
    "too narrow as too wide",
    "factors_guaranteed": "conformal risk control (arXiv 2208.02814): of a new exchangeable image at most 1 - level of "
    "the values are outside, in expectation; null: too few images. Applied where it was asked for",
    "factors_image": "split conformal over images: with probability 0.9 at least level of a new exchangeable image's "
    "values are inside. Not applied",
}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Licence(_Part):
    """What a calibration is for."""

    operator: str
    method: dict[str, Any]
    prior: str
    prior_sha256: str
    samples: int = Field(ge=1)
    data: dict[str, Any]
    antithetic: bool = False  # whether samples are pairs of opposite noise
    sampler: str = ""  # the method that ran, where the recipe leaves it to ``auto``


class IntervalCheck(_Part):
    """Intervals on a set of images, mean over images."""

    images: int = Field(ge=0)  # how many
    coverage50: Share  # share of the truth inside 50 % intervals
    coverage90: Share  # inside 90 % intervals
    coverage90_low: Share | None = None  # lower end of its 95 % bootstrap interval over images; null for one image
    coverage90_high: Share | None = None  # upper end
    #: share of the images with 90 % of their values inside the intervals of ``factors_image`` at 90 %; null without
    #: them
    images90: Share | None = None
    #: share of the truth inside the 90 % intervals of ``factors_guaranteed``; null without them
    guaranteed90: Share | None = None
    #: inside 90 % intervals, of the values that the data decide; null where images do not have enough of both kinds
    data90: Share | None = None
    prior90: Share | None = None  # of those that the prior decides
    #: of the worst and of the best of the conditions (operators, noise levels) that were varied; null where they were
    #: not
    conditions90: tuple[Share, Share] | None = None


class _Image(_Part):
    scale: Positive = 1.0
    power: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    shares: tuple[Share, Share] = (0.0, 1.0)


class _Std(_Part):
    raw: tuple[Positive, ...] = Field(min_length=1)
    calibrated: tuple[Positive, ...] = Field(min_length=1)
    prior_raw: tuple[Positive, ...] = ()
    prior_calibrated: tuple[Positive, ...] = ()
    image: _Image = _Image()


class _Intervals(_Part):
    levels: tuple[Level, ...] = Field(min_length=1)
    applied: Literal["point", "guaranteed"]
    factors: tuple[Positive, ...]
    factors_point: tuple[Positive, ...]
    factors_guaranteed: tuple[Positive | None, ...]
    factors_image: tuple[Positive | None, ...]


class CalibrationFile(_Part):
    """A calibration with its licence, its assumptions and its check."""

    version: Literal[1] = Field(alias="inverse_calibration")
    title: str
    licence: Licence
    noise: tuple[float, float] | None = Field(description="smallest and largest noise level of the fit, data units")
    truths: str = Field(description="what the images are")
    varied: str = Field(description="what was varied")
    images: int = Field(ge=1, description="images of the fit")
    split: str = Field(description="how it was checked on images left out of the fit")
    assumes: tuple[str, ...]
    meaning: dict[str, str]
    std: _Std
    intervals: _Intervals
    before: IntervalCheck | None = Field(description="on the check images, as sampled")
    after: IntervalCheck | None = Field(description="on the check images, recalibrated")

    @model_validator(mode="after")
    def _tables(self) -> Self:
        columns, std = self.intervals, self.std
        for raw, calibrated in ((std.raw, std.calibrated), (std.prior_raw, std.prior_calibrated)):
            if len(raw) != len(calibrated) or not _increasing(raw):
                raise ValueError("std: raw must increase, and calibrated be as long")
            if list(calibrated) != sorted(calibrated):
                raise ValueError("std: calibrated must not decrease")
        if not _increasing(columns.levels) or list(columns.factors) != sorted(columns.factors):
            raise ValueError("intervals: levels must increase, and factors not decrease")
        tables = (columns.factors, columns.factors_point, columns.factors_guaranteed, columns.factors_image)
        if any(len(table) != len(columns.levels) for table in tables):
            raise ValueError("intervals: columns of different lengths")
        return self

    @property
    def map(self) -> Map:
        """What is applied."""
        std, table = self.std, self.intervals
        factors = table.factors, table.factors_guaranteed, table.factors_image
        image = std.image.power, std.image.scale, std.image.shares
        return Map(
            std.raw, std.calibrated, table.levels, *factors, self.images, std.prior_raw, std.prior_calibrated, *image
        )

    def to_json(self) -> str:
        """The file's text, a table a line."""
        return _lines(self.model_dump(mode="json", by_alias=True)) + "\n"

    def says(self) -> str:
        """For the end of a run: what was recalibrated and how good that is."""
        said = f"90 % intervals recalibrated on {self.images} images"
        if self.after is None:
            return f"{said}, not checked"
        data, prior, parts = self.after.data90, self.after.prior90, ""
        if data is not None and prior is not None:
            parts = f" ({100 * data:.0f} % where the data decide, {100 * prior:.0f} % where the prior does)"
        return f"{said}: they hold {100 * self.after.coverage90:.1f} % of images left out of the fit, on average{parts}"

    def attributes(self) -> dict[str, Any]:
        """Of ``posterior.h5``."""
        return {
            "calibration": self.says(),
            "calibration_levels": self.intervals.levels,
            "calibration_factors": self.intervals.factors,
        }

    def refused(self, sampler: object) -> str:
        """Why intervals of what a method drew are not recalibrated, where ``auto`` chose another than in the fit."""
        own = self.licence.sampler
        if not own or own == sampler:
            return ""
        return f"intervals are not recalibrated: the calibration is of method {own}, here {sampler} was chosen"

    def outside(self, sigma: float) -> str:
        """What to say of a noise level that the fit did not meet; empty for others."""
        if self.noise is None or self.noise[0] / 1.25 <= sigma <= self.noise[1] * 1.25:
            return ""
        known = f"the {self.noise[0]:.3g} to {self.noise[1]:.3g} the calibration was made for"
        return f"noise {sigma:.3g} is beyond {known}: its intervals may not hold"


def _increasing(values: Sequence[float]) -> bool:
    return all(low < high for low, high in pairwise(values))


def _lines(value: Any, indent: int = 0) -> str:
    """JSON with one line for each list of numbers."""
    pad = " " * (indent + 1)
    if isinstance(value, dict) and value:
        inner = ",\n".join(f"{pad}{json.dumps(key)}: {_lines(part, indent + 1)}" for key, part in value.items())
        return f"{{\n{inner}\n{' ' * indent}}}"
    if isinstance(value, list) and value and isinstance(value[0], str):
        inner = ",\n".join(f"{pad}{json.dumps(part, ensure_ascii=False)}" for part in value)
        return f"[\n{inner}\n{' ' * indent}]"
    if isinstance(value, list):
        return f"[{', '.join('null' if part is None else f'{part:.6g}' for part in value)}]"
    return json.dumps(value, ensure_ascii=False)


def licence(plain: Mapping[str, Any], prior: Mapping[str, Any]) -> Licence:
    """What a calibration of a recipe's runs is for.

    Args:
        plain: The recipe as `Recipe.resolved` gives it, and ``run.json`` holds it.
        prior: `inverse.priors.card.prior_facts` of its prior.
    """
    return Licence(
        operator=plain["operator"]["kind"],
        method=plain["method"],
        prior=str(prior.get("name", plain["prior"]["name"])),
        prior_sha256=str(prior.get("sha256") or ""),
        samples=plain["run"]["samples"],
        antithetic=bool(plain["run"].get("antithetic", False)) or is_drawn(plain["operator"]),
        data=plain["data"],
    )


def unfit(own: Licence, wanted: Licence) -> str:
    """Why a calibration does not fit a run, in a clause; empty where it does."""
    if own.operator != wanted.operator:
        return f"it is of operator {own.operator}, the run's is {wanted.operator}"
    if own.prior_sha256 != wanted.prior_sha256 or (not own.prior_sha256 and own.prior != wanted.prior):
        other = f"other weights of {wanted.prior}" if own.prior == wanted.prior else wanted.prior
        return f"it is of prior {own.prior}, the run's is {other}"
    if own.samples != wanted.samples:
        return f"it is of {own.samples} samples, the run draws {wanted.samples}"
    if own.antithetic != wanted.antithetic:
        kinds = {True: "antithetic", False: "independent"}
        return f"it is of {kinds[own.antithetic]} samples, the run's are {kinds[wanted.antithetic]}"
    for section, mine, theirs in (("method", own.method, wanted.method), ("data", own.data, wanted.data)):
        for key in dict.fromkeys(["kind", *mine, *theirs]):
            if mine.get(key) != theirs.get(key):
                return f"it is of {section}.{key} {mine.get(key)}, the run's is {theirs.get(key)}"
    return ""


def read_calibration(path: Path, shown: str | None = None) -> CalibrationFile:
    """Read a calibration file.

    Args:
        path: Where it is.
        shown: Its name in messages.

    Raises:
        RecipeError: It is missing, no JSON, or not a calibration.
    """
    name = shown or path.name
    try:
        text = read_small_text(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise RecipeError(
            f"calibration {name}: cannot be read: {reason}", "make one with 'inverse calibrate RUN TRUTH --save FILE'"
        ) from None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecipeError(
            f"calibration {name}: no JSON: {error}", "give a file of 'inverse calibrate --save'"
        ) from None
    if not isinstance(content, dict) or "inverse_calibration" not in content:
        raise RecipeError(f"calibration {name}: not a calibration file", "give a file of 'inverse calibrate --save'")
    try:
        return CalibrationFile.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RecipeError(
            f"calibration {name}: {place + ': ' if place else ''}{first['msg'].removeprefix('Value error, ')}",
            "make it again with 'inverse calibrate --save'",
        ) from None


def opened_calibration(recipe: Recipe, card: Any) -> tuple[CalibrationFile | None, str]:
    """The calibration that runs of a recipe apply, and why a shipped one is not.

    Args:
        recipe: The recipe.
        card: Of its prior.

    Raises:
        RecipeError: It cannot be read, or the user's own does not fit the recipe.
    """
    if recipe.calibration is None:
        return None, ""
    path = recipe.files["calibration"]
    calibration = read_calibration(path, recipe.calibration)
    why = unfit(calibration.licence, licence(recipe.resolved(), prior_facts(card)))
    if not why:
        return calibration, ""
    if shipped_folder() in path.parents:
        return None, f"intervals are not recalibrated: the recipe's calibration does not fit, {why}; {_way_out(why)}"
    raise RecipeError(
        f"calibration {recipe.calibration} does not fit this run: {why}",
        "fit one to such a run with 'inverse calibrate RUN TRUTH --save FILE', or give -s calibration=none",
    )


def _way_out(why: str) -> str:
    """What brings a calibration back: its own number of samples, or one of its own for such runs."""
    fit = "a calibration for such runs: inverse calibrate RUN TRUTH --save FILE, then -s calibration=FILE"
    own = re.match(r"it is of (\d+) samples", why)
    return f"--samples {own[1]} has it, or {fit}" if own else fit


def recorded(recipe: Recipe, used: CalibrationFile | None, unused: str) -> dict[str, Any] | None:
    """For ``run.json``: which calibration was applied, or why none was; None for a recipe without one."""
    if recipe.calibration is None:
        return None
    given = {"file": recipe.resolved()["calibration"], "sha256": file_hash(recipe.files["calibration"])}
    if used is None:
        return {**given, "applied": False, "says": unused}
    return {**given, "applied": True, "says": used.says(), "check": used.after.model_dump() if used.after else None}
