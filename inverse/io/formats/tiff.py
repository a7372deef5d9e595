"""TIFF, OME-TIFF, ImageJ hyperstacks and multi-page TIFF through tifffile: 8, 16, 32 bit and float.

A file with one image is a `Picture`, its channels interleaved, planar or one a page; pages that are no channels (Z, T,
or without a name) make it a `Volume`. Kept: layout and axes, alpha, ICC profile, description, resolution, and at equal
size the geo tags; OME-XML as `inverse.io.formats.tiff_axes` says. Any compression is written as deflate. Provenance is
appended to the description, or goes into the Software tag where the description is machine-readable. An OME-TIFF whose
pages lie in other files is refused.
"""

from __future__ import annotations

import io
import json
import re
import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from inverse.errors import InputError, OutputError
from inverse.io.content import SAID, Array, Picture, Volume, stack, stamped, turn
from inverse.io.formats.tiff_axes import (
    Axes,
    calibrated,
    calibration,
    described,
    imagej_tags,
    of_file,
    of_floats,
    optics,
    parsed,
    pixel_of,
)
from inverse.io.limits import bounded, quiet, reason
from inverse.io.photographs.cmyk import to_rgb
from inverse.io.sidecars import sidecars

__all__ = ["decode", "encode", "facts", "float_map", "is_geotiff", "unlike_gdal"]

_GEO_TAGS = (33550, 33922, 34264, 34735, 42112, 42113)
_KEPT_TAGS = (33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113, 51123)
_ALPHA = {1: "assocalpha", 2: "unassalpha"}
_PER_INCH = {2: 1.0, 3: 2.54}
_NUMBERS = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64")


def is_geotiff(path: Path, inner: str | None, *, source: str) -> bool:
    """Whether a TIFF has tags of GeoTIFF or GDAL in its first directory, or files beside it that say as much.

    Of a file beside a TIFF that GDAL would read otherwise, such as a stack of pages, the reader of TIFF tells. The test
    needs no rasterio.
    """
    if inner is not None:
        return False
    try:
        with quiet("tifffile"), open(path, "rb") as file, tifffile.TiffFile(file, _multifile=False) as tiff:
            if any(code in tiff.pages.first.tags for code in _GEO_TAGS):
                return True
    except Exception:  # tifffile raises a dozen types on damaged files; the reader says what is wrong
        return False
    return bool(sidecars(path)) and not unlike_gdal(path, windows=False)


def unlike_gdal(path: Path, *, windows: bool = True) -> str:
    """What GDAL would read of a plain TIFF otherwise than this module does; "" where it reads the same.

    ``windows``: or what is not read window by window, as alpha.
    """
    try:
        with quiet("tifffile"), tifffile.TiffFile(path, _multifile=False) as file:
            page = file.pages.first
            turned = page.tags.get(274)
            if len(file.pages) != 1:
                return f"of {len(file.pages)} pages"
            if file.is_ome or file.is_imagej:
                return f"with a description of {'OME' if file.is_ome else 'ImageJ'}'s"
            if file.series[0].size != page.imagelength * page.imagewidth * page.samplesperpixel:
                return "of several images"
            if turned is not None and int(turned.value) != 1:
                return "that is not stored upright"
            if windows and any(int(kind) in (1, 2) for kind in page.extrasamples):
                return "with alpha"
            if min(np.atleast_1d(page.bitspersample)) < 8:
                return f"of {page.bitspersample} bit"
            if str(page.dtype) not in _NUMBERS:
                return f"of {page.dtype}"
            colours = (1, 2) if windows or int(page.compression) != 7 else (1, 2, 6)
            return "" if int(page.photometric) in colours else "that is neither grey nor RGB"
    except Exception:  # tifffile raises a dozen types on damaged files
        return "that is damaged"


