"""Keyed noise."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from inverse.numerics.rng import Rng


def _rng(**change) -> Rng:
    return Rng(**{"seed": 0, "items": ["a"], "samples": [0], **change})


def test_every_part_of_the_key_counts() -> None:
    like = torch.zeros(1, 2, 70, 70)
    base = _rng().normal(like, step=0, stream="kernel")
    assert torch.equal(base, _rng().normal(like, step=0, stream="kernel"))
    others = [
        _rng(seed=1).normal(like, step=0, stream="kernel"),
        _rng(items=["b"]).normal(like, step=0, stream="kernel"),
        _rng(samples=[1]).normal(like, step=0, stream="kernel"),
        _rng().normal(like, step=1, stream="kernel"),
        _rng().normal(like, step=0, stream="start"),
        _rng().normal(like, step=0, stream="kernel", draw=1),
    ]
    for other in others:
        assert abs(float((base * other).mean())) < 0.05
    assert abs(float((base[0, 0] * base[0, 1]).mean())) < 0.05
    assert not torch.equal(base[0, 0, :6, :6], base[0, 0, 64:, :6])


def test_noise_is_laid_on_the_grid_so_a_crop_has_the_same_noise() -> None:
    large = _rng().normal(torch.zeros(1, 1, 200, 150), step=0, stream="kernel")
    small = _rng().normal(torch.zeros(1, 1, 90, 130), step=0, stream="kernel")
    assert torch.equal(large[..., :90, :130], small)
    line = _rng().normal(torch.zeros(1, 9000), step=0, stream="kernel")
    assert torch.equal(line[:, :5000], _rng().normal(torch.zeros(1, 5000), step=0, stream="kernel"))


def test_it_does_not_depend_on_batch_mates() -> None:
    both = Rng(0, ["a", "b"], [3, 4]).normal(torch.zeros(2, 1, 8, 8), step=0, stream="kernel")
    assert torch.equal(both[1:], Rng(0, ["b"], [4]).normal(torch.zeros(1, 1, 8, 8), step=0, stream="kernel"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64])
def test_it_is_standard_normal(dtype) -> None:
    noise = _rng().normal(torch.zeros(1, 3, 128, 128, dtype=dtype), step=0, stream="kernel")
    assert noise.dtype == dtype
    values = torch.view_as_real(noise) if noise.is_complex() else noise
    assert stats.kstest(values.double().flatten().numpy(), "norm").pvalue > 1e-3
    signs = _rng().signs(torch.zeros(1, 3, 64, 64), step=0, stream="probe")
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    assert abs(float(signs.mean())) < 0.05
