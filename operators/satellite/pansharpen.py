r"""Pansharpening: C soft bands and one sharp panchromatic image of the same ground.

.. math::
    y_{ms} = \downarrow_f (g_c * x_c) + \varepsilon, \qquad y_{pan} = \sum_c w_c x_c + b + r^{-1} \varepsilon

x are the C bands at panchromatic resolution, :math:`g_c` the sensor's MTF (:mod:`inverse.operators.satellite.sensor`),
w the panchromatic band's spectral response in terms of the bands. One tensor holds both: behind the C bands come the f
x f panchromatic pixels of each multispectral pixel as channels (``pixel_unshuffle``), times r, the ratio of the noise
levels, so that all of y has noise of one level. (deepinv's ``Pansharpen`` is a stack of two tensors, which its own
samplers refuse.)

Fitted to the files: w, at least 0, and the offset b by least squares on the multispectral grid, where the panchromatic
image is blurred and decimated by the same MTF (as in GSA, Aiazzi et al. 2007, IEEE TGRS 45:3230); what the bands cannot
explain of it is its noise. So a panchromatic image that sees other light than the bands counts for less, and its scale
and offset do not matter.

Ground: where both files say where they lie, the panchromatic image is resampled (cubic) onto the multispectral image's
ground. It matters: USGS's Landsat scenes share the centre of their first pixel, so their grids are half a panchromatic
pixel apart.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage, optimize
from torch import Tensor
from torch.nn.functional import pad, pixel_shuffle, pixel_unshuffle

from inverse.errors import InputError, RecipeError
from inverse.io.read_write import read_picture
from inverse.operators.base import Linear
from inverse.operators.measurement import Fitted, Measurement
from inverse.operators.noise.models import estimate_sigma
from inverse.operators.satellite.sensor import SensorResponse, nyquist_gains
from inverse.operators.satellite.spec import Pansharpen

__all__ = ["PansharpenPhysics", "fit_weights", "fitted", "locate", "pansharpen", "result"]

_FITTED = 1_000_000


class PansharpenPhysics(Linear):
    """Multispectral and panchromatic measurement of C bands.

    Args:
        gains: MTF at Nyquist of each band.
        weights: Response (C,) of the panchromatic row, times r.
        factor: f.
        shape: Shape (C, H, W) of one unknown; the measurement is (C + f^2, ceil(H / f), ceil(W / f)).
        dtype: Of the weights.
        observed: (1, C + f^2, h, w), 1 where a value was observed; None: all of it.

    Attributes:
        mask: (1, C + f^2, h, w), 0 for panchromatic pixels beyond the frame and for what was not observed.
    """

    weights: Tensor
    mask: Tensor
    knows_valid = True

    def __init__(
        self,
        gains: tuple[float, ...],
        weights: NDArray[np.float64],
        factor: int,
        *,
        shape: tuple[int, ...],
        noise_model: Any,
        dtype: torch.dtype,
        observed: Tensor | None = None,
    ) -> None:
        super().__init__(shape=shape, noise_model=noise_model)
        self.soft = SensorResponse(gains, factor, shape=shape, noise_model=noise_model, dtype=dtype)
        self.factor, self.size = factor, (shape[-2], shape[-1])
        height, width = self.soft.small
        self.beyond = (0, width * factor - shape[-1], 0, height * factor - shape[-2])
        self.register_buffer("weights", torch.from_numpy(weights).to(dtype))
        inside = pixel_unshuffle(pad(torch.ones(1, 1, *self.size, dtype=dtype), self.beyond), factor)
        mask = torch.cat([torch.ones(1, shape[0], height, width, dtype=dtype), inside], 1)
        self.register_buffer("mask", mask if observed is None else mask * observed.to(dtype))

    def A(self, x: Tensor, **kwargs: Any) -> Tensor:
        """(B, C, H, W) to (B, C + f^2, h, w)."""
        sharp = torch.einsum("c,bchw->bhw", self.weights.to(x.dtype), x)[:, None]
        return torch.cat([self.soft.A(x), pixel_unshuffle(pad(sharp, self.beyond), self.factor)], 1) * self.mask

    def A_adjoint(self, y: Tensor, **kwargs: Any) -> Tensor:
        """Transpose of ``A``."""
        bands, (height, width) = len(self.weights), self.size
        y = y * self.mask
        sharp = pixel_shuffle(y[:, bands:], self.factor)[..., :height, :width]
        return self.soft.A_adjoint(y[:, :bands]) + self.weights.to(y.dtype)[None, :, None, None] * sharp


def pansharpen(
    params: Pansharpen, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype
) -> PansharpenPhysics:
    """The operator for given weights, by default the mean of all bands.

    Raises:
        RecipeError: weights that are not one for each band.
    """
    weights = np.asarray(params.weights or (1 / shape[0],) * shape[0], np.float64)
    if len(weights) != shape[0] or not weights.any():
        raise RecipeError(
            f"operator.weights: {list(params.weights)} for {shape[0]} bands", "allowed: one for each, not all 0"
        )
    gains = nyquist_gains(params.sensor, params.bands, shape[0])
    ratio = 1 / params.noise_ratio
    return PansharpenPhysics(gains, ratio * weights, params.factor, shape=shape, noise_model=noise_model, dtype=dtype)


def locate(params: Pansharpen, shape: tuple[int, ...]) -> tuple[Pansharpen, tuple[int, ...]]:
    """The unknown of a packed measurement (C + f^2, h, w).

    Raises:
        InputError: too few channels.
    """
    f = params.factor
    if shape[0] <= f * f:
        raise InputError(f"{shape[0]} channels hold no band beside {f * f} panchromatic ones", "give operator.pan")
    return params, (shape[0] - f * f, shape[-2] * f, shape[-1] * f)


def result(params: Pansharpen, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of what is restored from bands (C, h, w), or without a companion file from a packed measurement."""
    return (shape[0], *(side * params.factor for side in shape[1:])) if params.pan else locate(params, shape)[1]


