r"""Camera raw files (DNG, CR2, NEF, ARW, ...) through rawpy (LibRaw), extra ``raw``: the mosaic of a colour sensor.

What is read is a picture's colours, one at each pixel. Of a stored value v in colour c, with the file's black level,
white level and white balance,

.. math:: y = t\left(\min\left(g_c \frac{v - black}{white - black},\, 1\right)\right)

t being the transfer curve of sRGB, and the smallest of the gains g being 1. All of it acts on each pixel by itself, so
it changes places with the mosaic: an unknown of white-balanced colours of the camera, encoded as a picture is, is
measured by the operator ``demosaick`` as it stands, with the file's pattern. A value at the sensor's end is white
whatever its colour: :math:`\min(x, 1)`, which is what can be shown, is known there.

The result is a TIFF of 16 bit in sRGB: light again, the file's matrix from the camera's colours, light of [0, 1], and
the curve. Deviations are taken through the same steps to first order, the channels independent. Noise: where a DNG has
a NoiseProfile, the variance of the light is S x + O (DNG 1.4), of y that times :math:`g^2 t'(g x)^2`, at the mean x of
the neighbours of one colour. ``FILE.dng::TOP,LEFT,HEIGHT,WIDTH`` is a part of the upright picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rawpy
import tifffile
from PIL import ImageCms
from scipy import ndimage

from inverse.errors import InputError, OutputError
from inverse.io.content import Array, Picture, turn
from inverse.io.formats import tiff
from inverse.io.limits import bounded, quiet, reason
from inverse.io.transfer import decode as light_of
from inverse.io.transfer import encode as encoded

__all__ = ["decode", "encode", "facts", "float_map"]

_FLIPS = {0: 1, 3: 3, 5: 8, 6: 6}  # LibRaw's to EXIF's
_NOISE = 51041
#: Gaussian over which the mean of a colour is taken, in its pixels.
_NEIGHBOURS = 2.0
_AGAIN = "develop it with the camera maker's program, to a 16-bit TIFF"


def decode(path: Path, *, source: str, inner: str | None = None) -> Picture:
    """A raw file as a `Picture` (H, W) float32 of the mosaic, white balanced and encoded.

    Raises:
        InputError: The file is broken or of a camera that LibRaw does not know; it has no mosaic of 2 x 2 pixels in
            red, green and blue; ``inner`` is no part of it.
    """
    try:
        with rawpy.imread(str(path)) as file:
            return _picture(file, path, source, inner)
    except InputError:
        raise
    except (rawpy.LibRawError, OSError, ValueError, RuntimeError, LookupError, TypeError) as error:
        cause = reason(error).strip("b'\"")
        raise InputError(f"{source}: broken raw file, or of an unknown camera: {cause}", _AGAIN) from error


def _picture(file: Any, path: Path, source: str, inner: str | None) -> Picture:
    if file.raw_type != rawpy.RawType.Flat or file.raw_pattern is None:
        raise InputError(f"{source}: holds no mosaic: it is developed already, or of a sensor of layers", _AGAIN)
    if file.raw_pattern.shape != (2, 2):
        raise InputError(f"{source}: a mosaic of 6 x 6 pixels (X-Trans), not of 2 x 2", _AGAIN)
    if set(file.color_desc) - set(b"RGB"):
        raise InputError(f"{source}: a mosaic in colours {file.color_desc.decode('latin-1')}, not in RGB", _AGAIN)
    values = file.raw_image_visible
    bounded(values.shape, 2, path.stat().st_size, source=source)
    letters = np.frombuffer(file.color_desc, np.uint8)
    colours = np.tile(file.raw_pattern, (values.shape[0] // 2 + 1, values.shape[1] // 2 + 1))
    colours = colours[: values.shape[0], : values.shape[1]]
    gains, balanced = _gains(file)
    black = np.asarray(file.black_level_per_channel, np.float32)
    span = float(file.white_level) - black
    if not (span > 0).all():
        raise InputError(f"{source}: white {file.white_level} is not above black {black.max():g}", _AGAIN)
    linear = (values.astype(np.float32) - black[colours]) / span[colours]
    orientation = _FLIPS.get(int(file.sizes.flip), 1)
    top, left, height, width = _part(inner, values.shape if orientation < 5 else values.shape[::-1], source)

    def upright(plane: Array) -> Array:
        whole = plane if orientation == 1 else turn(plane, orientation)
        return np.ascontiguousarray(whole[top : top + height, left : left + width])

    linear, colours = upright(linear), upright(colours)
    clipped = float((linear >= 1).mean())
    gain = gains[colours]
    light = np.minimum(gain * linear, 1)
    told = _tags(path)
    profile = _profile(told.get("noise"), letters)
    extra: dict[str, Any] = {
        "pattern": "".join(chr(letters[index]) for index in colours[:2, :2].ravel()),
        "matrix": _matrix(file),
        "camera": {**told["camera"], **_exposure(file)},
        "levels": (sorted({int(level) for level in black}), int(file.white_level)),
        "gains": tuple(float(value) for value in gains[:3]),
        "clipped": clipped,
    }
    if profile is not None:
        extra["deviation"] = _deviation(linear, colours, gain, profile)
    notes: tuple[str, ...] = (
        f"pattern {extra['pattern']}",
        "white balance of the camera" if balanced else "white balance of daylight",
    )
    notes += (f"{clipped:.2g} of the values are at the sensor's end, taken as white",) if clipped else ()
    notes += ("turned upright as its orientation says",) if orientation != 1 else ()
    notes += ("the camera's colours are unknown, taken as those of sRGB",) if extra["matrix"] is None else ()
    return Picture(array=encoded(light), format="raw", extra=extra, notes=notes, source=source)


def _gains(file: Any) -> tuple[Array, bool]:
    """White balance of each colour of the pattern, the smallest 1, and whether the camera says it."""
    for told, own in ((file.camera_whitebalance, True), (file.daylight_whitebalance, False)):
        gains = np.asarray(told, np.float32)
        if len(gains) >= 3 and (gains[:3] > 0).all() and np.isfinite(gains[:3]).all():
            fourth = gains[3] if len(gains) > 3 and gains[3] > 0 else gains[1]
            gains = np.array([*gains[:3], fourth], np.float32)
            return gains / gains.min(), own
    return np.ones(4, np.float32), False


def _matrix(file: Any) -> Array | None:
    """From white-balanced colours of the camera to light of sRGB, rows of sum 1."""
    matrix = np.asarray(file.color_matrix, np.float64)[:3, :3]
    sums = matrix.sum(1, keepdims=True)
    usable = np.isfinite(matrix).all() and (sums > 0.1).all() and abs(np.linalg.det(matrix)) > 1e-3
    return matrix / sums if usable else None


def _part(inner: str | None, size: tuple[int, ...], source: str) -> tuple[int, int, int, int]:
    """Top, left, height and width of the part that is meant."""
    if inner is None:
        return 0, 0, size[0], size[1]
    words = inner.split(",")
    numbers = (
        [int(word) for word in words] if len(words) == 4 and all(word.strip().isdecimal() for word in words) else []
    )
    if not numbers or numbers[0] + numbers[2] > size[0] or numbers[1] + numbers[3] > size[1] or 0 in numbers[2:]:
        raise InputError(
            f"{source}: no part '{inner}' of {size[1]} x {size[0]} pixels", "FILE.dng::TOP,LEFT,HEIGHT,WIDTH"
        )
    return numbers[0], numbers[1], numbers[2], numbers[3]


def _tags(path: Path) -> dict[str, Any]:
    """Maker, model, sensitivity, exposure and noise profile of a file that is a TIFF."""
    found: dict[str, Any] = {"camera": {}}
    try:
        with quiet("tifffile"), tifffile.TiffFile(path, _multifile=False) as file:
            page = file.pages.first
            own = {tag.code: tag.value for tag in page.tags}
            block = own.get(34665)
            inside: Mapping[str, Any] = block if isinstance(block, dict) else {}
            parts = [page, *(page.pages or ())]
            profiles = [part.tags[_NOISE].value for part in parts if _NOISE in part.tags]
    except Exception:  # LibRaw has read what matters
        return found
    camera = {"maker": own.get(271), "model": own.get(272), "date": own.get(306)}
    camera |= {
        "ISO": own.get(34855, inside.get("ISOSpeedRatings")),
        "exposure": own.get(33434, inside.get("ExposureTime")),
    }
    found["camera"] = {name: _said(value) for name, value in camera.items() if value}
    found["noise"] = profiles[-1] if profiles else None
    return found


def _said(value: Any) -> str:
    if isinstance(value, tuple) and len(value) == 2 and value[1]:
        return f"{value[0] / value[1]:.4g}"
    return " ".join(str(value).split())[:80]


def _exposure(file: Any) -> dict[str, str]:
    """What LibRaw knows of how the picture was taken."""
    told = {"ISO": file.other.iso_speed, "exposure": file.other.shutter_speed, "aperture": file.other.aperture}
    return {name: f"{value:.4g}" for name, value in told.items() if value and np.isfinite(value)}


def _profile(values: Any, letters: Array) -> Array | None:
    """Slope and offset of the variance of each colour of the pattern, (colours, 2)."""
    numbers = np.asarray(values if values is not None else (), np.float64).ravel()
    if len(numbers) == 2:
        numbers = np.tile(numbers, 3)
    if len(numbers) != 6 or not np.isfinite(numbers).all() or (numbers < 0).any() or not numbers.any():
        return None
    return numbers.reshape(3, 2)[["RGB".index(chr(letter)) for letter in letters]]


def _deviation(linear: Array, colours: Array, gain: Array, profile: Array) -> Array:
    """Standard deviation of each value of the mosaic, (H, W) float32."""
    mean = np.empty_like(linear)
    for row, column in np.ndindex(2, 2):
        mean[row::2, column::2] = ndimage.gaussian_filter(linear[row::2, column::2], _NEIGHBOURS, mode="nearest")
    slope, offset = (profile[:, part].astype(np.float32)[colours] for part in (0, 1))
    variance = slope * np.maximum(mean, 0) + offset
    spread = gain * _slope_of_encoding(gain * mean) * np.sqrt(variance)
    floor: Array = np.maximum(spread, np.float32(1e-4)).astype(np.float32)
    return floor


def _slope_of_encoding(light: Array) -> Array:
    """Derivative of the curve at light of at most 1."""
    size = np.clip(np.abs(light), 0, 1)
    slope: Array = np.where(size <= 0.0031308, 12.92, 1.055 / 2.4 * np.maximum(size, 0.0031308) ** (1 / 2.4 - 1))
    return slope


def encode(picture: Picture, provenance: Mapping[str, str]) -> bytes:
    """The bytes of a TIFF: of a restored picture 16 bit in sRGB, of a map floats."""
    array, extra = picture.array, picture.extra
    plain = replace(picture, format="tiff", extra={"layout": "contig", "compressed": True})
    if extra.get("map") or array.ndim != 3:
        return tiff.encode(plain, provenance)
    if array.shape[2] != 3:
        raise OutputError(f"a picture of {array.shape[2]} channels of a raw file", "restore red, green and blue")
    light = light_of(array) if extra.get("matrix") is None else light_of(array) @ np.asarray(extra["matrix"]).T
    pixels = np.rint(65535 * encoded(np.clip(light, 0, 1).astype(np.float32))).astype(np.uint16)
    camera = extra.get("camera", {})
    tags = [(code, "s", 0, camera[name], True) for code, name in ((271, "maker"), (272, "model")) if name in camera]
    return tiff.encode(
        replace(plain, array=pixels, icc=_srgb(), extra={**plain.extra, "tags": tuple(tags)}), provenance
    )


def _srgb() -> bytes:
    """The profile of sRGB, its date always the same."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + bytes((7, 208, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0)) + profile[36:]


