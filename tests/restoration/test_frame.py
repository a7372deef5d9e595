"""The frame of a restored array: what the unknown has past it is computed, and cropped once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import inverse
from inverse.recipes.recipe import load
from inverse.restoration.case import make_case
from inverse.restoration.item import statistics

FREE = {"kind": "gaussian-blur", "sigma": 1.5, "boundary": "free"}


@pytest.fixture
def array(make_recipe: Any) -> np.ndarray:
    """What the operator makes of a draw of the prior."""
    case = make_case(load(make_recipe(operator=FREE)), torch.zeros(1, 3, 32, 40))
    x = 0.5 + 0.25 * torch.randn(1, *case.shape, generator=torch.Generator().manual_seed(0))
    y = inverse.simulate(x, case.physics, seed=0)
    return np.ascontiguousarray(np.moveaxis(y[0].numpy(), 0, -1))


def test_an_array_gives_a_posterior_in_its_frame(array: np.ndarray, make_recipe: Any) -> None:
    post = inverse.restore(make_recipe(operator=FREE), array, samples=3)
    top, left, height, width = post.crop
    assert (height, width) == (32, 40)
    assert min(top, left) > 0
    assert post.states.shape == (3, 1, 3, 32 + 2 * top, 40 + 2 * left)
    for image in (post.mean, post.std, post.quantile(0.9), post.data_share, post.invented, post.samples[0]):
        assert image.shape == (1, 3, 32, 40)
    assert torch.equal(post.samples, post.states[..., top : top + 32, left : left + 40])
    torch.testing.assert_close(post.mean, post.samples.mean(0))
    assert float(post.misfit.mean()) == pytest.approx(1, abs=0.3)


def test_without_a_free_boundary_nothing_is_cropped(array: np.ndarray, make_recipe: Any) -> None:
    post = inverse.restore(make_recipe(), array, samples=1)
    assert post.crop is None
    assert post.samples.shape == (1, 1, 3, 32, 40)


def test_sample_does_not_crop_and_statistics_crop_once(array: np.ndarray, make_recipe: Any) -> None:
    recipe = load(make_recipe(operator=FREE))
    y = torch.from_numpy(np.moveaxis(array, -1, 0).copy())[None]
    case = make_case(recipe, y)
    post = inverse.sample(case.y, case.physics, "gaussian", samples=2, steps=4, shape=case.shape)
    assert post.crop is None
    assert post.mean.shape[1:] == case.shape
    once, again = statistics(post, case), statistics(replace(post, crop=case.crop), case)
    assert once["mean"].shape == (3, 32, 40)
    assert all(torch.equal(once[name], again[name]) for name in once)
