"""Protocols: which convention a number follows. Tables of different fields differ by it in the third digit and more.

* ``default``: the metrics of `inverse.metrics.registry`, an image at a time.
* ``skimage``: `skimage.metrics` with its defaults (``peak_signal_noise_ratio``, ``structural_similarity``: uniform
  7 x 7 windows, sample covariance, borders left out; ``normalized_root_mse``: Euclidean; ``mean_squared_error``), on
  values as stored where both are stored alike.
* ``fastmri``: fastMRI's evaluation (Zbontar et al. 2018, arXiv:1811.08839, section 5): a volume is one item,
  centre-cropped to the square of the truth's width; the data range is the largest value of the truth's volume; SSIM is
  scikit-image's, slice by slice, averaged.
* ``sr-y``: super-resolution papers: 8 bit, luma of ITU-R BT.601 as MATLAB's ``rgb2ycbcr`` gives it, rounded to 8 bit,
  as many pixels of the border left out as the scale factor, PSNR with peak 255, SSIM with Wang's Gaussian window on
  windows inside the image.

Pixels without a value are left out everywhere; of SSIM, windows that hold one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from skimage import metrics as compare

from inverse.errors import InputError, UsageError, did_you_mean
from inverse.evaluation.pairs import Comparand, Pair, scaled
from inverse.evaluation.protocol_rows import (
    Image,
    Mask,
    ProtocolSettings,
    Scores,
    blanked,
    by_default,
    cropped,
    row_of,
    windowed_ssim,
)

__all__ = ["PROTOCOLS", "Protocol", "ProtocolSettings", "Scores", "by_fastmri", "by_luma", "by_skimage", "protocol"]


def by_skimage(pairs: Sequence[Pair], names: Sequence[str], settings: ProtocolSettings) -> Scores:
    """scikit-image's functions, on values as stored where both are stored alike."""
    pair = cropped(pairs[0], settings.crop)
    kinds = {pair.prediction.values.dtype, pair.truth.values.dtype}
    stored = settings.data_range
    if stored is None and len(kinds) == 1 and pair.span is None and kinds <= {np.dtype(np.uint8), np.dtype(np.uint16)}:
        stored = float(np.iinfo(pair.truth.values.dtype).max)
    common = scaled(pair, stored)
    white = common.width(pair.item) if {"psnr", "ssim"} & set(names) else 0.0
    prediction, truth, valid, flat, known = blanked(pair, common.prediction, common.truth)
    values: dict[str, float] = {}
    for name in names:
        if name == "ssim":
            values[name] = windowed_ssim(truth, prediction, white, valid)
        elif name == "psnr":
            values[name] = _psnr(known, flat, white)
        else:
            compute = {"nrmse": compare.normalized_root_mse, "mse": compare.mean_squared_error}[name]
            values[name] = float(compute(known, flat)) if known.size else float("nan")
    units = f"data_range={common.words}" + (f", crop={settings.crop}" if settings.crop else "")
    windows = "uniform 7 x 7 windows, sample covariance, borders left out"
    texts = {
        "psnr": f"skimage.metrics.peak_signal_noise_ratio, all channels, {units}",
        "ssim": f"skimage.metrics.structural_similarity, {windows}, mean over channels, {units}",
        "nrmse": f"skimage.metrics.normalized_root_mse, euclidean, {units}",
        "mse": f"skimage.metrics.mean_squared_error, {units}",
    }
    return row_of(names, values, texts, valid)


def _psnr(truth: Image, prediction: Image, white: float) -> float:
    """scikit-image's PSNR; NaN of nothing, infinite of what is alike."""
    with np.errstate(divide="ignore"):
        return (
            float(compare.peak_signal_noise_ratio(truth, prediction, data_range=white)) if truth.size else float("nan")
        )


def by_fastmri(pairs: Sequence[Pair], names: Sequence[str], settings: ProtocolSettings) -> Scores:
    """FastMRI's definitions of a volume (slices, H, W)."""
    channels = pairs[0].truth.values.shape[0]
    if channels != 1:
        raise InputError(
            f"{pairs[0].item}: {channels} channels, fastMRI's protocol is of magnitude images",
            "take another --protocol",
        )
    sides = pairs[0].truth.values.shape[-2:]
    square = (sides[1], sides[1]) if sides[0] >= sides[1] else sides
    slices = [cropped(_centred(pair, square), settings.crop) for pair in pairs]
    truth, prediction = (
        np.concatenate([_real(getattr(pair, side).values) for pair in slices]) for side in ("truth", "prediction")
    )
    masks = [pair.valid() for pair in slices]
    masked = any(mask is not None for mask in masks)
    valid = np.concatenate([np.ones((1, *truth.shape[-2:]), bool) if mask is None else mask for mask in masks])
    inside = valid if masked else None
    flat, other = (prediction[valid], truth[valid]) if masked else (prediction, truth)
    given = isinstance(settings.data_range, int | float)
    white = float(settings.data_range) if isinstance(settings.data_range, int | float) else float(other.max())
    values = {
        "nmse": float(np.linalg.norm(other - flat) ** 2 / np.linalg.norm(other) ** 2),
        "mse": float(np.mean((other - flat) ** 2)),
    }
    if "psnr" in names:
        values["psnr"] = _psnr(other, flat, white)
    if "ssim" in names:
        each = [
            windowed_ssim(t[None], np.where(v, p, 0)[None], white, v[None] if masked else None)
            for t, p, v in zip(np.where(valid, truth, 0), prediction, valid, strict=True)
        ]
        values["ssim"] = float(np.nanmean(each)) if not np.isnan(each).all() else float("nan")
    count = f"whole volume of {len(truth)} slice{'s' * (len(truth) > 1)}, centre {square[0]} x {square[1]}"
    told = f"data_range={white:g} ({'given' if given else 'largest value of the truth'})"
    windows = "uniform 7 x 7 windows, sample covariance, borders left out"
    texts = {
        "nmse": f"fastMRI NMSE, {count}: |error|^2 / |truth|^2",
        "mse": f"fastMRI MSE, {count}",
        "psnr": f"fastMRI PSNR, {count}, {told}",
        "ssim": f"fastMRI SSIM, mean over slices, {windows}, {count}, {told}",
    }
    return row_of(names, {name: values[name] for name in names}, texts, inside)