def decode(path: Path, *, source: str, inner: str | None = None) -> Picture | Volume:
    """A TIFF as a `Picture`, or as a `Volume` where it has several pages that are no channels.

    ``inner`` is the number of one of its images, from 0, where they have several sizes or types.

    Raises:
        InputError: The file is broken or truncated, holds several images, or pixels of an unsupported kind.
    """
    try:
        with quiet("tifffile"), path.open("rb") as data, tifffile.TiffFile(data, _multifile=False) as file:
            return _content(file, path.stat().st_size, source, inner)
    except InputError:
        raise
    except Exception as error:  # tifffile raises a dozen types on damaged files
        cause = reason(error, 160)
        if "imagecodecs" in cause:
            hint = "pip install imagecodecs, or save it uncompressed or with deflate"
            raise InputError(f"{source}: this TIFF compression needs a package: {cause}", hint) from error
        raise InputError(f"{source}: broken TIFF: {cause}", "copy or export the file again") from error


def _content(file: tifffile.TiffFile, length: int, source: str, inner: str | None) -> Picture | Volume:
    if not len(file.pages) or not file.series:
        raise InputError(f"{source}: broken TIFF: there is no image in it", "copy or export the file again")
    series, lost_images = _chosen(file, source, inner)
    page = series.keyframe
    _complete(series, length, source)
    if file.is_ome and series.kind != "ome":
        raise InputError(
            f"{source}: its OME-XML does not fit its pages; some may be in other files, which are never opened",
            "export all pages into one file",
        )
    lost = _tags(file, file.pages.first.offset) - len(file.pages.first.tags)
    notes: tuple[str, ...] = (f"damaged: {lost} of its tags cannot be read",) if lost > 0 else ()
    photometric = int(page.photometric)
    ink = photometric == 5 and page.samplesperpixel == 4 and page.dtype == np.uint8
    if photometric not in (0, 1, 2, 3) and not (photometric == 6 and page.compression == 7) and not ink:
        name = tifffile.PHOTOMETRIC(photometric).name
        hint = "convert it to RGB or grey first"
        if name in ("CFA", "LINEAR_RAW"):
            hint = "a camera's raw file? It needs pip install 'inverse-imaging[raw]'; of a mosaic save a grey TIFF"
        raise InputError(f"{source}: {name} colour is not supported", hint)
    if page.dtype is not None and page.dtype.kind == "c":
        raise InputError(f"{source}: the pixels are {page.dtype}, an image must be real", "save the magnitude")
    axes = parsed(series.axes, tuple(series.shape), source)
    named = zip(series.axes, series.shape, strict=True)
    array = axes.arranged(series.asarray().reshape([size for name, size in named if size != 1 or name in "YX"]))
    if array.dtype == bool:
        array = array.astype(np.uint8) * np.uint8(255)
        notes += ("1 bit, converted to 8-bit grey",)
    if photometric == 3:
        colours = _colours(np.asarray(page.colormap, np.uint16))
        array = np.moveaxis(colours[:, array], 0, -1)
        notes += (f"palette, converted to {8 * colours.itemsize}-bit RGB",)
    if ink:
        made = [to_rgb(Image.fromarray(np.ascontiguousarray(part), "CMYK"), page.iccprofile) for part in array]
        array, notes = np.stack([part for part, _ in made]), (*notes, made[0][1])
        lost_images = (*lost_images, "colours of ink (CMYK): the result is RGB")
    if photometric == 0 and array.dtype.kind == "u":
        array, notes = np.iinfo(array.dtype).max - array, (*notes, "white-is-zero, inverted")
    array, alpha, kind = _split_alpha(array, [int(value) for value in page.extrasamples])
    array = array if kind != "assocalpha" or alpha is None else _divided(array, alpha)
    tag = page.tags.get(274)
    orientation = int(tag.value) if tag is not None else 1
    upright = orientation not in range(2, 9)
    if not upright:
        array = np.stack([turn(part, orientation) for part in array])
        alpha = None if alpha is None else np.stack([turn(part, orientation) for part in alpha])
        axes = replace(axes, size=array.shape[1:3])
        notes += ("turned upright as its orientation tag says",)
    tags = tuple(
        (tag.code, int(tag.dtype), tag.count, json.dumps(tag.value) if tag.code == 51123 else tag.value, True)
        for tag in (page.tags.get(code) for code in _KEPT_TAGS)
        if tag is not None and upright
    )
    if any(tag[0] == 34735 for tag in tags):
        notes += ("its CRS and nodata value are not interpreted: pip install 'inverse-imaging[geo]'",)
    extra: dict[str, Any] = {"layout": axes.layout, "compressed": int(page.compression) != 1, "alpha": kind}
    extra |= {"tags": tags, "axes": axes} | ({"white": True} if photometric == 0 and array.ndim == 3 else {})
    extra["texts"], left = of_file(page, upright=upright)
    lost_images = (*lost_images, *left)
    extra |= {"rgb": True} if photometric == 2 and array.ndim == 4 and array.shape[-1] > 3 else {}
    description: str | None = page.description or None
    for name, own in (("ome", file.is_ome), ("imagej", file.is_imagej)):
        if own and description:
            extra[name], description = description, None
    extra |= calibration(page, turned=orientation in (5, 6, 7, 8), imagej="imagej" in extra)
    if told := optics(extra, extra.get("resolution")) or pixel_of(page, None if "imagej" in extra else _dpi(page)):
        extra["optics"] = told
    if file.is_shaped and (description or "").startswith("{"):
        description = None
    software = page.tags.get(305)
    pictures = tuple(
        Picture(
            array=np.ascontiguousarray(part),
            alpha=None if alpha is None else np.ascontiguousarray(alpha[index]),
            format="tiff",
            icc=None if ink else page.iccprofile or None,
            dpi=None if "imagej" in extra else _dpi(page),
            description=description,
            text={} if software is None else {"Software": str(software.value)},
            extra=extra,
            notes=notes if not axes.front else (),
            lost=lost_images if not axes.front else (),
            source=source,
        )
        for index, part in enumerate(array)
    )
    if not axes.front:
        return pictures[0]
    front = " x ".join(f"{size} {name}" for name, size in zip(axes.slices, axes.front, strict=True))
    kept = {"first": replace(pictures[0], array=pictures[0].array[:0], alpha=None)}
    return Volume(
        slices=pictures,
        format="tiff",
        extra=kept,
        notes=(*notes, f"{front}: {len(pictures)} slices", SAID),
        lost=lost_images,
        source=source,
    )


