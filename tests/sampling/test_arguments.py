"""Wrong arguments of the Python API end in errors of ours, before any work; a caller's defaults change no result."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import deepinv
import numpy as np
import pytest
import torch
from torch import Tensor

import inverse
from inverse.errors import InputError, InverseError, MemoryLimitError, PriorError, UsageError
from inverse.numerics.defaults import own_defaults
from inverse.operators.build import build_operator
from inverse.sampling.infer_card import infer_card

SHAPE = (3, 16, 16)
FEW: dict[str, Any] = {"samples": 2, "steps": 3}
EXACT = ["prior.name=gaussian", "method.kind=exact", "calibration=none"]


@pytest.fixture(scope="module")
def x() -> Tensor:
    return torch.rand(1, *SHAPE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def physics() -> Any:
    return build_operator("gaussian-blur", shape=SHAPE, sigma=1.0, noise=0.05, boundary="circular")


@pytest.fixture(scope="module")
def y(x: Tensor, physics: Any) -> Tensor:
    return inverse.simulate(x, physics)


@pytest.mark.parametrize(
    "change",
    [
        *({"y": value} for value in (None, [1, 2], "a", 3)),
        *({"physics": value} for value in (None, "gaussian-blur", lambda x: x, deepinv.physics.Blur)),
        *({"method": value} for value in (None, 3, "dpss")),
        *({"seed": value} for value in ("a", 1.5, None, -1, True, np.float64(2))),
        *({"items": value} for value in (3, "a", [1], ["a", "b"])),
        *({"samples": value} for value in (1.5, 0, "a", 10**9)),
        *({"device": "x"}, {"steps": "a"}, {"shape": "a"}, {"shape": (3, -1, 2)}, {"batch": 0}),
    ],
    ids=lambda wrong: repr(wrong).split(" at 0x")[0],
)
def test_sample_refuses(change: dict[str, Any], y: Tensor, physics: Any) -> None:
    arguments = {"y": y, "physics": physics, "prior": "gaussian", **FEW, **change}
    with pytest.raises(InverseError) as caught:
        inverse.sample(**arguments)
    assert len(str(caught.value).splitlines()) <= 3
    assert caught.value.exit_code == (6 if change.get("samples") == 10**9 else caught.value.exit_code)


@pytest.mark.parametrize(
    "change",
    [
        lambda y: y[..., :10],
        lambda y: y[:, :2],
        lambda y: y[0],
        lambda y: y[:0],
        lambda y: y + 0j,
        lambda y: y.to("meta"),
        lambda y: (255 * y).byte(),
        lambda y: y.half(),
    ],
)
@pytest.mark.parametrize("kind", ["blur", "denoise"])
def test_a_measurement_that_does_not_fit(change: Any, kind: str, y: Tensor, physics: Any) -> None:
    other = physics if kind == "blur" else build_operator("denoise", shape=SHAPE, noise=0.05)
    with pytest.raises(InputError):
        inverse.sample(change(y), other, "gaussian", **FEW)


def test_numpy_is_a_measurement_and_images(x: Tensor, y: Tensor, physics: Any) -> None:
    made = np.asarray(inverse.simulate(x.numpy(), physics))
    assert np.array_equal(np.sort(made, axis=None), np.sort(y.numpy(), axis=None))  # the channel may be last
    posts = [inverse.sample(given, physics, "gaussian", **FEW) for given in (y, y.numpy())]
    assert torch.equal(posts[0].samples, posts[1].samples)
    assert torch.equal(inverse.sample(y, physics, "gaussian", seed=np.int64(0), **FEW).samples, posts[0].samples)


@pytest.mark.parametrize("change", [lambda x: x[:, :2], lambda x: x[..., :10], lambda x: x[0], lambda x: x[:0], None])
def test_simulate_refuses(change: Any, x: Tensor, physics: Any) -> None:
    for arguments in ((change(x) if change else None, physics), (x, None)):
        with pytest.raises(InverseError):
            inverse.simulate(*arguments)
    for keywords in ({"seed": -1}, {"seed": "a"}, {"items": ["a", "b"]}):
        with pytest.raises(InverseError):
            inverse.simulate(x, physics, **keywords)
    with pytest.raises(UsageError):
        inverse.generate("gaussian", shape=SHAPE, steps=2, seed=-1)


@pytest.mark.parametrize(
    "array",
    [
        *(None, {}, 3, (), np.array(["a"])),
        *(np.zeros((0, 16, 16, 3)), np.zeros((16, 0, 3)), torch.zeros(0, 3, 16, 16), np.zeros((0, 4, 16, 16), complex)),
    ],
    ids=lambda value: f"{type(value).__name__}{getattr(value, 'shape', '')}",
)
def test_restore_refuses_arrays(array: Any) -> None:
    with pytest.raises((InputError, UsageError)):
        inverse.restore("denoise", array, overrides=EXACT)


def test_restore_refuses_other_arguments(x: Tensor) -> None:
    array = x[0].permute(1, 2, 0).numpy()
    cyclic: dict[str, Any] = {}
    cyclic["operator"] = cyclic
    for recipe in (None, 3, [1], cyclic, {(1, 2): 3}):
        with pytest.raises(InverseError):
            inverse.restore(recipe, array)  # type: ignore[call-overload]
    for change in ({"overrides": [3]}, {"overrides": 3}, {"options": 3}, {"seed": -1}, {"samples": "a"}, {"items": 3}):
        with pytest.raises(InverseError):
            inverse.restore("denoise", array, **{"overrides": EXACT, **change})
    one = inverse.restore({"operator": "denoise", "prior": "gaussian"}, array, overrides="method.kind=exact")
    assert one.method["kind"] == "exact"


def test_build_operator_refuses() -> None:
    for operator in (3, None, [1]):
        with pytest.raises(InverseError):
            build_operator(operator, shape=SHAPE)  # type: ignore[arg-type]
    for shape in (3, "abc", (3, 8.5, 8), (3, -8, 8), (), None):
        with pytest.raises(InverseError):
            build_operator("denoise", shape=shape)  # type: ignore[arg-type]
    for kind in ("denoise", "gaussian-blur"):
        with pytest.raises(MemoryLimitError):
            build_operator(kind, shape=(3, 10**9, 10**9), **({"sigma": 1.0} if kind != "denoise" else {}))
    for keywords in ({"noise": "a"}, {"device": "foo"}, {"dtype": "float32"}, {"dtype": torch.int32}):
        with pytest.raises(InverseError):
            build_operator("denoise", shape=SHAPE, **keywords)  # type: ignore[arg-type]


def test_a_posterior_refuses_quantiles_and_survives_a_pickle(y: Tensor, physics: Any) -> None:
    for own in (physics, deepinv.physics.Denoising(deepinv.physics.GaussianNoise(0.05))):
        post = inverse.sample(y, own, "gaussian", **FEW)
        for q in ("a", None, [0.5], True):
            with pytest.raises(UsageError, match="quantile"):
                post.quantile(q)
        again = pickle.loads(pickle.dumps(post))
        for name in ("mean", "misfit", "data_share", "invented"):
            assert torch.equal(getattr(again, name), getattr(post, name))


def white(x: Any, sigma: Any) -> Any:
    """A Gaussian prior of mean 0.5 and variance 0.0625, for numpy and torch."""
    return 0.5 + (x - 0.5) / (1 + (sigma**2 / 0.0625).reshape(-1, 1, 1, 1))


CONSTANT: dict[str, Callable[..., Any]] = {
    "numpy": lambda x, sigma: white(np.asarray(x), np.asarray(sigma)),
    "numpy and back": lambda x, sigma: torch.from_numpy(white(x.numpy(), sigma.numpy())),
    "without a graph": torch.no_grad()(white),
}


@pytest.mark.parametrize("name", sorted(CONSTANT))
def test_a_denoiser_that_autograd_cannot_follow_works_where_no_gradient_is_needed(
    name: str, y: Tensor, physics: Any
) -> None:
    found = inverse.sample(y, physics, CONSTANT[name], method="diffpir", **FEW)
    expected = inverse.sample(y, physics, white, method="diffpir", **FEW)
    assert torch.allclose(found.samples, expected.samples, atol=2e-3)
    with pytest.raises(PriorError, match="cannot be differentiated"):
        inverse.sample(y, physics, CONSTANT[name], method="dps", **FEW)


NONSENSE: dict[str, Callable[..., Any]] = {
    "shape": lambda x, sigma: white(x, sigma)[..., :5],
    "broadcast": lambda x, sigma: white(x, sigma).mean((1, 2, 3), keepdim=True),
    "none": lambda x, sigma: None,
    "list": lambda x, sigma: white(x, sigma).tolist(),
    "tuple": lambda x, sigma: (white(x, sigma),),
    "integers": lambda x, sigma: (255 * white(x, sigma)).int(),
    "complex": lambda x, sigma: white(x, sigma) + 0j,
    "nan": lambda x, sigma: x * float("nan"),
    "identity": lambda x, sigma: x,
    "no denoiser": lambda x, sigma: 0.9 * x,
    "no denoiser in numpy": lambda x, sigma: 0.9 * np.asarray(x),
    "minus": lambda x, sigma: -x,
    "no level": lambda x: x,
    "a layer": torch.nn.Conv2d(3, 3, 3),
}


@pytest.mark.parametrize("name", sorted(NONSENSE))
def test_what_is_no_denoiser_is_refused(name: str, y: Tensor, physics: Any) -> None:
    for method in ("diffpir", "dps"):
        with pytest.raises(PriorError) as caught:
            inverse.sample(y, physics, NONSENSE[name], method=method, **FEW)
        assert len(str(caught.value).splitlines()) <= 3


@pytest.mark.parametrize("prior", [lambda x, sigma: 1e6 * white(x, sigma), lambda x, sigma: 1e-4 * x])
def test_samples_that_explain_nothing_are_named(prior: Any, y: Tensor, physics: Any, caplog: Any) -> None:
    with caplog.at_level(logging.WARNING, logger="inverse"):
        inverse.sample(y, physics, prior, method="diffpir", samples=1, steps=6)
    assert "is the prior a denoiser" in caplog.text


@pytest.mark.parametrize("model", [deepinv.models.TVDenoiser(n_it_max=20), deepinv.models.MedianFilter(kernel_size=3)])
def test_denoisers_of_images_without_bounds_work(model: Any, y: Tensor, physics: Any) -> None:
    post = inverse.sample(y, physics, model, method="diffpir", samples=1, steps=6)
    assert float(post.misfit.mean()) < 10
    card, mean = infer_card(model, torch.zeros(1, *SHAPE), post.observation.counter)
    assert (card.data_var, float(mean.mean())) == (0.0625, 0.5)


@contextmanager
def defaults(kind: str) -> Iterator[None]:
    dtype, device = torch.get_default_dtype(), "meta" if kind == "meta" else None
    torch.set_default_dtype(getattr(torch, kind) if kind in ("float64", "bfloat16") else dtype)
    torch.set_default_device(device)
    try:
        if kind == "inference":
            with torch.inference_mode():
                yield
        elif kind == "autocast":
            with torch.autocast("cpu", dtype=torch.bfloat16):
                yield
        else:
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_default_device(None)


def results(x: Tensor) -> list[Tensor]:
    x = torch.cat([torch.cat([x, x.flip(-1)], -1), torch.cat([x.flip(-2), x], -1)], -2)  # as large as the prior wants
    shape = tuple(x.shape[1:])
    physics = inverse.build_operator("gaussian-blur", shape=shape, sigma=1.0, noise=0.05)
    y = inverse.simulate(x, physics)
    made = [y]
    for method, prior in (("dps", "photo"), ("diffpir", "gaussian")):
        post = inverse.sample(y, physics, inverse.open_prior(prior), method=method, samples=2, steps=1, seed=1)
        made += [post.samples, post.misfit, post.data_share, post.quantile(0.9), post.std, post.invented]
    array = x[0].permute(1, 2, 0).cpu().numpy()
    made.append(inverse.restore("denoise", array, overrides=["method.steps=1", "run.samples=1"]).mean)
    made.append(inverse.generate("photo", shape=shape, samples=1, steps=1))
    made += [step.x for step in inverse.steps(y, physics, "photo", method="pigdm", steps=1)]
    made.append(inverse.Reconstructor("photo", method="ddrm", steps=1, samples=1)(y, physics))
    return made


@pytest.fixture(scope="module")
def expected(x: Tensor) -> list[Tensor]:
    return results(x)


@pytest.mark.parametrize("kind", ["float64", "bfloat16", "inference", "meta", "autocast"])
def test_a_callers_defaults_change_no_result(kind: str, x: Tensor, expected: list[Tensor]) -> None:
    with defaults(kind):
        made = results(x)
        assert torch.get_default_dtype() == getattr(torch, kind if kind in ("float64", "bfloat16") else "float32")
    for index, (one, other) in enumerate(zip(made, expected, strict=True)):
        assert one.dtype == other.dtype, index
        assert torch.equal(one, other), index


def test_what_is_made_in_inference_mode_can_be_differentiated() -> None:
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        physics = deepinv.physics.Blur(torch.ones(1, 1, 3, 3) / 9, padding="circular")
        physics.noise_model = deepinv.physics.GaussianNoise(0.05)
        y = physics.A(x.clone())
    first = inverse.sample(y, physics, "photo", method="dps", **FEW).samples
    with torch.inference_mode():
        assert torch.equal(inverse.sample(y, physics, "photo", method="dps", **FEW).samples, first)


def test_defaults_are_the_callers_between_steps(y: Tensor, physics: Any) -> None:
    with defaults("float64"):
        for _ in inverse.steps(y, physics, "gaussian", steps=2):
            assert torch.get_default_dtype() == torch.float64
        with own_defaults(), own_defaults():  # the process's, which other threads have too
            assert torch.get_default_dtype() == torch.float64
        with pytest.raises(InverseError):
            inverse.sample(None, physics, "gaussian")
        assert torch.get_default_dtype() == torch.float64
