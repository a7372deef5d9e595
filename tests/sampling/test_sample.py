"""The calls: refusals before the first network evaluation, kernels, levels, the generator, deepinv's interface."""

from __future__ import annotations

import itertools

import pytest
import torch
from deepinv.physics import GaussianNoise, LinearPhysics

import inverse
from inverse.errors import InputError, InverseError, PriorError, RecipeError, UsageError
from inverse.exact.gaussian import problem
from inverse.numerics.linalg import scale
from inverse.priors.models.gaussian import GaussianPrior
from inverse.sampling.kernels import ddim, zeta_mix
from inverse.sampling.start import noise_levels


def _never(x, sigma):
    raise AssertionError("the network was called")


_never.card = GaussianPrior().card


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"method": "diffpr"}, RecipeError, "did you mean 'diffpir'"),
        ({"zetta": 1.0}, RecipeError, "did you mean 'zeta'"),
        ({"zeta": 2.0}, RecipeError, "from 0 to 1"),
        ({"steps": 0}, RecipeError, "from 1"),
        ({"steps": 2.5}, RecipeError, "whole number"),
        ({"samples": 0}, UsageError, "samples 0"),
        ({"batch": 0}, UsageError, "batch 0"),
        ({"dtype": "float16"}, UsageError, "allowed: auto"),
        ({"items": ["a", "b"]}, InputError, "2 item names"),
        ({"sigma_max": 0.01, "sigma_min": 0.1}, RecipeError, "sigma_min <= sigma_max"),
    ],
)
def test_wrong_arguments_are_refused_before_the_network_is_called(change, error, match) -> None:
    given = problem("white-mask")
    with pytest.raises(error, match=match) as caught:
        inverse.sample(given.y, given.physics, _never, **change)
    assert len(str(caught.value).splitlines()) <= 3


def test_a_method_that_does_not_fit_names_those_that_do() -> None:
    given = problem("white-free-blur")
    with pytest.raises(RecipeError, match="try: dps, pigdm, tmpd, mmps, diffpir"):
        inverse.sample(given.y, given.physics, _never, method="ddrm", shape=given.shape)


def test_measurements_that_are_not_finite_or_have_no_noise_model_are_refused() -> None:
    given = problem("white-mask")
    y = given.y.clone()
    y[0, 0, 0, 0] = float("nan")
    with pytest.raises(InputError, match="1 values that are not finite"):
        inverse.sample(y, given.physics, _never)
    physics = given.physics.clone()
    physics.noise_model = torch.nn.Identity()
    with pytest.raises(InputError, match="noise model is Identity"):
        inverse.sample(given.y, physics, _never)


def test_a_prior_with_other_channels_or_a_larger_minimum_is_refused() -> None:
    given = problem("white-mask")
    card = GaussianPrior().card
    for change, error in (({"channels": 3}, PriorError), ({"minimum_size": 32}, InputError)):
        prior = type("Prior", (), {"card": card.model_copy(update=change), "__call__": staticmethod(_never)})()
        with pytest.raises(error):
            inverse.sample(given.y, given.physics, prior)


@pytest.mark.parametrize("method", ["dps", "pigdm", "diffpir", "ddrm"])
def test_no_noise_at_all_is_finite(method) -> None:
    for kind, params in (("random-mask", {"missing": 0.5}), ("downsample", {"factor": 2})):
        physics = inverse.build_operator(kind, shape=(1, 16, 16), noise=0.0, **params)
        y = inverse.simulate(torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0)), physics)
        post = inverse.sample(y, physics, "gaussian", method=method, samples=1, steps=4)
        assert post.samples.isfinite().all()


