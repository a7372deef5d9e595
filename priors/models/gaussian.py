r"""Exact Gaussian priors: closed-form denoiser and Jacobian.

For :math:`x_0 \sim N(\mu, \Sigma)` and :math:`x = x_0 + \sigma n`:
:math:`D(x, \sigma) = \mu + \Sigma (\Sigma + \sigma^2)^{-1} (x - \mu)`, :math:`J = \Sigma (\Sigma + \sigma^2)^{-1}`.
``white``: :math:`\Sigma = c I`. ``coloured``: :math:`\Sigma` is diagonal in the two-dimensional DFT, given by its power
spectrum. Cost: one FFT pair a call, no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from inverse.errors import PriorError
from inverse.priors.card import Card
from inverse.priors.models.closed_form import Gaussian, Weighted

__all__ = ["GaussianPrior", "power_law"]


def power_law(
    height: int,
    width: int,
    *,
    std: float = 0.25,
    exponent: float = 2.0,
    corner: float = 1.0,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    r"""Power spectrum :math:`\propto (k_0^2 + k^2)^{-\alpha/2}` of a field on a torus, ``k`` in cycles per image.

    :math:`k_0` is the corner, :math:`\alpha` the exponent: photographs have about 2. Eigenvalues of the covariance
    (height, width), in the order of ``torch.fft.fft2``; their mean is ``std^2``, the variance of a pixel, data units.
    """
    rows = torch.fft.fftfreq(height, dtype=dtype) * height
    columns = torch.fft.fftfreq(width, dtype=dtype) * width
    power = (corner**2 + rows[:, None] ** 2 + columns[None, :] ** 2) ** (-exponent / 2)
    spectrum: Tensor = power * (std**2 / power.mean())
    return spectrum


@dataclass(frozen=True)
class GaussianPrior:
    """A Gaussian prior."""

    mean: Tensor | float = 0.5  # broadcasts against (B, C, *S)
    variance: float = 0.0625  # ``c`` of a white prior, data units squared; ignored where there is a spectrum
    spectrum: Tensor | None = None  # eigenvalues of the covariance in the 2-D DFT (H, W); None for a white prior
    name: str = "gaussian"  # on the card

    def __post_init__(self) -> None:
        lowest = self.variance if self.spectrum is None else float(self.spectrum.min())
        if not lowest > 0:
            raise PriorError(f"Gaussian prior with variance {lowest:g}; allowed: above 0")

    @property
    def card(self) -> Card:
        """Its card."""
        variance = self.variance if self.spectrum is None else float(self.spectrum.mean())
        largest = self.variance if self.spectrum is None else float(self.spectrum.max())
        return Card(
            name=self.name,
            title="Exact Gaussian prior",
            kind="gaussian",
            licence="Apache-2.0",
            mean=float(torch.as_tensor(self.mean).mean()),
            data_var=variance,
            sigma_min=1e-6,
            sigma_max=10 * largest**0.5,
            receptive_field=0 if self.spectrum is None else None,
        )

    def _filter(self, v: Tensor, gain: Tensor) -> Tensor:
        filtered: Tensor = torch.fft.ifft2(torch.fft.fft2(v) * gain).real
        return filtered

    def jacobian(self, v: Tensor, sigma: Tensor | float) -> Tensor:
        """``J v``; ``J`` is symmetric. ``v`` (B, C, *S), ``sigma`` a scalar or (B,)."""
        power = torch.as_tensor(sigma, dtype=v.dtype, device=v.device).square().reshape(-1, *[1] * (v.ndim - 1))
        if self.spectrum is None:
            return v * (self.variance / (self.variance + power))
        if v.shape[-2:] != self.spectrum.shape:
            raise PriorError(f"images {tuple(v.shape[-2:])} for a spectrum of {tuple(self.spectrum.shape)}")
        eigenvalues = self.spectrum.to(dtype=v.dtype, device=v.device)
        return self._filter(v, eigenvalues / (eigenvalues + power))

    def __call__(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Posterior mean ``E[x0 | x]``: ``x`` (B, C, *S), ``sigma`` a scalar or (B,)."""
        mean = torch.as_tensor(self.mean, dtype=x.dtype, device=x.device)
        return mean + self.jacobian(x - mean, sigma)

    def closed_form(self, shape: Sequence[int], *, device: torch.device | str = "cpu") -> Weighted:
        """Itself as a Gaussian of an unknown of ``shape`` (C, *S), float64.

        Raises:
            PriorError: the spectrum is of another size.
        """
        values, basis = (self.variance, "pixels") if self.spectrum is None else (self.spectrum, "hartley")
        if self.spectrum is not None and tuple(shape[-2:]) != tuple(self.spectrum.shape):
            raise PriorError(f"images {tuple(shape[-2:])} for a spectrum of {tuple(self.spectrum.shape)}")
        double = partial(torch.as_tensor, dtype=torch.float64, device=device)
        return Weighted(double([0.0]), [Gaussian(double(self.mean), double(values), basis)])

    def sample(self, noise: Tensor) -> Tensor:
        """Turn unit noise (B, C, *S) into draws of the prior."""
        mean = torch.as_tensor(self.mean, dtype=noise.dtype, device=noise.device)
        if self.spectrum is None:
            white: Tensor = mean + self.variance**0.5 * noise
            return white
        return mean + self._filter(noise, self.spectrum.to(noise).sqrt())