def _chosen(file: tifffile.TiffFile, source: str, inner: str | None) -> tuple[Any, tuple[str, ...]]:
    """The image that is meant, and a sentence on those that are left out.

    Reduced copies and masks of others, as their tags say, are none to choose from unless they are named.

    Raises:
        InputError: there are several, of several sizes or types, and none is named.
    """
    images = [level for part in file.series for level in part.levels]
    images.sort(key=lambda part: part.keyframe.treeindex)
    sizes = [f"{part.keyframe.imagewidth} x {part.keyframe.imagelength}" for part in images]
    count, shown = len(sizes), ", ".join(sizes[:6])
    if inner is not None:
        if not inner.isdecimal() or int(inner) >= count:
            raise InputError(f"{source}: no image '{inner}' in the TIFF", f"allowed: 0 to {count - 1} ({shown})")
        index = int(inner)
    else:
        frames = [part.keyframe for part in images]
        whole = [n for n, page in enumerate(frames) if not (page.is_subifd or int(page.subfiletype or 0) & 5)]
        if count > 1 and len(whole) != 1:
            raise InputError(f"{source}: the TIFF holds {count} images: {shown}", "name one: FILE.tif::0, FILE.tif::1")
        index = whole[0] if count > 1 else 0
    others = ", ".join(size for place, size in enumerate(sizes) if place != index)
    return images[index], (f"its other images ({others} pixels) are not in the result",) if others else ()


def _tags(file: tifffile.TiffFile, offset: int) -> int:
    """How many tags a directory declares."""
    file.filehandle.seek(offset)
    return int(struct.unpack(file.tiff.tagnoformat, file.filehandle.read(file.tiff.tagnosize))[0])


