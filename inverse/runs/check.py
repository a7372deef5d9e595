"""Whether a recipe can run, and on an input: operator, prior, noise level, memory and time, before any sampling."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from inverse.errors import InputError, RecipeError
from inverse.io.read_write import read
from inverse.numerics.rng import Rng
from inverse.operators.build import build_operator
from inverse.operators.catalogue import operator_spec
from inverse.operators.checks import check_operator
from inverse.operators.observation import Observation
from inverse.operators.spec import AUTO
from inverse.priors.card import Card
from inverse.priors.download import no_downloads
from inverse.priors.mismatch import SLACK, Surprise, foreign
from inverse.recipes.calibration_file import opened_calibration
from inverse.recipes.recipe import Recipe, load
from inverse.restoration.case import Case, make_case, open_case, require_range
from inverse.restoration.frame import MINIMUM_SIDE, first_filled, frame
from inverse.restoration.item import pose
from inverse.restoration.options import Options
from inverse.restoration.plan import Compute, block_size
from inverse.restoration.prior import fit_prior, open_recipe_prior, sampling_seconds
from inverse.runs.executors import opened_executor
from inverse.sampling.methods import in_words
from inverse.sampling.problem import peak_bytes
from inverse.sampling.start import initial_mean

__all__ = ["RecipeCheck", "check_recipe", "exit_code"]

SIDE = 64
#: Limits from here on only ask for a number.
LIMITLESS = 1e30


@dataclass(frozen=True)
class RecipeCheck:
    """One thing that was checked."""

    name: str  # what
    value: str  # what was found
    verdict: str = "ok"  # ``ok``, ``warn`` or ``fail``
    note: str = ""  # what it means, where it is not ok
    code: int = 3  # exit code of a failure: 3 for the recipe, 4 for the input

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def check_recipe(
    recipe: str | Path | Recipe | dict[str, Any],
    measurement: str | Path | None = None,
    *,
    overrides: Sequence[str] = (),
    options: Options | None = None,
) -> list[RecipeCheck]:
    """Check a recipe, alone (on a 64 x 64 picture of noise) or for an input file.

    Raises:
        InverseError: If the recipe, the prior or the input cannot even be read.
    """
    options, recipe = options or Options(), load(recipe, overrides)
    options.check(recipe)
    opened_executor(options)
    with no_downloads():
        prior = open_recipe_prior(recipe)
    card, compute = prior.card, options.compute(recipe, prior)
    low, high = recipe.data.range
    if measurement is None:
        generator = torch.Generator().manual_seed(0)
        noise = torch.rand(1, card.channels or 3, SIDE, SIDE, generator=generator, dtype=torch.float32)
        case = _imagined(recipe, (low + (high - low) * noise).to(compute.device))
    else:
        content = read(measurement)
        opened = frame(content, first_filled(content), recipe.data, channels=card.channels, minimum=MINIMUM_SIDE)
        case = open_case(recipe, opened, device=compute.device)
        require_range(case, recipe, card)
    rows = _operator(case)
    rows += _prior(card, case)
    if measurement is not None:
        fitted = fit_prior(prior, case.shape[0], dtype=compute.dtype, device=compute.device)
        rows += _input(card, fitted, case, low, high)
    try:
        pose(case, prior, recipe, compute, items=None)
        rows.append(RecipeCheck("method", in_words(recipe.method_kind, recipe.params)))
    except (RecipeError, InputError) as error:
        rows.append(RecipeCheck("method", recipe.method_kind, "fail", error.message, error.exit_code))
        return rows
    return rows + _intervals(recipe, card) + _cost(recipe, prior, case, compute)


def _intervals(recipe: Recipe, card: Any) -> list[RecipeCheck]:
    """Whether the recipe's calibration fits; nothing for a recipe without one."""
    if recipe.calibration is None:
        return []
    try:
        used, unused = opened_calibration(recipe, card)
    except RecipeError as error:
        return [RecipeCheck("intervals", recipe.calibration, "fail", error.message, error.exit_code)]
    if used is None:
        return [RecipeCheck("intervals", recipe.calibration, "warn", unused)]
    return [RecipeCheck("intervals", used.says())]


def _imagined(recipe: Recipe, x: Tensor) -> Case:
    """The case of what the operator makes of a picture of noise (1, C, H, W).

    What only a real measurement can tell is the operator's example.
    """
    operator = recipe.located()["operator"]
    spec = operator_spec(operator["kind"])
    members = operator.get("operators")
    if members is None:
        changes = [f"operator.{name}={value}" for name, value in _examples(operator).items()]
    else:
        changes = [f"operator.operators={json.dumps([{**member, **_examples(member)} for member in members])}"]
    recipe = load(recipe, changes)
    noise = getattr(recipe.noise, "sigma", None)
    sigma = float(noise) if isinstance(noise, float) else 0.01
    physics = build_operator(recipe.located()["operator"], shape=tuple(x.shape[1:]), noise=sigma, device=x.device)
    y = physics.A(x)
    if spec.measured is None:
        return make_case(recipe, y, part=True)
    return Case(y, physics, tuple(x.shape[1:]), sigma, False)


