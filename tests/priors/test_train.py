"""Training: exact resumption, draws that depend on the step alone, a loss that falls."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from inverse.priors import train as training
from inverse.priors.train import TrainConfig, learning_rate, train
from inverse.priors.unet import UNetConfig

NETWORK = UNetConfig(channels=(8, 8), blocks=(1, 1), embedding=16)
CONFIG = TrainConfig(steps=12, batch=2, crop=16, warmup=2)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randint(0, 256, (40, 3, 24, 24), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def _weights(model) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def test_killed_and_resumed_is_uninterrupted_bit_for_bit(images, tmp_path, monkeypatch) -> None:
    whole = _weights(train(images, tmp_path / "whole", CONFIG, NETWORK, every=1e9))
    save, saved = training._save, []

    def killed(path, state):
        save(path, state)
        saved.append(state["step"])
        if len(saved) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "_save", killed)
    with pytest.raises(KeyboardInterrupt):
        train(images, tmp_path / "parts", CONFIG, NETWORK, every=0)
    assert saved == [1, 2, 3, 4, 5]
    monkeypatch.setattr(training, "_save", save)
    parts = _weights(train(images, tmp_path / "parts", CONFIG, NETWORK, every=1e9))
    assert all(torch.equal(a, b) for a, b in zip(whole, parts, strict=True))


def test_draws_are_a_function_of_seed_and_step(images) -> None:
    first, again = training._batch(images, 3, CONFIG), training._batch(images, 3, CONFIG)
    other = training._batch(images, 4, CONFIG)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[2], other[2])
    assert not torch.equal(first[2], training._batch(images, 3, replace(CONFIG, seed=CONFIG.seed + 1))[2])
    assert first[0].min() >= -1
    assert first[0].max() <= 1


def test_no_global_generator_is_read_or_moved(images, tmp_path) -> None:
    import random

    import numpy as np

    short = replace(CONFIG, steps=2)
    first = _weights(train(images, tmp_path / "a", short, NETWORK, every=1e9))
    states = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1]  # noqa: NPY002
    with torch.random.fork_rng():
        torch.manual_seed(99)
        second = _weights(train(images, tmp_path / "b", short, NETWORK, every=1e9))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.array_equal(np.random.get_state()[1], states[2])  # noqa: NPY002


def test_the_rate_warms_up_stays_and_falls_to_zero() -> None:
    config = TrainConfig(steps=1000, warmup=100, cooldown=0.4, rate=1e-3)
    assert learning_rate(0, config) == pytest.approx(1e-5)
    assert learning_rate(100, config) == learning_rate(599, config) == 1e-3
    assert learning_rate(800, config) == pytest.approx(5e-4)
    assert learning_rate(1000, config) == 0


def test_the_loss_falls_on_smooth_images(tmp_path) -> None:
    ramp = torch.linspace(0, 255, 24).to(torch.uint8).expand(40, 3, 24, 24).contiguous()
    config = TrainConfig(steps=60, batch=4, crop=16, warmup=5, rate=3e-3)
    network = UNetConfig(channels=(16, 16), blocks=(1, 1), embedding=16)
    model = train(ramp, tmp_path, config, network, every=1e9)
    x = ramp[:1].float() / 255
    noisy = x + 0.2 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        error = float((model(noisy, 0.2) - x).square().mean())
    linear = 0.25**2 / (0.25**2 + 0.2**2) * 0.2**2
    assert error < 0.8 * linear
