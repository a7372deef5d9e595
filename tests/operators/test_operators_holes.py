"""Masks that say where a hole is, and those that do not, refused before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import inverse
from inverse.operators.clipping import clipped, is_blur
from inverse.operators.measurement import Measurement
from inverse.operators.observation import Observation
from inverse.recipes.recipe import load
from inverse.recipes.shortcuts import shortcuts
from inverse.restoration.case import make_case
from inverse.restoration.simulate import simulate_files

QUICK = {"prior": {"name": "gaussian"}, "method": {"kind": "diffpir", "steps": 2}, "run": {"samples": 2}}


def picture() -> Any:
    return (np.random.default_rng(0).random((32, 40, 3)) * 200 + 20).astype(np.uint8)


@pytest.mark.parametrize("recipe", ["inpaint", "cloud-gapfill", "landsat7-gapfill"])
def test_without_a_mask_nothing_is_thrown_away(recipe: str) -> None:
    with pytest.raises(inverse.InputError, match="nothing says") as error:
        inverse.restore(recipe, picture(), overrides=QUICK)
    assert "--mask MASK.png" in error.value.hint


def test_the_hole_is_what_has_no_value_in_the_file() -> None:
    values = picture().astype(np.float32) / 255
    values[4:12, 6:20] = np.nan
    post = inverse.restore("inpaint", values, overrides=QUICK, noise=0.05)
    assert np.isfinite(post.to_numpy()).all()
    share = post.data_share[0, 0]
    assert float(share[4:12, 6:20].max()) < 1e-3 < 0.1 < float(share[20:].min())
    case = make_case(load("inpaint", ["noise.sigma=0.05"]), _measurement(values))
    assert case.said[0] == "the hole is what has no value in the file: 8.75 % of the pixels"


def _measurement(values: Any) -> Measurement:
    y = torch.from_numpy(np.moveaxis(np.nan_to_num(values), -1, 0))[None]
    return Measurement(y, torch.from_numpy(~np.isnan(values[..., 0]))[None, None].float())


def test_what_was_simulated_is_restored(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.png")
    made = simulate_files("inpaint", tmp_path / "a.png", out=tmp_path / "sim", overrides=["noise.sigma=0.02"])
    assert made.exit_code == 0
    post = inverse.restore("inpaint", tmp_path / "sim" / "measured" / "a.tif", overrides=QUICK, noise=0.02)
    assert float((post.data_share < 1e-3).float().mean()) == pytest.approx(0.7, abs=0.05)


def test_a_mask_that_was_asked_for_is_used_and_named() -> None:
    case = make_case(load("inpaint", ["operator.missing=0.5", "noise.sigma=0.02"]), _measurement(picture() / 255.0))
    assert "50 % of the measured values are hidden by random-mask, and not used" in case.said[0].replace("49", "50")


@pytest.mark.parametrize(
    ("mask", "message"),
    [(np.ones((32, 40)), "has no hole: every pixel is observed"), (np.zeros((32, 40)), "no pixel as observed")],
)
def test_masks_without_a_hole_or_without_a_measured_pixel(mask: Any, message: str) -> None:
    with pytest.raises(inverse.InputError, match=message):
        inverse.restore("inpaint", picture(), mask=mask, overrides=QUICK)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ((np.arange(32 * 40).reshape(32, 40) / 5), "% of the mask is neither black nor white"),
        (np.pad(np.zeros((20, 20)), ((0, 12), (0, 20)), constant_values=1), "brightest value of the mask is 1 of 255"),
        (np.where(np.arange(40) < 20, 0, 255) * np.ones((32, 1)), ""),
    ],
)
def test_pictures_that_are_no_masks(mask: Any, message: str, tmp_path: Path) -> None:
    Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "m.png")
    given: dict[str, Any] = {"shape": (3, 32, 40), "file": str(tmp_path / "m.png")}
    if message:
        with pytest.raises(inverse.InputError, match=message):
            inverse.build_operator("file-mask", **given)
    else:
        assert float(inverse.build_operator("file-mask", **given).mask.mean()) == 0.5


def test_a_mask_beside_a_change_of_the_operator(tmp_path: Path) -> None:
    Image.fromarray(np.full((32, 40), 255, np.uint8)).save(tmp_path / "m.png")
    changes = shortcuts("super-resolution", ["operator.factor=2", "run.samples=3"], mask=tmp_path / "m.png")
    recipe = load("super-resolution", changes).located()
    first, last = recipe["operator"]["operators"]
    assert (first["factor"], last["kind"], recipe["run"]["samples"]) == (2, "file-mask", 3)


def test_a_mask_over_holes_of_the_file_that_leaves_nothing() -> None:
    values = picture().astype(np.float32) / 255
    values[:16] = np.nan
    mask = np.zeros((32, 40), bool)
    mask[:16] = True
    with pytest.raises(inverse.InputError, match="hides every pixel that has a value"):
        inverse.restore("inpaint", values, mask=mask, overrides=QUICK)


def test_clipped_values_are_found_at_plateaus_alone() -> None:
    rng = torch.Generator().manual_seed(0)
    smooth = torch.rand(1, 1, 64, 64, generator=rng) * 0.8 + 0.1
    assert clipped((smooth * 255).round() / 255) is None
    light = smooth.clone()
    light[..., 10:16, 10:16] = 1.0
    light[..., 40:44, 40:50] = 0.0
    found = clipped(light)
    assert found is not None
    assert (int((found == 1).sum()), int((found == -1).sum())) == (36, 40)
    assert clipped(torch.ones(1, 3, 20, 20)) is None
    hidden = torch.ones(1, 1, 64, 64)
    hidden[..., 10:16, 10:16] = 0
    hidden[..., 40:44, 40:50] = 0
    assert clipped(light, hidden) is None


def test_clipped_highlights_of_a_blur_are_no_measurement() -> None:
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    x = 0.4 + 0.1 * torch.sin(rows / 5) * torch.cos(columns / 7)
    x[28:34, 30:36] = 12.0
    physics = inverse.build_operator("gaussian-blur", shape=(1, 64, 64), sigma=2.0, boundary="reflect", noise=0.01)
    y = inverse.simulate(x[None, None], physics, seed=0).clamp(0, 1)
    recipe = load("deblur", ["noise.sigma=0.01"])
    case = make_case(recipe, y)
    assert "% of the values are clipped highlights" in case.said[-1]
    told = (case.physics.mask * case.physics.measured_mask)[0, 0] > 0
    assert not told[28:34, 28:38].any()  # the spot, and the light around it
    assert told[:10].all()
    y[..., 2:40, 2:40] = 1.0  # an overexposed sky is white deep inside
    sky = make_case(recipe, y)
    assert sky.physics.bounds[0, 0, 20, 20] == 1
    assert sky.physics.bounds[0, 0, 4, 20] == 0
    bright, dark = (torch.full((1, *sky.shape), value) for value in (3.0, 0.5))
    observation = Observation.create(sky.y, sky.physics, shape=sky.shape)
    assert float(observation.residual(bright)[0, 0, 20, 20]) == 0  # a bound that is kept has no residual
    assert float(observation.residual(dark)[0, 0, 20, 20]) == pytest.approx(0.5, abs=1e-3)
    mirrored = make_case(load("deblur", ["noise.sigma=0.01", "operator.boundary=reflect"]), y)
    assert "taken as they are" in mirrored.said[-1]
    assert not is_blur({"kind": "denoise"})