def _examples(operator: Mapping[str, Any]) -> dict[str, Any]:
    """Values of the parameters of one operator that only a measurement can tell, from its entry's example."""
    spec = operator_spec(str(operator["kind"]))
    unknown = {name for name, value in operator.items() if value == AUTO or (spec.measured and value is None)}
    return {name: value for name, value in spec.example.items() if name in unknown and not str(value).startswith("@")}


def _operator(case: Case) -> list[RecipeCheck]:
    rows = [RecipeCheck("unknown", " x ".join(str(n) for n in (*case.shape[1:], case.shape[0])))]
    rows += [RecipeCheck("operator", sentence) for sentence in case.said]
    rows += [RecipeCheck("operator", case.assumed, "warn")] if case.assumed else []
    for row in check_operator(case.physics, case.shape):
        value = f"{row.value:.3g}" + (f", at most {row.limit:.3g}" if row.limit < LIMITLESS else "")
        rows.append(RecipeCheck(row.name, value, "ok" if row.ok else "fail"))
    return rows


def _prior(card: Any, case: Case) -> list[RecipeCheck]:
    smallest, (low, high) = min(case.shape[1:]), card.data_range
    if smallest < card.minimum_size:
        note = f"takes {card.minimum_size} pixels and up, this has {smallest}"
        return [RecipeCheck("prior", card.name, "fail", note, 4)]
    return [RecipeCheck("prior", f"{card.name}, {card.licence}, range [{low:g}, {high:g}]")]


def _input(card: Card, prior: Any, case: Case, low: float, high: float) -> list[RecipeCheck]:
    width, how = high - low, "estimated" if case.estimated else "given"
    smallest, largest, outside = case.values(low, high)
    rows = [RecipeCheck("range", f"{smallest:.3g} to {largest:.3g}, the prior's is {low:g} to {high:g}")]
    said = foreign(card, channels=case.shape[0], low=smallest, high=largest, outside=outside)
    if said:
        rows = [RecipeCheck("range", rows[0].value, "warn", said)]
    rows += _surprise(card, prior, case)
    noise = f"{case.sigma:.4g} ({how}), {100 * case.sigma / width:.2g} % of the range"
    if case.sigma > width:
        note = "noise above the whole range: is the level in data units?"
        return [*rows, RecipeCheck("noise", noise, "fail", note, 4)]
    if case.sigma < 0.002 * width:
        note = "hardly any noise: if the picture was rounded or compressed, its error is larger than this"
        return [*rows, RecipeCheck("noise", noise, "warn", note)]
    return [*rows, RecipeCheck("noise", noise)]


def _surprise(card: Card, prior: Any, case: Case) -> list[RecipeCheck]:
    """What the prior takes for noise in a first estimate of the unknown, with noise of its middle level: one call."""
    if not card.residual:
        return []
    levels = sorted(float(key) for key in card.residual)
    sigma = levels[len(levels) // 2] / card.gain
    observation = Observation.create(case.y, case.physics, shape=case.shape)
    if not observation.linear:
        return []
    mean = torch.as_tensor(card.mean, dtype=case.y.dtype, device=case.y.device)
    image = initial_mean(observation, mean, card)
    state = image + sigma * Rng(0, ("",), (0,)).normal(image, step=0, stream="check")
    surprise = Surprise(card)
    with torch.no_grad():
        surprise.note(state, prior(state, sigma), sigma)
    value = 0.0 if surprise.values is None else float(surprise.values.max())
    text = f"the prior leaves {value:.2f} times what it leaves of its own images, at noise {sigma:.3g}"
    if value > 1 + SLACK:
        note = f"it may not be one for these data: it was trained on {card.images or card.data}"
        return [RecipeCheck("likeness", text, "warn", note)]
    return [RecipeCheck("likeness", text)]


def _cost(recipe: Recipe, prior: Any, case: Case, compute: Compute) -> list[RecipeCheck]:
    samples, seconds = recipe.run.samples, sampling_seconds(prior, case.shape, recipe, compute)
    block = block_size(case.shape, samples, None)
    memory = peak_bytes(torch.device(compute.device)) / 2**30
    return [
        RecipeCheck("time", f"about {seconds:.1f} s for {samples} samples, {compute.dtype} on {compute.device}"),
        RecipeCheck("memory", f"about {memory:.1f} GiB, {block} samples at a time"),
    ]


def exit_code(rows: Sequence[RecipeCheck]) -> int:
    """The exit code: 0, or that of the first failure."""
    return next((row.code for row in rows if row.verdict == "fail"), 0)
