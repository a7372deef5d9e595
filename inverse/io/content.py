"""The content of a file: a picture, a volume of slices or raw k-space, and what must survive until it is written.

A `Volume` is restored slice by slice and written as one file; of a `Scan` the images are written. Data units of
pictures are ``uint8 / 255``, ``uint16 / 65535``, floats as they are. Going back, integers are rounded and clipped, and
the fraction that was clipped is returned, because nothing is clamped silently.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from inverse.errors import InputError, InverseError, OutputError
from inverse.io.registry import formats, function

__all__ = [
    "LARGEST_PIXEL",
    "STRETCH",
    "Array",
    "Picture",
    "Scan",
    "Span",
    "Volume",
    "checked",
    "float_volume",
    "from_channels",
    "from_unit",
    "require",
    "slices_of",
    "stack",
    "stamped",
    "to_channels",
    "to_unit",
    "turn",
    "widths",
]

Array = npt.NDArray[Any]
#: The values of a file that are 0 and 1 in data units: two numbers, or two for each band.
Span = tuple[float, float] | tuple[tuple[float, ...], tuple[float, ...]]
#: Nanometres: pixels that are larger are no microscope's, and say nothing of its optics.
LARGEST_PIXEL = 1e5
#: Percentiles of a scene's values that become 0 and 1 where their type's range says nothing of them (digital numbers).
STRETCH = (0.05, 99.5)
#: What notes say of the slices of a volume.
SAID = "slices are treated one by one, in two dimensions"
_TURNS = {2: (0, True), 3: (2, False), 4: (2, True), 5: (3, True), 6: (3, False), 7: (1, True), 8: (1, False)}


@dataclass(frozen=True, eq=False, kw_only=True)
class Picture:
    """The pixels of one file and what must survive its round trip."""

    array: Array  # (H, W) or (H, W, C), the file's dtype, colour channels only, EXIF orientation applied
    format: str  # a key of `inverse.io.registry.formats`; `inverse.io.write` writes this format
    alpha: Array | None = None  # (H, W) in the array's dtype
    #: (H, W) or (H, W, C) bool, False where the file holds no value (nodata, a mask band); None: all of it.
    #: Those pixels are unobserved; what ``array`` holds there is finite and without meaning.
    valid: Array | None = None
    icc: bytes | None = None  # the ICC profile
    dpi: tuple[float, float] | None = None  # pixels per inch, horizontal and vertical
    description: str | None = None  # free text of the file (TIFF ImageDescription, JPEG comment)
    exif: bytes | None = None  # the EXIF block with its orientation reset
    text: Mapping[str, str] = field(default_factory=dict)  # PNG text chunks
    extra: Mapping[str, Any] = field(default_factory=dict)  # what a format needs to write itself back (layout, tags)
    notes: tuple[str, ...] = ()  # what was converted on reading ("palette converted to RGB")
    lost: tuple[str, ...] = ()  # what of the file a result will not have: a run says it too
    source: str = ""  # the path as it was given, for messages

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return int(self.array.shape[0]), int(self.array.shape[1])

    @property
    def channels(self) -> int:
        """Number of colour channels, alpha not counted."""
        return 1 if self.array.ndim == 2 else int(self.array.shape[2])


@dataclass(frozen=True, eq=False, kw_only=True)
class Volume:
    """The slices of one file and what must survive its round trip; fields as those of a `Picture`."""

    slices: tuple[Picture, ...]  # of one size, dtype and number of channels, in the file's order
    format: str  # `inverse.io.write_volume` writes this format
    extra: Mapping[str, Any] = field(default_factory=dict)  # affine, header, axes
    notes: tuple[str, ...] = ()  # also that the slices are treated one by one
    lost: tuple[str, ...] = ()
    source: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a slice."""
        return self.slices[0].size

    @property
    def channels(self) -> int:
        """Number of channels of a slice."""
        return self.slices[0].channels


@dataclass(frozen=True, eq=False, kw_only=True)
class Scan:
    """The slices of one raw-data file; fields as those of a `Picture`."""

    #: (S, coils, H, W), centred (DC at size // 2), orthonormal Fourier transform, zero where nothing was sampled;
    #: with a ``trajectory`` (S, coils, n).
    kspace: npt.NDArray[np.complex64]
    shape: tuple[int, int]  # (H, W) of the image; (0, 0) where a file with a ``trajectory`` does not tell
    format: str  # `inverse.io.write_scan` writes the images in this kind of file
    #: (S or 1, H, W), which samples were taken; None: where any coil is not zero. Unused with a trajectory.
    mask: npt.NDArray[np.bool_] | None = None
    #: (S or 1, n, 2) in cycles per pixel, rows then columns, in [-0.5, 0.5); None for Cartesian data.
    trajectory: npt.NDArray[np.float32] | None = None
    noise: npt.NDArray[np.complex64] | None = None  # (coils, n) samples of noise alone; None where the file has none
    extra: Mapping[str, Any] = field(default_factory=dict)  # header, attributes, dimensions
    notes: tuple[str, ...] = ()  # what was done on reading (oversampling removed, averages combined)
    source: str = ""


