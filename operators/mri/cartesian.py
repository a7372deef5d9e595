r"""Cartesian magnetic resonance imaging: :math:`y_c = M F (S_c x) + n_c`.

``x`` (B, 2, H, W) holds the real and imaginary part of a complex image, ``y`` (B, coils, H, W) is complex k-space, zero
where the pattern :math:`M` takes no sample. :math:`F` is the centred, orthonormal Fourier transform (fastMRI's and
BART's), :math:`S_c` are coil maps, normalised so that :math:`\sum_c |S_c|^2 = 1`: ``|x|`` then is the root sum of
squares of the noiseless coil images. ``n`` has standard deviation ``sigma`` in each real component.

Three forms with the same arithmetic:

* `SingleCoil`: singular basis :math:`V = F^H`, singular values the pattern.
* `RowCoils`, for whole columns: the Fourier transform along the columns commutes with the pattern, so every image row
  is a problem of its own, with Gram matrix :math:`G_h = \sum_c \bar S_{c,h} K S_{c,h}`, ``K`` the pattern's point
  spread along the row. Its eigenvectors are the singular basis: the solves of all methods are closed forms. Cost: one
  Hermitian eigenproblem of size W a row (230 x 180: 3 s on one core), then two products a call.
* `MultiCoil`, for any pattern: products only.

Where maps were estimated, pixels without signal are known: there the image is observed to be 0, with the samples' noise
level, as one more channel of ``y`` (BART crops its maps there, which leaves such pixels to the prior).

Singular values below 1e-6 of the largest count as zero. `observed_mask` (1, 1, H or 1, W) is the pattern.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from deepinv.physics import Physics
from torch import Tensor

from inverse.errors import InputError, RecipeError
from inverse.operators.arrays import load_array
from inverse.operators.base import Linear, Spectral
from inverse.operators.mri.coils import birdcage
from inverse.operators.mri.sampling import sampling
from inverse.operators.mri.spec import Mri, ReceiveCoils

__all__ = [
    "MultiCoil",
    "RowCoils",
    "SingleCoil",
    "build",
    "cartesian",
    "coil_maps",
    "fourier",
    "locate",
    "to_complex",
    "to_pair",
]

#: Rows times the third power of the columns up to which `RowCoils` is used: about 5 s of eigenvectors.
_ROWS = 2e9
_FLOOR = 1e-6


def to_complex(x: Tensor) -> Tensor:
    """(B, 2, H, W) real to (B, 1, H, W) complex."""
    return torch.complex(x[:, :1], x[:, 1:])


def to_pair(x: Tensor) -> Tensor:
    """(B, 1, H, W) complex to (B, 2, H, W) real."""
    return torch.cat([x.real, x.imag], 1)


def fourier(x: Tensor, dim: tuple[int, ...] = (-2, -1), *, inverse: bool = False) -> Tensor:
    """Centred, orthonormal Fourier transform of complex images along ``dim``."""
    transform = torch.fft.ifftn if inverse else torch.fft.fftn
    moved: Tensor = torch.fft.fftshift(transform(torch.fft.ifftshift(x, dim=dim), dim=dim, norm="ortho"), dim=dim)
    return moved


class SingleCoil(Spectral):
    """k-space of one coil whose map is 1.

    Args:
        pattern: (1, 1, H or 1, W) of 0 and 1.
        shape: (2, H, W) of one unknown.
    """

    def __init__(self, pattern: Tensor, *, shape: tuple[int, ...], noise_model: Any) -> None:
        super().__init__(pattern, shape=shape, noise_model=noise_model)

    @property
    def observed_mask(self) -> Tensor:
        """The pattern."""
        return self.mask

    def V_adjoint(self, x: Tensor) -> Tensor:
        """k-space (B, 2, H, W) of an image."""
        return to_pair(fourier(to_complex(x)))

    def V(self, coordinates: Tensor) -> Tensor:
        """Image of k-space."""
        return to_pair(fourier(to_complex(coordinates), inverse=True))

    def U(self, coordinates: Tensor) -> Tensor:
        """Measurement (B, 1, H, W), complex."""
        sampled: Tensor = to_complex(coordinates * (self.mask != 0))
        return sampled

    def U_adjoint(self, y: Tensor) -> Tensor:
        """Transpose of ``U``."""
        sampled: Tensor = to_pair(y + 0j) * (self.mask != 0)
        return sampled

    def basis_squared(self, spectrum: Tensor) -> Tensor:
        """Diagonal of ``V diag(spectrum) V^T``: squares of cosines and sines are a constant and twice the frequency."""
        height, width = spectrum.shape[-2:]
        mean = spectrum.mean((1, 2, 3), keepdim=True)
        difference = torch.fft.ifftshift((spectrum[:, :1] - spectrum[:, 1:]) + 0j, dim=(-2, -1))
        wave = torch.fft.ifft2(difference).real / 2
        rows, columns = (2 * (torch.arange(n, device=spectrum.device) - n // 2) % n for n in (height, width))
        part = wave[..., rows[:, None], columns]
        return torch.cat([mean + part, mean - part], 1)


class _Coils:
    """k-space of several coils; with ``outside`` one more channel: the image where there is no signal, seen as 0."""

    pattern: Tensor
    maps: Tensor
    outside: Tensor | None
    mixing: Tensor | None

    def _keep(self, **buffers: Tensor | None) -> None:
        for name, value in buffers.items():
            cast("Physics", self).register_buffer(name, value)

    @property
    def observed_mask(self) -> Tensor:
        """The pattern, (1, 1, H or 1, W); with ``outside`` (1, coils + 1, H, W)."""
        if self.outside is None:
            return self.pattern
        return torch.cat([self.pattern.expand(self.maps.shape), self.outside], 1)

    @property
    def measured_mask(self) -> Tensor:
        """(1, coils, 1, 1) of 1; with ``outside`` one more of 0, which is assumed and not measured."""
        kept = torch.ones_like(self.maps[:1, :, :1, :1].real)
        return kept if self.outside is None else torch.cat([kept, torch.zeros_like(kept[:, :1])], 1)

    def A(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(B, 2, H, W) to (B, coils, H, W), complex."""
        image = to_complex(x)
        samples = self.pattern * fourier(self.maps * image)
        return samples if self.outside is None else torch.cat([samples, self.outside * image], 1)

    def A_adjoint(self, y: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Transpose of ``A``."""
        images = fourier(self.pattern * y[:, : self.maps.shape[1]] + 0j, inverse=True)
        image = (self.maps.conj() * images).sum(1, keepdim=True)
        return to_pair(image if self.outside is None else image + self.outside * y[:, -1:])


class MultiCoil(_Coils, Linear):
    """k-space of several coils, any pattern. Solved on the unknown: its ``A^T A`` needs no shifts of coil images.

    Args:
        pattern: (1, 1, H or 1, W) of 0 and 1.
        maps: (1, coils, H, W), complex.
        shape: (2, H, W) of one unknown.
        outside: (1, 1, H, W), 1 where there is no signal; None: nowhere.
        mixing: (coils of the file, coils), complex: the file's coils from these, where they were whitened or
            compressed.
    """

    solve_unknown = True

    def __init__(
        self,
        pattern: Tensor,
        maps: Tensor,
        *,
        shape: tuple[int, ...],
        noise_model: Any,
        outside: Tensor | None = None,
        mixing: Tensor | None = None,
    ) -> None:
        super().__init__(shape=shape, noise_model=noise_model)
        self._keep(pattern=pattern, maps=maps, outside=outside, mixing=mixing)

    def A_adjoint_A(self, x: Tensor, **kwargs: Any) -> Tensor:
        """``A^T A x``, an image at a time: the coil images of one fit a processor's cache, those of a batch do not."""
        axes = (-2, -1)
        maps, kept = (
            torch.fft.ifftshift(part, dim=axes) for part in (self.maps[0], self.pattern[0].expand(self.maps.shape[1:]))
        )
        shifted = torch.fft.ifftshift(to_complex(x), dim=axes)
        images = [
            (maps.conj() * torch.fft.ifft2(kept * torch.fft.fft2(maps * item))).sum(0, keepdim=True) for item in shifted
        ]
        image = torch.fft.fftshift(torch.stack(images), dim=axes)
        return to_pair(image if self.outside is None else image + self.outside * to_complex(x))


class RowCoils(_Coils, Spectral):
    """k-space of several coils, whole columns.

    Args:
        pattern: (1, 1, 1, W) of 0 and 1.
        maps: (1, coils, H, W), complex.
        shape: (2, H, W) of one unknown.
        outside: As in `MultiCoil`.
        mixing: As in `MultiCoil`.
    """

    basis: Tensor

    def __init__(
        self,
        pattern: Tensor,
        maps: Tensor,
        *,
        shape: tuple[int, ...],
        noise_model: Any,
        outside: Tensor | None = None,
        mixing: Tensor | None = None,
    ) -> None:
        exact = maps[0].to(torch.complex128).transpose(0, 1)  # rows first
        height, width = maps.shape[-2:]
        transform = fourier(torch.eye(width, dtype=torch.complex128, device=maps.device), (-2,))
        spread = transform.mH @ (pattern[0, 0, 0, :, None] * transform)
        held = maps.real.new_zeros(height, width) if outside is None else outside[0, 0]
        values, vectors = [], []
        for row, zero in zip(exact, held, strict=True):
            eigenvalues, basis = torch.linalg.eigh((row.mH @ row) * spread + torch.diag(zero.to(torch.complex128)))
            values.append(eigenvalues.clamp_min(0.0).sqrt())
            vectors.append(basis)
        s = torch.stack(values)[None, None]
        s = torch.where(s > _FLOOR * s.amax(), s, 0.0)
        super().__init__(s.to(pattern.dtype), shape=shape, noise_model=noise_model)
        self._keep(pattern=pattern, maps=maps, outside=outside, mixing=mixing)
        self.register_buffer("basis", torch.stack(vectors).to(maps.dtype))

    def V(self, coordinates: Tensor) -> Tensor:
        """Image (B, 2, H, W) of coordinates, row by row."""
        return to_pair(self._rows(to_complex(coordinates), self.basis))

    def V_adjoint(self, x: Tensor) -> Tensor:
        """Transpose of ``V``."""
        return to_pair(self._rows(to_complex(x), self.basis.mH))

    def U(self, coordinates: Tensor) -> Tensor:
        """Measurement of coordinates: ``A V`` over the singular values."""
        return self.A(self.V(coordinates * self._inverse()))

    def U_adjoint(self, y: Tensor) -> Tensor:
        """Transpose of ``U``."""
        return self.V_adjoint(self.A_adjoint(y)) * self._inverse()

    def basis_squared(self, spectrum: Tensor) -> Tensor:
        """Diagonal of ``V diag(spectrum) V^T``."""
        real, imaginary = (self._rows(spectrum, part.square()) for part in (self.basis.real, self.basis.imag))
        return real + imaginary.flip(1)

    def _inverse(self) -> Tensor:
        return torch.where(self.mask > 0, 1 / torch.where(self.mask > 0, self.mask, 1.0), 0.0)

    @staticmethod
    def _rows(x: Tensor, matrices: Tensor) -> Tensor:
        """Each row (B, C, h, W) times its own matrix (H, W, W)."""
        batch, channels, height, width = x.shape
        columns = x.permute(2, 3, 0, 1).reshape(height, width, batch * channels)
        return (matrices @ columns).reshape(height, width, batch, channels).permute(2, 3, 0, 1)


def build(
    pattern: Tensor,
    maps: Tensor | None,
    *,
    shape: tuple[int, ...],
    noise_model: Any,
    outside: Tensor | None = None,
    mixing: Tensor | None = None,
) -> SingleCoil | MultiCoil | RowCoils:
    """The form of the operator that fits.

    Args:
        pattern: (1, 1, H or 1, W) of 0 and 1; one row where whole columns are sampled.
        maps: (1, coils, H, W), complex, or None for one coil whose map is 1.
        shape: (2, H, W).
        noise_model: deepinv noise model.
        outside: (1, 1, H, W), 1 where there is no signal; None: nowhere.
        mixing: (coils of the file, coils): the file's coils from these; None: they are these.
    """
    if maps is None:
        return SingleCoil(pattern, shape=shape, noise_model=noise_model)
    rows = pattern.shape[-2] == 1 and shape[1] * shape[2] ** 3 <= _ROWS
    form = RowCoils if rows else MultiCoil
    return form(pattern, maps, shape=shape, noise_model=noise_model, outside=outside, mixing=mixing)


def coil_maps(params: ReceiveCoils, size: tuple[int, int], dtype: torch.dtype) -> Tensor | None:
    """Maps (1, coils, H, W) of a file or simulated, as they are in the file; None for one coil whose map is 1.

    Raises:
        InputError: a file that cannot be read or does not fit.
    """
    if params.maps is None:
        maps = None if params.coils == 1 else birdcage(params.coils, size)
    else:
        maps = load_array(params.maps, kinds="fc")
        if maps.ndim != 3 or maps.shape[1:] != size or not np.any(maps):
            raise InputError(
                f"{Path(params.maps).name}: an array of shape {maps.shape} for images of {size[0]} x {size[1]}",
                "allowed: coil maps (coils, H, W) that are not all zero",
            )
    wide = torch.complex128 if dtype == torch.float64 else torch.complex64
    return None if maps is None else torch.from_numpy(np.ascontiguousarray(maps))[None].to(wide)


def cartesian(
    params: Mri, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype
) -> SingleCoil | MultiCoil | RowCoils:
    """The operator with the pattern and the coils of its parameters.

    Raises:
        RecipeError: an unknown that is not complex (two channels), or a pattern without samples.
        InputError: maps or a pattern that do not fit.
    """
    if shape[0] != 2:
        raise RecipeError(
            f"operator '{params.kind}' with {shape[0]} channels", "allowed: 2, real and imaginary part (prior: mri)"
        )
    size = (shape[1], shape[2])
    real = torch.float64 if dtype == torch.float64 else torch.float32
    pattern = torch.from_numpy(sampling(params, size).copy())[None, None].to(real)
    return build(pattern, coil_maps(params, size, dtype), shape=shape, noise_model=noise_model)


def locate(params: Mri, shape: tuple[int, ...]) -> tuple[Mri, tuple[int, ...]]:
    """The unknown of k-space (coils, H, W): (2, H, W); without maps the coils are simulated ones."""
    complete = params if params.maps is not None else params.model_copy(update={"coils": shape[0]})
    return complete, (2, *shape[1:])