def _real(values: Image) -> Image:
    """Floats as they are, integers as float64: differences of unsigned integers wrap."""
    return values if values.dtype.kind == "f" else values.astype(np.float64)


def _centred(pair: Pair, sides: tuple[int, int]) -> Pair:
    """The centre of a pair; the prediction may be larger than the truth.

    Raises:
        InputError: The prediction is smaller than that.
    """

    def centre(array: Any) -> Any:
        rows, columns = ((have - want) // 2 for have, want in zip(array.shape[-2:], sides, strict=True))
        return array[..., rows : rows + sides[0], columns : columns + sides[1]]

    if any(have < want for have, want in zip(pair.prediction.values.shape[-2:], sides, strict=True)):
        raise InputError(
            f"{pair.item}: prediction {pair.prediction.size}, smaller than the truth's centre {sides[0]} x {sides[1]}"
        )
    one, other = (
        Comparand(centre(image.values), None if image.valid is None else centre(image.valid))
        for image in (pair.prediction, pair.truth)
    )
    return replace(pair, prediction=one, truth=other, mask=None if pair.mask is None else centre(pair.mask))


def _luma(image: Image, white: float) -> Image:
    """8-bit luma (1, H, W) of an image (1 or 3, H, W), as float64."""
    bits = np.rint(np.clip(image.astype(np.float64) / white, 0, 1) * 255)
    if len(bits) == 1:
        return bits
    weights = np.array([65.481, 128.553, 24.966]).reshape(3, 1, 1) / 255
    luma: Image = np.rint(16 + (weights * bits).sum(0, keepdims=True))
    return luma


def by_luma(pairs: Sequence[Pair], names: Sequence[str], settings: ProtocolSettings) -> Scores:
    """Super-resolution's PSNR and SSIM of 8-bit luma without the border."""
    if settings.scale is None:
        raise UsageError("sr-y leaves out as many pixels of the border as the scale factor", "give it: --scale 4")
    pair = pairs[0]
    if pair.truth.values.shape[0] not in (1, 3):
        raise InputError(f"{pair.item}: {pair.truth.size}, sr-y is of 1 or 3 channels", "take another --protocol")
    border = round(settings.scale) + settings.crop
    pair = cropped(pair, border)
    common = scaled(pair, settings.data_range)
    white = common.width(pair.item)
    one, other = _luma(common.prediction, white), _luma(common.truth, white)
    valid = pair.valid()
    inside: Mask | None = None if valid is None else np.asarray(valid.all(0, keepdims=True))
    prediction, truth, valid, flat, known = blanked(
        replace(pair, prediction=Comparand(one), truth=Comparand(other), mask=inside), one, other
    )
    values: dict[str, float] = {}
    if "psnr" in names:
        values["psnr"] = _psnr(known, flat, 255)
    if "ssim" in names:
        wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        values["ssim"] = windowed_ssim(truth, prediction, 255.0, valid, **wang)
    luma = "8-bit grey" if len(common.truth) == 1 else "Y of BT.601 (rgb2ycbcr) rounded to 8 bit"
    told = f"{luma}, data_range=255, crop={border}, white={common.words}"
    texts = {
        "psnr": f"PSNR, {told}",
        "ssim": f"SSIM (Wang et al. 2004), gaussian window sigma=1.5 size=11, windows inside the image, {told}",
    }
    return row_of(names, values, texts, valid)


@dataclass(frozen=True)
class Protocol:
    """A convention."""

    name: str  # as given to --protocol
    summary: str
    metrics: tuple[str, ...]  # those that it defines; empty: every metric
    usual: tuple[str, ...]  # those that it computes unless told otherwise
    volumes: bool  # an item is all slices of a file
    compute: Callable[[Sequence[Pair], Sequence[str], ProtocolSettings], Scores]


def protocol(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        UsageError: There is none.
    """
    if name not in PROTOCOLS:
        raise UsageError(f"unknown protocol '{name}'", did_you_mean(name, PROTOCOLS))
    return PROTOCOLS[name]


PROTOCOLS: dict[str, Protocol] = {
    one.name: one
    for one in (
        Protocol("default", "the definitions of 'inverse list metrics'", (), ("psnr", "ssim"), False, by_default),
        Protocol(
            "skimage", "scikit-image's functions with their defaults",
            ("psnr", "ssim", "nrmse", "mse"), ("psnr", "ssim", "nrmse"), False, by_skimage,
        ),
        Protocol(
            "fastmri", "fastMRI's evaluation of whole volumes",
            ("nmse", "psnr", "ssim", "mse"), ("nmse", "psnr", "ssim"), True, by_fastmri,
        ),
        Protocol(
            "sr-y", "super-resolution: 8-bit luma without a border",
            ("psnr", "ssim"), ("psnr", "ssim"), False, by_luma,
        ),
    )
}  # fmt: skip
