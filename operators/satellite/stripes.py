r"""Stripes and dead lines of detectors.

A pushbroom detector draws a column (a whiskbroom one a row), all of it with the same offset error. With offsets
:math:`s \sim N(0, \tau^2)`, one for each line of n pixels, the measurement :math:`x + s 1^T + \varepsilon` has noise of
covariance :math:`\sigma^2 I + \tau^2 1 1^T` within a line. `DestripePhysics` whitens it:

.. math::
    y = W (x + s 1^T + \varepsilon), \qquad W = I - (1 - w)\, \tfrac{1}{n} 1 1^T, \qquad w =
    \frac{\sigma}{\sqrt{\sigma^2 + n \tau^2}}

so that y has white noise of level :math:`\sigma` and :math:`A = W` is symmetric: no stripes are estimated and
subtracted. Unlimited offsets (:math:`w = 0`) leave only what differs within a line; finite ones keep what lines tell of
each other. The mean over a line is a DCT coefficient, so W is diagonal in the DCT-II: w at frequency 0 along the line,
1 elsewhere. Gain errors are offsets as far as a line has the scene's mean brightness.

Broad stripes: what is slower than one in ``width`` lines from line to line is taken as the scene's, with weight 1, as
every destriping filter does. Exact weights there leave the scene's brightest structures to a few weak numbers, which
samplers of few steps do not use well: measured with offsets of 0.05 on Landsat 8 without that rule, 27 dB, all of the
error in these coefficients. The rule leaves a share 1 / width of the offsets' variance in the result.

Estimates: :math:`\tau` from second differences of the lines' means (MAD, so that the scene's edges do not count),
:math:`\sigma` from what W with :math:`w = 0` leaves. Nodata: with B the lines' observed pixels as columns, n their
numbers, H the projection on fast offsets, :math:`W = I - B D H D B^T`, :math:`D^2 = (1 - w) / n` line by line
(`GappyDestripe`): the same where nothing is missing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from inverse.errors import InputError
from inverse.numerics.transforms import dct2, dct_squared, idct2
from inverse.operators.base import Linear, Spectral
from inverse.operators.image.masks import Mask
from inverse.operators.measurement import Fitted, Measurement
from inverse.operators.noise.models import estimate_sigma
from inverse.operators.satellite.spec import DeadLines, Destripe

__all__ = ["DestripePhysics", "GappyDestripe", "dead_lines", "destripe", "fitted", "fitted_dead_lines", "offset_level"]

_MAD = 0.6744897501960817  # of a standard normal number
_AXES = {"columns": -2, "rows": -1}
_UNSEEN = 1e-6


class DestripePhysics(Spectral):
    """The whitening of lines with offsets of their own.

    Args:
        weight: w, from 0 (offsets without limit) to 1 (none).
        axis: Axis along which an offset is shared: -2 for columns, -1 for rows.
        width: Stripes broader than so many lines are the scene's.
        shape: Shape (C, H, W) of one unknown.
        dtype: Of the spectrum.
    """

    def __init__(
        self, weight: float, axis: int, *, width: float, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype
    ) -> None:
        mask = torch.ones(1, 1, *shape[-2:], dtype=dtype)
        mask.select(axis, 0)[..., _slow(shape[_across(axis)], width) :] = weight
        super().__init__(mask, shape=shape, noise_model=noise_model)

    def V_adjoint(self, x: Tensor) -> Tensor:
        """DCT-II of (B, C, H, W)."""
        return dct2(x)

    def V(self, coordinates: Tensor) -> Tensor:
        """Inverse DCT-II."""
        return idct2(coordinates)

    def U(self, coordinates: Tensor) -> Tensor:
        """Inverse DCT-II."""
        return idct2(coordinates)

    def U_adjoint(self, y: Tensor) -> Tensor:
        """DCT-II."""
        return dct2(y)

    def basis_squared(self, spectrum: Tensor) -> Tensor:
        """Diagonal of ``V diag(spectrum) V^T``, (B, C, H, W)."""
        return dct_squared(spectrum)


def _across(axis: int) -> int:
    """The axis along which lines follow each other."""
    return -3 - axis


def _slow(lines: int, width: float) -> int:
    """How many DCT frequencies across the lines are slower than one in ``width``; none without a limit (0)."""
    return min(lines, 1 + int(lines / width)) if width > 0 else 0


class GappyDestripe(Linear):
    """The same where pixels are missing: each line's observed part is whitened by itself.

    Args:
        seen: (1, 1 or C, H, W), 1 = observed.
        ratio: ``level^2 / sigma^2``; infinite for offsets without limit.
        axis: As for `DestripePhysics`.
        width: As for `DestripePhysics`.
        shape: Shape (C, H, W) of one unknown.

    Attributes:
        mask: ``seen``.
        share: ``D``, measurement-shaped but for the axis, which is 1.
    """

    mask: Tensor
    knows_valid = True

    share: Tensor

    def __init__(
        self, seen: Tensor, ratio: float, axis: int, *, width: float, shape: tuple[int, ...], noise_model: Any
    ) -> None:
        super().__init__(shape=shape, noise_model=noise_model)
        self.axis, self.slow = axis, _slow(shape[_across(axis)], width)
        count = seen.sum(axis, keepdim=True).clamp_min(1)
        self.register_buffer("mask", seen)
        self.register_buffer("share", ((1 - (1 + ratio * count).rsqrt()) / count).sqrt())

    def A(self, x: Tensor, **kwargs: Any) -> Tensor:
        """(B, C, H, W) to the same, 0 where unobserved."""
        x = x * self.mask
        offsets = self.share * x.sum(self.axis, keepdim=True)
        coordinates = dct2(offsets)
        slow = idct2(
            coordinates
            * (torch.arange(coordinates.shape[_across(self.axis)], device=x.device) < self.slow)
            .to(x)
            .unsqueeze(self.axis)
        )
        whitened: Tensor = x - self.mask * self.share * (offsets - slow)
        return whitened

    def A_adjoint(self, y: Tensor, **kwargs: Any) -> Tensor:
        """``A`` itself: it is symmetric."""
        return self.A(y)


def destripe(params: Destripe, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> DestripePhysics:
    """The whitening for the noise model's level; offsets are without limit if the parameters give none."""
    axis = _AXES[params.axis]
    sigma = float(torch.as_tensor(getattr(noise_model, "sigma", 0.0)).max())
    weight = 0.0 if params.level is None else _weight(params.level, sigma, shape[axis])
    return DestripePhysics(weight, axis, width=params.width, shape=shape, noise_model=noise_model, dtype=dtype)


