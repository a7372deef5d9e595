"""The width of a blur from the image alone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import inverse
from inverse.errors import InputError, RecipeError
from inverse.io.content import Picture
from inverse.operators.blur.estimate import estimate_blur
from inverse.recipes.recipe import load
from inverse.restoration.case import make_case, open_case
from inverse.restoration.frame import frame

SIDE = 192


def scene(seed: int, exponent: float = 2.35) -> torch.Tensor:
    """A field of power-law spectrum (1, 1, H, W), from keyed noise."""
    rng = np.random.default_rng(seed)
    radius = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE))
    radius[0, 0] = 1
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((SIDE, SIDE))) * radius ** (-exponent / 2), s=(SIDE, SIDE))
    return torch.from_numpy(0.5 + 0.15 * field / field.std()).float()[None, None]


def blurred(operator: dict[str, Any], seed: int = 0) -> torch.Tensor:
    x = scene(seed)
    physics = inverse.build_operator({**operator, "boundary": "circular"}, shape=tuple(x.shape[1:]), noise=0.005)
    return inverse.simulate(x, physics, seed=seed)


@pytest.mark.parametrize("sigma", [0.8, 1.5, 3.0])
def test_the_width_of_a_gaussian(sigma: float) -> None:
    found = [
        estimate_blur(blurred({"kind": "gaussian-blur", "sigma": sigma}, seed)[0], "gaussian-blur") for seed in range(3)
    ]
    errors = np.array([one.values["sigma"] - sigma for one in found])
    stated = np.array([one.errors["sigma"] for one in found])
    assert np.abs(errors).max() < 0.1 * sigma + 0.05
    assert (np.abs(errors) < 3 * stated).all()
    assert (stated < 0.3 * sigma).all()


def test_the_radius_of_a_disc() -> None:
    found = estimate_blur(blurred({"kind": "defocus", "radius": 4.0})[0], "defocus")
    assert found.values["radius"] == pytest.approx(4.0, abs=0.15)


def test_the_path_of_a_motion() -> None:
    found = estimate_blur(blurred({"kind": "motion-blur", "length": 13.0, "angle": 30.0})[0], "motion-blur")
    assert found.values["length"] == pytest.approx(13.0, abs=0.6)
    assert found.values["angle"] == pytest.approx(30.0, abs=2)
    known = estimate_blur(
        blurred({"kind": "motion-blur", "length": 13.0, "angle": 30.0})[0], "motion-blur", {"angle": 30.0}
    )
    assert known.values["angle"] == pytest.approx(30.0)
    assert known.errors["angle"] == 0
    assert known.values["length"] == pytest.approx(13.0, abs=0.6)


def test_gain_and_offset_change_nothing() -> None:
    y = blurred({"kind": "gaussian-blur", "sigma": 2.0})[0]
    one, other = estimate_blur(y, "gaussian-blur"), estimate_blur(100 * y + 7, "gaussian-blur")
    assert one.values["sigma"] == pytest.approx(other.values["sigma"], rel=0.02)


def test_images_that_say_nothing() -> None:
    for y in (torch.zeros(1, 128, 128), torch.rand(1, 40, 128, generator=torch.Generator().manual_seed(0))):
        with pytest.raises(InputError, match="cannot be estimated"):
            estimate_blur(y, "gaussian-blur")


def test_auto_in_a_recipe() -> None:
    y = blurred({"kind": "gaussian-blur", "sigma": 1.5})
    recipe = {"operator": {"kind": "gaussian-blur", "sigma": "auto"}, "prior": {"name": "gaussian"}}
    case = make_case(load(recipe), y)
    assert "marginal likelihood" in case.said[0]
    margin = (case.shape[1] - SIDE) // 2
    assert margin == math.ceil(4 * 1.5) or abs(margin - 6) <= 1
    given = make_case(load({**recipe, "operator": {"kind": "gaussian-blur", "sigma": 1.5}}), y)
    assert given.said == ()


def test_a_shipped_blur_that_nobody_measured_is_called_so() -> None:
    y = blurred({"kind": "gaussian-blur", "sigma": 1.0})
    picture = Picture(array=y[0, 0].numpy(), format="npy", source="a.npy")

    def said(*overrides: str) -> tuple[str, ...]:
        recipe = load("deblur", overrides)
        return open_case(recipe, frame(picture, 0, recipe.data)).notes

    (sentence,) = said()
    assert "the recipe's own (sigma 2), not measured; the image looks like sigma " in sentence
    assert said("operator.sigma=1.9") == ()
    assert "not measured" not in " ".join(said("operator.sigma=auto"))


def test_auto_needs_a_measurement(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="auto is estimated from a measurement"):
        inverse.build_operator("gaussian-blur", shape=(3, 64, 64), sigma="auto")
    for value in (0, -1, 101, "automatic", True):
        with pytest.raises(RecipeError):
            load({"operator": {"kind": "gaussian-blur", "sigma": value}})


def test_a_picture_without_motion_is_refused_before_work() -> None:
    recipe = load("deblur-motion", ["operator.length=auto", "operator.angle=auto"])
    sharp = scene(1) + 0.005 * torch.from_numpy(np.random.default_rng(2).standard_normal((1, 1, SIDE, SIDE))).float()
    with pytest.raises(InputError, match="no motion found: length") as error:
        make_case(recipe, sharp)
    assert "restore denoise" in error.value.hint
    known = load("deblur-motion", ["operator.length=2", "operator.angle=auto"])
    make_case(known, sharp)  # a length that somebody gave is taken
