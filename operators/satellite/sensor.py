r"""What a satellite's sensor does to a scene: its modulation transfer function (MTF), then its sampling.

.. math::
    y_i = \sum_j w_{f i + j}\, x_j, \qquad
    w_j \propto e^{-t_j^2 / 2 s^2}, \; t_j = j - (f - 1)/2, \qquad
    s = \frac{f}{\pi} \sqrt{-2 \ln G}

with G the MTF at the Nyquist frequency of the coarse grid and f its pixels in pixels of the unknown: the Gaussian whose
transfer function :math:`e^{-2 \pi^2 s^2 \nu^2}` is G at :math:`\nu = 1/(2 f)` (Aiazzi et al. 2006, Photogramm. Eng.
Remote Sens. 72:591). Each band has its own G. A real MTF falls more slowly beyond Nyquist and differs along and across
the track by a few hundredths.

MTF at Nyquist, by sensor:

* Sentinel-2 MSI, B1 to B12 with B8A after B8, without B10: the table of Ulfarsson et al. 2019 (IEEE TGRS 57:7040), from
  ESA's Sentinel-2 L1C data quality reports;
* Landsat 8 and 9 OLI: from the required edge slope of 0.027 a metre (30 m bands; pan 0.054), which all bands meet in
  orbit (Storey, Choate & Lee 2014, Remote Sens. 6:11127); a Gaussian of that slope :math:`1/(\sqrt{2 \pi} s)` has 0.30.
  A lower bound on sharpness, not a measurement of each band;
* WorldView-2 and 3: the tables of Vivone et al. 2015 (IEEE TGRS 53:2565), coastal to near infrared 2;
* generic: 0.30, amid all of these.

The unknown is mirrored at the half-sample, so :math:`A A^T` is diagonal in the measurement's DCT-II where the sides are
multiples of f: the autocorrelation of w at multiples of f, transformed. It is the preconditioner of the solves, exact
there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d

from inverse.errors import InputError, RecipeError
from inverse.numerics.transforms import dct2_solve, fold, mirror
from inverse.operators.image.resample import Decimated
from inverse.operators.satellite.resampled import ResampledResponse
from inverse.operators.satellite.spec import SensorParams

__all__ = ["MTF", "SensorResponse", "locate", "mtf_line", "nyquist_gains", "sensor"]

MTF: dict[str, dict[str, float]] = {
    "sentinel-2": {
        "B1": 0.32, "B2": 0.26, "B3": 0.28, "B4": 0.24, "B5": 0.38, "B6": 0.34, "B7": 0.34, "B8": 0.26, "B8A": 0.33,
        "B9": 0.26, "B11": 0.22, "B12": 0.23,
    },
    "landsat-8": {f"B{band}": 0.30 for band in range(1, 10)},
    "landsat-9": {f"B{band}": 0.30 for band in range(1, 10)},
    "worldview-2": {**{f"B{band}": 0.35 for band in range(1, 8)}, "B8": 0.27},
    "worldview-3": {
        "B1": 0.325, "B2": 0.355, "B3": 0.360, "B4": 0.350, "B5": 0.365, "B6": 0.360, "B7": 0.335, "B8": 0.315,
    },
    "generic": {},
}  # fmt: skip
"""MTF at Nyquist of each band of a sensor; a sensor without bands has `GENERIC` in all."""

GENERIC = 0.30
_COLOUR = {"sentinel-2": ("B4", "B3", "B2"), "landsat-8": ("B4", "B3", "B2"), "landsat-9": ("B4", "B3", "B2")}
_COLOUR |= {"worldview-2": ("B5", "B3", "B2"), "worldview-3": ("B5", "B3", "B2")}


def nyquist_gains(sensor: str, bands: Sequence[str], channels: int) -> tuple[float, ...]:
    """The MTF at Nyquist of each channel.

    Args:
        sensor: A key of `MTF`.
        bands: Names of the channels' bands; empty: red, green and blue if there are three channels, all bands of the
            sensor in order if as many, else the mean of the sensor's bands.
        channels: Channels of the image.

    Raises:
        RecipeError: an unknown band, or not one for each channel.
    """
    table = MTF[sensor]
    if not table:
        return (GENERIC,) * channels
    if not bands:
        if channels == 3:
            bands = _COLOUR[sensor]
        elif channels == len(table):
            bands = tuple(table)
        else:
            return (sum(table.values()) / len(table),) * channels
    unknown = [band for band in bands if band not in table]
    if unknown or len(bands) != channels:
        given = f"{sensor} has no band {unknown[0]}" if unknown else f"{len(bands)} bands for {channels} channels"
        raise RecipeError(f"operator.bands: {given}", f"allowed: one for each channel of {', '.join(table)}")
    return tuple(table[band] for band in bands)


def mtf_line(gain: float, factor: int, count: int | None = None) -> NDArray[np.float64]:
    """Weights (n,) along one axis of the Gaussian with an MTF of ``gain`` at the coarse grid's Nyquist frequency.

    That grid is ``factor`` times coarser.
    Sum 1, centred at (factor - 1) / 2, cut off at 4 standard deviations or n = ``count``; n - factor is even. The width
    is solved for with the sampled weights: the formula's within 0.1 % for a factor of 2 and more, wider for 1.
    """
    reach = 4 * factor / math.pi * math.sqrt(-2 * math.log(gain)) * (1.5 if factor == 1 else 1.0)
    n = 2 * math.ceil(reach) + factor % 2
    width = optimize.brentq(lambda s: _gaussian(s, n) @ np.cos(np.pi * _places(n) / factor) - gain, 0.1 * factor, n)
    return _gaussian(width, count or n)


def _places(count: int) -> NDArray[np.float64]:
    return np.arange(count, dtype=np.float64) - (count - 1) / 2


def _gaussian(width: float, count: int) -> NDArray[np.float64]:
    line = np.exp(-0.5 * (_places(count) / width) ** 2)
    return np.asarray(line / line.sum())


class SensorResponse(Decimated):
    """Gaussian MTF of each channel and decimation, mirrored at the frame.

    Args:
        gains: MTF at Nyquist of each channel.
        factor: f, at least 1; 1 blurs without decimation.
        shape: Shape (C, H, W) of one unknown; the measurement is (C, ceil(H / f), ceil(W / f)).
        dtype: Of the weights.

    Attributes:
        lines: Weights (C, n).
        gram: Eigenvalues of ``A A^T`` in the DCT-II of the measurement (C, h, w), exact where the sides are multiples
            of f.

    Raises:
        InputError: an image that is smaller than the response.
    """

    lines: Tensor
    gram: Tensor

    def __init__(
        self, gains: Sequence[float], factor: int, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype
    ) -> None:
        super().__init__(shape=shape, noise_model=noise_model)
        self._gains = tuple(gains)
        count = max(len(mtf_line(gain, factor)) for gain in gains)
        lines = np.stack([mtf_line(gain, factor, count) for gain in gains])
        before, (height, width) = (count - factor) // 2, shape[-2:]
        self.factor, self.small = factor, (math.ceil(height / factor), math.ceil(width / factor))
        below, right = (
            factor * (n - 1) + count - before - side for n, side in zip(self.small, (height, width), strict=True)
        )
        if max(before, below) > height or max(before, right) > width:
            raise InputError(
                f"{width} x {height} pixels are fewer than the sensor's response of {count}", "use a larger image"
            )
        self.margins = (before, right, before, below)
        self.register_buffer("lines", torch.from_numpy(lines).to(dtype))
        rows, columns = (np.stack([_symbol(line, factor, n) for line in lines]) for n in self.small)
        self.register_buffer("gram", torch.from_numpy(rows[:, :, None] * columns[:, None, :]).to(dtype))

    def on(self, shape: tuple[int, ...]) -> SensorResponse:
        """The same operator on images (C, H, W) of another size."""
        settings: dict[str, Any] = {"noise_model": self.noise_model, "dtype": self.lines.dtype}
        return SensorResponse(self._gains, self.factor, shape=shape, **settings)

    def _weights(self, like: Tensor) -> tuple[Tensor, Tensor]:
        lines = self.lines.to(like.dtype)
        return lines[:, None, :, None], lines[:, None, None, :]

    def A(self, x: Tensor, **kwargs: Any) -> Tensor:
        """(B, C, H, W) to (B, C, h, w)."""
        (down, across), f, groups = self._weights(x), self.factor, x.shape[1]
        rows = conv2d(mirror(x, self.margins), down, stride=(f, 1), groups=groups)
        return conv2d(rows, across, stride=(1, f), groups=groups)

    def A_adjoint(self, y: Tensor, **kwargs: Any) -> Tensor:
        """Transpose of ``A``."""
        (down, across), f, groups = self._weights(y), self.factor, y.shape[1]
        rows = conv_transpose2d(y, across, stride=(1, f), groups=groups)
        return fold(conv_transpose2d(rows, down, stride=(f, 1), groups=groups), self.margins)

    def precondition_gram(self, alpha: Tensor, beta: Tensor) -> Callable[[Tensor], Tensor]:
        """The map ``(alpha + beta A A^T)^-1``, exact where the sides are multiples of f.

        Args:
            alpha: At least 0, each item's own (B,) or one (), of the precision of a measurement.
            beta: As alpha.

        Returns:
            Maps a measurement (B, C, h, w).
        """
        scaling = alpha.reshape(-1, 1, 1, 1) + beta.reshape(-1, 1, 1, 1) * self.gram.to(alpha.dtype)
        scaling = torch.maximum(scaling, 1e-7 * scaling.amax((-2, -1), keepdim=True)).clamp_min(1e-30)
        return partial(dct2_solve, eigenvalues=scaling)


def _symbol(line: NDArray[np.float64], factor: int, size: int) -> NDArray[np.float64]:
    """Eigenvalues (size,) of ``A A^T`` along an axis: the autocorrelation at multiples of ``factor`` as cosine sum."""
    full = np.correlate(line, line, "full")[len(line) - 1 :: factor]
    angles = np.pi * np.outer(np.arange(size), np.arange(1, len(full))) / size
    return np.asarray(np.maximum(full[0] + 2 * np.cos(angles) @ full[1:], 0.0))


def sensor(
    params: SensorParams, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype
) -> SensorResponse | ResampledResponse:
    """The response the parameters describe.

    Raises:
        RecipeError: a size of pixels in metres, without a file that says how large its own are.
    """
    _require_factor(params)
    gains = nyquist_gains(params.sensor, params.bands, shape[0])
    if params.mtf is not None:
        gains = (params.mtf,) * shape[0]
    if not isinstance(params.factor, int):
        return ResampledResponse(gains, params.factor, shape=shape, noise_model=noise_model, dtype=dtype)
    return SensorResponse(gains, params.factor, shape=shape, noise_model=noise_model, dtype=dtype)


def _require_factor(params: SensorParams) -> None:
    if params.gsd is not None:
        raise RecipeError(
            "operator.gsd is of a file that says how large its pixels are, and there is none", "give operator.factor"
        )


def locate(params: SensorParams, shape: tuple[int, ...]) -> tuple[SensorParams, tuple[int, ...]]:
    """The unknown of a measurement: ``factor`` times its size, rounded.

    Raises:
        RecipeError: as `sensor`.
    """
    _require_factor(params)
    return params, (*shape[:-2], round(shape[-2] * params.factor), round(shape[-1] * params.factor))
