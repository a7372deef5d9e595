"""Bad parameters and files: the class of the error, at most three lines, and what the message names."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from deepinv.physics import GaussianNoise, PoissonNoise

from inverse.errors import InputError, RecipeError
from inverse.operators.build import build_operator, operator_for

SHAPE = (3, 32, 40)
BAD = [
    ("gausian-blur", {}, RecipeError, "gaussian-blur"),
    ("gaussian-blur", {}, RecipeError, "needs 'sigma'"),
    ("gaussian-blur", {"sgima": 2.0}, RecipeError, "did you mean 'sigma'"),
    ("gaussian-blur", {"sigma": -1.0}, RecipeError, "a number > 0"),
    ("gaussian-blur", {"sigma": float("nan")}, RecipeError, "a number > 0"),
    ("gaussian-blur", {"sigma": "wide"}, RecipeError, "number"),
    ("gaussian-blur", {"sigma": 1.0, "boundary": "mirror"}, RecipeError, "reflect"),
    ("gaussian-blur", {"sigma": 20.0, "boundary": "free"}, InputError, "40 x 32"),
    ("motion-blur", {"length": 100, "angle": 10}, InputError, "40 x 32"),
    ("motion-blur", {"length": 0}, RecipeError, "a number >= 1"),
    ("random-mask", {"missing": 1.0}, RecipeError, "less than 1"),
    ("random-mask", {"missing": 0.5, "seed": -1}, RecipeError, "0"),
    ("box-mask", {"box": [0, 0, 33, 10]}, InputError, "32 rows and 40 columns"),
    ("box-mask", {"box": [5, 5, 5, 10]}, InputError, "top < bottom"),
    ("box-mask", {"box": [1, 2, 3]}, RecipeError, "box"),
    ("downsample", {"factor": 1}, RecipeError, "2"),
    ("downsample", {"factor": 2.5}, RecipeError, "integer"),
    ("downsample", {"factor": 4, "filter": "lanczos"}, RecipeError, "bicubic"),
    ("downsample", {"factor": 64, "filter": "bicubic"}, InputError, "40 x 32"),
    ("denoise", {"strength": 1}, RecipeError, "strength"),
    ("kernel-blur", {"file": "missing.npy"}, InputError, "missing.npy"),
    ("kernel-blur", {"file": ""}, RecipeError, "file"),
    ("kernel-blur", {"file": "zero.npy"}, InputError, "sums to 0"),
    ("kernel-blur", {"file": "cube.npy"}, InputError, "2-D"),
    ("kernel-blur", {"file": "text.npy"}, InputError, "text.npy"),
    ("kernel-blur", {"file": "nan.npy"}, InputError, "NaN"),
    ("kernel-blur", {"file": "broken.npy"}, InputError, "broken"),
    ("kernel-blur", {"file": "objects.npy"}, InputError, "objects.npy"),
    ("kernel-blur", {"file": "large.npy", "boundary": "free"}, InputError, "90 x 90"),
    ("file-mask", {"file": "small.npy"}, InputError, "9 x 8 pixels for an image of 40 x 32"),
    ("file-mask", {"file": "nothing.npy"}, InputError, "no pixel"),
    ("matrix", {"file": "small.npy"}, InputError, "3840"),
    ("matrix", {"file": "two.npz"}, InputError, "2 arrays"),
    ("matrix", {"file": "text.npy"}, InputError, "not a .npy"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("bad")
    np.save(made / "zero.npy", np.zeros((3, 3)))
    np.save(made / "cube.npy", np.ones((3, 3, 3)))
    np.save(made / "nan.npy", np.array([[1.0, np.nan]]))
    np.save(made / "large.npy", np.ones((90, 90)))
    np.save(made / "small.npy", np.ones((8, 9)))
    np.save(made / "nothing.npy", np.zeros((32, 40)))
    np.save(made / "objects.npy", np.array([[{}, 1]], dtype=object), allow_pickle=True)
    np.savez(made / "two.npz", np.ones((2, 2)), np.ones((2, 2)))
    (made / "text.npy").write_text("this is not an array")
    (made / "broken.npy").write_bytes((made / "large.npy").read_bytes()[:200])
    return made


@pytest.mark.parametrize(("kind", "params", "error", "words"), BAD, ids=lambda value: str(value)[:40])
def test_bad_parameters(kind, params, error, words, folder):
    if params.get("file"):
        params = {**params, "file": str(folder / params["file"])}
    with pytest.raises(error) as caught:
        build_operator(kind, shape=SHAPE, **params)
    message = str(caught.value)
    assert words in message
    assert message.count("\n") <= 2
    assert str(folder) not in message, "no absolute paths"


@pytest.mark.parametrize(
    "noise",
    [
        -0.1,
        float("nan"),
        float("inf"),
        "auto",
        "loud",
        True,
        {"kind": "poisson"},
        {"sigma": -1},
        {"sgima": 1},
        [[0.1]],
        [],
        pytest.param(object(), id="an object"),
    ],
    ids=str,
)
def test_bad_noise(noise):
    with pytest.raises(RecipeError) as caught:
        build_operator("denoise", shape=SHAPE, noise=noise)
    assert str(caught.value).count("\n") <= 2


@pytest.mark.parametrize(
    ("noise", "sigma"), [(None, 0.0), (0.02, 0.02), (0, 0.0), ({"sigma": 0.3}, 0.3), (np.float32(0.5), 0.5)]
)
def test_noise(noise, sigma):
    physics = build_operator("denoise", shape=SHAPE, noise=noise)
    assert isinstance(physics.noise_model, GaussianNoise)
    assert float(physics.noise_model.sigma) == pytest.approx(sigma)


def test_noise_of_each_item_and_models():
    physics = build_operator("denoise", shape=SHAPE, noise=[0.1, 0.2])
    assert physics.noise_model.sigma.tolist() == pytest.approx([0.1, 0.2])
    given = torch.tensor([0.1, 0.2])
    physics = build_operator("denoise", shape=SHAPE, noise=given)
    physics.noise_model.sigma.zero_()
    assert given.tolist() == pytest.approx([0.1, 0.2])
    model = PoissonNoise(0.1)
    built = build_operator("denoise", shape=SHAPE, noise=model).noise_model
    assert isinstance(built, PoissonNoise)
    assert built is not model


def test_shapes():
    with pytest.raises(RecipeError, match="acts on images"):
        build_operator("gaussian-blur", shape=(10,), sigma=1.0)
    with pytest.raises(RecipeError, match="at least 1"):
        build_operator("denoise", shape=(3, 0, 4))
    with pytest.raises(RecipeError, match="no kind"):
        build_operator({"sigma": 1.0}, shape=SHAPE)
    with pytest.raises(RecipeError, match="unknown operator"):
        operator_for({"kind": "x"}, SHAPE)
