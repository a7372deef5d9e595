"""Grids of raw k-space: centre crops, the Fourier transform along an axis, finer grids, and what was measured of one.

The centre of an axis of n entries, DC of k-space or the origin of an image, is entry ``n // 2``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from inverse.io.content import Scan

__all__ = ["combined", "cropped", "holds_values", "image_fourier", "recentred", "resampled"]

Array = npt.NDArray[Any]
#: Distance of the largest sample from the centre, as a share of the axis, from which on it is said.
_OFF = 0.125
_NEAR, _MORE = 2, 4.0  # samples around the corner, and how many times the power around the centre they must have
_SHORT = 8  # entries of an axis too short to tell
_REACH, _PROFILE = 24, 64  # samples on either side of DC that show where the object lies, on so many pixels
_NAMES = {(0,): "rows", (1,): "columns", (0, 1): "rows and columns"}


def cropped(array: Array, size: tuple[int, ...]) -> Array:
    """The centre of the last two axes: DC at ``n // 2`` stays at ``n // 2``."""
    tops = [n // 2 - m // 2 for n, m in zip(array.shape[-2:], size, strict=True)]
    return array[..., tops[0] : tops[0] + size[0], tops[1] : tops[1] + size[1]]


def image_fourier(array: Array, *, axis: int, inverse: bool = False) -> Array:
    """Centred, orthonormal Fourier transform along one axis."""
    transform = np.fft.ifft if inverse else np.fft.fft
    moved = transform(np.fft.ifftshift(array, axes=axis), axis=axis, norm="ortho")
    return np.asarray(np.fft.fftshift(moved, axes=axis))


def resampled(images: Array, size: tuple[int, int]) -> Array:
    """Images (..., H, W) on a grid of so many pixels over the same field of view, their values unchanged.

    Complex ones by zeros around k-space, or by its centre alone, as scanners do; real ones (magnitudes, standard
    deviations) by linear interpolation, which keeps them at least 0.
    """
    result = np.asarray(images)
    for axis, count in zip((-2, -1), size, strict=True):
        before = result.shape[axis]
        if before == count:
            continue
        if not np.iscomplexobj(result):
            places = np.clip((np.arange(count) - count // 2) * before / count + before // 2, 0, before - 1)
            lower = np.floor(places).astype(int)
            upper = np.minimum(lower + 1, before - 1)
            share = (places - lower).astype(result.dtype)
            share = share[:, None] if axis == -2 else share
            result = (1 - share) * np.take(result, lower, axis) + share * np.take(result, upper, axis)
            continue
        kspace = np.moveaxis(image_fourier(result, axis=axis), axis, -1)
        smaller, wide = min(before, count), np.zeros((*kspace.shape[:-1], count), kspace.dtype)
        here, there = (n // 2 - smaller // 2 for n in (before, count))
        wide[..., there : there + smaller] = kspace[..., here : here + smaller]
        result = image_fourier(np.moveaxis(wide, -1, axis), axis=axis, inverse=True) * np.sqrt(count / before)
    return np.ascontiguousarray(result.astype(images.dtype, copy=False))


def holds_values(kspace: Array) -> npt.NDArray[np.bool_]:
    """(S, H, W), False in the rows and columns where all samples of a slice are exactly 0: padding, never measured."""
    taken = np.asarray((kspace != 0).any(1))
    rows, columns = taken.any(2, keepdims=True), taken.any(1, keepdims=True)
    whole: npt.NDArray[np.bool_] = np.broadcast_to(rows & columns, taken.shape).copy()
    return whole


def recentred(kspace: Array, mask: Array | None) -> tuple[Array, Array | None, tuple[str, ...]]:
    """k-space (S, coils, H, W) and its mask (S or 1, H, W) with DC and the image's origin at ``n // 2``; what was done.

    Along each axis: where the largest sample lies at entry 0, as transforms without ``fftshift`` leave it, the halves
    are exchanged; where the object lies across the edge of the image, as transforms of an image without ``ifftshift``
    leave it, the image is rolled by half. A largest sample elsewhere, far from the centre, is said.
    """
    notes: list[str] = []
    power = _power(kspace)
    place = _largest(power)
    corner = [axis for axis in (0, 1) if _at_corner(power, place, axis)]
    if corner:
        turned = tuple(axis - 2 for axis in corner)
        kspace = np.fft.fftshift(kspace, axes=turned)
        mask = None if mask is None else np.fft.fftshift(mask, axes=turned)
        power = np.fft.fftshift(power, axes=turned)
        place = _largest(power)
        notes.append(f"DC at entry 0 of the {_NAMES[tuple(corner)]}: moved to the centre")
    rolled = [axis for axis in (0, 1) if _across(kspace, axis - 2)]
    for axis in rolled:
        count = kspace.shape[axis - 2]
        steps = np.exp(2j * np.pi * (np.arange(count) - count // 2) * (count // 2) / count).astype(np.complex64)
        kspace = kspace * (steps[:, None] if axis == 0 else steps)
    if rolled:
        notes.append(f"the object lay across the edges of the {_NAMES[tuple(rolled)]}: rolled by half the image")
    size = kspace.shape[-2:]
    if _far(power, place):
        notes.append(
            f"the largest sample is at row {place[0]}, column {place[1]}, DC is taken to be at row {size[0] // 2}, "
            f"column {size[1] // 2}: is it?"
        )
    return kspace, mask, tuple(notes)


def _far(power: Array, place: tuple[int, int]) -> bool:
    """Whether the largest sample is far from the centre, and far more than what is there."""
    if max(abs(at - n // 2) / n for at, n in zip(place, power.shape, strict=True)) <= _OFF:
        return False
    near = [slice(n // 2 - max(1, int(n * _OFF)), n // 2 + max(1, int(n * _OFF)) + 1) for n in power.shape]
    return bool(power[place] > _MORE * power[near[0], near[1]].max())


def _power(kspace: Array) -> Array:
    """(H, W) over slices and coils, a slice at a time."""
    return np.asarray(sum(np.square(np.abs(part)).sum(0) for part in kspace))


def _largest(power: Array) -> tuple[int, int]:
    row, column = np.unravel_index(int(power.argmax()), power.shape)
    return int(row), int(column)


def _at_corner(power: Array, place: tuple[int, int], axis: int) -> bool:
    """Whether the largest sample is within two entries of 0 on an axis, and far more than what is in the middle."""
    count, at = power.shape[axis], place[axis]
    if count < _SHORT or min(at, count - at) > _NEAR:
        return False
    along = np.take(power, [place[1 - axis]], axis=1 - axis).ravel()
    around = np.arange(-_NEAR, _NEAR + 1)
    return bool(along[around % count].sum() > _MORE * along[count // 2 + around].sum())


def _across(kspace: Array, axis: int) -> bool:
    """Whether the object lies across the edge of the image along an axis: bright at both ends, dark in the middle.

    From the neighbouring samples about DC alone, so that gaps between others do not fold the image.
    """
    count = kspace.shape[axis]
    others = tuple(other for other in range(kspace.ndim) if other != axis % kspace.ndim)
    taken, reach = (kspace != 0).any(others), 0
    while reach < min(_REACH, count // 2 - 1) and taken[count // 2 - reach - 1] and taken[count // 2 + reach + 1]:
        reach += 1
    if reach < _NEAR + 1:
        return False
    run = np.moveaxis(kspace, axis, -1)[..., count // 2 - reach : count // 2 + reach + 1]
    wide = np.zeros((*run.shape[:-1], _PROFILE), run.dtype)
    wide[..., _PROFILE // 2 - reach : _PROFILE // 2 + reach + 1] = run * np.hanning(2 * reach + 3)[1:-1]
    profile = np.square(np.abs(image_fourier(wide, axis=-1, inverse=True))).sum(tuple(range(wide.ndim - 1)))
    eighth = _PROFILE // 16
    ends = min(float(profile[:eighth].mean()), float(profile[-eighth:].mean()))
    return ends > _MORE * float(profile[_PROFILE // 2 - eighth : _PROFILE // 2 + eighth].mean())


def combined(scan: Scan, index: int) -> npt.NDArray[np.complex64]:
    """The image (H, W) that a slice is without any solving: what was not measured is 0, of coils the sum of squares."""
    if scan.trajectory is not None:
        return np.zeros(scan.shape, np.complex64)
    images = image_fourier(image_fourier(scan.kspace[index], axis=-1, inverse=True), axis=-2, inverse=True)
    image = images[0] if len(images) == 1 else np.sqrt(np.square(np.abs(images)).sum(0))
    return np.asarray(image, np.complex64)
