"""`inverse.testing`: each assertion holds for parts that are right, and names the number for parts that are not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import deepinv
import numpy as np
import pytest
import torch
from torch import Tensor

import inverse
import inverse.io
from inverse import testing
from inverse.exact.gaussian import problem
from inverse.io.content import Picture, Volume
from inverse.metrics.registry import Metric
from inverse.priors.models.gaussian import GaussianPrior
from inverse.sampling.loop import Move, Sampler

SHAPE = (2, 9, 7)


class Shift(deepinv.physics.LinearPhysics):
    """Moves the image by one pixel; `wrong` breaks one of its properties."""

    def __init__(self, wrong: str = "") -> None:
        super().__init__(noise_model=deepinv.physics.GaussianNoise(0.05))
        self.wrong = wrong

    def A(self, x: Tensor, **params: Any) -> Tensor:
        moved = x.roll(1, -1)
        moved = moved + 0.01 * x.square() if self.wrong == "linearity" else moved
        moved = moved + 0.01 * x.mean(0) if self.wrong == "batch" else moved
        return moved.detach() + 0 * x if self.wrong == "gradient" else moved

    def A_adjoint(self, y: Tensor, **params: Any) -> Tensor:
        return y.roll(1 if self.wrong == "adjoint" else -1, -1)


def test_an_operator_that_is_right_passes() -> None:
    rows = testing.assert_operator(Shift(), SHAPE)
    assert {"adjoint", "linearity", "gradient", "batch", "norm"} <= set(rows)
    assert all(row.ok for row in rows.values())
    assert testing.assert_adjoint(Shift(), SHAPE, seed=4).value < 1e-5
    assert testing.assert_linear(Shift(), SHAPE, dtype=torch.float64).limit < 1e-13 * 1e3
    assert testing.assert_gradient(Shift(), SHAPE).ok


def test_operators_are_checked_by_name_and_by_singular_basis() -> None:
    assert testing.assert_operator("haze")["gradient"].ok
    physics = inverse.build_operator("gaussian-blur", shape=SHAPE, sigma=1.0, boundary="reflect")
    assert set(testing.assert_svd(physics, SHAPE)) >= {"basis", "isometry", "U_adjoint", "svd"}
    with pytest.raises(TypeError, match="shape"):
        testing.assert_operator(physics)
    with pytest.raises(AssertionError, match=r"basis, isometry, U_adjoint, svd cannot be measured; there are adjoint"):
        testing.assert_svd(Shift(), SHAPE)


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        ("adjoint", testing.assert_adjoint),
        ("linearity", testing.assert_linear),
        ("gradient", testing.assert_gradient),
        ("batch", testing.assert_operator),
    ],
)
def test_an_operator_that_is_wrong_is_told_by_the_number(wrong: str, check: Any) -> None:
    with pytest.raises(AssertionError, match=rf"Shift on \(2, 9, 7\): .*{wrong} [0-9.e-]+, at most 1"):
        check(Shift(wrong), SHAPE)


@dataclass(frozen=True)
class Told(Sampler):
    """A sampler that is told the exact posterior, and draws it with another spread or mean."""

    name: str
    spread: float = 1.0
    offset: float = 0.0

    def step(self, denoise, x, sigma, sigma_next, observation, rng, index, memory) -> Move:
        given = problem(self.name)
        values, directions = torch.linalg.eigh(given.covariance)
        unit = rng.normal(x, step=index, stream="told").double().reshape(len(x), -1)
        draws = given.mean + self.offset * values.mean().sqrt() + self.spread * (unit * values.sqrt()) @ directions.T
        draws = draws.reshape(x.shape).to(x)
        return Move(draws, draws)


@pytest.mark.parametrize("name", ["white-mask", "coloured-blur", "white-mri"])
def test_exact_samples_pass_the_gate_and_others_do_not(name: str) -> None:
    for seed in range(2):
        testing.assert_exact(Told(name), problems=[name], samples=60, seed=seed, steps=1)
    with pytest.raises(
        AssertionError, match=rf"method Told, 60 samples: {name}: .*std_range is off by 0\.1[0-9]*, all"
    ):
        testing.assert_exact(Told(name, spread=0.87), problems=[name], samples=60, steps=1)
    testing.assert_exact(Told(name, spread=0.87), problems=[name], samples=60, steps=1, std=0.2, chi2=0.4, mean=0.1)
    with pytest.raises(AssertionError, match="mean_range is off by"):
        testing.assert_exact(Told(name, offset=1.5), problems=[name], samples=60, steps=1)


def test_standard_errors_are_those_of_repeated_draws() -> None:
    given, count = problem("coloured-blur"), 20
    values, directions = torch.linalg.eigh(given.covariance)
    generator = torch.Generator().manual_seed(0)
    unit = torch.randn(100, count, len(values), dtype=torch.float64, generator=generator)
    draws = given.mean + (unit * values.sqrt()) @ directions.T
    biases = [given.bias(row.reshape(count, 1, *given.shape).float()) for row in draws]
    errors = testing.monte_carlo(given, count)
    for name, numbers in {
        "std_range": [bias.std_range for bias in biases],
        "mean_range": [bias.mean_range**2 for bias in biases],
        "chi2": [bias.chi2 for bias in biases],
    }.items():
        # a standard deviation from 100 draws is uncertain by 7 %
        assert float(np.std(numbers)) == pytest.approx(getattr(errors, name), rel=0.28), name


def test_registered_methods_are_gated_by_name() -> None:
    testing.assert_exact("exact", samples=50)
    testing.assert_exact("pigdm", problems=["white-mask"], samples=50, std=0.1, mean=0.1, chi2=0.1)
    with pytest.raises(AssertionError, match="method red-diff, 20 samples: white-mask: chi2 is off by"):
        testing.assert_exact("red-diff", problems=["white-mask"], samples=20, steps=20)


def test_batches_are_their_items() -> None:
    assert testing.assert_batch_invariant("diffpir", items=3) < 1e-5
    blur = {"operator": "gaussian-blur", "operator_params": {"sigma": 1.0}}
    assert testing.assert_batch_invariant("ddrm", items=2, **blur) < 1e-4
    with pytest.raises(AssertionError, match=r"method diffpir, 2 items: one by one they differ by 0.*; allowed -1"):
        testing.assert_batch_invariant("diffpir", items=2, tolerance=-1)


def test_a_prior_is_a_denoiser_in_data_units() -> None:
    assert testing.assert_prior("photo", gradient=False)["batch"] < 1e-4
    assert testing.assert_prior(GaussianPrior(0.5, 0.04), shape=(1, 16, 12))["far"] < 3
    assert testing.assert_prior(lambda x, sigma: 0.5 + (x - 0.5) / (1 + sigma.reshape(-1, 1, 1, 1) ** 2))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda x, s: x.mean(0, keepdim=True).expand_as(x), "alone and in a batch differ by"),
        (lambda x, s: x[..., :-1], "its answer is of shape"),
        (lambda x, s: x.double(), "float64, expected torch.float32"),
        (lambda x, s: x * float("nan"), "not finite|standard deviations from its mean"),
        (lambda x, s: 2 * x - 1, "changes its input|standard deviations from its mean"),
        (lambda x, s: (0.5 + (x - 0.5) / (1 + s.reshape(-1, 1, 1, 1) ** 2)).detach(), "no gradient"),
        (lambda x, s: 0.5 + (x - 0.5) / (1 + s[:1].reshape(-1, 1, 1, 1) ** 2), "are its noise levels one an item"),
    ],
)
def test_a_prior_that_is_none_is_told_why(wrong: Any, message: str) -> None:
    class Own:
        card = GaussianPrior(0.5, 0.04).card.model_copy(update={"sigma_min": 1e-3, "sigma_max": 10.0})

        def __call__(self, x: Tensor, sigma: Any) -> Tensor:
            level = torch.as_tensor(sigma).reshape(-1).expand(len(x)) / 0.2
            return wrong(x, level)

    with pytest.raises(AssertionError, match=message):
        testing.assert_prior(Own(), shape=(1, 16, 16))


@pytest.mark.parametrize("name", ["psnr", "ssim", "mae", "sam", "crps", "energy"])
def test_our_metrics_pass(name: str) -> None:
    assert testing.assert_metric(name).shape == (4,)


def test_a_metric_that_is_wrong_is_told_why() -> None:
    def error(prediction: Tensor, truth: Tensor, *, data_range: float) -> Tensor:
        return (prediction - truth).abs().mean((1, 2, 3)) / data_range

    spec = Metric("mine", error, "", False, "mean error over {range}")
    assert testing.assert_metric(spec).tolist() == sorted(testing.assert_metric(spec).tolist())
    for wrong, message in {
        replace(spec, higher_is_better=True): "do not get worse",
        replace(spec, definition="mean error"): "does not say {range}",
        replace(spec, compute=lambda p, t, *, data_range: (p - t).abs().mean((1, 2, 3))): "data_range 1 and 255",
        replace(spec, compute=lambda p, t, *, data_range: (p - t).abs().mean() / data_range): r"expected \(4,\)",
        replace(spec, compute=lambda p, t, *, data_range: error(p, t, data_range=(p - t).abs().max())): "in a batch",
        replace(spec, compute=lambda p, t, *, data_range: error(p, t, data_range=0.0)): "not all finite",
        replace(spec, compute=lambda p, t, *, data_range: error(p.mul_(2), t, data_range=1.0)): "changed its arguments",
    }.items():
        with pytest.raises(AssertionError, match=message):
            testing.assert_metric(wrong)
    with pytest.raises(TypeError, match="kind set"):
        testing.assert_metric(replace(spec, kind="set"))


def test_files_come_back(tmp_path) -> None:
    array = np.random.default_rng(0).integers(0, 2**16, (9, 7, 3)).astype(np.uint16)
    picture = Picture(array=array, format="png", dpi=(72.0, 72.0), alpha=array[..., 0])
    back = testing.assert_round_trip(picture, tmp_path / "a.png", keeps=("alpha",))
    assert isinstance(back, Picture)
    testing.assert_round_trip(replace(picture, alpha=None, dpi=None, format="npy"), tmp_path / "a.npy")
    np.savez(tmp_path / "stack.npz", stack=array.transpose(2, 0, 1).astype(np.float32))
    volume = inverse.io.read(tmp_path / "stack.npz")
    assert isinstance(volume, Volume)
    assert isinstance(testing.assert_round_trip(volume, tmp_path / "a.npz"), Volume)
    photo = Picture(array=np.full((16, 16, 3), 90, np.uint8) + (array[:1, :1] % 3).astype(np.uint8), format="jpeg")
    testing.assert_round_trip(photo, tmp_path / "a.jpg", tolerance=3)
    noisy = Picture(array=(array % 256).astype(np.uint8), format="jpeg")
    with pytest.raises(AssertionError, match=r"jpeg a.jpg: \d+ values of array differ, by \d+, allowed 0"):
        testing.assert_round_trip(noisy, tmp_path / "a.jpg")
    with pytest.raises(AssertionError, match="description is"):
        testing.assert_round_trip(
            replace(picture, format="npy", alpha=None, dpi=None, description="x"), tmp_path / "b.npy"
        )