def widths(span: Span | None) -> npt.NDArray[np.float64]:
    """The width of the span of data units in the file's units: (1, 1, 1), or (C, 1, 1) where each band has its own."""
    low, high = (np.asarray(end, np.float64).reshape(-1, 1, 1) for end in span or (0.0, 1.0))
    width: npt.NDArray[np.float64] = high - low
    return width


def to_unit(picture: Picture, span: Span | None = None) -> npt.NDArray[np.float32]:
    """The picture in data units, (C, H, W) float32.

    The ``span`` becomes 0 and 1; None: 0 and full scale for unsigned integers, floats as they are.

    Raises:
        InputError: signed or wide integers without a span.
    """
    array = picture.array[..., None] if picture.array.ndim == 2 else picture.array
    planes = np.moveaxis(array, -1, 0)
    if span is not None:
        low, high = (np.asarray(end, np.float64).reshape(-1, 1, 1) for end in span)
        unit = ((planes - low) / (high - low)).astype(np.float32)
    elif array.dtype.kind == "f":
        unit = planes.astype(np.float32)
    elif array.dtype in (np.uint8, np.uint16):
        unit = planes.astype(np.float32) / np.float32(np.iinfo(array.dtype).max)
    else:
        raise InputError(
            f"{picture.source}: numbers of type {array.dtype} have no defined range",
            "stretch them: -s data.scale=auto, or say which are black and white: -s data.scale=[0,10000]",
        )
    return np.ascontiguousarray(unit)


def from_unit(array: Array, *, like: Picture, span: Span | None = None) -> tuple[Picture, float]:
    """An array (C, H, W) in data units as a picture of the dtype, format and metadata of `like`, and what was clipped.

    That is the fraction of values that rounding to an integer format had to clip (0 for floats). Where the size
    differs, alpha is resampled, the resolution is scaled so that the physical extent stays, and metadata that names the
    old size is dropped. Channels may differ where an operator measures others than its unknown has (a grey picture that
    gets colours: its colour profile is left out). ``span`` is as `to_unit` was given it.
    """
    array = np.asarray(array)
    if array.ndim != 3:
        raise ValueError(f"expected (C, H, W), got shape {array.shape}")
    bad = int(array.size - np.isfinite(array).sum())
    if bad:
        raise InverseError(f"the result has {bad} NaN or infinite values of {array.size}", "nothing was written")
    dtype, clipped = like.array.dtype, 0.0
    pixels = np.moveaxis(array, 0, -1)
    if dtype.kind in "ui":
        bottom, top = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
        low, high = (np.asarray(end, np.float64) for end in span or (0, top))
        levels = np.rint(low + (high - low) * pixels.astype(np.float64))
        clipped = float(np.mean((levels < bottom) | (levels > top)))
        pixels = np.clip(levels, bottom, top)
    elif span is not None:
        low, high = (np.asarray(end, np.float64) for end in span)
        pixels = low + (high - low) * pixels.astype(np.float64)
    same = pixels.shape[-1] == like.channels
    plane = pixels.shape[-1] == 1 and (like.array.ndim == 2 or not same)
    pixels = np.ascontiguousarray(pixels[..., 0] if plane else pixels).astype(dtype)
    changed = replace(like, array=pixels) if same else replace(like, array=pixels, icc=None)
    return (changed if pixels.shape[:2] == like.size else _resized(changed, like.size)), clipped


