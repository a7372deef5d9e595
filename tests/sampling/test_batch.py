"""A result belongs to (seed, item, sample): not to its batch mates, the batch size, their order, or its range."""

from __future__ import annotations

import pytest
import torch

import inverse
from inverse.exact.gaussian import PROBLEMS, problem
from inverse.numerics.linalg import parts
from inverse.priors.models.mixture import MixturePrior
from inverse.sampling.methods import METHODS

TOLERANCE = 1e-4
SHAPE = (1, 24, 20)
#: Methods of many evaluations or products a step: fewer steps show as much.
DEAR = ("mmps", "smc", "tmpd")


@pytest.fixture(scope="module")
def prior() -> MixturePrior:
    generator = torch.Generator().manual_seed(3)
    means = torch.rand(4, *SHAPE, generator=generator)
    return MixturePrior(means, torch.tensor([0.1, 0.2, 0.3, 0.4]), torch.full((4,), 0.01))


def _steps(method: str, steps: int) -> dict[str, int]:
    """The number of steps, of a method that takes any."""
    return {} if METHODS[method].closed_form else {"steps": steps}


def _sample(y, physics, prior, method, items, **params):
    given = {**_steps(method, 3 if method in DEAR else 6), **params}
    return inverse.sample(y, physics, prior, method=method, items=items, samples=2, shape=SHAPE, **given).samples


@pytest.mark.parametrize(
    "operator", [("random-mask", {"missing": 0.5}), ("gaussian-blur", {"sigma": 1.5, "boundary": "free"})]
)
@pytest.mark.parametrize("method", [*METHODS, "dps-paper", "pigdm-residual"])
def test_batch_of_eight_is_eight_of_one(method, operator, prior) -> None:
    kind, params = operator
    extra = {"dps-paper": {"form": "paper"}, "pigdm-residual": {"covariance": "residual"}}.get(method, {})
    name = method if method in METHODS else method.split("-")[0]
    physics = inverse.build_operator(kind, shape=SHAPE, noise=0.05, **params)
    if name == "reverse":
        physics = inverse.build_operator("denoise", shape=SHAPE, noise=0.05)
    if kind == "gaussian-blur" and name == "ddrm":
        physics = inverse.build_operator(kind, shape=SHAPE, noise=0.05, sigma=1.5, boundary="reflect")
    items = [f"photo-{i}" for i in range(8)]
    x = torch.rand(8, *SHAPE, generator=torch.Generator().manual_seed(1))
    y = inverse.simulate(x, physics, items=items)
    together = _sample(y, physics, prior, name, items, **extra)
    alone = torch.cat([_sample(y[i : i + 1], physics, prior, name, items[i : i + 1], **extra) for i in range(8)], 1)
    assert (together - alone).abs().max() < TOLERANCE
    order = [3, 1, 7, 0, 2, 6, 5, 4]
    permuted = _sample(y[order], physics, prior, name, [items[i] for i in order], **extra)
    assert (together[:, order] - permuted).abs().max() < TOLERANCE
    small = _sample(y, physics, prior, name, items, batch=3, **extra)
    assert (together - small).abs().max() < TOLERANCE


@pytest.mark.parametrize("method", [method for method in METHODS if method != "reverse"])
def test_each_item_has_its_own_noise_level_and_mask(method, prior) -> None:
    masks = (torch.rand(3, 1, 24, 20, generator=torch.Generator().manual_seed(5)) > 0.4).float()
    levels, items = torch.tensor([0.02, 0.1, 0.3]), ["a", "b", "c"]
    physics = inverse.build_operator("random-mask", shape=SHAPE, missing=0.5, noise=0.05)
    physics.update(mask=masks)
    physics.noise_model.sigma = levels
    x = torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(1))
    y = inverse.simulate(x, physics, items=items)
    together = _sample(y, physics, prior, method, items)
    for i, item in enumerate(items):
        one = inverse.build_operator("random-mask", shape=SHAPE, missing=0.5, noise=float(levels[i]))
        one.update(mask=masks[i : i + 1])
        alone = _sample(y[i : i + 1], one, prior, method, [item])
        assert (together[:, i : i + 1] - alone).abs().max() < TOLERANCE


@pytest.mark.parametrize("name", [name for name in PROBLEMS if name.startswith("white")])
def test_nothing_is_mutated(name) -> None:
    given = problem(name)
    before = [part.clone() for part in parts(given.y)]
    state = (
        {key: value.clone() for key, value in given.physics.state_dict().items()}
        if hasattr(given.physics, "state_dict")
        else {}
    )
    for method in METHODS:
        try:
            own = _steps(method, 2)
            inverse.sample(given.y, given.physics, given.prior, method=method, samples=1, shape=given.shape, **own)
        except inverse.errors.RecipeError:
            assert method == "ddrm" or (method == "reverse" and name != "white-denoise")
    assert all(torch.equal(a, b) for a, b in zip(parts(given.y), before, strict=True))
    assert all(torch.equal(given.physics.state_dict()[key], value) for key, value in state.items())


def test_sample_k_is_the_same_in_every_range() -> None:
    given = problem("white-mask")
    run = lambda samples: inverse.sample(given.y, given.physics, given.prior, samples=samples, steps=5).samples  # noqa: E731
    whole = run(4)
    assert torch.equal(run(range(2, 4)), whole[2:])


def test_seeds_differ_and_repeat() -> None:
    given = problem("white-mask")
    run = lambda seed: inverse.sample(given.y, given.physics, given.prior, samples=1, steps=5, seed=seed).samples  # noqa: E731
    assert torch.equal(run(0), run(0))
    assert not torch.equal(run(0), run(1))


def test_the_cost_is_what_was_promised() -> None:
    for method, spec in METHODS.items():
        given = problem("white-denoise" if method == "reverse" else "white-mask")
        variants = [{"kernel": kernel} for kernel in ("ddim", "heun") if "kernel" in spec.parameters] or [{}]
        if "products" in spec.parameters:
            variants += [{**variant, "products": share} for variant in variants for share in (0.0, 0.3, 0.9)]
        for extra in variants:
            own = {**_steps(method, 7), **extra}
            cost = inverse.sample(given.y, given.physics, given.prior, method=method, samples=3, **own).cost
            forward, vjp = spec.cost(own)
            assert (cost.forward, cost.vjp) == (3 * forward, 3 * vjp), method
