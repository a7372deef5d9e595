"""GeoTIFF through rasterio (extra ``geo``): where a scene lies on Earth survives its restoration.

Kept: CRS, affine transform (scaled where the result has another size, so the extent stays), ground control points,
nodata value, mask band, alpha band, band descriptions, tags of file and bands (stored statistics dropped: they are of
other values), colour interpretation, scale, offset and units, dtype, tiling and block size, compression (lossy ones
become deflate), interleaving. BigTIFF where 4 GB may not do. Not kept: overviews, and rational polynomials where the
size changes. Provenance goes into tags ``INVERSE_*``.

Pixels without a value (nodata, mask band, alpha 0, NaN, infinities) are False in ``Picture.valid``. On writing they get
the nodata value again, and a value that happens to be the nodata value moves to the next one, so that no pixel is lost.
:mod:`inverse.io.nodata` says which were filled.

Whole scenes need not be in memory: :mod:`inverse.io.windows`.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import numpy as np
import rasterio
import tifffile

from inverse.errors import InputError, OutputError
from inverse.io.content import Array, Picture
from inverse.io.limits import quiet
from inverse.io.nodata import marked, unobserved

__all__ = [
    "Geo",
    "anywhere",
    "banded",
    "decode",
    "describe",
    "encode",
    "facts",
    "float_map",
    "geo_of",
    "picture_of",
    "placed",
    "profile_of",
    "put_pixels",
    "reading",
    "scaled",
    "types",
]

_LOSSLESS = ("deflate", "lzw", "zstd", "packbits", "lzma")
_MOST_INFLATION = 1100  # deflate's own limit is 1032
_UNCHECKED = 2**28
_MOST_BANDS = 2048  # GDAL spends seconds on the bands of a damaged header


@dataclass(frozen=True, kw_only=True)
class Geo:
    """What a GeoTIFF says beside its pixels; indices of bands leave the alpha band out."""

    size: tuple[int, int]  # height and width of what the transform belongs to
    crs: Any  # rasterio CRS or None
    transform: Any  # affine from (column, row) to map coordinates
    gcps: tuple[list[Any], Any]  # ground control points and their CRS
    rpcs: Any  # rational polynomials
    nodata: float | None  # value of pixels without one
    masked: bool  # whether the file has a mask band
    bands: tuple[Mapping[str, Any], ...]  # of each its description, tags, colour interpretation, scale, offset and unit
    tags: Mapping[str, str]  # of the file, by namespace
    creation: Mapping[str, Any]  # rasterio's creation options (tiling, blocks, compression, interleaving)


@contextmanager
def opened(content: bytes | str | os.PathLike[str], source: str) -> Iterator[Any]:
    """A dataset opened for reading; GDAL's errors, and whatever else is raised meanwhile, as `InputError`."""
    with reading(source), ExitStack() as stack:
        if isinstance(content, bytes):
            memory = stack.enter_context(rasterio.MemoryFile(content))
            yield stack.enter_context(memory.open(driver="GTiff"))
        else:
            yield stack.enter_context(rasterio.open(os.fspath(content), driver="GTiff", sharing=False))


@contextmanager
def anywhere() -> Iterator[None]:
    """Without GDAL's warning of files that have no place on Earth."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        yield


@contextmanager
def reading(source: str) -> Iterator[None]:
    """GDAL's errors as `InputError`."""
    with anywhere():
        try:
            yield
        except (InputError, MemoryError):
            raise
        except Exception as error:  # beside its own errors rasterio lets GDAL's through, which have no public class
            reason = " ".join(str(error.__cause__ or error).split())[:160]
            raise InputError(f"{source}: broken GeoTIFF: {reason}", "copy or export the file again") from error


def decode(content: bytes | str | os.PathLike[str], *, source: str) -> Picture:
    """A GeoTIFF, its bytes or its path, as a `Picture` of format ``geotiff``; ``extra["geo"]`` is its `Geo`.

    Raises:
        InputError: a file that is broken, complex, a map of classes, or without any value.
    """
    length = len(content) if isinstance(content, bytes) else os.path.getsize(content)
    with opened(content, source) as dataset:
        needed = dataset.width * dataset.height * sum(np.dtype(kind).itemsize for kind in types(dataset, source))
        if needed > max(_UNCHECKED, _MOST_INFLATION * length):
            raise InputError(
                f"{source}: {dataset.width} x {dataset.height} x {dataset.count} pixels declared in {length} bytes",
                "copy or export the file again",
            )
        placed(dataset, content, source)
        return picture_of(dataset, None, source)