def _resized(picture: Picture, old: tuple[int, int]) -> Picture:
    height, width = picture.size
    alpha = picture.alpha
    if alpha is not None:
        plane = Image.fromarray(alpha.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
        alpha = np.asarray(plane)
        alpha = (np.rint(alpha) if picture.array.dtype.kind == "u" else alpha).astype(picture.array.dtype)
    dpi = picture.dpi and (picture.dpi[0] * width / old[1], picture.dpi[1] * height / old[0])
    description = picture.description
    if description and description.lstrip().startswith(("<?xml", "<OME")):
        description = None
    extra = {key: value for key, value in picture.extra.items() if key != "tags"}
    return replace(picture, alpha=alpha, dpi=dpi, description=description, extra=extra)


def require(picture: Picture, *, channels: int | None = None, minimum: int = 1) -> None:
    """Raise `InputError` unless a picture fits a prior of so many channels and is at least ``minimum`` pixels a side.

    None accepts any channels, and so does 3: a colour prior serves other bands group by group.
    """
    height, width = picture.size
    if min(height, width) < minimum:
        raise InputError(
            f"{picture.source}: {width} x {height} pixels, the smaller side must be at least {minimum}",
            "crop less, or put several narrow images side by side",
        )
    count = picture.channels
    turned = picture.format == "npy" and picture.array.ndim == 3 and picture.array.shape[0] <= 4 < count
    if channels is None or count == channels or (channels == 3 and not turned):
        return
    fits = "1 or 3 channels" if channels == 3 else f"{channels} channel{'s' * (channels != 1)}"
    hint = f"choose another prior, or keep only {channels} of the channels"
    if turned:
        hint = "arrays are (H, W, C): this one looks channel first, move that axis to the end"
    raise InputError(f"{picture.source}: {count} channel{'s' * (count != 1)}, the prior takes {fits}", hint)


def to_channels(array: Array, channels: int) -> Array:
    """Replicate one channel to a prior's: (..., 1, H, W) to (..., channels, H, W); other counts pass unchanged."""
    if array.shape[-3] == 1 and channels > 1:
        return np.repeat(array, channels, axis=-3)
    return array


def from_channels(array: Array, channels: int) -> Array:
    """Average replicated channels back: the inverse of `to_channels` for a picture of `channels` channels."""
    if channels == 1 and array.shape[-3] > 1:
        return np.asarray(array.mean(axis=-3, keepdims=True, dtype=np.float64).astype(array.dtype))
    return array


def stamped(description: str | None, provenance: Mapping[str, str]) -> str:
    """A description with provenance lines at its end, those of an earlier run replaced."""
    old = tuple(f"{key}=" for key in provenance)
    lines = [line for line in (description or "").split("\n") if not (old and line.startswith(old))]
    lines += [f"{key}={value}" for key, value in provenance.items()]
    return "\n".join(lines).lstrip("\n")


def turn(array: Array, orientation: int) -> Array:
    """Rows and columns as an EXIF or TIFF orientation of 2 to 8 says they should be shown."""
    quarters, mirrored = _TURNS[orientation]
    turned = np.rot90(array, quarters)
    return turned[:, ::-1] if mirrored else turned


def checked(scan: Scan) -> Scan:
    """The scan itself.

    Raises:
        InputError: no samples, values that are not finite, or zeros alone.
    """
    if scan.kspace.size == 0 or (min(scan.shape) < 1 and scan.trajectory is None):
        raise InputError(f"{scan.source}: k-space of shape {scan.kspace.shape} is empty")
    bad = int(scan.kspace.size - np.isfinite(scan.kspace).sum())
    if bad:
        raise InputError(f"{scan.source}: {bad} of {scan.kspace.size} samples of k-space are NaN or infinite")
    if not scan.kspace.any():
        raise InputError(f"{scan.source}: all of k-space is zero", "nothing was measured")
    return scan


def slices_of(array: Array, *, format: str, source: str) -> tuple[Picture, ...]:  # noqa: A002
    """(S, H, W) or (S, H, W, C) as pictures."""
    return tuple(Picture(array=np.ascontiguousarray(plane), format=format, source=source) for plane in array)


def stack(volume: Volume) -> Array:
    """The slices as (S, H, W) or (S, H, W, C)."""
    return np.stack([picture.array for picture in volume.slices])


def float_volume(array: Array, *, like: Volume) -> Volume:
    """A map (S, C, H, W) or (S, H, W) of a volume's slices, such as their uncertainty, as a volume of the same kind.

    Values have any range, height and width may differ. Format and metadata are those of `like`, less what says how its
    values are stored (`Format.float_map`).
    """
    values = np.asarray(array, np.float32)
    values = np.moveaxis(values, 1, -1) if values.ndim == 4 else values
    values = values[..., 0] if values.ndim == 4 and values.shape[-1] == 1 and like.slices[0].array.ndim == 2 else values
    spec = formats().get(like.format)
    if spec is None or not spec.float_map:
        made = slices_of(values, format=like.format, source=like.source)
        of_pixels = zip(made, like.slices, strict=True) if len(made) == len(like.slices) else ()
        kept = tuple(replace(one, valid=other.valid if one.size == other.size else None) for one, other in of_pixels)
        return replace(like, slices=kept or made)
    make = function(spec.float_map, title=spec.title, source=like.source, error=OutputError)
    grounds = (replace(picture, extra=like.extra) for picture in like.slices)
    slices = tuple(make(plane, ground) for plane, ground in zip(values, grounds, strict=True))
    return replace(like, slices=slices, extra=slices[0].extra)
