r"""Orthonormal real transforms of images: the DCT-II and the Hartley transform by real FFTs; mirrored borders, means.

The DCT-II diagonalises convolution with even-symmetric kernels on images mirrored at the half-sample (Martucci 1994,
IEEE TSP 42:1038): :math:`X_k = \sqrt{(2 - \delta_{k0})/N} \sum_n x_n \cos(\pi k (2 n + 1) / (2 N))`, by one FFT of
length N (Makhoul 1980, IEEE ASSP 28:27). Such borders (``scipy.ndimage``'s ``reflect``, numpy's ``symmetric``) are made
by `mirror`, whose transpose is `fold`; torch's own ``reflect`` mirrors at the whole sample: it does not repeat the
border pixel. Margins are (left, right, top, bottom) in pixels, each at most the image's size.

The Hartley transform :math:`H = (\mathrm{Re} F - \mathrm{Im} F)/\sqrt{N}` with :math:`F` the 2-D DFT is real,
orthonormal, symmetric and its own inverse. It diagonalises :math:`(C^T C)^{1/2}` of every circular convolution
:math:`C`, so it replaces the half-spectrum of deepinv's ``BlurFFT``, whose real and imaginary parts are not coordinates
in an orthonormal basis.

Any size, any leading axes, differentiable; precision of the input. Cost: 4 (DCT) or 1 (Hartley) real FFTs' worth.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

__all__ = [
    "dct2",
    "dct2_filter",
    "dct2_solve",
    "dct_matrix",
    "dct_squared",
    "fold",
    "full_from_half",
    "half_from_full",
    "hartley2",
    "hartley_squared",
    "idct2",
    "mirror",
    "smoothed",
]


def _twiddle(size: int, like: Tensor) -> Tensor:
    angle = torch.arange(size // 2 + 1, dtype=torch.float64, device=like.device) * (-math.pi / (2 * size))
    gain = torch.full_like(angle, math.sqrt(2 / size))
    gain[0] = math.sqrt(1 / size)
    complex_dtype = torch.complex128 if like.dtype == torch.float64 else torch.complex64
    return torch.polar(gain, angle).to(complex_dtype)


def _dct(x: Tensor) -> Tensor:
    size = x.shape[-1]
    if size == 1:
        return x
    folded = torch.cat([x[..., ::2], x[..., 1::2].flip(-1)], -1)
    spectrum = torch.fft.rfft(folded) * _twiddle(size, x)
    return torch.cat([spectrum.real, -spectrum.imag[..., 1 : (size + 1) // 2].flip(-1)], -1)


def _idct(coordinates: Tensor) -> Tensor:
    size = coordinates.shape[-1]
    if size == 1:
        return coordinates
    half = size // 2 + 1
    edge = torch.zeros_like(coordinates[..., :1])
    mirrored = torch.cat([edge, coordinates[..., size - half + 1 :].flip(-1)], -1)
    spectrum = torch.complex(coordinates[..., :half], -mirrored) / _twiddle(size, coordinates)
    folded = torch.fft.irfft(spectrum, n=size)
    even = (size + 1) // 2
    odd = pad(folded[..., even:].flip(-1), (0, 2 * even - size))
    return torch.stack([folded[..., :even], odd], -1).flatten(-2)[..., :size]


def dct2(x: Tensor) -> Tensor:
    """Orthonormal 2-D DCT-II of the last two axes."""
    return _dct(_dct(x).mT).mT


def idct2(coordinates: Tensor) -> Tensor:
    """Inverse (the transpose) of `dct2`."""
    return _idct(_idct(coordinates.mT).mT)


def dct2_filter(x: Tensor, gains: Tensor) -> Tensor:
    """An image (..., H, W) whose DCT-II coefficients are multiplied by gains."""
    return idct2(gains * dct2(x))


def dct2_solve(x: Tensor, eigenvalues: Tensor) -> Tensor:
    """Solution of a system that is diagonal in the DCT-II: coefficients divided by the eigenvalues (..., H, W)."""
    return idct2(dct2(x) / eigenvalues)


def dct_squared(spectrum: Tensor) -> Tensor:
    """Diagonal of ``dct2^T diag(spectrum) dct2``, (..., H, W)."""
    rows, columns = (dct_matrix(size, spectrum).square() for size in spectrum.shape[-2:])
    return rows.T @ spectrum @ columns


def dct_matrix(size: int, like: Tensor) -> Tensor:
    """Orthonormal DCT-II as a matrix (size, size), frequencies along the rows."""
    steps = torch.arange(size, dtype=torch.float64, device=like.device)
    matrix = torch.cos(math.pi / (2 * size) * steps[:, None] * (2 * steps + 1)) * math.sqrt(2 / size)
    matrix[0] = math.sqrt(1 / size)
    return matrix.to(like.dtype)


def full_from_half(spectrum: Tensor, width: int) -> Tensor:
    """Hartley coordinates (..., H, W), real, from the orthonormal real FFT (..., H, W // 2 + 1)."""
    left = spectrum.real - spectrum.imag
    opposite = (spectrum.real + spectrum.imag)[..., 1 : (width + 1) // 2]
    return torch.cat([left, opposite.flip((-2, -1)).roll(1, -2)], -1)


def half_from_full(coordinates: Tensor) -> Tensor:
    """Orthonormal real FFT (..., H, W // 2 + 1) of Hartley coordinates (..., H, W): the inverse of `full_from_half`."""
    half = coordinates.shape[-1] // 2 + 1
    opposite = coordinates.flip((-2, -1)).roll((1, 1), (-2, -1))[..., :half]
    here = coordinates[..., :half]
    return torch.complex((here + opposite) / 2, (opposite - here) / 2)


def hartley2(x: Tensor) -> Tensor:
    """Orthonormal 2-D Hartley transform of the last two axes; its own inverse."""
    return full_from_half(torch.fft.rfft2(x, norm="ortho"), x.shape[-1])


def hartley_squared(spectrum: Tensor) -> Tensor:
    """Diagonal of ``hartley2 diag(spectrum) hartley2``, (..., H, W)."""
    height, width = spectrum.shape[-2:]
    transform = torch.fft.fft2(spectrum)
    rows = torch.arange(height, device=spectrum.device) * 2 % height
    columns = torch.arange(width, device=spectrum.device) * 2 % width
    doubled = transform.imag.index_select(-2, rows).index_select(-1, columns)
    diagonal: Tensor = (transform.real[..., :1, :1] - doubled) / (height * width)
    return diagonal


def mirror(x: Tensor, margins: tuple[int, int, int, int]) -> Tensor:
    """Extend the last two axes by mirrored margins."""
    left, right, top, bottom = margins
    width, height = x.shape[-1], x.shape[-2]
    x = torch.cat([x[..., :left].flip(-1), x, x[..., width - right :].flip(-1)], -1)
    return torch.cat([x[..., :top, :].flip(-2), x, x[..., height - bottom :, :].flip(-2)], -2)


def fold(z: Tensor, margins: tuple[int, int, int, int]) -> Tensor:
    """Transpose of `mirror`: add what lies beyond the frame to the pixels it mirrors."""
    left, right, top, bottom = margins
    height, width = z.shape[-2] - top - bottom, z.shape[-1] - left - right
    core = z[..., top : top + height, :]
    core = core + pad(z[..., :top, :].flip(-2), (0, 0, 0, height - top))
    core = core + pad(z[..., top + height :, :].flip(-2), (0, 0, height - bottom, 0))
    x = core[..., left : left + width]
    x = x + pad(core[..., :left].flip(-1), (0, width - left))
    return x + pad(core[..., left + width :].flip(-1), (width - right, 0))


def smoothed(value: Tensor) -> Tensor:
    """Mean over 7 x 7 pixels, and over channels, of random probes (B, C, H, W); vectors stay as they are."""
    if value.ndim != 4:
        return value
    size = min(7, value.shape[-2] // 2 * 2 - 1, value.shape[-1] // 2 * 2 - 1)
    if size < 3:
        return value
    pooled = avg_pool2d(value, size, stride=1, padding=size // 2, count_include_pad=False)
    return pooled.mean(1, keepdim=True).expand_as(value)
