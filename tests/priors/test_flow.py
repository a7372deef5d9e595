"""A velocity field is the denoiser that it comes from."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import inverse
from inverse.errors import PriorError
from inverse.priors.card import Card
from inverse.priors.models.flow import FlowPrior
from inverse.priors.models.gaussian import GaussianPrior

MEAN, VARIANCE = 0.2, 0.3
"""Of the data in model units."""


def _velocity(x: Tensor, t: Tensor) -> Tensor:
    """Of the straight path from N(0, 1) to N(MEAN, VARIANCE), t = 1 at the data, in closed form: E[x0 - n | x_t]."""
    t = t.reshape(-1, 1, 1, 1)
    power = t**2 * VARIANCE + (1 - t) ** 2
    return MEAN + (t * VARIANCE - (1 - t)) / power * (x - t * MEAN)


def _card(low: float, high: float) -> Card:
    gain = 2 / (high - low)
    return Card(
        name="flow",
        title="flow",
        kind="callable",
        licence="none",
        data_range=(low, high),
        mean=(low + high) / 2 + MEAN / gain,
        data_var=VARIANCE / gain**2,
        sigma_min=1e-6,
        sigma_max=10.0 / gain,
    )


@pytest.mark.parametrize("towards", ["data", "noise"])
@pytest.mark.parametrize("span", [(0.0, 1.0), (-1.0, 1.0), (0.0, 4095.0)])
def test_it_is_the_exact_denoiser_over_the_whole_noise_range(towards: str, span: tuple[float, float]) -> None:
    card = _card(*span)
    velocity = _velocity if towards == "data" else lambda x, t: -_velocity(x, 1 - t)
    flow, exact = FlowPrior(velocity, card, towards), GaussianPrior(card.mean, card.data_var)  # type: ignore[arg-type]
    sigma = torch.logspace(-4, 2, 13, dtype=torch.float64) / card.gain
    x = torch.randn(13, 3, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = card.mean + (card.data_var + sigma.square()).sqrt().reshape(-1, 1, 1, 1) * x
    assert torch.allclose(flow(x, sigma), exact(x, sigma), rtol=1e-9, atol=1e-9 / card.gain)


def test_samples_of_a_flow_are_those_of_its_denoiser() -> None:
    physics = inverse.build_operator("random-mask", shape=(1, 16, 16), missing=0.5, noise=0.05)
    x = 0.5 + 0.2 * torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    y = inverse.simulate(x, physics, items=["a"])
    card = _card(0.0, 1.0)
    for method in ("pigdm", "mmps", "diffpir"):
        flow, exact = (
            inverse.sample(y, physics, prior, method=method, samples=2, steps=6, items=["a"], sigma_max=2.0).samples
            for prior in (FlowPrior(_velocity, card), GaussianPrior(card.mean, card.data_var))
        )
        assert torch.allclose(flow, exact, atol=1e-4)


def test_without_a_card_it_is_read_off_the_flow() -> None:
    physics = inverse.build_operator("denoise", shape=(1, 16, 16), noise=0.1)
    post = inverse.sample(
        torch.full((1, 1, 16, 16), 0.3), physics, FlowPrior(_velocity), method="pigdm", samples=2, steps=5
    )
    assert post.data_var == pytest.approx(VARIANCE, rel=0.01)


def test_a_direction_that_does_not_exist_is_refused() -> None:
    with pytest.raises(PriorError, match="allowed: data, noise"):
        FlowPrior(_velocity, towards="sideways")  # type: ignore[arg-type]
