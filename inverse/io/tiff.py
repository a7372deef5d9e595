"""TIFF through tifffile: 8, 16 bit and float, interleaved, planar or one page a channel.

Kept: layout, alpha, ICC profile, description, resolution, and at equal size the geo and microscope tags. Provenance is
appended to the description, or goes into the Software tag where the description is machine-readable XML.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import tifffile

from inverse.errors import InputError, OutputError
from inverse.io.picture import Array, Picture, stamped, turn

__all__ = ["decode", "encode"]

_KEPT_TAGS = (33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113)
_ALPHA = {1: "assocalpha", 2: "unassalpha"}
_PER_INCH = {2: 1.0, 3: 2.54}


@contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("tifffile")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def decode(data: bytes, *, source: str) -> Picture:
    """A TIFF as a `Picture`.

    Raises:
        InputError: The file is broken or truncated, holds several images, or pixels of an unsupported kind.
    """
    try:
        with _quiet(), tifffile.TiffFile(io.BytesIO(data)) as file:
            return _picture(file, len(data), source)
    except InputError:
        raise
    except Exception as error:  # tifffile raises a dozen types on damaged files
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        if "imagecodecs" in reason:
            hint = "pip install imagecodecs, or save it uncompressed or with deflate"
            raise InputError(f"{source}: this TIFF compression needs a package: {reason}", hint) from error
        raise InputError(f"{source}: broken TIFF: {reason}", "copy or export the file again") from error


def _picture(file: tifffile.TiffFile, length: int, source: str) -> Picture:
    if len(file.series) != 1 or not file.pages:
        raise InputError(f"{source}: the TIFF holds {len(file.series)} images", "save each as a file of its own")
    series = file.series[0]
    page = series.keyframe
    for part in series.pages:
        segments = zip(part.dataoffsets, part.databytecounts, strict=False) if part is not None else ()
        if any(offset + count > length for offset, count in segments):
            raise InputError(f"{source}: truncated TIFF: the pixels end early", "copy or export the file again")
    notes: tuple[str, ...] = ()
    photometric = int(page.photometric)
    if photometric not in (0, 1, 2, 3) and not (photometric == 6 and page.compression == 7):
        name = tifffile.PHOTOMETRIC(photometric).name
        raise InputError(f"{source}: {name} colour is not supported", "convert it to RGB or grey first")
    if 0 in series.shape:
        raise InputError(f"{source}: the image is empty: shape {tuple(series.shape)}")
    array, layout = _upright(series.asarray(), series.axes, source)
    if array.dtype == bool:
        array = array.astype(np.uint8) * np.uint8(255)
        notes = ("1 bit, converted to 8-bit grey",)
    if photometric == 3:
        array = np.moveaxis(np.asarray(page.colormap, np.uint16)[:, array], 0, -1)
        notes = ("palette, converted to 16-bit RGB",)
    if photometric == 0 and array.dtype.kind == "u":
        array, notes = np.iinfo(array.dtype).max - array, (*notes, "white-is-zero, inverted")
    array, alpha, kind = _split_alpha(array, [int(value) for value in page.extrasamples])
    tag = page.tags.get(274)
    orientation = int(tag.value) if tag is not None else 1
    if orientation in range(2, 9):
        array, alpha = turn(array, orientation), None if alpha is None else turn(alpha, orientation)
        notes += ("turned upright as its orientation tag says",)
    tags = tuple(
        (tag.code, int(tag.dtype), tag.count, tag.value, True)
        for tag in (page.tags.get(code) for code in _KEPT_TAGS)
        if tag is not None and orientation == 1
    )
    if any(tag[0] == 34735 for tag in tags):
        notes += ("its CRS and nodata value are not interpreted: pip install 'inverse-imaging[geo]'",)
    extra = {"layout": layout, "compressed": int(page.compression) != 1, "alpha": kind, "tags": tags}
    software = page.tags.get(305)
    return Picture(
        array=np.ascontiguousarray(array),
        alpha=None if alpha is None else np.ascontiguousarray(alpha),
        format="tiff",
        icc=page.iccprofile or None,
        dpi=_dpi(page),
        description=page.description or None,
        text={} if software is None else {"Software": str(software.value)},
        extra=extra,
        notes=notes,
        source=source,
    )


def _upright(array: Array, axes: str, source: str) -> tuple[Array, str]:
    """Axes as tifffile names them to (H, W) or (H, W, C), and the layout that gives them back."""
    keep = [index for index, (axis, size) in enumerate(zip(axes, array.shape, strict=True)) if axis in "YX" or size > 1]
    names = "".join(axes[index] for index in keep)
    array = array.reshape([array.shape[index] for index in keep])
    if names == "YX":
        return array, "contig"
    if names == "YXS":
        return array, "contig"
    if names == "SYX":
        return np.moveaxis(array, 0, -1), "planar"
    if names in ("CYX", "IYX", "QYX") and array.shape[0] <= 64:
        return np.moveaxis(array, 0, -1), "pages"
    raise InputError(
        f"{source}: the TIFF has axes {axes} of sizes {array.shape}: a stack, not one image",
        "save each slice as a file of its own",
    )


def _split_alpha(array: Array, extrasamples: list[int]) -> tuple[Array, Array | None, str]:
    kind = _ALPHA.get(extrasamples[-1]) if extrasamples else None
    if kind is None or array.ndim != 3 or array.shape[-1] not in (2, 4):
        return array, None, ""
    colour = array[..., :-1]
    return (colour[..., 0] if colour.shape[-1] == 1 else colour), array[..., -1], kind


def _dpi(page: Any) -> tuple[float, float] | None:
    values = [page.tags.get(code) for code in (282, 283)]
    unit = page.tags.get(296)
    if None in values or unit is None or int(unit.value) not in _PER_INCH:
        return None
    pair = [number / max(divisor, 1) * _PER_INCH[int(unit.value)] for number, divisor in (tag.value for tag in values)]
    return (pair[0], pair[1]) if min(pair) > 0 else None


def encode(picture: Picture, provenance: Mapping[str, str]) -> bytes:
    """The bytes of a TIFF in the layout the picture came in (interleaved by default)."""
    alpha, extra = picture.alpha, picture.extra
    array = picture.array[..., 0] if picture.array.ndim == 3 and picture.channels == 1 else picture.array
    if array.dtype.kind not in "uf":
        raise OutputError(f"a TIFF cannot hold pixels of {array.dtype}", "convert to uint8, uint16 or float32")
    layout = extra.get("layout", "contig")
    options: dict[str, Any] = {"photometric": "rgb" if picture.channels == 3 and layout != "pages" else "minisblack"}
    if alpha is not None:
        array = np.concatenate([array[..., None] if array.ndim == 2 else array, alpha[..., None]], -1)
        options["extrasamples"] = [extra.get("alpha") or "unassalpha"]
    if array.ndim == 3 and layout != "contig":
        array = np.ascontiguousarray(np.moveaxis(array, -1, 0))
    if array.ndim == 3 and layout != "pages":
        options["planarconfig"] = "separate" if layout == "planar" else "contig"
        spare = picture.channels - (3 if options["photometric"] == "rgb" else 1)
        if alpha is None and spare > 0:
            options["extrasamples"] = [0] * spare
    description, software = picture.description or "", picture.text.get("Software", "")
    if description.lstrip().startswith("<"):
        software = stamped("", provenance) or software
    else:
        description = stamped(description, provenance)
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        array,
        metadata=None,
        description=description.encode() or None,
        software=software.encode() or False,
        iccprofile=picture.icc,
        resolution=picture.dpi,
        resolutionunit=2 if picture.dpi else None,
        compression="zlib" if extra.get("compressed") else None,
        predictor=2 if extra.get("compressed") and array.dtype.kind == "u" else None,
        bigtiff=array.nbytes > 2**32 - 2**25,
        extratags=extra.get("tags", ()),
        **options,
    )
    return buffer.getvalue()
