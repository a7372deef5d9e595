r"""Autocovariances of images from windowed periodograms, and mixtures of them by Whittle's likelihood.

With a window ``w`` (Hann along each axis, :math:`\sum w^2 = 1`) slid over the images by half its size L,

.. math:: \hat S_{ab}(f) = \operatorname{mean}_s\ F[w (x_a - \mu_a)](f)\ \overline{F[w (x_b - \mu_b)](f)}

(Welch 1967), averaged over the image and its mirror images, which makes it real and even. Its Fourier transform, the
autocovariance of the windowed images, is zero from lag L on, so L x L lags hold :math:`\hat S` at *every* frequency
(`inverse.priors.models.field`), and it is an average of positive semi-definite matrices at each. The window keeps the
jump between opposite borders out (no bright cross) and blurs the spectrum over about 2 / L cycles per pixel: what
varies more slowly than an image L pixels wide counts as if it varied over L. Flips mean that a rising diagonal is not
told from a falling one.

Mixture: EM on blocks of the images, with
:math:`\log p(\text{block} | k) = -\frac12 \sum_f [\log \det S_k + \mathrm{tr}\, S_k^{-1} \hat S_{block}]` (Whittle
1953), the frequencies as many as the block has pixels. Starts from the blocks sorted by contrast, so it is the same
every time.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["FLOOR", "autocovariance", "block_periodograms", "channel_means", "mixture", "periodogram"]

#: White part of a spectrum, as a share of the variance: about the rounding of an 8-bit photograph.
FLOOR = 1e-5
BLOCK = 128
ROUNDS = 30
CHUNK = 64


def channel_means(images: Sequence[Tensor]) -> Tensor:
    """Mean of each channel (C,), all pixels alike."""
    total = sum((image.double().sum((1, 2)) for image in images), torch.zeros(images[0].shape[0], dtype=torch.float64))
    return total / sum(image[0].numel() for image in images)


def _starts(size: int, window: int) -> list[int]:
    last = size - window
    count = max(1, -(-2 * last // window)) + 1 if last else 1
    return sorted({round(i * last / max(1, count - 1)) for i in range(count)})


def _segments(image: Tensor, window: int) -> Tensor:
    """Windows of an image (C, H, W) that overlap by half, the last ones flush with its borders: (N, C, L, L)."""
    return torch.stack(
        [
            image[:, top : top + window, left : left + window]
            for top in _starts(image.shape[1], window)
            for left in _starts(image.shape[2], window)
        ]
    )


def periodogram(image: Tensor, mean: Tensor, window: int) -> tuple[Tensor, int]:
    """Mean periodogram of the windows of an image (C, H, W), even and real (C, C, 2L, 2L) float64, and their number."""
    line = torch.hann_window(window + 2, periodic=False, dtype=torch.float64)[1:-1]
    taper = torch.outer(line, line)
    taper = taper / taper.square().sum().sqrt()
    segments = _segments(image, window)
    total = torch.zeros(len(image), len(image), 2 * window, 2 * window, dtype=torch.float64)
    for part in torch.split(segments, CHUNK):
        transform = torch.fft.fft2((part.double() - mean[:, None, None]) * taper, s=(2 * window, 2 * window))
        total += torch.einsum("nahw,nbhw->abhw", transform, transform.conj()).real
    total = total / len(segments)
    # flips: the mean over +-f1 (the sign of f2 follows, as the real part is even in f)
    return 0.5 * (total + total.flip(-2).roll(1, -2)), len(segments)


def autocovariance(power: Tensor, window: int) -> Tensor:
    """Lags from 0 to L - 1 along each axis (C, C, L, L) of a spectrum on the 2L x 2L grid, the white floor added."""
    lags: Tensor = torch.fft.ifft2(power).real[..., :window, :window].clone()
    variance = lags[..., 0, 0].diagonal().mean()
    lags[..., 0, 0] += FLOOR * variance * torch.eye(len(lags), dtype=lags.dtype)
    return lags


def block_periodograms(images: Sequence[Tensor], mean: Tensor, window: int) -> tuple[Tensor, Tensor, Tensor]:
    """Periodograms of blocks of about 128 x 128 pixels (U, C, C, 2L, 2L), their windows (U,) and pixels (U,)."""
    powers, counts, pixels = [], [], []
    side = max(BLOCK, window)
    for image in images:
        for rows in image.tensor_split(max(1, image.shape[1] // side), 1):
            for block in rows.tensor_split(max(1, image.shape[2] // side), 2):
                power, count = periodogram(block, mean, window)
                powers.append(power.float())
                counts.append(count)
                pixels.append(block[0].numel())
    return torch.stack(powers), torch.tensor(counts).double(), torch.tensor(pixels).double()


def mixture(powers: Tensor, counts: Tensor, pixels: Tensor, components: int) -> tuple[Tensor, Tensor]:
    """EM on `block_periodograms`: weights (K,) by pixels, and spectra (K, C, C, 2L, 2L) float64.

    Components that lose all their blocks are left out.
    """
    channels = powers.shape[1]
    variance = powers.diagonal(dim1=1, dim2=2).mean((1, 2, 3)).double()
    order, each = variance.argsort(), torch.zeros(len(powers), components, dtype=torch.float64)
    for k, members in enumerate(order.tensor_split(components)):
        each[members, k] = 1
    flat = powers.permute(0, 3, 4, 1, 2).flatten(1, 2)
    floor = FLOOR * float(variance.mean()) * torch.eye(channels, dtype=torch.float64)
    weights, spectra = each.mean(0), torch.empty(0, dtype=torch.float32)
    for _ in range(ROUNDS):
        share = each * counts[:, None]
        spectra = torch.einsum("uk,ufab->kfab", (share / share.sum(0)).float(), flat).double() + floor
        weights = (each * pixels[:, None]).sum(0) / pixels.sum()
        determinant = torch.linalg.slogdet(spectra)[1].mean(1)
        trace = torch.einsum("kfab,ufba->uk", torch.linalg.inv(spectra).float(), flat).double() / flat.shape[1]
        logs = weights.log() - 0.5 * pixels[:, None] * (determinant + trace)
        fresh = torch.softmax(logs, 1)
        used = fresh.sum(0) > 0.5
        settled = fresh.shape == each.shape and float((fresh - each).abs().max()) < 1e-3
        each = fresh[:, used] / fresh[:, used].sum(1, keepdim=True)
        if settled:
            break
    grid = powers.shape[-2:]
    return weights, spectra.reshape(len(spectra), *grid, channels, channels).permute(0, 3, 4, 1, 2)