def placed(dataset: Any, content: bytes | str | os.PathLike[str], source: str) -> None:
    """Raise `InputError` where a file promises a coordinate system, of its own or its points, that cannot be read."""
    crs = dataset.crs or dataset.gcps[1]
    if (crs is None or not (crs.is_projected or crs.is_geographic)) and _promises_crs(content):
        raise InputError(
            f"{source}: broken GeoTIFF: its coordinate system cannot be read, the result would lie nowhere",
            "set it: gdal_edit.py -a_srs EPSG:...",
        )


def _promises_crs(content: bytes | str | os.PathLike[str]) -> bool:
    """Whether the geo keys say that coordinates are projected or geographic."""
    try:
        with quiet("tifffile"), tifffile.TiffFile(BytesIO(content) if isinstance(content, bytes) else content) as file:
            keys = file.pages.first.tags[34735].value
    except Exception:  # tifffile raises a dozen types on damaged files
        return False
    return any(key == 1024 and value in (1, 2) for key, value in zip(keys[4::4], keys[7::4], strict=False))


def types(dataset: Any, source: str) -> tuple[str, ...]:
    """The type of each band; raises `InputError` for too many bands, complex values, a colour table."""
    if dataset.count > _MOST_BANDS:
        raise InputError(f"{source}: {dataset.count} bands, allowed are {_MOST_BANDS}", "is its header damaged?")
    kinds = tuple(str(kind) for kind in dataset.dtypes)
    if any(kind.startswith("complex") for kind in kinds):
        raise InputError(f"{source}: complex values ({kinds[0]})", "take their magnitude or intensity first")
    if "palette" in [interp.name for interp in dataset.colorinterp]:
        raise InputError(
            f"{source}: a map of classes with a colour table, not an image", "gdal_translate -expand rgb makes one"
        )
    return kinds


def picture_of(dataset: Any, window: Any, source: str, *, empty: bool = False) -> Picture:
    """A window of an open dataset, None: all of it; without any value only where ``empty`` says so."""
    names = [interp.name for interp in dataset.colorinterp]
    alpha_band = names.index("alpha") + 1 if "alpha" in names and dataset.count > 1 else None
    bands = [index for index in dataset.indexes if index != alpha_band]
    array = np.moveaxis(dataset.read(bands, window=window), 0, -1)
    valid = np.moveaxis(dataset.read_masks(bands, window=window), 0, -1) > 0
    alpha = None if alpha_band is None else dataset.read(alpha_band, window=window)
    array, observed, notes = unobserved(array, valid, source=source, empty=empty)
    return Picture(
        array=np.ascontiguousarray(array[..., 0] if len(bands) == 1 else array),
        format="geotiff",
        alpha=alpha,
        valid=observed,
        extra={"geo": geo_of(dataset, bands, window)},
        notes=notes,
        source=source,
    )


def geo_of(dataset: Any, bands: list[int], window: Any = None) -> Geo:
    """What an open dataset says beside its pixels, of some bands; of a window, None: of all of it."""
    shared = all(rasterio.enums.MaskFlags.per_dataset in flags for flags in dataset.mask_flag_enums)
    masked = shared and "alpha" not in [interp.name for interp in dataset.colorinterp]
    profile = dataset.profile
    creation = {key: profile[key] for key in ("tiled", "blockxsize", "blockysize", "interleave") if key in profile}
    compression = str(profile.get("compress", "none")).lower()
    if compression != "none":
        creation["compress"] = compression if compression in _LOSSLESS else "deflate"
    if dataset.photometric == rasterio.enums.PhotometricInterp.white:
        creation["photometric"] = "MINISWHITE"
    described = tuple(
        {
            "description": dataset.descriptions[band - 1],
            "tags": {key: value for key, value in dataset.tags(band).items() if not key.startswith("STATISTICS_")},
            "colour": dataset.colorinterp[band - 1],
            "scale": dataset.scales[band - 1],
            "offset": dataset.offsets[band - 1],
            "unit": dataset.units[band - 1],
        }
        for band in bands
    )
    size, transform, first = (dataset.height, dataset.width), dataset.transform, True
    if window is not None:
        size = (int(window.height), int(window.width))
        a, b, c, d, e, f = transform[:6]
        left, top = window.col_off, window.row_off
        first = left == top == 0  # points and polynomials are of the scene's pixels
        transform = type(transform)(a, b, c + a * left + b * top, d, e, f + d * left + e * top)
    return Geo(
        size=size,
        crs=dataset.crs,
        transform=transform,
        gcps=dataset.gcps if first else ([], None),
        rpcs=dataset.rpcs if first else None,
        nodata=dataset.nodata,
        masked=masked,
        bands=described,
        tags=dataset.tags(),
        creation=creation,
    )


