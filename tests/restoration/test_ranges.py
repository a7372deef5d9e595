"""Values in other units than the prior's are refused before any work, with the way out."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import inverse
from inverse.errors import InputError
from inverse.operators.build import build_operator
from inverse.recipes.recipe import load
from inverse.restoration.case import few_bits, make_case, require_range

PICTURE = np.random.default_rng(0).random((1, 3, 32, 32)).astype("f4")


def refused(values, recipe, card=None, overrides=()):
    recipe = load(recipe, overrides)
    case = make_case(recipe, torch.as_tensor(values))
    try:
        require_range(case, recipe, card)
    except InputError as error:
        return error
    return None


def test_0_to_255_where_0_to_1_is_meant():
    error = refused(255 * PICTURE, "denoise")
    assert "where the recipe and its prior mean 0 to 1" in error.message
    assert "-s data.scale=auto" in error.hint
    assert "data.scale=[0,255]" in error.hint
    assert "data.scale=[0,4095]" in refused(4000 * PICTURE, "denoise").hint


@pytest.mark.parametrize("recipe", ["denoise", "deblur", "super-resolution"])
def test_of_several_operators(recipe):
    assert refused(255 * PICTURE, recipe) is not None
    assert refused(PICTURE, recipe) is None


def test_noise_and_highlights_are_no_other_units():
    rng = np.random.default_rng(1)
    assert refused((PICTURE + rng.normal(0, 0.8, PICTURE.shape)).astype("f4"), "denoise") is None
    bright = PICTURE.copy()
    bright[:, :, :2, :8] = 50
    assert refused(bright, "denoise") is None
    assert refused(1.3 * PICTURE, "denoise") is None


def test_who_says_what_is_black_and_white_is_believed():
    assert refused(255 * PICTURE, "denoise", overrides=["data.range=[0,255]"]) is None
    card = SimpleNamespace(data_range=(-1000.0, 2000.0))
    assert refused(1000 * PICTURE, "denoise", card) is None


def test_what_an_operator_sums_up_is_no_other_unit(tmp_path):
    """Each value is the sum of thirty-two pixels."""
    size = 32
    np.save(tmp_path / "sums.npy", np.kron(np.eye(size), np.ones((1, size))).astype("f4"))
    operator = {"kind": "matrix", "file": str(tmp_path / "sums.npy"), "measured": [1, 1, size]}
    physics = build_operator(operator, shape=(1, size, size))
    y = physics.A(torch.ones(1, 1, size, size))
    assert float(y.max()) == pytest.approx(size)
    case = SimpleNamespace(y=y, measured=y, physics=physics, shape=(1, size, size), complex=False)
    require_range(case, load("denoise"), None)
    case.y = case.measured = 255 * y
    with pytest.raises(InputError):
        require_range(case, load("denoise"), None)


def test_a_blur_without_any_noise_is_refused():
    with pytest.raises(InputError, match="a noise level of 0 under a blur"):
        inverse.restore("deblur", np.moveaxis(PICTURE[0], 0, -1), noise=0)


def test_arrays():
    with pytest.raises(InputError, match="values from") as caught:
        inverse.restore("denoise", 255 * np.moveaxis(PICTURE[0], 0, -1))
    assert "overrides=['data.scale=auto']" in caught.value.hint


def test_numbers_of_8_bits_scaled_as_if_of_16():
    error = refused(PICTURE * 255 / 65535, "denoise")
    assert "no value is above 0.0039" in error.message
    assert "-s data.scale=auto" in error.hint
    assert refused(PICTURE * 0.02, "denoise") is None
    assert refused(PICTURE * 0, "denoise", overrides=["noise.sigma=0.1"]) is None
    dark = ["operator.exposure=0.01", "noise={kind: gaussian, sigma: 0.001}"]
    assert refused(PICTURE * 0.004, "low-light", overrides=dark) is None
    with pytest.raises(InputError, match=r"no value is above"):
        inverse.restore("deblur", np.moveaxis(255 * PICTURE[0], 0, -1).astype(np.uint16))


def test_a_picture_too_bright_for_its_exposure_is_refused():
    error = refused(PICTURE, "low-light")
    assert "brighter than white at exposure 0.1" in error.message
    assert "-s operator.exposure=" in error.hint
    given = float(error.hint.partition("exposure=")[2].split()[0])
    assert refused(PICTURE, "low-light", overrides=[f"operator.exposure={given}"]) is None
    assert refused(0.1 * PICTURE, "low-light") is None


@pytest.mark.parametrize(("top", "said"), [(1000, "0 to 1023"), (4095, "0 to 4095"), (9000, "")])
def test_numbers_of_fewer_bits_in_16_are_named(top, said):
    picture = SimpleNamespace(array=np.full((4, 4), top, np.uint16))
    found = few_bits(SimpleNamespace(picture=picture), load("denoise"))
    assert said in found[0] if said else not found
    assert not few_bits(SimpleNamespace(picture=picture), load("denoise", ["data.scale=auto"]))
