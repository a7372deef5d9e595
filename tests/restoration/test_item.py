"""One item from its case to its result: the recipe's arguments, the samples, and what is said of them."""

from __future__ import annotations

import ast
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import torch

import inverse
from inverse.recipes.recipe import load
from inverse.restoration.case import make_case
from inverse.restoration.item import arguments, describe, pose, solve, statistics
from inverse.restoration.plan import Compute
from inverse.restoration.prior import open_recipe_prior

RECIPE = {
    "operator": {"kind": "random-mask", "missing": 0.4, "seed": 0},
    "noise": {"sigma": 0.05},
    "prior": {"name": "gaussian"},
    "method": {"kind": "diffpir", "steps": 4},
    "run": {"samples": 3, "seed": 7},
}
CPU = Compute("float32", "cpu")


@pytest.fixture
def parts() -> tuple[Any, Any, Any]:
    """A recipe, its prior and a case."""
    recipe = load(RECIPE)
    generator = torch.Generator().manual_seed(0)
    return recipe, open_recipe_prior(recipe), make_case(recipe, torch.rand(1, 3, 24, 20, generator=generator))


def test_solve_is_sample_with_the_arguments_of_the_recipe(parts: tuple[Any, Any, Any]) -> None:
    recipe, prior, case = parts
    post = solve(case, prior, recipe, CPU, items=["a.png"])
    told = {"method": "diffpir", "steps": 4, "samples": 3, "seed": 7, "items": ["a.png"], "dtype": "float32"}
    assert torch.equal(post.states, inverse.sample(case.y, case.physics, prior, **told).states)
    second = solve(case, prior, recipe, CPU, items=["a.png"], samples=range(1, 2))
    assert torch.equal(second.states, post.states[1:2])
    assert pose(case, prior, recipe, CPU, items=["a.png"]).items == ("a.png",)


def test_a_budget_that_was_measured_replaces_its_seconds() -> None:
    recipe = load({**RECIPE, "method": {"kind": "auto", "time_budget": 2.0}})
    prior = open_recipe_prior(recipe)
    assert arguments(recipe, prior, 3, CPU)["params"] == {"quality": "normal", "time_budget": 2.0}
    measured = arguments(recipe, prior, 3, replace(CPU, evaluations=12))
    assert measured["params"] == {"quality": "normal", "max_evaluations": 12}
    assert measured["steps"] is None


def test_a_result_says_what_its_arrays_say(parts: tuple[Any, Any, Any]) -> None:
    recipe, prior, case = parts
    post = solve(case, prior, recipe, CPU, items=["a.png"])
    arrays = statistics(post, case)
    truth = torch.rand(3, 24, 20, generator=torch.Generator().manual_seed(1))
    notes = ("", "a note")
    result = describe(post, case, arrays, recipe=recipe, card=prior.card, truth=truth, notes=notes)
    assert (result.item, result.status, result.samples) == ("a.png", "done", 3)
    assert (result.channels, result.height, result.width) == (3, 24, 20)
    assert result.method == "diffpir, 4 steps"
    assert result.misfit == float(arrays["misfit"].mean())
    assert result.noise_sigma == 0.05
    assert not result.noise_estimated
    assert not result.calibrated
    assert result.forward == post.cost.forward
    assert set(result.scores) == {"psnr", "ssim", "psnr_sample", "ssim_sample", "coverage90"}
    assert result.note.endswith("and not used; a note")
    assert describe(post, case, arrays, recipe=recipe, card=prior.card).scores == {}


def test_a_recipe_becomes_arguments_in_one_place() -> None:
    """Nobody else asks a sampler for a recipe's method."""
    asked = []
    for path in sorted(Path(str(resources.files("inverse"))).rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func) in ("sample", "prepare", "Request", "arguments"):
                given = [ast.unparse(value) for value in (*call.args, *(keyword.value for keyword in call.keywords))]
                asked += [path.name] if any(text.endswith("recipe.method_kind") for text in given) else []
    assert asked == []