def float_map(values: Array, like: Picture) -> Picture:
    """A deviation of white-balanced colours as one of the result's."""
    array = np.ascontiguousarray(values, np.float32)
    matrix = like.extra.get("matrix")
    if array.ndim == 3 and like.array.shape == array.shape:
        whole = np.eye(3) if matrix is None else np.asarray(matrix)
        light = light_of(like.array)
        variance = (array / _slope_of_encoding(light)) ** 2 @ (whole**2).T
        made = np.clip(light @ whole.T, 0, 1)
        array = np.ascontiguousarray(_slope_of_encoding(made) * np.sqrt(variance), np.float32)
    return Picture(array=array, format="raw", valid=like.valid, extra={"map": True}, source=like.source)


def facts(picture: Picture) -> dict[str, Any]:
    """The sensor, its levels, and how the picture was taken, for `inverse info`."""
    extra = picture.extra
    black, white = extra["levels"]
    told = extra.get("deviation")
    return {
        "kind": "the mosaic of a colour sensor",
        "bits": white.bit_length(),
        "pattern": extra["pattern"],
        "black level": ", ".join(str(level) for level in black),
        "white level": white,
        "white balance": ", ".join(f"{gain:.4g}" for gain in extra["gains"]),
        "noise profile": None if told is None else f"standard deviation {told.min():.4f} to {told.max():.4f}",
        "camera": dict(extra["camera"]),
    }
