r"""Measurements in transformed coordinates: magnitudes of Fourier transforms, and random parts of a cosine transform.

* `PhaseRetrievalPhysics`: :math:`y_k = |F (d_k \odot x)|`, the orthonormal 2-D Fourier transform, for masks :math:`d_k`
  of independent uniform 1, i, -1, -i: coded diffraction patterns (Candes, Li & Soltanolkotabi 2015, ACHA 39:277).
  Without masks: one pattern of the image with zeros around it to twice its sides, whose magnitude tells an image up to
  a turn by half a turn and a shift. The magnitude is :math:`\sqrt{|z|^2 + \epsilon^2}`, :math:`\epsilon = 10^{-4}`, so
  that its gradient exists at 0.
* `CompressedSensingPhysics`: :math:`y = m \odot C (d \odot x)`, signs d and the orthonormal DCT-II C: every coefficient
  sees every pixel (Do, Gan, Nguyen & Tran 2012, IEEE TSP 60:139). :math:`V^T = C\,\mathrm{diag}(d)`, :math:`U = I`,
  singular values m. ``y`` keeps the grid of the coefficients, zero where not measured.

Masks, signs and choices are numpy's Philox: functions of seed and size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from deepinv.physics import Physics
from torch import Tensor

from inverse.errors import InputError
from inverse.numerics.transforms import dct2, dct_squared, idct2
from inverse.operators.base import Cloned, Spectral
from inverse.operators.projection.spec import CompressedSensing, PhaseRetrieval

__all__ = [
    "CompressedSensingPhysics",
    "PhaseRetrievalPhysics",
    "compressed_sensing",
    "locate_phase",
    "phase_retrieval",
    "result_phase",
]

EPSILON = 1e-4


class PhaseRetrievalPhysics(Cloned, Physics):
    """Magnitudes of coded diffraction patterns.

    Args:
        turns: (K, H, W) whole numbers, quarter turns of the phase of each mask; K = 0: no mask, zeros around the image.
        shape: Shape (C, H, W) of one unknown; the measurement is (K C, H, W), mask by mask, or (C, 2 H, 2 W).
        dtype: Of the masks.

    Attributes:
        masks: (1, K, 1, H, W, 2) as real and imaginary part.
    """

    masks: Tensor

    def __init__(self, turns: Tensor, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> None:
        super().__init__(noise_model=noise_model)
        self.img_size = shape
        angle = turns.to(torch.float64) * (torch.pi / 2)
        masks = torch.stack([angle.cos().round(), angle.sin().round()], -1)
        self.register_buffer("masks", masks[None, :, None].to(dtype))

    def A(self, x: Tensor, **_: Any) -> Tensor:
        """Magnitudes of (B, C, H, W)."""
        height, width = x.shape[-2:]
        if self.masks.shape[1] == 0:
            field = torch.fft.fft2(x, s=(2 * height, 2 * width), norm="ortho")
        else:
            coded = torch.view_as_complex(self.masks.to(x.dtype)) * x[:, None]
            field = torch.fft.fft2(coded, norm="ortho").flatten(1, 2)
        magnitude: Tensor = (field.real.square() + field.imag.square() + EPSILON**2).sqrt()
        return magnitude


def phase_retrieval(
    params: PhaseRetrieval, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype
) -> PhaseRetrievalPhysics:
    """Masks from the seed."""
    turns = np.random.Generator(np.random.Philox(key=params.seed)).integers(0, 4, (params.masks, *shape[-2:]))
    return PhaseRetrievalPhysics(torch.from_numpy(turns), shape=shape, noise_model=noise_model, dtype=dtype)


def locate_phase(params: PhaseRetrieval, shape: tuple[int, ...]) -> tuple[PhaseRetrieval, tuple[int, ...]]:
    """The unknown of a measurement.

    Raises:
        InputError: magnitudes whose number does not fit the masks.
    """
    return params, result_phase(params, shape)


def result_phase(params: PhaseRetrieval, shape: tuple[int, ...]) -> tuple[int, ...]:
    """(C, H, W) from (K C, H, W), or from (C, 2 H, 2 W) without masks."""
    channels, height, width = shape
    if params.masks == 0:
        if height % 2 or width % 2:
            raise InputError(
                f"magnitudes of {width} x {height}", "allowed without masks: even sides, twice the image's"
            )
        return channels, height // 2, width // 2
    if channels % params.masks:
        raise InputError(
            f"{channels} planes of magnitudes for {params.masks} masks", "allowed: one for each mask and channel"
        )
    return channels // params.masks, height, width


class CompressedSensingPhysics(Spectral):
    """A part of the cosine transform of an image with random signs.

    Args:
        mask: (1, 1, H, W) of 0 and 1, 1 = measured.
        signs: (1, 1, H, W) of -1 and 1.
        shape: Shape (C, H, W) of one unknown.

    Attributes:
        observed_mask: The mask, for counts.
    """

    signs: Tensor
    observed_mask: Tensor
    picks = True

    def __init__(self, mask: Tensor, signs: Tensor, *, shape: tuple[int, ...], noise_model: Any) -> None:
        super().__init__(mask, shape=shape, noise_model=noise_model)
        self.register_buffer("signs", signs)
        self.register_buffer("observed_mask", mask.clone())

    def V_adjoint(self, x: Tensor) -> Tensor:
        """DCT-II of (B, C, H, W) with the signs."""
        return dct2(self.signs.to(x.dtype) * x)

    def V(self, coordinates: Tensor) -> Tensor:
        """The transpose."""
        return self.signs.to(coordinates.dtype) * idct2(coordinates)

    def basis_squared(self, spectrum: Tensor) -> Tensor:
        """Diagonal of ``V diag(spectrum) V^T``, (B, C, H, W)."""
        return dct_squared(spectrum)


def compressed_sensing(
    params: CompressedSensing, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype
) -> CompressedSensingPhysics:
    """Signs and choice from the seed; ``ratio`` of all coefficients, at least one, the same in all channels."""
    rng = np.random.Generator(np.random.Philox(key=params.seed))
    height, width = shape[-2:]
    signs = 2.0 * rng.integers(0, 2, (height, width)) - 1
    count = max(1, round(params.ratio * height * width))
    mask = np.zeros(height * width)
    mask[rng.permutation(height * width)[:count]] = 1
    planes = [torch.from_numpy(plane.reshape(1, 1, height, width)).to(dtype) for plane in (mask, signs)]
    return CompressedSensingPhysics(*planes, shape=shape, noise_model=noise_model)
