"""The conventions of scikit-image, fastMRI and super-resolution papers; `inverse.evaluation.protocols` says what they are.

Protocols: which convention a number follows. Tables of different fields differ by it in the third digit and more.

* ``default``: the metrics of `inverse.metrics.registry`, an image at a time.
* ``skimage``: `skimage.metrics` with its defaults (``peak_signal_noise_ratio``, ``structural_similarity``: uniform 7 x 7
  windows, sample covariance, borders left out; ``normalized_root_mse``: Euclidean; ``mean_squared_error``), on values as stored
  where both are stored alike.
* ``fastmri``: fastMRI's evaluation (Zbontar et al. 2018, arXiv:1811.08839, section 5): a volume is one item, centre-cropped to
  the square of the truth's width; the data range is the largest value of the truth's volume; SSIM is scikit-image's, slice by
  slice, averaged.
* ``sr-y``: super-resolution papers: 8 bit, luma of ITU-R BT.601 as MATLAB's ``rgb2ycbcr`` gives it, rounded to 8 bit, as many pixels
  of the border left out as the scale factor, PSNR with peak 255, SSIM with Wang's Gaussian window on windows inside the image.

Pixels without a value are left out everywhere; of SSIM, windows that hold one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from inverse.errors import InputError, UsageError, did_you_mean
from inverse.evaluation.pairs import Comparand, Comparison, scaled
from inverse.evaluation.protocol_rows import (
    Image,
    Mask,
    Row,
    Settings,
    blanked,
    by_default,
    cropped,
    row_of,
    windowed_ssim,
)

__all__ = ["PROTOCOLS", "Protocol", "Row", "Settings", "by_fastmri", "by_luma", "by_skimage", "protocol"]


def by_skimage(pairs: Sequence[Comparison], names: Sequence[str], settings: Settings) -> Row:
    """scikit-image's functions, on values as stored where both are stored alike."""
    from skimage.metrics import mean_squared_error, normalized_root_mse, peak_signal_noise_ratio

    pair = cropped(pairs[0], settings.crop)
    kinds = {pair.prediction.values.dtype, pair.truth.values.dtype}
    own = settings.data_range
    if own is None and len(kinds) == 1 and pair.span is None and kinds <= {np.dtype(np.uint8), np.dtype(np.uint16)}:
        own = float(np.iinfo(pair.truth.values.dtype).max)
    found = scaled(pair, own)
    white = found.width(pair.item) if {"psnr", "ssim"} & set(names) else 0.0
    prediction, truth, valid, flat, known = blanked(pair, found.prediction, found.truth)
    values, empty = {}, known.size == 0
    for name in names:
        if name == "ssim":
            values[name] = windowed_ssim(truth, prediction, white, valid)[0]
        elif empty:
            values[name] = float("nan")
        elif name == "psnr":
            with np.errstate(divide="ignore"):
                values[name] = float(peak_signal_noise_ratio(known, flat, data_range=white))
        else:
            compute = {"nrmse": normalized_root_mse, "mse": mean_squared_error}[name]
            values[name] = float(compute(known, flat))
    units = f"data_range={found.words}" + (f", crop={settings.crop}" if settings.crop else "")
    texts = {
        "psnr": f"skimage.metrics.peak_signal_noise_ratio, all channels, {units}",
        "ssim": f"skimage.metrics.structural_similarity, uniform 7 x 7 windows, sample covariance, borders left out, mean over channels, {units}",
        "nrmse": f"skimage.metrics.normalized_root_mse, euclidean, {units}",
        "mse": f"skimage.metrics.mean_squared_error, {units}",
    }
    return row_of(names, values, texts, valid)


