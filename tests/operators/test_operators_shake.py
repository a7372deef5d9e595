"""The kernel of a camera that shook: found in the photograph, uncertain where it is, refused where it cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve
from skimage import data

import inverse
from inverse.errors import InputError, RecipeError, UsageError
from inverse.operators.blur.shake import _correlation, _matches, _moved, _shift
from inverse.operators.build import fitted_operator
from inverse.operators.catalogue import is_drawn
from inverse.operators.measurement import Measurement
from inverse.recipes.recipe import load
from inverse.recipes.shortcuts import shortcuts

PATH = np.zeros((9, 9))
PATH[[2, 2, 3, 4, 5, 6, 6], [1, 2, 3, 3, 4, 5, 6]] = (0.1, 0.1, 0.2, 0.2, 0.2, 0.1, 0.1)  # a bent line
POINT = np.pad(np.ones((1, 1)), 4)
SHARP = data.coffee().mean(-1)[60:268, 150:358] / 255


BLURRED = fftconvolve(SHARP, PATH, "valid") + np.random.default_rng(0).normal(0, 0.005, (200, 200))
TAKEN = torch.from_numpy(BLURRED)[None, None].float()


@pytest.fixture(scope="module")
def fitted() -> Any:
    return fitted_operator({"kind": "camera-shake", "size": 9}, Measurement(TAKEN))


def test_a_bent_path_is_found(fitted: Any) -> None:
    kernel = np.asarray(fitted.build(0.01).kernel)
    assert kernel.sum() == pytest.approx(1)
    assert kernel.min() >= 0
    assert _correlation(kernel, PATH) > 0.85 > 0.6 > _correlation(POINT, PATH)
    assert _correlation(kernel, PATH) > _correlation(kernel, PATH[::-1, ::-1]) + 0.05  # a convolution
    assert "camera shake over" in fitted.said[0]
    assert fitted.shape == (1, 208, 208)


def test_the_frame_of_a_hole_is_no_edge_of_the_scene() -> None:
    """Taken for one, the correlation with the path was 0.63."""
    valid = torch.ones_like(TAKEN)
    valid[..., 60:110, 80:130] = 0
    found = fitted_operator({"kind": "camera-shake", "size": 9}, Measurement(TAKEN * valid, valid=valid))
    assert _correlation(np.asarray(found.build(0.01).kernel), PATH) > 0.85


def test_the_operator_blurs_as_the_camera_did_and_draws_its_doubt(fitted: Any) -> None:
    sharp = torch.from_numpy(SHARP)[None, None].float()
    own = fitted.build(0.01).A(sharp)
    truth = fftconvolve(SHARP, _moved(PATH, _shift(PATH, np.asarray(fitted.build(0.01).kernel))), "valid")
    assert np.std(own[0, 0].numpy() - truth) < 0.3 * np.std(SHARP[4:-4, 4:-4] - truth)
    other = fitted.drawn([1.0, -1.0, 0.5])(0.01).A(sharp)
    assert 1e-4 < float((other - own).std()) < 0.03
    assert is_drawn({"kind": "camera-shake"})
    assert torch.equal(fitted.drawn([0.0, 0.0, 0.0])(0.01).A(sharp), own)


def test_kernels_are_moved_onto_each_other() -> None:
    away = _moved(PATH, [1, -1])
    assert _shift(away, PATH) == [-1, 1]
    assert np.allclose(_moved(away, [-1, 1]), PATH)
    assert _matches(away, PATH).max() == pytest.approx(float((PATH**2).sum()))


def test_a_path_is_drawn_for_a_simulation() -> None:
    first, again, other = (
        np.asarray(inverse.build_operator("camera-shake", shape=(1, 40, 40), size=9, seed=seed).kernel)
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_what_cannot_be_told_is_refused() -> None:
    with pytest.raises(InputError, match="does not tell a kernel of 21 x 21") as caught:
        fitted_operator({"kind": "camera-shake"}, Measurement(torch.zeros(1, 3, 48, 64)))
    assert "operator.size=15" in caught.value.hint
    with pytest.raises(InputError, match="raw k-space"):
        fitted_operator({"kind": "camera-shake"}, Measurement(torch.zeros(1, 1, 64, 64, dtype=torch.complex64)))
    noise = np.random.default_rng(0).normal(0.5, 0.1, (1, 1, 64, 64))
    with pytest.raises(InputError, match="no shake that is sure: three estimates of the kernel agree to") as caught:
        fitted_operator({"kind": "camera-shake", "size": 9}, Measurement(torch.from_numpy(noise).float()))
    assert "operator.agreement=0" in caught.value.hint
    narrow = fitted_operator({"kind": "camera-shake", "size": 3}, Measurement(TAKEN[..., :96, :96]))
    assert "it fills its window" in narrow.said[0]
    with pytest.raises(UsageError, match="--mask does not go with camera-shake"):
        shortcuts(load("deblur-shake"), mask=__file__)
    chain = {"kind": "chain", "operators": [{"kind": "camera-shake"}, {"kind": "downsample", "factor": 2}]}
    with pytest.raises(RecipeError, match="no camera-shake, which is found in the image alone"):
        inverse.build_operator(chain, shape=(1, 64, 64))
    with pytest.raises(RecipeError, match="an odd number"):
        inverse.build_operator("camera-shake", shape=(1, 40, 40), size=10)
