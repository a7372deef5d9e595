r"""EM for the patch mixture (`inverse.priors.patch`).

Patches are drawn from the images at keyed places, without the channels' means; components have mean zero, so a patch and its negative are alike.
Each covariance is drawn toward the covariance of all patches at its own contrast, :math:`\Sigma_k = (n_k S_k + \nu t_k S) / (n_k + \nu)`, with
:math:`t_k = \mathrm{tr}\,S_k / \mathrm{tr}\,S`
and :math:`\nu = d / 2`, so that a component of few patches stays regular. Starts from contrast classes divided by likeness to a few of their own patches. float64,
but for the distances. Cost: about 1 s a round for 20,000 colour patches and 30 components on one core.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from inverse.priors.patch import log_likelihood

__all__ = ["draw_patches", "patch_mixture"]

CLASSES = 3
NEGLIGIBLE = 1e-3


def draw_patches(images: Sequence[Tensor], mean: Tensor, *, side: int, count: int, seed: int) -> Tensor:
    """About ``count`` patches (N, C P P) without their mean, from each image (C, H, W) as many as its pixels entitle it to."""
    generator = torch.Generator().manual_seed(seed)
    pixels = [image[0].numel() for image in images]
    found = []
    for image, own in zip(images, pixels, strict=True):
        windows = (image.double() - mean[:, None, None]).unfold(1, side, 1).unfold(2, side, 1)
        rows, columns = windows.shape[1:3]
        number = min(max(1, round(count * own / sum(pixels))), rows * columns)
        places = torch.randperm(rows * columns, generator=generator)[:number]
        chosen = windows[:, places // columns, places % columns]
        found.append(chosen.permute(1, 0, 2, 3).reshape(number, -1))
    return torch.cat(found)


def _start(flat: Tensor, components: int, seed: int) -> Tensor:
    """First component of each patch (N,)."""
    generator = torch.Generator().manual_seed(seed)
    shape = flat - flat.mean(1, keepdim=True)
    contrast = shape.norm(dim=1)
    unit = shape / contrast.clamp_min(1e-9)[:, None]
    first = torch.zeros(len(flat), dtype=torch.long)
    numbers = torch.arange(components).tensor_split(min(CLASSES, components))
    for members, own in zip(contrast.argsort().tensor_split(len(numbers)), numbers, strict=True):
        seeds = members[torch.randperm(len(members), generator=generator)[: len(own)]]
        first[members] = own[(unit[members] @ unit[seeds].T).abs().argmax(1)]
    return first


def patch_mixture(flat: Tensor, *, components: int, rounds: int, floor: float, seed: int) -> tuple[Tensor, Tensor]:
    """EM from patches (N, d).

    Args:
        flat: Patches without their mean, float64.
        components: K; one that holds less than two patches is left out.
        rounds: At most so many.
        floor: Variance added in every direction.
        seed: Of the start.

    Returns:
        Weights (K,) and covariances (K, d, d), float64.
    """
    count, dims = flat.shape
    components = max(1, min(components, count // 10))
    each = torch.nn.functional.one_hot(_start(flat, components, seed), components).double()
    overall = flat.T @ flat / count
    strength, identity = dims / 2, torch.eye(dims, dtype=torch.float64)
    weights, covariances, before = each.mean(0), overall[None], -float("inf")
    for _ in range(rounds):
        each = each[:, each.sum(0) >= 2]
        weights = each.sum(0) / each.sum()
        fresh = []
        for share in each.T:
            members = share > NEGLIGIBLE
            own = flat[members]
            moment = own.T @ (share[members, None] * own)
            size = share.sum()
            contrast = moment.trace() / size / overall.trace()
            fresh.append((moment + strength * contrast * overall) / (size + strength) + floor * identity)
        covariances = torch.stack(fresh)
        logs = log_likelihood(flat, covariances) + weights.log()
        each = torch.softmax(logs, 1)
        now = float(logs.logsumexp(1).mean())
        if now - before < 1e-3 * dims / 64:
            break
        before = now
    return weights, covariances
