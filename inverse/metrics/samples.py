"""Scores of a posterior by its samples: CRPS, energy score, coverage.

With K samples ``x_i`` of a value and the truth ``y``::

    CRPS   = mean_i |x_i - y|    - 1 / (2 K (K - 1)) sum_ij |x_i - x_j|          mean over values
    energy = mean_i ||x_i - y||  - 1 / (2 K (K - 1)) sum_ij ||x_i - x_j||        over sqrt(number of values)

The factor ``K - 1`` makes them fair (Ferro, Q. J. Royal Met. Soc. 2014; Gneiting and Raftery, JASA 2007): their
expectation is the score of the distribution the samples come from, whatever K is. With ``K`` in its place, as
torchmetrics has it, few samples look worse than many of the same distribution.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inverse.numerics.statistics import interval_quantile

__all__ = ["coverage", "crps", "energy"]

BLOCK = 2**20


def coverage(samples: Tensor, truth: Tensor, *, level: float = 0.9, valid: Tensor | None = None) -> Tensor:
    """Share of values of each image (B, C, H, W) in the central interval of content ``level`` of K >= 2 samples, (B,).

    An honest posterior covers that share. The interval is `inverse.numerics.statistics.interval_quantile`'s: empirical
    where the samples hold it, else Student's t. ``valid`` (B, 1 or C, H, W) bool is False where a pixel is left out;
    None: none is. NaN where nothing is left.
    """
    low, high = interval_quantile(samples, (1 - level) / 2), interval_quantile(samples, (1 + level) / 2)
    inside = ((truth >= low) & (truth <= high)).float()
    if valid is None:
        return inside.flatten(1).mean(1)
    known = valid.bool().expand_as(inside)
    return (inside * known).flatten(1).sum(1) / known.flatten(1).sum(1)


def crps(samples: Tensor, truth: Tensor, *, valid: Tensor | None = None) -> Tensor:
    """Fair continuous ranked probability score of each image, mean over its values, data units, (B,).

    Arguments as those of `coverage`; NaN for one sample, or where nothing is left.
    """
    scores = []
    for index in range(truth.shape[0]):
        draws, value = _values(samples[:, index], truth[index], None if valid is None else valid[index])
        count, total = len(draws), value.new_zeros(())
        if count < 2 or not value.numel():
            scores.append(value.new_tensor(float("nan")))
            continue
        rank = torch.arange(1, count + 1, dtype=value.dtype, device=value.device)
        weight = (2 * rank - count - 1) / (count * (count - 1))
        for first in range(0, value.numel(), BLOCK):
            part, y = draws[:, first : first + BLOCK], value[first : first + BLOCK]
            total = total + (part - y).abs().mean(0).sum() - (weight[:, None] * part.sort(0).values).sum()
        scores.append(total / value.numel())
    return torch.stack(scores).float()


def energy(samples: Tensor, truth: Tensor, *, valid: Tensor | None = None) -> Tensor:
    """Fair energy score of each image as one vector, over the root of its number of values; the rest as `crps`."""
    scores = []
    for index in range(truth.shape[0]):
        draws, value = _values(samples[:, index], truth[index], None if valid is None else valid[index])
        count = len(draws)
        if count < 2 or not value.numel():
            scores.append(value.new_tensor(float("nan")))
            continue
        apart = sum(((draws[i] - draws[j]).norm() for i in range(count) for j in range(i)), value.new_zeros(()))
        score = (draws - value).norm(dim=1).mean() - apart / (count * (count - 1))
        scores.append(score / value.numel() ** 0.5)
    return torch.stack(scores).float()


def _values(samples: Tensor, truth: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
    """(K, n) and (n,) float64 of the compared values."""
    if valid is None:
        return samples.double().flatten(1), truth.double().flatten()
    inside = valid.bool().expand_as(truth)
    return samples.double()[:, inside], truth.double()[inside]
