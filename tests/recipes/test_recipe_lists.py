"""Lists of operators and levels on the command line."""

from __future__ import annotations

import pytest

from inverse.errors import RecipeError
from inverse.recipes.recipe import load
from inverse.recipes.shortcuts import shortcuts


def test_a_list_of_operators_is_a_chain() -> None:
    recipe = load("old-photo", ["operator=[{kind: gaussian-blur, sigma: auto}, {kind: downsample, factor: 2}]"])
    assert recipe.operator.kind == "chain"
    assert [part["kind"] for part in recipe.operator.operators] == ["gaussian-blur", "downsample"]
    assert recipe.operator.operators[0]["boundary"] == "free"


def test_a_mask_beside_a_blur_that_is_looked_for(tmp_path) -> None:
    mask = tmp_path / "m.png"
    mask.write_bytes(b"x")
    recipe = load("auto", shortcuts("auto", mask=mask))
    assert [part["kind"] for part in recipe.operator.operators] == ["gaussian-blur", "file-mask"]
    assert recipe.operator.operators[0]["sigma"] == "auto"


def test_a_level_in_units_of_255_is_refused() -> None:
    with pytest.raises(RecipeError, match="more than all of the values' range") as caught:
        load("denoise", ["noise.sigma=25"])
    assert "25 of 255 is 0.098" in caught.value.hint
    assert load("denoise", ["noise.sigma=25", "data.range=[0,255]"]).noise.sigma == 25