def test_kernels_keep_the_noise_level() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, noise = torch.zeros(1, 200_000), torch.randn(2, 200_000, generator=generator)
    x = mean + 2.0 * noise[:1]

    def posterior(state, level):
        return mean

    for eta in (0.0, 0.5, 1.0):
        by_eta = ddim(posterior, x, 2.0, 1.0, lambda: noise[1:], None, eta=eta)[0]
        assert float(by_eta.std()) == pytest.approx(1.0, abs=0.01)
        by_zeta = zeta_mix(posterior, x, 2.0, 1.0, lambda: noise[1:], None, zeta=eta)[0]
        assert float(by_zeta.std()) == pytest.approx(1.0, abs=0.01)
    deterministic = ddim(posterior, x, 2.0, 1.0, lambda: pytest.fail("noise was drawn"), None, eta=0.0)[0]
    assert torch.allclose(deterministic, x / 2)


def test_levels() -> None:
    for kind in ("karras", "log"):
        levels = noise_levels(kind, sigma_max=10.0, sigma_min=0.01, steps=20)
        assert levels[0] == pytest.approx(10)
        assert levels[-2] == pytest.approx(0.01)
        assert levels[-1] == 0
        assert len(levels) == 21
        assert all(a > b for a, b in itertools.pairwise(levels))
    assert noise_levels("log", sigma_max=1.0, sigma_min=0.1, steps=1) == (1.0, 0.0)


def test_the_loop_belongs_to_the_caller() -> None:
    given = problem("white-mask")
    steps = list(inverse.steps(given.y, given.physics, given.prior, samples=2, steps=5))
    assert [step.index for step in steps] == list(range(5))
    assert steps[-1].x.shape == (2, *given.shape)
    post = inverse.sample(given.y, given.physics, given.prior, samples=2, steps=5, batch=2)
    assert torch.equal(post.samples[:, 0], steps[-1].x)


def test_progress_may_end_the_sampling() -> None:
    given = problem("white-mask")
    seen = []

    def stop(step):
        seen.append(step.index)
        if step.index == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        inverse.sample(given.y, given.physics, given.prior, samples=1, steps=5, progress=stop)
    assert seen == [0, 1, 2]


class _ComplexFourier(LinearPhysics):
    """A complex measurement of a two-channel real image: y = M F (x_0 + i x_1)."""

    def __init__(self, mask):
        super().__init__(noise_model=GaussianNoise(0.05))
        self.register_buffer("weight", mask)

    def A(self, x, **_):
        return self.weight * torch.fft.fft2(torch.complex(x[:, 0], x[:, 1]), norm="ortho")

    def A_adjoint(self, y, **_):
        image = torch.fft.ifft2(self.weight * y, norm="ortho")
        return torch.stack([image.real, image.imag], 1)


@pytest.mark.parametrize("method", ["dps", "pigdm", "diffpir"])
def test_complex_measurements_are_solved_to_the_exact_posterior(method) -> None:
    mask = (torch.rand(12, 12, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    physics = _ComplexFourier(mask)
    prior = GaussianPrior(0.0, 0.0625)
    x = 0.25 * torch.randn(1, 2, 12, 12, generator=torch.Generator().manual_seed(1))
    y = inverse.simulate(x, physics)
    assert y.is_complex()
    y = y * mask
    post = inverse.sample(
        y, physics, prior, method=method, samples=200, steps=100, **({"lam": 1.0} if method == "diffpir" else {})
    )
    exact = physics.A_adjoint(y) * (0.0625 / (0.0625 + 0.05**2))
    assert float((post.mean - exact).square().mean().sqrt()) < 0.25 * 1.5 / 200**0.5
    assert post.misfit.shape == (200, 1)
    assert float(scale(post.mean, torch.ones(1)).abs().max()) > 0


def test_a_deepinv_reconstructor() -> None:
    given = problem("white-mask")
    model = inverse.Reconstructor(given.prior, method="ddrm", steps=5, samples=2, items="position")
    assert torch.equal(
        model(given.y, given.physics),
        inverse.sample(given.y, given.physics, given.prior, method="ddrm", steps=5, samples=2).mean,
    )


def test_errors_are_public() -> None:
    assert issubclass(RecipeError, InverseError)