def fit_weights(bands: NDArray[np.float64], pan: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, float]:
    """The panchromatic response by least squares with an offset.

    Args:
        bands: (C, n).
        pan: (n,) at the same resolution.

    Returns:
        Weights (C,) at least 0, the offset, and the standard deviation of what is left.
    """
    step = max(1, len(pan) // _FITTED)
    x, y = bands[:, ::step].astype(np.float64), pan[::step].astype(np.float64)
    centre, middle = x.mean(1), float(y.mean())
    weights, _ = optimize.nnls((x - centre[:, None]).T, y - middle)
    offset = middle - float(weights @ centre)
    return weights, offset, float(np.std(y - offset - weights @ x))


def fitted(params: Pansharpen, measurement: Measurement) -> Fitted:
    """Bands and panchromatic image as one measurement, with the response fitted.

    Raises:
        InputError: no panchromatic file where the measurement is not packed, one that does not fit, or that the bands
            say nothing of.
    """
    y, f = measurement.y, params.factor
    if params.pan is None:
        shape = locate(params, tuple(y.shape[1:]))[1]
        return Fitted(y, shape, lambda noise: pansharpen(params, shape=shape, noise_model=noise, dtype=y.dtype))
    name, channels, (height, width) = Path(params.pan).name, y.shape[1], y.shape[-2:]
    shape = (channels, height * f, width * f)
    pan, seen = _panchromatic(params.pan, shape[1:], measurement.facts.get("geo"))
    gains = nyquist_gains(params.sensor, params.bands, channels)
    blur = SensorResponse((float(np.mean(gains)),), f, shape=(1, *shape[1:]), noise_model=None, dtype=torch.float64)
    low = blur.A(torch.from_numpy(np.where(seen, pan, pan[seen].mean()))[None, None])[0, 0].numpy()
    whole = seen.reshape(height, f, width, f).all((1, 3))
    valid = np.ones((1, height, width), bool) if measurement.valid is None else measurement.valid[0].cpu().numpy() > 0
    used = whole & valid.all(0)
    if used.sum() < 10 * channels:
        raise InputError(f"{name}: hardly any pixel that both images observed", "do they show the same ground?")
    weights, offset, rest = fit_weights(y[0].double().cpu().numpy()[:, used], low[used])
    if params.weights:
        weights = np.asarray(params.weights, np.float64)
        offset = float((low[used] - np.tensordot(weights, y[0].double().cpu().numpy()[:, used], 1)).mean())
    if not weights.any():
        raise InputError(f"{name}: does not look like the bands at all", "do they show the same ground?")
    noise = float(estimate_sigma(y, mask=measurement.valid)[0])
    pan_noise = float(
        estimate_sigma(torch.from_numpy(pan)[None, None], mask=torch.from_numpy(seen)[None, None].double())[0]
    )
    level = max(math.hypot(rest, pan_noise), 1e-12)
    ratio = noise / level
    sharp = torch.from_numpy(ratio * (pan - offset) * seen)[None, None].to(y)
    mask = pixel_unshuffle(torch.from_numpy(seen)[None, None].to(y), f)
    soft = torch.from_numpy(valid).to(y)[None].expand(1, channels, -1, -1)
    observed = torch.cat([soft, mask], 1)
    shares = ", ".join(f"{value:.2f}" for value in weights / weights.sum())
    said = (
        f"panchromatic response fitted at low resolution: shares {shares} of the bands; they leave "
        f"{rest / max(float(low[used].std()), 1e-12):.1%} of its contrast",
    )

    def build(noise_model: Any) -> PansharpenPhysics:
        settings: dict[str, Any] = {
            "shape": shape,
            "noise_model": noise_model,
            "dtype": y.dtype,
            "observed": observed.cpu(),
        }
        physics: PansharpenPhysics = PansharpenPhysics(gains, ratio * weights, f, **settings).to(y.device)
        return physics

    return Fitted(torch.cat([y, pixel_unshuffle(sharp, f)], 1) * observed, shape, build, sigma=noise, said=said)


def _panchromatic(path: str, size: tuple[int, int], ground: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The panchromatic image (H, W) on the unknown's grid, and what of it was observed; ``ground``: the bands' Geo."""
    name = Path(path).name
    picture = read_picture(path, name=name)
    array = picture.array
    if array.ndim != 2:
        raise InputError(f"{name}: not a panchromatic image: shape {array.shape}", "give an image of one channel")
    pan, valid = array.astype(np.float64), picture.valid
    seen = np.ones(pan.shape, bool) if valid is None else valid
    own = picture.extra.get("geo")
    if ground is not None and own is not None and own.crs == ground.crs:
        return _aligned(pan, seen, own, ground, size)
    if pan.shape != size:
        raise InputError(
            f"{name}: {pan.shape[1]} x {pan.shape[0]} pixels, the bands times the factor are {size[1]} x {size[0]}",
            "set operator.factor, or give both as GeoTIFF, which say where they lie",
        )
    return pan, seen


def _aligned(
    pan: NDArray[np.float64], seen: NDArray[np.bool_], own: Any, ground: Any, size: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    a, _, c, _, e, f = ground.transform[:6]
    down, across = ground.size[0] / size[0], ground.size[1] / size[1]
    steps = np.array([e * down / own.transform[4], a * across / own.transform[0]])
    start = np.array([(f - own.transform[5]) / own.transform[4], (c - own.transform[2]) / own.transform[0]])
    offset = start + 0.5 * steps - 0.5
    if np.allclose(steps, 1) and np.allclose(offset, 0, atol=1e-3) and pan.shape == size:
        return pan, seen
    filled = np.where(seen, pan, pan[seen].mean()) if seen.any() else pan
    moved = ndimage.affine_transform(filled, steps, offset, size, order=3, mode="nearest")
    kept = ndimage.affine_transform(seen.astype(np.float64), steps, offset, size, order=1, mode="constant")
    return moved, kept > 0.999
