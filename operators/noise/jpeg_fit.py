r"""The noise of a measurement that was saved as JPEG, fitted: its coefficients, each weighted by what its table leaves.

With v the 8-bit values that the file holds, :math:`v = s y + v_0` where y is in data units (s may differ from value to
value, as in linear light), the measurement becomes :math:`W (c - T v + T s y)` and the physics :math:`W T s A`, where c
is what the file stored (`inverse.operators.noise.jpeg`). Where a mask says that a pixel is not observed, its part of
``s y`` is left out of both, and blocks of which less than half is observed do not count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from inverse.operators.image.jpeg import tables
from inverse.operators.noise.jpeg import JpegFile, jpeg_file
from inverse.operators.noise.jpeg_level import sensor_sigma
from inverse.operators.noise.jpeg_physics import JpegMeasured, JpegMeasuredNonlinear

__all__ = ["JpegFit", "fit_jpeg", "slopes_of", "stated_quality"]


@dataclass(frozen=True)
class JpegFit:
    """A measurement as the coefficients of its file.

    Attributes:
        y: Weighted coefficients (1, 1, blocks, 64).
        sigma: Their noise level, which is that of the pixels on average, data units.
        sensor: Of it, the level of the sensor, data units; NaN where it differs from pixel to pixel.
        file: The file.
        slopes: 8-bit values for one data unit, broadcasts against the measurement.
        weights: As y.
        observed: 1 where a block was observed, as y; None: everywhere.
        said: What was found, a sentence.
    """

    y: Tensor
    sigma: float
    sensor: float
    file: JpegFile
    slopes: Tensor
    weights: Tensor
    observed: Tensor | None
    said: str

    def whitened(self, physics: Any) -> Any:
        """The physics of :attr:`y` from that of the measurement."""
        kind = JpegMeasured if isinstance(physics, LinearPhysics) else JpegMeasuredNonlinear
        measured = kind(physics, self.file, self.slopes, self.weights)
        if self.observed is not None:
            measured.register_buffer("observed_mask", self.observed)
        return measured


def slopes_of(y: Tensor, pixels: Tensor) -> Tensor:
    """8-bit values for one data unit: (1, C, 1, 1) where data units are a straight line of them, else as y."""
    lines, curves = [], []
    for data, values in zip(y[0].double(), pixels[0], strict=True):
        index = values.round().long()
        counts = torch.bincount(index.flatten())
        levels = counts.nonzero()[:, 0].double()
        means = (torch.bincount(index.flatten(), data.flatten()) / counts)[counts > 0]
        index = (counts > 0).cumsum(0)[index] - 1
        if len(levels) < 3:
            gain = (levels[-1] - levels[0]) / (means[-1] - means[0]) if len(levels) > 1 else levels.new_tensor(255.0)
            slope = gain.expand(len(levels))
        else:
            slope = 1 / torch.gradient(means, spacing=(levels,))[0].clamp_min(1e-9)
        lines.append(slope.mean())
        curves.append(slope[index])
    curve, line = torch.stack(curves)[None], torch.stack(lines).reshape(1, -1, 1, 1)
    return (line if bool(((curve / line - 1).abs() < 1e-3).all()) else curve).to(y)


def stated_quality(file: JpegFile) -> int:
    """The quality (1 to 100) at which libjpeg's tables are nearest to a file's."""
    steps = file.steps[0].log()
    return min(range(1, 101), key=lambda quality: float((tables(quality)[0].log() - steps).abs().mean()))


@torch.no_grad()
def fit_jpeg(
    y: Tensor, facts: Mapping[str, Any], *, observed: Tensor | None = None, sensor: float | Tensor | None = None
) -> JpegFit | None:
    """Fit the noise of a JPEG file to a measurement.

    Args:
        y: The measurement (1, C, h, w) in data units, zero where it was not observed.
        facts: What its file states.
        observed: 0 and 1, broadcasts against ``y``; None: all of it.
        sensor: Level of the sensor's noise in data units, for all pixels or each (shaped as ``y``); None: estimated.

    Returns:
        None where the measurement is not a JPEG file as it was saved.
    """
    file = jpeg_file(facts, y)
    if file is None:
        return None
    pixels = facts["pixels"].to(y.device, torch.float64)
    whole = y if observed is None else torch.where(observed.expand(y.shape) > 0, y, facts["data"].to(y))
    slopes, stored = slopes_of(whole, pixels), file.stored(pixels)
    typical = float(slopes.mean())
    if isinstance(sensor, Tensor):
        level, power = math.nan, file.local((sensor.double() * slopes).square())
    else:
        level = sensor_sigma(file, stored) / typical if sensor is None else float(sensor)
        spread = (level * slopes.double()).square().expand(y.shape)
        power = file.local(spread.contiguous())
    variance = file.variance(stored, power)
    lengths = file.lengths(stored) * file.local(slopes.double().square().expand(y.shape).contiguous())
    share = None
    if observed is not None:
        share = (file.local(observed.to(torch.float64).expand(y.shape).contiguous()) >= 0.5).to(y)
    precision = lengths / variance
    counted = precision if share is None else precision[share.expand(precision.shape) > 0]
    sigma = 1 / math.sqrt(float(counted.mean()) if counted.numel() else 1.0)
    weights = (sigma / variance.sqrt()).to(y)
    shift = stored - file.coefficients(pixels)
    coefficients = weights * (shift.to(y) + file.coefficients(slopes * y))
    if share is not None:
        coefficients = coefficients * share
        weights = weights * share
    how = "" if sensor is not None else f", of the sensor {level:.2g}"
    said = f"JPEG of quality {stated_quality(file)}: its tables are the noise, level {sigma:.3g}{how}"
    return JpegFit(coefficients, sigma, level, file, slopes, weights, share, said)