def encode(picture: Picture, provenance: Mapping[str, str]) -> bytes:
    """The bytes of a GeoTIFF: what ``picture.extra["geo"]`` keeps, scaled to the picture's size, with as many bands.

    Raises:
        OutputError: GDAL refuses.
    """
    geo, kind = banded(scaled(picture.extra["geo"], picture.size), picture.channels), picture.array.dtype
    try:
        with anywhere(), rasterio.MemoryFile() as memory:
            with memory.open(**profile_of(geo, kind, picture.alpha is not None)) as dataset:
                describe(dataset, geo, provenance, alpha=picture.alpha is not None)
                put_pixels(dataset, picture, geo, None)
            data: bytes = memory.read()
    except rasterio.errors.RasterioError as error:
        raise OutputError(f"GeoTIFF: {' '.join(str(error).split())[:160]}") from error
    return data


def scaled(geo: Geo, size: tuple[int, int]) -> Geo:
    """The same extent in another number of pixels (height and width): without the polynomials, which do not follow."""
    if size == geo.size:
        return geo
    down, across = geo.size[0] / size[0], geo.size[1] / size[1]
    points = [
        type(point)(row=point.row / down, col=point.col / across, x=point.x, y=point.y, z=point.z)
        for point in geo.gcps[0]
    ]
    old = geo.transform
    if old.is_identity:  # it lies nowhere
        return replace(geo, size=size, gcps=(points, geo.gcps[1]), rpcs=None)
    transform = type(old)(old.a * across, old.b * down, old.c, old.d * across, old.e * down, old.f)
    return replace(geo, size=size, transform=transform, gcps=(points, geo.gcps[1]), rpcs=None)


def banded(geo: Geo, count: int) -> Geo:
    """Of another number of bands: further ones have no name, three of one are red, green and blue.

    Of fewer none is known. Scale, offset and unit are kept where all known bands have the same, for results are stored
    as the measurement is.
    """
    if count == len(geo.bands):
        return geo
    colours = rasterio.enums.ColorInterp
    new = {"description": None, "tags": {}, "unit": None, "colour": colours.gray, "scale": 1.0, "offset": 0.0}
    for key in ("unit", "scale", "offset"):
        if len({band[key] for band in geo.bands}) == 1:
            new[key] = geo.bands[0][key]
    if (len(geo.bands), count) == (1, 3):
        return replace(geo, bands=tuple({**new, "colour": colours[name]} for name in ("red", "green", "blue")))
    bands = geo.bands if count > len(geo.bands) else ()
    return replace(geo, bands=(*bands, *(count - len(bands)) * (new,)))


def profile_of(geo: Geo, kind: np.dtype[Any], alpha: bool) -> dict[str, Any]:
    """What rasterio creates a file with, an alpha band last where there is one."""
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "dtype": kind.name,
        "count": len(geo.bands) + alpha,
        "height": geo.size[0],
        "width": geo.size[1],
        "crs": geo.crs,
        "nodata": geo.nodata,
        "bigtiff": "IF_SAFER",
        **geo.creation,
    }
    if not geo.gcps[0] and not geo.transform.is_identity:
        profile["transform"] = geo.transform
    if profile.get("compress") in ("deflate", "lzw", "zstd"):
        profile["predictor"] = 3 if kind.kind == "f" else 2
    if [band["colour"].name for band in geo.bands[:3]] == ["red", "green", "blue"]:
        profile["photometric"] = "rgb"
    return profile


