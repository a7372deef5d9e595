"""``method="auto"``: it reads the table, keeps to the budget and to what the operator admits, and is the item's own."""

from __future__ import annotations

import pytest
import torch

import inverse
from inverse.errors import RecipeError, UsageError
from inverse.exact.gaussian import problem
from inverse.operators.observation import Observation
from inverse.sampling import auto
from inverse.sampling.methods import BUDGETS, method_spec, methods

ALL = frozenset({"grad", "linear", "spectral"})


def _row(method, cost, crps, kind="mask", noise=0.1, **params):
    row = {"kind": kind, "noise": noise, "method": method, "params": params, "cost": cost, "crps": crps}
    return auto.MeasuredSetting(**row, psnr=20.0, coverage=0.9)


@pytest.fixture
def table(monkeypatch):
    made = (
        _row("ddrm", 20, 0.3, steps=20),
        _row("diffpir", 20, 0.2, steps=20),
        _row("pigdm", 80, 0.1, steps=20, covariance="residual"),
        _row("mpgd", 50, 0.4, steps=50),
        _row("diffpir", 10, 0.15, noise=1.0, steps=10),
    )
    monkeypatch.setattr(auto, "rows", lambda: made)
    return made


def test_the_best_that_the_budget_pays_for(table) -> None:
    assert auto.best("mask", 0.1, ALL, 100)[0] == "pigdm"
    name, params = auto.best("mask", 0.1, ALL, 79)
    assert (name, params["steps"]) == ("diffpir", 20)
    assert params["zeta"] == method_spec("diffpir").defaults["zeta"]


def test_what_the_operator_does_not_admit_is_not_chosen(table) -> None:
    assert auto.best("mask", 0.1, frozenset({"grad"}), 100)[0] == "mpgd"


def test_the_nearest_noise_level_counts(table) -> None:
    assert auto.best("mask", 0.5, ALL, 100)[1]["steps"] == 10


def test_a_budget_below_the_cheapest_takes_fewer_levels(table) -> None:
    name, params = auto.best("mask", 0.1, ALL, 7)
    assert (name, params["steps"]) == ("ddrm", 7)
    with pytest.raises(RecipeError, match="pays for no method"):
        auto.best("mask", 0.1, ALL, 0)


def test_kinds_of_operators() -> None:
    kinds = {"mask": "mask", "blur": "full", "downsample": "reduced", "mri": "mask", "stacked": "mask"}
    for name, kind in kinds.items():
        given = problem(f"white-{name}")
        found = auto.kind_of(Observation.create(given.y, given.physics, shape=given.shape))
        assert found == (kind if name != "stacked" else "full"), name


def test_sampling_says_what_it_chose_and_costs_no_more(table) -> None:
    given = problem("white-mask")
    post = inverse.sample(given.y, given.physics, given.prior, method="auto", samples=2, max_evaluations=20)
    assert post.method["kind"] == "diffpir"
    assert post.cost.forward == 2 * 20
    same = inverse.sample(given.y, given.physics, given.prior, method="diffpir", samples=2, steps=20)
    assert torch.equal(post.samples, same.samples)


def test_a_time_budget_is_kept_to(table) -> None:
    given = problem("white-mask")
    post = inverse.sample(given.y, given.physics, given.prior, method="auto", samples=1, time_budget=600.0)
    assert post.method["kind"] == "pigdm"
    with pytest.raises(UsageError, match="one network evaluation takes"):
        inverse.sample(given.y, given.physics, given.prior, method="auto", samples=1, time_budget=1e-9)


def test_items_that_need_different_methods_are_refused(table) -> None:
    physics = inverse.build_operator("random-mask", shape=(1, 16, 16), missing=0.5, noise=0.05)
    physics.noise_model.sigma = torch.tensor([0.025, 0.25])
    y = inverse.simulate(torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0)), physics)
    with pytest.raises(RecipeError, match="ask for different methods"):
        inverse.sample(y, physics, "gaussian", method="auto", samples=1)


def test_the_shipped_table_is_whole() -> None:
    for row in auto.rows():
        spec = method_spec(row.method)
        spec.validate(row.params)
        assert row.cost == auto.cost_of(row.method, row.params), row
    for kind, has in (("mask", ALL), ("full", ALL), ("reduced", ALL), ("nonlinear", frozenset({"grad"}))):
        costs = []
        for quality, limit in BUDGETS.items():
            name, params = auto.best(kind, 0.07, has, limit)
            assert name in methods(), quality
            costs.append(auto.cost_of(name, params))
            assert costs[-1] <= limit
        assert costs == sorted(costs)


def test_steps_are_those_of_the_method_that_auto_chooses() -> None:
    given = problem("white-mask")
    free = inverse.sample(given.y, given.physics, given.prior, method="auto", samples=1).method
    post = inverse.sample(given.y, given.physics, given.prior, method="auto", steps=3, samples=1)
    assert post.method == {**free, "steps": 3}
