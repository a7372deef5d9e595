"""A setting of a recipe scored on images with a truth; noise is keyed by the image's name, alike for all settings."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from inverse.errors import InputError
from inverse.io.read_write import read
from inverse.io.transfer import encode
from inverse.metrics.registry import Metric, measure
from inverse.recipes.recipe import Recipe, load
from inverse.restoration.case import open_case
from inverse.restoration.frame import MINIMUM_SIDE, frame
from inverse.restoration.item import solve
from inverse.restoration.options import Options
from inverse.restoration.prior import open_recipe_prior
from inverse.restoration.truth import load_image
from inverse.tuning.search import value_of

__all__ = ["TuningBench"]


@dataclass
class TuningBench:
    """The images and the metric by which settings of a recipe are scored."""

    recipe: Recipe  # as it is
    pairs: Mapping[str, tuple[Path, Path]]  # item to its measurement and its truth
    metric: Metric  # of an image or of samples
    options: Options  # device, precision and batch
    _priors: dict[tuple[Any, ...], Any] = field(default_factory=dict, repr=False)

    def own(self, keys: Sequence[str]) -> dict[str, Any]:
        """The recipe's own values."""
        return {key: value_of(self.recipe, key) for key in keys}

    def with_values(self, values: Mapping[str, Any]) -> Recipe:
        """The recipe with other values."""
        return load(self.recipe, [f"{key}={json.dumps(value)}" for key, value in values.items()])

    def score(self, values: Mapping[str, Any], items: Sequence[str]) -> dict[str, float]:
        """The metric of each item.

        Raises:
            InverseError: one of them cannot be restored, or has no score.
        """
        recipe = self.with_values(values)
        key = (recipe.prior, recipe.data.range)
        if key not in self._priors:
            self._priors.clear()
            self._priors[key] = open_recipe_prior(recipe)
        scores = {item: self._one(recipe, self._priors[key], item) for item in items}
        bad = [item for item, value in scores.items() if not math.isfinite(value)]
        if bad:
            raise InputError(f"{bad[0]}: {self.metric.name} is not finite")
        return scores

    def _one(self, recipe: Recipe, prior: Any, item: str) -> float:
        measured, truth_path = self.pairs[item]
        card, compute = prior.card, self.options.compute(recipe, prior)
        opened = frame(read(measured), 0, recipe.data, channels=card.channels if card else None, minimum=MINIMUM_SIDE)
        case = open_case(recipe, opened, device=compute.device)
        post = solve(case, prior, recipe, compute, items=[item], batch=self.options.block(recipe) or "auto")
        samples, mean = post.draws[:, 0].float().cpu(), post.mean[0].float().cpu()
        if recipe.data.transfer == "linear":
            samples, mean = (torch.from_numpy(encode(values.numpy())) for values in (samples, mean))
        truth = load_image(truth_path, span=opened.span)
        if truth.shape != mean.shape:
            raise InputError(f"{item}: restored {tuple(mean.shape)}, truth {tuple(truth.shape)}", "sizes must agree")
        if self.metric.kind == "samples":
            return float(self.metric.compute(samples[:, None], truth[None])[0])
        low, high = recipe.data.range
        return measure(mean, truth, [self.metric.name], data_range=high - low, item=item)[self.metric.name]
