r"""Linear effects in single pixels and bands: thin cloud of known transmission, mixed bands; and a shift.

* thin cloud: :math:`y = t \odot x + (1 - t) a + n` (Koschmieder's law) with t and the airlight a known;
  :math:`(1 - t) a` is subtracted from the measurement, and :math:`A = \mathrm{diag}(t)` is diagonal in pixels.
* `BandMixPhysics`: :math:`y = M x + n` in every pixel, M the responses (measured bands, unknown bands).
  :math:`M = U \mathrm{diag}(s) V^T` by singular values.
* shift: :math:`A = F^* \mathrm{diag}(e^{-2 \pi i (k_1 d_1 / H + k_2 d_2 / W)}) F`, the image wraps around; real, so at
  the Nyquist frequency only the cosine is left. A `CircularBlur` by the band-limited interpolation kernel: orthonormal
  but for that frequency.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inverse.errors import InputError, RecipeError
from inverse.operators.arrays import load_plane
from inverse.operators.base import Spectral
from inverse.operators.blur.blur import CircularBlur
from inverse.operators.image.pointwise import Diagonal
from inverse.operators.measurement import Fitted, Measurement
from inverse.operators.satellite.spec import BandMix, Shift, ThinCloud

__all__ = [
    "Attenuation",
    "BandMixPhysics",
    "band_mix",
    "fitted_thin_cloud",
    "locate_bands",
    "mixed_bands",
    "shift",
    "thin_cloud",
]


class Attenuation(Diagonal):
    """A factor for each value; what is multiplied by 0 is not observed.

    Args:
        weights: At least 0, broadcasts against the unknown.
        shape: Shape (C, H, W) of one unknown.
    """

    picks = False

    def __init__(self, weights: Tensor, *, shape: tuple[int, ...], noise_model: Any) -> None:
        super().__init__(weights, shape=shape, noise_model=noise_model)
        self.register_buffer("observed_mask", (weights > 0).to(weights))


def _transmission(params: ThinCloud, shape: tuple[int, ...]) -> NDArray[np.float64]:
    name = Path(params.transmission).name
    values, _ = load_plane(params.transmission, reduce=np.mean)
    full = 1.0 if values.dtype.kind in "fb" else float(np.iinfo(values.dtype).max)
    plane = np.asarray(values, np.float64) / full
    if plane.shape != shape[-2:]:
        raise InputError(
            f"{name}: a transmission of {plane.shape[1]} x {plane.shape[0]} pixels for an image of {shape[-1]} x "
            f"{shape[-2]}",
            "make them the same size",
        )
    if plane.min() < 0 or plane.max() > 1 or plane.max() == 0:
        raise InputError(f"{name}: transmissions from {plane.min():g} to {plane.max():g}", "allowed: 0 to 1")
    return plane


def thin_cloud(params: ThinCloud, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> Attenuation:
    """The attenuation in the file; the airlight is the measurement's, already subtracted.

    Raises:
        InputError: a file that cannot be read, of another size, or with values that are no transmissions.
    """
    plane = torch.from_numpy(_transmission(params, shape))[None, None].to(dtype)
    return Attenuation(plane, shape=shape, noise_model=noise_model)


def fitted_thin_cloud(params: ThinCloud, measurement: Measurement) -> Fitted:
    """The measurement without its airlight.

    Raises:
        InputError: as `thin_cloud`.
    """
    y, shape = measurement.y, tuple(measurement.y.shape[1:])
    plane = thin_cloud(params, shape=shape, noise_model=None, dtype=y.dtype).mask.to(y.device)
    clear = y - (1 - plane) * params.airlight
    return Fitted(clear, shape, lambda noise: Attenuation(plane, shape=shape, noise_model=noise))


class BandMixPhysics(Spectral):
    """A response matrix in every pixel.

    Args:
        matrix: M (m, C).
        shape: Shape (C, H, W) of one unknown; the measurement is (m, H, W).
        dtype: Of the factors.

    Attributes:
        mask: Singular values (1, C, 1, 1), with zeros where m < C.
        left: U (m, C), zero columns where m < C.
        right: V (C, C).
    """

    left: Tensor
    right: Tensor

    def __init__(
        self, matrix: NDArray[np.float64], *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype
    ) -> None:
        measured, bands = matrix.shape
        left, values, right = np.linalg.svd(matrix)
        kept = min(measured, bands)
        spectrum, basis = np.zeros(bands), np.zeros((measured, bands))
        spectrum[:kept], basis[:, :kept] = values, left[:, :kept]
        super().__init__(
            torch.from_numpy(spectrum).to(dtype)[None, :, None, None], shape=shape, noise_model=noise_model
        )
        self.register_buffer("left", torch.from_numpy(basis).to(dtype))
        self.register_buffer("right", torch.from_numpy(right.T.copy()).to(dtype))

    def V_adjoint(self, x: Tensor) -> Tensor:
        """Bands (B, C, H, W) in the right singular basis."""
        return torch.einsum("ck,bchw->bkhw", self.right.to(x.dtype), x)

    def V(self, coordinates: Tensor) -> Tensor:
        """The inverse."""
        return torch.einsum("ck,bkhw->bchw", self.right.to(coordinates.dtype), coordinates)

    def U(self, coordinates: Tensor) -> Tensor:
        """Coordinates to measured bands (B, m, H, W)."""
        return torch.einsum("mk,bkhw->bmhw", self.left.to(coordinates.dtype), coordinates)

    def U_adjoint(self, y: Tensor) -> Tensor:
        """The transpose."""
        return torch.einsum("mk,bmhw->bkhw", self.left.to(y.dtype), y)

    def basis_squared(self, spectrum: Tensor) -> Tensor:
        """Attenuation of ``V diag(spectrum) V^T``, (B, C, H, W)."""
        return torch.einsum("ck,bkhw->bchw", self.right.to(spectrum.dtype).square(), spectrum)


def _matrix(params: BandMix) -> NDArray[np.float64]:
    if len({len(row) for row in params.matrix}) != 1 or not params.matrix[0]:
        raise RecipeError(
            "operator.matrix: rows of different lengths", "a row for each measured band, a column for each unknown"
        )
    return np.asarray(params.matrix, np.float64)


def band_mix(params: BandMix, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> BandMixPhysics:
    """The mixing of the parameters' matrix.

    Raises:
        RecipeError: a matrix that is none.
        InputError: an unknown of another number of bands.
    """
    matrix = _matrix(params)
    if matrix.shape[1] != shape[0]:
        raise InputError(
            f"a response to {matrix.shape[1]} bands for an unknown of {shape[0]}", "one column for each band"
        )
    return BandMixPhysics(matrix, shape=shape, noise_model=noise_model, dtype=dtype)


def locate_bands(params: BandMix, shape: tuple[int, ...]) -> tuple[BandMix, tuple[int, ...]]:
    """The unknown of a measurement: as many bands as the matrix has columns."""
    matrix = _matrix(params)
    if matrix.shape[0] != shape[0]:
        raise InputError(
            f"a response of {matrix.shape[0]} bands for a measurement of {shape[0]}", "one row for each band"
        )
    return params, (matrix.shape[1], *shape[-2:])


def mixed_bands(params: BandMix, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of what is restored: `locate_bands`'."""
    return locate_bands(params, shape)[1]


def shift(params: Shift, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> CircularBlur:
    """The shift by ``down`` and ``right`` pixels."""
    lines = [_delay(offset, size) for offset, size in zip((params.down, params.right), shape[-2:], strict=True)]
    return CircularBlur(np.outer(*lines), shape=shape, noise_model=noise_model, dtype=dtype)


def _delay(offset: float, size: int) -> NDArray[np.float64]:
    """The periodic interpolation kernel (size,) that delays by ``offset``, its origin at ``size // 2``."""
    phase = np.exp(-2j * np.pi * np.fft.rfftfreq(size) * offset)
    return np.roll(np.fft.irfft(phase, size), size // 2)