def _complete(series: Any, length: int, source: str) -> None:
    """Raise `InputError` unless all pixels are in the file, and no more are declared than it can hold."""
    if 0 in series.shape:
        raise InputError(f"{source}: the image is empty: shape {tuple(series.shape)}")
    bounded(series.shape, series.dtype.itemsize, length, source=source)
    for part in series.pages:
        if part is None:
            raise InputError(
                f"{source}: some of its pages are missing or in other files, which are never opened",
                "export all pages into one file",
            )
        if any(offset + count > length for offset, count in zip(part.dataoffsets, part.databytecounts, strict=False)):
            raise InputError(f"{source}: truncated TIFF: the pixels end early", "copy or export the file again")


def _colours(table: Array) -> Array:
    """A palette's 16-bit colours, in 8 bit where they are no more: writers shift them or repeat the byte."""
    high, low = table >> 8, table & 255
    return high.astype(np.uint8) if (low == 0).all() or (low == high).all() else table


def _split_alpha(array: Array, extrasamples: list[int]) -> tuple[Array, Array | None, str]:
    kind = _ALPHA.get(extrasamples[-1]) if extrasamples else None
    if kind is None or array.ndim != 4 or array.shape[-1] not in (2, 4):
        return array, None, ""
    colour = array[..., :-1]
    return (colour[..., 0] if colour.shape[-1] == 1 else colour), array[..., -1], kind


def _divided(array: Array, alpha: Array) -> Array:
    """Colours that were stored times their alpha; what is written is multiplied again."""
    top = float(np.iinfo(alpha.dtype).max) if alpha.dtype.kind == "u" else 1.0
    part = (alpha / top if array.ndim == 3 else alpha[..., None] / top).astype(np.float64)
    whole = np.divide(array, part, out=np.zeros(array.shape), where=part > 0)
    return (np.minimum(np.rint(whole), top) if array.dtype.kind == "u" else whole).astype(array.dtype)


def _multiplied(array: Array, alpha: Array) -> Array:
    top = float(np.iinfo(alpha.dtype).max) if alpha.dtype.kind == "u" else 1.0
    stored = array * (alpha / top if array.ndim == 3 else alpha[..., None] / top)
    return (np.rint(stored) if array.dtype.kind == "u" else stored).astype(array.dtype)


def _dpi(page: Any) -> tuple[float, float] | None:
    values = [page.tags.get(code) for code in (282, 283)]
    unit = page.tags.get(296)
    if None in values or unit is None or int(unit.value) not in _PER_INCH:
        return None
    pair = [number / max(divisor, 1) * _PER_INCH[int(unit.value)] for number, divisor in (tag.value for tag in values)]
    return (pair[0], pair[1]) if min(pair) > 0 else None


def encode(content: Picture | Volume, provenance: Mapping[str, str]) -> bytes:
    """The bytes of a TIFF in the layout the picture or the stack came in (interleaved by default)."""
    if isinstance(content, Volume):
        array, like = stack(content), content.extra["first"]
        alphas = [picture.alpha for picture in content.slices if picture.alpha is not None]
        alpha = np.stack(alphas) if len(alphas) == len(content.slices) else None
        same = array.shape[1:3] == like.extra["axes"].size
        like = like if same else replace(like, dpi=None, extra={**like.extra, "tags": ()})
    else:
        array, like = content.array[None], content
        alpha = None if content.alpha is None else content.alpha[None]
    if array.dtype.kind not in "iuf" or (array.dtype.kind != "f" and array.dtype.itemsize > 4):
        raise OutputError(f"a TIFF cannot hold pixels of {array.dtype}", "convert to uint8, uint16 or float32")
    return _encoded(array, alpha, like, provenance)


