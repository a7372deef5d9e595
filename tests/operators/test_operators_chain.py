"""Operators one after the other."""

from __future__ import annotations

import pytest
import torch

import inverse
from inverse.errors import RecipeError
from inverse.operators.build import operator_for, result_shape
from inverse.recipes.recipe import load
from inverse.restoration.case import make_case

PARTS = [
    {"kind": "gaussian-blur", "sigma": 1.0},
    {"kind": "downsample", "factor": 2},
    {"kind": "random-mask", "missing": 0.3},
]
CHAIN = {"kind": "chain", "operators": PARTS}


def test_a_chain_is_the_product_of_its_parts() -> None:
    x = torch.rand(2, 3, 24, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    chain = inverse.build_operator(CHAIN, shape=(3, 24, 20), dtype=torch.float64)
    expected, shape = x, (3, 24, 20)
    for part in PARTS:
        physics = inverse.build_operator(part, shape=shape, dtype=torch.float64)
        expected = physics.A(expected)
        shape = tuple(expected.shape[1:])
    assert torch.equal(chain.A(x), expected)
    y = torch.rand(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert float((chain.A(x) * y).sum()) == pytest.approx(float((x * chain.A_adjoint(y)).sum()), rel=1e-12)


def test_the_unknown_is_found_from_the_last_to_the_first() -> None:
    free = [{**PARTS[0], "boundary": "free"}, *PARTS[1:]]
    physics, shape = operator_for({"kind": "chain", "operators": free}, (3, 12, 10))
    assert shape == (3, 24 + 8, 20 + 8)
    assert physics.output_crop == (4, 4, 24, 20)
    assert tuple(physics.A(torch.zeros(1, *shape)).shape) == (1, 3, 12, 10)
    assert result_shape(CHAIN, (3, 12, 10)) == (3, 24, 20)


def test_what_the_last_part_leaves_out_is_not_counted() -> None:
    case = make_case(
        load({"operator": PARTS, "noise": {"sigma": 0.05}, "prior": {"name": "gaussian"}}),
        torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0)),
    )
    post = inverse.sample(case.y, case.physics, "gaussian", method="exact", samples=2, shape=case.shape)
    share = float(post.observation.count()[0]) / case.y.numel()
    assert 0.6 < share < 0.8
    assert torch.equal(case.y, case.y * case.physics.mask)


@pytest.mark.parametrize("method", ["dps", "pigdm", "diffpir", "daps", "pnp-dm", "exact"])
def test_methods_run_on_a_chain(method: str) -> None:
    physics = inverse.build_operator(CHAIN, shape=(1, 16, 16), noise=0.1)
    x = 0.5 + 0.25 * torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    y = inverse.simulate(x, physics, seed=0)
    post = inverse.sample(y, physics, "gaussian", method=method, samples=2, shape=(1, 16, 16))
    assert bool(torch.isfinite(post.samples).all())
    assert float(post.misfit.mean()) < 3


def test_a_chain_with_a_part_that_is_not_linear() -> None:
    parts = [PARTS[0], {"kind": "jpeg", "quality": 50}]
    physics = inverse.build_operator({"kind": "chain", "operators": parts}, shape=(3, 16, 16), noise=0.05)
    assert not hasattr(physics, "A_adjoint")
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    y = physics.A(x)
    post = inverse.sample(y, physics, "gaussian", method="dps", samples=1, steps=4, shape=(3, 16, 16))
    assert bool(torch.isfinite(post.samples).all())


def test_a_list_in_a_recipe() -> None:
    recipe = load({"operator": PARTS})
    assert recipe.operator.operators[0]["boundary"] == "free"
    assert recipe.operator.operators[1]["filter"] == "area"
    assert load(recipe.resolved()).hash == recipe.hash


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([7], "a list of operators"),
        (["nope"], "unknown operator 'nope'"),
        ([{"kind": "downsample", "factor": 0}], "downsample.factor"),
        ([{"kind": "chain", "operators": ["denoise"]}], "without lists in it"),
        ([{"kind": "gaussian-blur", "sigma": "auto"}, {"kind": "defocus", "radius": "auto"}], "auto for one operator"),
        ([], "at least 1"),
    ],
)
def test_lists_that_are_refused(parts: list[object], words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load({"operator": parts})
    assert words in f"{caught.value.message} {caught.value.hint}"


def test_a_free_boundary_can_only_come_first() -> None:
    parts = [PARTS[1], {**PARTS[0], "boundary": "free"}]
    with pytest.raises(RecipeError) as caught:
        inverse.build_operator({"kind": "chain", "operators": parts}, shape=(3, 24, 24))
    assert "free boundary" in caught.value.message


def test_the_files_of_parts_are_found_beside_the_recipe(tmp_path) -> None:
    import numpy as np

    (tmp_path / "k").mkdir()
    np.save(tmp_path / "k" / "kernel.npy", np.ones((3, 3)))
    text = "operator: [{kind: kernel-blur, file: k/kernel.npy}, {kind: downsample, factor: 2}]\n"
    (tmp_path / "r.yaml").write_text(text)
    recipe = load(tmp_path / "r.yaml")
    assert recipe.located()["operator"]["operators"][0]["file"] == f"{tmp_path}/k/kernel.npy"
    before = recipe.hash
    np.save(tmp_path / "k" / "kernel.npy", np.ones((5, 5)))
    assert load(tmp_path / "r.yaml").hash != before
    with pytest.raises(RecipeError, match=r"operator\.operators\.0\.file: no file"):
        load({"operator": [{"kind": "kernel-blur", "file": "none.npy"}]})
