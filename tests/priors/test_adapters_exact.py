"""A prior known in closed form, written as each parametrisation's network output, comes back as its exact denoiser."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from inverse.errors import PriorError
from inverse.priors.adapters.azula import Scheduled
from inverse.priors.adapters.deepinv import wrap
from inverse.priors.adapters.diffusers import _call_unit, _score
from inverse.priors.adapters.parametrisation import (
    EDM,
    VE,
    AdaptedPrior,
    ContinuousVP,
    Discrete,
    Flow,
    ModuleNetwork,
    alphas_cumprod,
    noise_levels,
)
from inverse.priors.card import Card
from inverse.priors.models.flow import FlowPrior
from inverse.priors.models.gaussian import GaussianPrior, power_law
from inverse.priors.models.mixture import MixturePrior

SHAPE = (3, 6, 4)
TABLES = {
    "linear": noise_levels(alphas_cumprod("linear")),
    "scaled_linear": noise_levels(alphas_cumprod("scaled_linear", beta_start=8.5e-4, beta_end=0.012)),
    "cosine": noise_levels(alphas_cumprod("cosine", steps=400)),
}


def _noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


COLOURED = GaussianPrior(0.1 * _noise(*SHAPE), spectrum=power_law(6, 4, std=0.5))
MIXTURE = MixturePrior(
    0.6 * _noise(4, *SHAPE, seed=1),
    torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64),
    torch.tensor([0.01, 0.05, 0.1, 0.2], dtype=torch.float64),
)
"""Of the images in model units."""


def _card(low: float, high: float) -> Card:
    return Card(
        name="known",
        title="known",
        kind="network",
        licence="none",
        data_range=(low, high),
        data_var=1,
        sigma_min=1e-3,
        sigma_max=1e3,
    )


def _column(values: Tensor) -> Tensor:
    return values.reshape(-1, 1, 1, 1)


def _vp_answer(exact: Callable[..., Tensor], kind: str, x_t: Tensor, sigma: Tensor) -> Tensor:
    """What an ideal variance-preserving network says of ``x_t``: E[eps], E[v] or E[x0]."""
    alpha = (1 + sigma**2).rsqrt()
    x = x_t / _column(alpha)
    mean = exact(x, sigma)
    eps = (x - mean) / _column(sigma)
    noise = _column(sigma * alpha)
    return {"eps": eps, "v": _column(alpha) * eps - noise * mean, "sample": mean}[kind]


def _discrete(exact: Callable[..., Tensor], table: str, kind: str, scale: float) -> AdaptedPrior:
    levels = TABLES[table]

    def network(x: Tensor, time: Tensor) -> Tensor:
        step = (time / scale).numpy()
        sigma = torch.from_numpy(np.exp(np.interp(step, np.arange(len(levels)), levels.log().numpy())))
        answer = _vp_answer(exact, kind, x, sigma)
        return torch.cat([answer, 7 + answer], dim=1)  # a learned variance follows: it must not matter

    return AdaptedPrior(network, Discrete(levels, kind, scale), _card(0, 1), torch.float64)  # type: ignore[arg-type]


def _edm(exact: Callable[..., Tensor]) -> AdaptedPrior:
    data = 0.7

    def network(z: Tensor, time: Tensor) -> Tensor:
        sigma = torch.exp(4 * time)
        x = z * _column((data**2 + sigma**2).sqrt())
        skip, out = data**2 / (data**2 + sigma**2), sigma * data / (data**2 + sigma**2).sqrt()
        return (exact(x, sigma) - _column(skip) * x) / _column(out)

    return AdaptedPrior(network, EDM(data), _card(0, 1), torch.float64)


def _ve(exact: Callable[..., Tensor]) -> AdaptedPrior:
    def network(x: Tensor, time: Tensor) -> Tensor:
        sigma = 2 * time.exp()
        return (exact(x, sigma) - x) / _column(sigma)

    return AdaptedPrior(network, VE(), _card(0, 1), torch.float64)


def _score_network(exact: Callable[..., Tensor]) -> AdaptedPrior:
    """Of images on [0, 1]: the score of ``u = (z + 1) / 2`` at level ``sigma / 2``."""

    def model(u: Tensor, level: Tensor, *, return_dict: bool) -> tuple[Tensor]:
        level = level.double()
        return (((exact(2 * u - 1, 2 * level) + 1) / 2 - u) / _column(level) ** 2,)

    return AdaptedPrior(ModuleNetwork(model, _call_unit), _score, _card(0, 1), torch.float64)


def _continuous(exact: Callable[..., Tensor]) -> AdaptedPrior:
    def network(x: Tensor, time: Tensor) -> Tensor:
        t = time / 999
        return _vp_answer(exact, "eps", x, (torch.exp(19.9 * t**2 / 2 + 0.1 * t) - 1).sqrt())

    return AdaptedPrior(network, ContinuousVP(), _card(0, 1), torch.float64)


def _velocity(exact: Callable[..., Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """``E[x0 - n | x_t]`` with ``x_t = t x0 + (1 - t) n``."""

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        mean = exact(x / _column(t), (1 - t) / t)
        return mean - (x - _column(t) * mean) / _column(1 - t)

    return velocity


def _flow(exact: Callable[..., Tensor], towards: str) -> AdaptedPrior:
    velocity = _velocity(exact)

    def network(x: Tensor, time: Tensor) -> Tensor:
        return velocity(x, time / 1000) if towards == "data" else -velocity(x, 1 - time / 1000)

    return AdaptedPrior(network, Flow(towards, 1000.0), _card(0, 1), torch.float64)  # type: ignore[arg-type]


def _azula_like(exact: Callable[..., Tensor]) -> AdaptedPrior:
    """A rectified schedule with ends, as a denoiser of ``alpha x0 + sigma n``."""

    def schedule(t: Tensor) -> tuple[Tensor, Tensor]:
        return t * 1e-4 + (1 - t), t + (1 - t) * 1e-4

    def network(x: Tensor, time: Tensor) -> Tensor:
        alpha, sigma = schedule(time)
        return exact(x / _column(alpha), sigma / alpha)

    return AdaptedPrior(network, Scheduled(schedule), _card(0, 1), torch.float64)


PARAMETRISATIONS: dict[str, Callable[[Callable[..., Tensor]], AdaptedPrior]] = {
    **{
        f"{kind}-{table}": lambda exact, table=table, kind=kind: _discrete(exact, table, kind, 1.0)
        for table in TABLES
        for kind in ("eps", "v", "sample")
    },
    "eps-rescaled": lambda exact: _discrete(exact, "linear", "eps", 0.25),
    "edm": _edm,
    "ve": _ve,
    "ve-score": _score_network,
    "vp-continuous": _continuous,
    "flow-data": lambda exact: _flow(exact, "data"),
    "flow-noise": lambda exact: _flow(exact, "noise"),
    "azula": _azula_like,
}
FLOAT_TIME = {"ve-score"}
"""Told the time in single precision, as diffusers has it."""


@pytest.mark.parametrize("span", [(0.0, 1.0), (0.0, 255.0), (-3.0, 5.0)])
@pytest.mark.parametrize("exact", [COLOURED, MIXTURE], ids=["coloured", "mixture"])
@pytest.mark.parametrize("name", PARAMETRISATIONS)
def test_it_is_the_exact_denoiser_over_the_whole_noise_range(
    name: str, exact: Callable[..., Tensor], span: tuple[float, float]
) -> None:
    made = PARAMETRISATIONS[name](exact)
    low, high = span
    prior = AdaptedPrior(made.network, made.parametrisation, _card(low, high), torch.float64)
    gain = 2 / (high - low)
    table = made.parametrisation.levels if isinstance(made.parametrisation, Discrete) else torch.tensor([1e-3, 1e2])
    # ends, steps and what lies between them
    levels = torch.cat(
        [torch.logspace(math.log10(table[0]), math.log10(table[-1]), 23).double(), table[[0, 1, -2, -1]]]
    )
    levels = levels.clamp(float(table[0]), float(table[-1]))
    z = _noise(len(levels), *SHAPE, seed=2) * _column(1 + levels)
    expected = (exact(z, levels) + 1) / gain + low
    found = prior((z + 1) / gain + low, levels / gain)
    tolerance = 1e-6 if name in FLOAT_TIME else 1e-9
    assert found.dtype == torch.float64
    assert torch.allclose(found, expected, rtol=tolerance, atol=tolerance / gain * 10)
    one = prior((z[5:6] + 1) / gain + low, float(levels[5]) / gain)
    assert torch.allclose(one, found[5:6], rtol=1e-12, atol=1e-12 / gain)


def test_outside_the_table_only_the_step_is_held() -> None:
    levels = TABLES["linear"]
    calls = []

    def network(x: Tensor, time: Tensor) -> Tensor:
        calls.append((x, time))
        return torch.ones_like(x)

    prior = AdaptedPrior(network, Discrete(levels), _card(-1, 1), torch.float64)
    sigma = torch.tensor([float(levels[0]) / 10, float(levels[-1]) * 10, 0.0], dtype=torch.float64)
    x = _noise(3, *SHAPE)
    assert torch.allclose(prior(x, sigma), x - _column(sigma), atol=1e-12)
    assert calls[0][1].tolist() == [0, len(levels) - 1, 0]
    assert torch.allclose(calls[0][0], x / _column((1 + sigma**2).sqrt()))


def test_steps_are_interpolated_and_exact_at_the_table() -> None:
    discrete = Discrete(TABLES["linear"])
    steps = torch.arange(1000, dtype=torch.float64)
    assert torch.allclose(discrete.time(TABLES["linear"]), steps, atol=1e-9)
    between = (TABLES["linear"][10] * TABLES["linear"][11]).sqrt()
    assert discrete.time(between[None]).item() == pytest.approx(10.5)


def test_a_last_step_without_signal_is_left_out() -> None:
    assert len(noise_levels(torch.tensor([0.99, 0.5, 0.0]))) == 2
    with pytest.raises(PriorError, match="does not rise"):
        noise_levels(torch.tensor([0.5, 0.9]))


def test_published_tables() -> None:
    """Ho et al. 2020: betas 1e-4 to 0.02; Nichol and Dhariwal 2021: the cosine of (t / T + 0.008) / 1.008."""
    power = alphas_cumprod("linear")
    assert 1 - power[0].item() == pytest.approx(1e-4)
    assert power[-1].item() == pytest.approx(np.prod(1 - np.linspace(1e-4, 0.02, 1000)), rel=1e-9)
    middle = math.cos((0.5 + 0.008) / 1.008 * math.pi / 2) ** 2 / math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    assert alphas_cumprod("cosine")[499].item() == pytest.approx(middle, rel=1e-9)


def test_a_flow_is_the_same_as_flow_prior() -> None:
    x, sigma = _noise(3, *SHAPE), torch.tensor([0.01, 0.3, 5.0], dtype=torch.float64)
    card = _card(0, 10)
    expected = FlowPrior(_velocity(COLOURED), card)(x, sigma)
    found = AdaptedPrior(_velocity(COLOURED), Flow(), card, torch.float64)(x, sigma)
    assert torch.allclose(found, expected, atol=1e-10)


def test_a_deepinv_denoiser_keeps_its_units() -> None:
    """deepinv's contract: images in [0, 1], sigma (B,)."""
    exact = GaussianPrior(0.5, 0.04)
    prior = wrap(exact, _card(0, 255))
    x, sigma = 255 * torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(0)), torch.tensor([1.0, 20.0, 300.0])
    assert torch.allclose(prior(x, sigma), GaussianPrior(127.5, 0.04 * 255**2)(x, sigma), atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_it_answers_in_the_dtype_of_the_question_and_changes_nothing(dtype: torch.dtype) -> None:
    prior = AdaptedPrior(lambda x, time: 0.5 * x, EDM(), _card(0, 1))
    x, sigma = _noise(2, *SHAPE).to(dtype), torch.tensor([0.1, 0.5])
    before, state = x.clone(), torch.get_rng_state()
    answer = prior(x, sigma)
    assert answer.dtype == dtype
    assert torch.equal(x, before)
    assert torch.equal(torch.get_rng_state(), state)


def test_it_is_differentiable_in_the_image() -> None:
    prior = _discrete(COLOURED, "linear", "eps", 1.0)
    x, sigma = _noise(2, *SHAPE).requires_grad_(), torch.tensor([0.1, 0.5], dtype=torch.float64)
    v = _noise(2, *SHAPE, seed=4)
    (product,) = torch.autograd.grad(prior(x, sigma), x, v)
    assert torch.allclose(product, COLOURED.jacobian(v, 2 * sigma), atol=1e-10)


def test_any_size_is_mirrored_to_the_stride_and_cropped() -> None:
    card = _card(0, 1).model_copy(update={"stride": 4, "minimum_size": 4, "channels": 3})
    sizes = []

    def network(x: Tensor, time: Tensor) -> Tensor:
        sizes.append(x.shape[-2:])
        return 0 * x

    prior = AdaptedPrior(network, EDM(), card)
    assert prior(torch.ones(1, 3, 6, 5), 0.1).shape == (1, 3, 6, 5)
    assert sizes == [(8, 8)]
    with pytest.raises(PriorError, match="allowed: 4 and larger"):
        prior(torch.ones(1, 3, 3, 5), 0.1)
    with pytest.raises(PriorError, match="1 channels; allowed: 3"):
        prior(torch.ones(1, 1, 8, 8), 0.1)
