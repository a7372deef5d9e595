"""The exact priors: denoiser against quadrature or dense algebra, Jacobian against autograd, cards."""

from __future__ import annotations

import pytest
import torch

import inverse
from inverse.errors import PriorError
from inverse.operators.observation import Counter
from inverse.priors.models.callable import with_range
from inverse.priors.models.closed_form import Gaussian, Weighted, closed_form
from inverse.priors.models.gaussian import GaussianPrior, power_law
from inverse.priors.models.mixture import MixturePrior
from inverse.sampling.infer_card import infer_card

torch_double = torch.float64


def _mixture() -> MixturePrior:
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(5, 1, 2, 3, generator=generator, dtype=torch_double)
    return MixturePrior(
        means, torch.rand(5, generator=generator, dtype=torch_double) + 0.1, torch.full((5,), 0.1, dtype=torch_double)
    )


def test_coloured_denoiser_is_the_dense_wiener_filter() -> None:
    prior = GaussianPrior(0.3, spectrum=power_law(4, 6, std=0.2))
    basis = torch.eye(24, dtype=torch_double).reshape(24, 1, 4, 6)
    root = (prior.sample(basis) - 0.3).reshape(24, 24)
    covariance = root @ root.T
    assert torch.allclose(torch.diagonal(covariance), torch.full((24,), 0.04, dtype=torch_double))
    x = torch.randn(2, 1, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch_double)
    sigma = torch.tensor([0.1, 0.5], dtype=torch_double)
    for i in range(2):
        gain = covariance @ torch.linalg.inv(covariance + sigma[i] ** 2 * torch.eye(24, dtype=torch_double))
        exact = 0.3 + gain @ (x[i].flatten() - 0.3)
        assert torch.allclose(prior(x, sigma)[i].flatten(), exact)


@pytest.mark.parametrize("prior", [GaussianPrior(0.5, 0.04), GaussianPrior(0.5, spectrum=power_law(2, 3)), _mixture()])
def test_jacobian_is_that_of_the_denoiser(prior) -> None:
    x = torch.randn(1, 1, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch_double)
    v = torch.randn(1, 1, 2, 3, generator=torch.Generator().manual_seed(2), dtype=torch_double)
    _, exact = torch.autograd.functional.jvp(lambda z: prior(z, 0.3), x, v)
    found = prior.jacobian(x, v, 0.3) if isinstance(prior, MixturePrior) else prior.jacobian(v, 0.3)
    assert torch.allclose(found, exact, atol=1e-10)


def test_mixture_denoiser_is_the_posterior_mean_by_quadrature() -> None:
    prior = MixturePrior(
        torch.tensor([[-1.0], [0.5]], dtype=torch_double),
        torch.tensor([0.3, 0.7], dtype=torch_double),
        torch.tensor([0.05, 0.2], dtype=torch_double),
    )
    grid = torch.linspace(-6, 6, 20_001, dtype=torch_double)
    density = sum(
        w * torch.exp(-0.5 * (grid - m) ** 2 / v) / v**0.5
        for m, w, v in zip((-1.0, 0.5), (0.3, 0.7), (0.05, 0.2), strict=True)
    )
    for x, sigma in ((0.2, 0.4), (-1.5, 1.0), (3.0, 0.1)):
        weight = density * torch.exp(-0.5 * (x - grid) ** 2 / sigma**2)
        exact = float((grid * weight).sum() / weight.sum())
        assert float(prior(torch.tensor([[x]], dtype=torch_double), sigma)) == pytest.approx(exact, abs=1e-6)


def test_a_bare_callable_gets_its_scale_from_its_own_covariance() -> None:
    exact = GaussianPrior(0.4, spectrum=power_law(8, 8, std=0.3))
    card, mean = infer_card(lambda x, sigma: exact(x, sigma), torch.zeros(1, 1, 8, 8), Counter())
    assert card.sigma_max == pytest.approx(exact.card.sigma_max, rel=0.02)
    assert card.data_var == pytest.approx(0.09, rel=0.3)
    assert torch.allclose(mean, torch.full_like(mean, 0.4), atol=1e-3)
    physics = inverse.build_operator("denoise", shape=(1, 8, 8), noise=0.1)
    y = inverse.simulate(torch.full((1, 1, 8, 8), 0.4), physics)
    assert inverse.sample(y, physics, lambda x, sigma: exact(x, sigma), samples=1, steps=3).samples.isfinite().all()


def test_data_range_moves_the_prior_into_the_data_s_units() -> None:
    base = inverse.open_prior("gaussian")
    wide = inverse.open_prior("gaussian", data_range=(0, 10_000))
    assert (wide.card.mean, wide.card.data_var) == (5000, 0.0625e8)
    x = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(wide(x * 1e4, 2000.0) / 1e4, base(x, 0.2), atol=1e-5)
    same = inverse.open_prior(lambda x, sigma: base(x, sigma), data_range=(0, 10_000))
    assert torch.allclose(same(x * 1e4, torch.tensor([2000.0])) / 1e4, base(x, 0.2), atol=1e-5)


def test_wrong_priors_are_refused() -> None:
    with pytest.raises(PriorError, match="did you mean 'gaussian'"):
        inverse.open_prior("gausian")
    with pytest.raises(PriorError, match="variance 0"):
        GaussianPrior(0.5, 0.0)
    with pytest.raises(PriorError, match="5 means, 4 weights"):
        MixturePrior(torch.zeros(5, 2), torch.ones(4), torch.ones(5))


def test_a_prior_of_ones_own_says_its_closed_form_by_a_method() -> None:
    class Own:
        def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            return x / (1 + sigma.square().reshape(-1, 1, 1, 1))

        def closed_form(self, shape: tuple[int, ...], *, device: str = "cpu") -> Weighted:
            one = torch.ones((), dtype=torch_double, device=device)
            return Weighted(one.reshape(1).log(), [Gaussian(0 * one, one)])

    (part,) = closed_form(with_range(Own(), (10.0, 30.0)), (1, 4, 4)).parts  # its 0 and 1 are 10 and 30
    assert float(part.mean) == 10.0
    assert float(part.values) == pytest.approx(400.0)
    with pytest.raises(PriorError, match="no closed-form posterior"):
        closed_form(with_range(lambda x, sigma: x, (10.0, 30.0)), (1, 4, 4))