def by_fastmri(pairs: Sequence[Comparison], names: Sequence[str], settings: Settings) -> Row:
    """FastMRI's definitions of a volume (slices, H, W)."""
    from skimage.metrics import peak_signal_noise_ratio

    channels = pairs[0].truth.values.shape[0]
    if channels != 1:
        raise InputError(
            f"{pairs[0].item}: {channels} channels, fastMRI's protocol is of magnitude images",
            "take another --protocol",
        )
    sides = pairs[0].truth.values.shape[-2:]
    square = (sides[1], sides[1]) if sides[0] >= sides[1] else sides
    parts = [cropped(_centred(pair, square), settings.crop) for pair in pairs]
    truth, prediction = (
        np.concatenate([_real(getattr(part, side).values) for part in parts]) for side in ("truth", "prediction")
    )
    known = [part.valid() for part in parts]
    masked = any(one is not None for one in known)
    valid = np.concatenate([np.ones((1, *truth.shape[-2:]), bool) if one is None else one for one in known])
    inside = valid if masked else None
    flat, other = (prediction[valid], truth[valid]) if masked else (prediction, truth)
    white = float(settings.data_range) if isinstance(settings.data_range, int | float) else float(other.max())
    values = {
        "nmse": float(np.linalg.norm(other - flat) ** 2 / np.linalg.norm(other) ** 2),
        "mse": float(np.mean((other - flat) ** 2)),
    }
    if "psnr" in names:
        with np.errstate(divide="ignore"):
            values["psnr"] = float(peak_signal_noise_ratio(other, flat, data_range=white))
    if "ssim" in names:
        each = [
            windowed_ssim(t[None], np.where(v, p, 0)[None], white, v[None] if masked else None)[0]
            for t, p, v in zip(np.where(valid, truth, 0), prediction, valid, strict=True)
        ]
        values["ssim"] = float(np.nanmean(each)) if not np.isnan(each).all() else float("nan")
    count = f"whole volume of {len(truth)} slice{'s' * (len(truth) > 1)}, centre {square[0]} x {square[1]}"
    told = f"data_range={white:g} ({'given' if isinstance(settings.data_range, int | float) else 'largest value of the truth'})"
    texts = {
        "nmse": f"fastMRI NMSE, {count}: |error|^2 / |truth|^2",
        "mse": f"fastMRI MSE, {count}",
        "psnr": f"fastMRI PSNR, {count}, {told}",
        "ssim": f"fastMRI SSIM, mean over slices, uniform 7 x 7 windows, sample covariance, borders left out, {count}, {told}",
    }
    return row_of(names, {name: values[name] for name in names}, texts, inside)


def _real(values: Image) -> Image:
    """Floats as they are, integers as float64: differences of unsigned integers wrap."""
    return values if values.dtype.kind == "f" else values.astype(np.float64)


def _centred(pair: Comparison, sides: tuple[int, int]) -> Comparison:
    """The centre of a comparison; the prediction may be larger than the truth.

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


def by_luma(pairs: Sequence[Comparison], names: Sequence[str], settings: Settings) -> Row:
    """Super-resolution's PSNR and SSIM of 8-bit luma without the border."""
    from skimage.metrics import peak_signal_noise_ratio

    if settings.scale is None:
        raise UsageError("sr-y leaves out as many pixels of the border as the scale factor", "give it: --scale 4")
    pair = pairs[0]
    if pair.truth.values.shape[0] not in (1, 3):
        raise InputError(f"{pair.item}: {pair.truth.size}, sr-y is of 1 or 3 channels", "take another --protocol")
    border = round(settings.scale) + settings.crop
    pair = cropped(pair, border)
    found = scaled(pair, settings.data_range)
    white = found.width(pair.item)
    one, other = _luma(found.prediction, white), _luma(found.truth, white)
    valid = pair.valid()
    inside: Mask | None = None if valid is None else np.asarray(valid.all(0, keepdims=True))
    prediction, truth, valid, flat, known = blanked(
        replace(pair, prediction=Comparand(one), truth=Comparand(other), mask=inside), one, other
    )
    values: dict[str, float] = {}
    if "psnr" in names:
        with np.errstate(divide="ignore"):
            values["psnr"] = float(peak_signal_noise_ratio(known, flat, data_range=255)) if known.size else float("nan")
    if "ssim" in names:
        wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        values["ssim"] = windowed_ssim(truth, prediction, 255.0, valid, **wang)[0]
    luma = "8-bit grey" if len(found.truth) == 1 else "Y of BT.601 (rgb2ycbcr) rounded to 8 bit"
    told = f"{luma}, data_range=255, crop={border}, white={found.words}"
    texts = {
        "psnr": f"PSNR, {told}",
        "ssim": f"SSIM (Wang et al. 2004), gaussian window sigma=1.5 size=11, windows inside the image, {told}",
    }
    return row_of(names, values, texts, valid)


@dataclass(frozen=True)
class Protocol:
    """A convention.

    Attributes:
        name: As given to ``--protocol``.
        summary: What it is.
        metrics: What it defines; empty: every metric.
        usual: What it computes unless told otherwise.
        volumes: Whether an item is all slices of a file.
        compute: Compares the images of an item.
    """

    name: str
    summary: str
    metrics: tuple[str, ...]
    usual: tuple[str, ...]
    volumes: bool
    compute: Callable[[Sequence[Comparison], Sequence[str], Settings], Row]


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
