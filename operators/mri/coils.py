r"""Receive coils: maps from the centre of k-space, whitening, compression, and simulated ones.

**ESPIRiT** (Uecker et al. 2014, Magn. Reson. Med. 71:990). All ``k x k`` patches of the fully sampled centre, all coils
together, are vectors :math:`p \in C^{n k^2}`; those of an image seen through smooth maps fill a small subspace, the
eigenvectors of :math:`\sum p p^H` above a threshold, with projector ``P``. That every patch of k-space lies in it reads
in image space, at pixel ``q``,

.. math::
    \mathcal G(q)\, S(q) x(q) = S(q) x(q), \qquad
    \mathcal G_{ab}(q) = k^{-2} \sum_{i,j} P_{(a,i),(b,j)}\, e^{-2\pi i (j - i) q / N}

so the maps are the eigenvector of :math:`\mathcal G(q)` of eigenvalue 1. They are known up to a phase, which is set so
that a combination of the coils is real (the first right singular vector of the centre), and have
:math:`\sum_c |S_c|^2 = 1`. Deviations: the eigenvector by power iteration on :math:`\mathcal G^4`; nothing is set to
zero outside the object (`espirit` returns the eigenvalue, which tells).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["birdcage", "calibration_size", "centre", "compression", "espirit", "whitening"]


def birdcage(coils: int, size: tuple[int, int]) -> NDArray[np.complex128]:
    """Simulated maps (coils, H, W), sum of squares 1: on a circle of 1.5 fields of view, falling with distance."""
    rows, columns = np.meshgrid(*((np.arange(n) - n // 2) / (n / 2) for n in size), indexing="ij")
    angles = 2 * math.pi * np.arange(coils)[:, None, None] / coils
    down, right = rows - 1.5 * np.sin(angles), columns - 1.5 * np.cos(angles)
    maps = np.exp(1j * (np.arctan2(down, right) + angles)) / np.hypot(down, right)
    normalised: NDArray[np.complex128] = maps / np.sqrt((np.abs(maps) ** 2).sum(0))
    return normalised


def calibration_size(sampled: NDArray[np.bool_]) -> tuple[int, int]:
    """Rows and columns of the largest fully sampled rectangle about the centre of k-space.

    Args:
        sampled: (H, W), or (1, W) for whole columns (the rows then are 1).

    Returns:
        (h, w), the samples from ``n // 2 - h // 2`` on; (0, 0) where the centre itself is not sampled.
    """
    height, width = sampled.shape
    best = (0, 0)
    for h in range(1, height + 1):
        rows = np.all(sampled[height // 2 - h // 2 : height // 2 - h // 2 + h], axis=0, keepdims=True)[0]
        w = 0
        while w < width and rows[width // 2 - (w + 1) // 2 : width // 2 - (w + 1) // 2 + w + 1].all():
            w += 1
        if w == 0:
            break
        # nearly square counts: a bar one sample thick has no patches
        best = max(best, (h, w), key=lambda sides: (min(*sides, 24) if height > 1 else sides[1], sides[0] * sides[1]))
    return best


def centre(kspace: Tensor, size: tuple[int, int]) -> Tensor:
    """The middle ``size`` samples of the last two axes."""
    tops = [n // 2 - m // 2 for n, m in zip(kspace.shape[-2:], size, strict=True)]
    return kspace[..., tops[0] : tops[0] + size[0], tops[1] : tops[1] + size[1]]


def espirit(
    calibration: Tensor, size: tuple[int, int], *, kernel: int = 6, threshold: float = 0.02, iterations: int = 12
) -> tuple[Tensor, Tensor]:
    """Coil maps from the fully sampled centre of k-space.

    Args:
        calibration: (coils, h, w), complex, both sides at least ``kernel``.
        size: (H, W) of the maps.
        kernel: Side of the patches.
        threshold: Patches' subspace: singular values above this share of the largest.
        iterations: Of the power method.

    Returns:
        Maps (coils, H, W), complex64, and the eigenvalue (H, W): near 1 where there is signal.
    """
    coils = calibration.shape[0]
    data = calibration.to(torch.complex128)
    data = data / data.abs().amax()
    patches = data.unfold(1, kernel, 1).unfold(2, kernel, 1).permute(1, 2, 0, 3, 4).reshape(-1, coils * kernel**2)
    values, vectors = torch.linalg.eigh(patches.T @ patches.conj())
    kept = vectors[:, values.clamp_min(0).sqrt() > threshold * math.sqrt(float(values[-1]))]
    projector = (kept @ kept.mH).reshape(coils, kernel, kernel, coils, kernel, kernel)
    side = 2 * kernel - 1
    spread = torch.zeros(coils, coils, side, side, dtype=torch.complex128)
    for i in range(kernel):
        for j in range(kernel):
            rows, columns = slice(kernel - 1 - i, side - i), slice(kernel - 1 - j, side - j)
            spread[:, :, rows, columns] += projector[:, i, j]
    gram = _gram(spread.to(torch.complex64) / kernel**2, size, kernel)
    powered = gram @ gram
    powered = powered @ powered
    vector = torch.ones(*size, coils, 1, dtype=torch.complex64) + 0.1 * gram.mean((0, 1)).diagonal()[:, None]
    for _ in range(iterations):
        vector = powered @ vector
        vector = vector / torch.linalg.vector_norm(vector, dim=-2, keepdim=True).clamp_min(1e-20)
    eigenvalue = torch.linalg.vector_norm(gram @ vector, dim=(-2, -1))
    maps = vector[..., 0].permute(2, 0, 1)
    reference = torch.linalg.svd(data.reshape(coils, -1), full_matrices=False)[0][:, 0].to(torch.complex64)
    along = (maps * reference.conj()[:, None, None]).sum(0)
    maps = maps * torch.exp(-1j * torch.angle(along))
    return maps, eigenvalue


def _gram(spread: Tensor, size: tuple[int, int], kernel: int) -> Tensor:
    """``G`` of the module's formula at every pixel, (H, W, coils, coils)."""
    coils = spread.shape[0]
    waves = []
    for n in size:
        shifts = torch.arange(2 * kernel - 1, dtype=torch.float64) - (kernel - 1)
        places = torch.arange(n, dtype=torch.float64) - n // 2
        waves.append(torch.exp(-2j * math.pi * places[:, None] * shifts / n).to(torch.complex64))
    half = torch.einsum("abij,wj->abiw", spread, waves[1])
    return torch.einsum("hi,abiw->hwab", waves[0], half).reshape(*size, coils, coils)


def whitening(noise: Tensor) -> Tensor:
    """``L^-1`` (coils, coils) of the noise covariance ``L L^H``: whitened noise has variance 1 for each complex sample.

    Args:
        noise: (coils, n), complex: samples of noise alone, n above the number of coils.
    """
    wide = noise.to(torch.complex128)
    covariance = wide @ wide.mH / wide.shape[1]
    lower = torch.linalg.cholesky(covariance)
    inverse: Tensor = torch.linalg.solve_triangular(lower, torch.eye(len(lower), dtype=lower.dtype), upper=False)
    return inverse.to(noise.dtype)


def compression(kspace: Tensor, coils: int) -> Tensor:
    """Orthonormal rows (coils, all coils) of the virtual coils with most signal (Huang et al. 2008).

    Args:
        kspace: (all coils, ...), complex.
        coils: How many to keep.
    """
    flat = kspace.flatten(1).to(torch.complex128)
    _, vectors = torch.linalg.eigh(flat @ flat.mH)
    rows: Tensor = vectors.flip(1)[:, :coils].mH
    return rows.to(kspace.dtype)