def _weight(level: float, sigma: float, length: int) -> float:
    return sigma / (sigma**2 + length * level**2) ** 0.5 if sigma > 0 else 0.0


def offset_level(y: Tensor, axis: int, seen: Tensor | None = None) -> float:
    """Standard deviation of the offsets of lines.

    Args:
        y: (1, C, H, W).
        axis: Axis along which an offset is shared.
        seen: Broadcasts against ``y``, 1 = observed.

    Returns:
        In the units of ``y``; the root mean square over channels.
    """
    weights = torch.ones_like(y) if seen is None else seen.expand(y.shape)
    count = weights.sum(axis)
    means = (y * weights).sum(axis) / count.clamp_min(1)
    levels = []
    for one, number in zip(means[0], count[0], strict=True):
        kept = one[number > 0]
        second = kept[:-2] - 2 * kept[1:-1] + kept[2:]
        if len(second):
            levels.append(float(second.abs().median()) / (_MAD * 6**0.5))
    return float(np.sqrt(np.mean(np.square(levels)))) if levels else 0.0


def fitted(params: Destripe, measurement: Measurement) -> Fitted:
    """The whitening and the whitened measurement, with offsets and noise estimated."""
    y, axis, valid = measurement.y, _AXES[params.axis], measurement.valid
    shape = tuple(y.shape[1:])
    free = _physics(valid, float("inf"), axis, params.width, shape, y)
    sigma = max(float(estimate_sigma(free(None).A(y), mask=valid)[0]), _UNSEEN)
    level = params.level if params.level is not None else offset_level(y, axis, valid)
    build = _physics(valid, (level / sigma) ** 2, axis, params.width, shape, y)
    said = (f"offsets of {params.axis}: standard deviation {level:.4g}, other noise {sigma:.4g} (data units)",)
    return Fitted(build(None).A(y), shape, build, sigma=sigma, said=said)


def _physics(valid: Tensor | None, ratio: float, axis: int, width: float, shape: tuple[int, ...], y: Tensor) -> Any:
    def build(noise_model: Any) -> Any:
        if valid is not None:
            return GappyDestripe(valid.to(y), ratio, axis, width=width, shape=shape, noise_model=noise_model)
        weight = (1 + ratio * shape[axis]) ** -0.5
        return DestripePhysics(weight, axis, width=width, shape=shape, noise_model=noise_model, dtype=y.dtype).to(
            y.device
        )

    return build


def dead_lines(params: DeadLines, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> Mask:
    """Observed everywhere but in the given lines.

    Raises:
        InputError: a line that is not in the image, or all of them.
    """
    size = shape[-1] if params.axis == "columns" else shape[-2]
    beyond = [line for line in params.lines if line >= size]
    if beyond or len(set(params.lines)) == size:
        given = f"line {beyond[0]}" if beyond else "all lines dead"
        raise InputError(f"{given} of an image of {size} {params.axis}", f"allowed: some of 0 to {size - 1}")
    observed = torch.ones(size, dtype=dtype)
    observed[list(params.lines)] = 0
    plane = observed[None, :] if params.axis == "columns" else observed[:, None]
    return Mask(plane.expand(shape[-2:])[None, None].clone(), shape=shape, noise_model=noise_model)


def fitted_dead_lines(params: DeadLines, measurement: Measurement) -> Fitted:
    """The mask with the given lines, or with those that are constant in every band.

    Raises:
        InputError: as `dead_lines`.
    """
    y, axis = measurement.y, _AXES[params.axis]
    said: tuple[str, ...] = ()
    if not params.lines:
        flat = (y.amax(axis) == y.amin(axis)).all(1)[0]
        params = params.model_copy(update={"lines": tuple(int(line) for line in flat.nonzero().flatten())})
        said = (f"constant {params.axis}, taken as dead: {', '.join(map(str, params.lines)) or 'none'}",)
    shape = tuple(y.shape[1:])
    mask = dead_lines(params, shape=shape, noise_model=None, dtype=y.dtype).mask.to(y.device)
    if measurement.valid is not None:
        mask = mask * measurement.valid
    return Fitted(y * mask, shape, lambda noise: Mask(mask, shape=shape, noise_model=noise), said=said)