def _encoded(array: Array, alpha: Array | None, like: Picture, provenance: Mapping[str, str]) -> bytes:
    """(N, H, W) or (N, H, W, C) with `like`'s layout and metadata."""
    extra = like.extra
    array = array[..., 0] if array.ndim == 4 and array.shape[-1] == 1 else array
    channels = 1 if array.ndim == 3 else array.shape[-1]
    layout = extra.get("layout", "contig")
    colours = (channels == 3 or (channels > 3 and extra.get("rgb"))) and layout != "pages"
    options: dict[str, Any] = {"photometric": "rgb" if colours else "minisblack"}
    if extra.get("white") and channels == 1:
        options["photometric"] = "miniswhite"
        array = np.iinfo(array.dtype).max - array if array.dtype.kind == "u" else array
    if alpha is not None:
        array = _multiplied(array, alpha) if extra.get("alpha") == "assocalpha" else array
        array = np.concatenate([array[..., None] if array.ndim == 3 else array, alpha[..., None]], -1)
        options["extrasamples"] = [extra.get("alpha") or "unassalpha"]
    names = {"contig": "YXS", "planar": "SYX", "pages": "CYX"}[layout] if array.ndim == 4 else "YX"
    axes = extra.get("axes")
    if axes is None or (axes.channel == "") is not (array.ndim == 3):
        axes = Axes(("" if axes is None else axes.slices) + names, () if axes is None else axes.front, array.shape[1:3])
    values = axes.restored(array)
    if array.ndim == 4 and axes.channel == "S":
        options["planarconfig"] = "contig" if axes.names.endswith("S") else "separate"
        spare = channels - (3 if options["photometric"] == "rgb" else 1)
        if alpha is None and spare > 0:
            options["extrasamples"] = [0] * spare
    description, software = described(extra, values, axes), like.text.get("Software", "")
    if description is None:
        description = stamped(like.description, provenance)
    else:
        software = stamped("", provenance) or software
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        values,
        metadata=None,
        description=description.encode() or None,
        software=software.encode() or False,
        iccprofile=like.icc,
        **calibrated(extra, like.dpi, array.shape[1:3]),
        compression="zlib" if extra.get("compressed") else None,
        predictor=2 if extra.get("compressed") and values.dtype.kind in "ui" else None,
        bigtiff=values.nbytes > 2**32 - 2**25,
        extratags=(*extra.get("tags", ()), *extra.get("texts", ()), *imagej_tags(extra, array.shape[1:3])),
        **options,
    )
    return buffer.getvalue()


def float_map(values: Array, like: Picture) -> Picture:
    """A map (H, W) or (H, W, C) of any size as a float32 picture of the kind of ``like``, a slice's or a picture's."""
    pixels, same = np.ascontiguousarray(values, np.float32), like.size == values.shape[:2]
    valid, dpi = (like.valid, like.dpi) if same else (None, None)
    if "first" in like.extra:
        first = like.extra["first"]
        extra: dict[str, Any] = {"first": replace(first, extra=of_floats(first.extra))}
        return Picture(array=pixels, format=like.format, valid=valid, extra=extra, source=like.source)
    own = of_floats(like.extra)
    keys = set(own) - {"compressed", "alpha"} if own.get("ome") or own.get("imagej") else {"resolution", "axes"}
    keys = keys if "resolution" in own or len(keys) > 2 else set()
    extra = {key: value for key, value in own.items() if key in (keys | {"tags"} if same else keys - {"tags"})}
    return Picture(array=pixels, format="tiff", valid=valid, dpi=dpi, extra=extra, source=like.source)


def facts(content: Picture | Volume) -> dict[str, Any]:
    """Axes, pixel sizes and names of channels, for `inverse info`."""
    extra = content.extra["first"].extra if isinstance(content, Volume) else content.extra
    stated: dict[str, Any] = {"axes": extra["axes"].names} if extra["axes"].front else {}
    if extra.get("ome"):
        stated["physical_size"] = dict(re.findall(r'\bPhysicalSize([XYZ])="([^"]*)"', extra["ome"]))
        stated["channel_names"] = re.findall(r'<(?:\w+:)?Channel\b[^>]*?\bName="([^"]*)"', extra["ome"])
    return stated
