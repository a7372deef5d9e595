"""Reverse kernels: order of convergence, noise, and what they ask of the posterior denoiser."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from inverse.sampling.kernels import KERNELS, kernel
from inverse.sampling.start import noise_levels

VARIANCE = 0.25


def _denoiser(x, sigma):
    """Exact for N(0, VARIANCE)."""
    return x * VARIANCE / (VARIANCE + sigma**2)


def _flow(name, steps, start):
    levels = noise_levels("log", sigma_max=5.0, sigma_min=0.05, steps=steps)[:-1]
    x, memory, move = start, None, kernel(name, eta=0.0)
    for sigma, sigma_next in itertools.pairwise(levels):
        x, _, memory = move(_denoiser, x, sigma, sigma_next, lambda: pytest.fail("noise was drawn"), memory)
    return x


@pytest.mark.parametrize(("name", "order"), [("ddim", 1), ("heun", 2), ("dpmpp", 2)])
def test_order_of_convergence(name, order) -> None:
    start = torch.tensor([[1.0]], dtype=torch.float64)
    # the probability flow of a Gaussian keeps x / sqrt(VARIANCE + sigma^2)
    exact = start * math.sqrt((VARIANCE + 0.05**2) / (VARIANCE + 25))
    errors = [float((_flow(name, steps, start) - exact).abs()) for steps in (40, 80, 160)]
    for coarse, fine in itertools.pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.25)


@pytest.mark.parametrize("name", KERNELS)
def test_the_last_level_is_the_denoisers_answer(name) -> None:
    x = torch.ones(2, 3)
    moved, mean, _ = kernel(name)(_denoiser, x, 0.1, 0.0, lambda: torch.zeros(2, 3), None)
    assert torch.equal(moved, mean)


@pytest.mark.parametrize(("name", "calls"), [("ddim", 1), ("ancestral", 1), ("renoise", 1), ("dpmpp", 1), ("heun", 2)])
def test_evaluations_of_a_level(name, calls) -> None:
    seen = []

    def denoiser(x, sigma):
        seen.append((sigma, x))
        return _denoiser(x, sigma)

    kernel(name)(denoiser, torch.ones(1, 4), 1.0, 0.5, lambda: torch.ones(1, 4), None)
    assert len(seen) == calls
    assert len({sigma for sigma, _ in seen}) == calls  # never twice at one state


def test_stochastic_kernels_keep_the_variance() -> None:
    generator = torch.Generator().manual_seed(0)
    for name in ("ancestral", "renoise"):
        x = math.sqrt(VARIANCE + 4.0) * torch.randn(1, 200_000, generator=generator)
        levels = noise_levels("log", sigma_max=2.0, sigma_min=0.01, steps=200)
        for sigma, sigma_next in itertools.pairwise(levels):
            noise = torch.randn(x.shape, generator=generator)
            x, _, _ = kernel(name)(_denoiser, x, sigma, sigma_next, lambda n=noise: n, None)
        # renoise forgets how the state lay about its mean: it is too narrow, by what p(x0 | x) is wide
        expected = VARIANCE**0.5 if name == "ancestral" else None
        if expected:
            assert float(x.std()) == pytest.approx(expected, rel=0.02)
        else:
            assert float(x.std()) < VARIANCE**0.5