def describe(dataset: Any, geo: Geo, provenance: Mapping[str, str], *, alpha: bool) -> None:
    """Write what a file says beside its pixels, and provenance."""
    dataset.colorinterp = [band["colour"] for band in geo.bands] + [rasterio.enums.ColorInterp.alpha] * alpha
    if geo.gcps[0]:
        dataset.gcps = geo.gcps
    if geo.rpcs is not None:
        dataset.rpcs = geo.rpcs
    dataset.scales = [band["scale"] for band in geo.bands] + [1.0] * alpha
    dataset.offsets = [band["offset"] for band in geo.bands] + [0.0] * alpha
    stamp = {key.upper().replace(":", "_"): value for key, value in provenance.items()}
    dataset.update_tags(**{**geo.tags, **stamp})
    for index, band in enumerate(geo.bands, start=1):
        if band["tags"]:
            dataset.update_tags(index, **band["tags"])
        if band["description"]:
            dataset.set_band_description(index, band["description"])
        if band["unit"]:
            dataset.set_band_unit(index, band["unit"])


def put_pixels(dataset: Any, picture: Picture, geo: Geo, window: Any) -> None:
    """Write pixels, nodata, alpha and mask into a window, None: all of the file."""
    array = picture.array[..., None] if picture.array.ndim == 2 else picture.array
    valid = picture.valid
    if valid is not None and valid.ndim == 3 and valid.shape[-1] != array.shape[-1]:
        valid = np.asarray(valid.any(-1))
    if valid is not None or geo.nodata is not None:
        array = marked(array, np.ones(array.shape[:2], bool) if valid is None else valid, geo.nodata)
    for index in range(array.shape[-1]):
        dataset.write(np.ascontiguousarray(array[..., index]), index + 1, window=window)
    if picture.alpha is not None:
        dataset.write(picture.alpha, array.shape[-1] + 1, window=window)
    if geo.masked:
        seen = np.ones(array.shape[:2], bool) if valid is None else valid.reshape(*array.shape[:2], -1).any(-1)
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
            dataset.write_mask(seen, window=window)


def float_map(values: Array, like: Picture) -> Picture:
    """A map (H, W) or (H, W, C) of any size over the extent of `like`, as a float32 picture there, nodata NaN.

    ``like.valid`` is taken over where the sizes agree. A deviation has the scale of the values, never their offset.
    """
    geo: Geo = like.extra["geo"]
    count = 1 if values.ndim == 2 else values.shape[-1]
    bands = tuple({**band, "offset": 0.0} for band in geo.bands)
    if count != len(bands):
        grey = rasterio.enums.ColorInterp.gray
        scales = {band["scale"] for band in geo.bands}
        scale = scales.pop() if len(scales) == 1 else 1.0
        plain: dict[str, Any] = {"description": None, "tags": {}, "unit": None, "scale": scale, "offset": 0.0}
        bands = ({**plain, "colour": grey},) * count
    creation = {key: value for key, value in geo.creation.items() if key != "photometric"}
    extra = {"geo": replace(geo, nodata=float("nan"), masked=False, bands=bands, creation=creation)}
    valid = like.valid if like.size == values.shape[:2] else None
    if valid is not None and valid.ndim == 3 and valid.shape[-1] != count:
        valid = np.asarray(valid.any(-1))
    pixels = np.ascontiguousarray(values, np.float32)
    return Picture(array=pixels, format="geotiff", valid=valid, extra=extra)


def facts(picture: Picture) -> dict[str, Any]:
    """Where a scene lies, for `inverse info`."""
    geo: Geo = picture.extra["geo"]
    transform, (height, width) = geo.transform, geo.size
    corners = [transform @ (column, row) for column in (0, width) for row in (0, height)]
    east, north = ([float(corner[axis]) for corner in corners] for axis in (0, 1))
    names = [band["description"] or "" for band in geo.bands]
    return {
        "crs": None if geo.crs is None else geo.crs.to_string(),
        "pixel": [math.hypot(transform.a, transform.d), math.hypot(transform.b, transform.e)],
        "extent": [min(east), min(north), max(east), max(north)],
        "nodata": geo.nodata,
        "bands": names if any(names) else None,
    }
