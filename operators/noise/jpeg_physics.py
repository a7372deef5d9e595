"""Operators whose measurement was saved as JPEG: weighted coefficients of the file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from deepinv.physics import LinearPhysics, Physics
from torch import Tensor

from inverse.numerics.transforms import dct_matrix
from inverse.operators.base import Cloned, Linear
from inverse.operators.noise.jpeg import SIDE, JpegFile

__all__ = ["JpegMeasured", "JpegMeasuredNonlinear"]


def _response(size: int, basis: Tensor) -> Tensor:
    """Power of the DCT of blocks (rows) at the frequencies of a DCT-II of a size (size, 8); rows add up to 1."""
    frequency = torch.arange(size, dtype=torch.float64) / (2 * size)
    place = torch.arange(SIDE, dtype=torch.float64)
    wave = torch.exp(-2j * torch.pi * frequency[:, None] * place) @ basis.T.to(torch.complex128)
    return (wave.abs().square() / SIDE).to(basis)


class JpegMeasured(Linear):
    """A linear operator whose measurement was saved as JPEG: weighted coefficients.

    Args:
        physics: The operator.
        file: Of its measurement.
        slopes: 8-bit values for one unit of the operator's measurement (1, C, H, W), or broadcasting against it.
        weights: Of the coefficients (1, 1, blocks, 64).
    """

    weights: Tensor
    slopes: Tensor
    lengths: Tensor

    def __init__(self, physics: LinearPhysics, file: JpegFile, slopes: Tensor, weights: Tensor) -> None:
        super().__init__(shape=tuple(physics.img_size), noise_model=physics.noise_model)
        self.inner, self.file = physics, file
        self.register_buffer("slopes", slopes)
        self.register_buffer("weights", weights)
        self.output_crop = getattr(physics, "output_crop", None)
        self.register_buffer("lengths", file.lengths(weights) * self.slopes.square().mean())

    def precondition_gram(self, alpha: Tensor, beta: Tensor) -> Callable[[Tensor], Tensor]:
        """The map ``(alpha + beta A A^T)^-1``, nearly; arguments as of a blur's.

        Plane by plane in its DCT-II, without what couples the planes: the operator's power there, as it is known
        (``gram``, else that of no operator), beside the noise, each frequency's that of the blocks' on average.
        """
        alpha, beta = alpha.reshape(-1, 1, 1, 1), beta.reshape(-1, 1, 1, 1)
        gram, file = getattr(self.inner, "gram", None), self.file
        if gram is None or tuple(gram.shape[-2:]) != file.size:
            share = self.weights.square() * self.lengths
            return lambda r: r / (alpha + beta * share)
        power = gram.reshape(-1, 1, *file.size).mean(0, keepdim=True)
        spectra = [
            alpha * noise + beta * length * file.seen(power, index)
            for index, (noise, length) in enumerate(zip(self._noise, self._length, strict=True))
        ]
        return lambda r: file.filtered(r / self._safe, spectra) / self._safe

    @property
    def _safe(self) -> Tensor:
        """The weights, 1 where nothing was observed."""
        return torch.where(self.weights > 0, self.weights, 1.0)

    @property
    def _length(self) -> list[Tensor]:
        return [part[0, 0] for part in torch.split(self.lengths[0, 0], self.file.counts)]

    @property
    def _noise(self) -> list[Tensor]:
        """Power of each plane's noise over ``sigma^2`` at the frequencies of its DCT-II, (1, 1, h, w)."""
        spectra = []
        for part, blocks in zip(torch.split(self._safe[0, 0], self.file.counts), self.file.blocks, strict=True):
            power = part.square().reciprocal().mean(0).reshape(SIDE, SIDE)
            basis = dct_matrix(SIDE, power)
            rows, columns = (_response(SIDE * count, basis) for count in blocks)
            spectra.append((rows @ power @ columns.T)[None, None])
        return spectra

    def A(self, x: Tensor, **_: Any) -> Tensor:
        """(B, C, H, W) to weighted coefficients (B, 1, blocks, 64)."""
        return self.weights * self.file.coefficients(self.slopes * self.inner.A(x))

    def A_adjoint(self, y: Tensor, **_: Any) -> Tensor:
        """The adjoint."""
        image: Tensor = self.inner.A_adjoint(self.slopes * self.file.adjoint(self.weights * y))
        return image


class JpegMeasuredNonlinear(Cloned, Physics):
    """An operator that is not linear, saved as JPEG; arguments as `JpegMeasured`."""

    weights: Tensor
    slopes: Tensor

    def __init__(self, physics: Physics, file: JpegFile, slopes: Tensor, weights: Tensor) -> None:
        super().__init__(noise_model=physics.noise_model)
        self.inner, self.file = physics, file
        self.register_buffer("slopes", slopes)
        self.register_buffer("weights", weights)
        self.output_crop = getattr(physics, "output_crop", None)

    def A(self, x: Tensor, **_: Any) -> Tensor:
        """(B, C, H, W) to weighted coefficients (B, 1, blocks, 64)."""
        return self.weights * self.file.coefficients(self.slopes * self.inner.A(x))
