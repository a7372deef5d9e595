"""Pictures that lie on the ground and are no GeoTIFF, through GDAL, extra ``geo``; their results are GeoTIFF.

A JP2 says where it lies by GeoTIFF's keys in a box (GeoJP2) or by GML (OGC 05-047), ENVI in its ``.hdr``, ERDAS Imagine
in the file. Of a photograph the files beside it say so (`inverse.io.sidecars`): its pixels are read as any photograph's
are, with the noise of its JPEG tables; nodata, mask, place, names, scale and offset are those that GDAL finds.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio

from inverse.errors import InputError
from inverse.io.content import Array, Picture
from inverse.io.formats import geotiff
from inverse.io.formats.geotiff_windows import RasterWindows
from inverse.io.formats.raster import decode_jpeg, decode_png
from inverse.io.limits import bounded
from inverse.io.photographs.through_pillow import decode_bmp, decode_gif, decode_webp
from inverse.io.sidecars import gdal_driver, world_file
from inverse.storage.regular import read_small_text

__all__ = ["decode", "decode_photograph", "decode_raster", "encode", "float_map", "open_raster", "open_windows"]

DRIVER = "JP2OpenJPEG"
_PHOTOGRAPHS = {"PNG": decode_png, "JPEG": decode_jpeg, "BMP": decode_bmp, "GIF": decode_gif, "WEBP": decode_webp}
_SAID = "the result is a GeoTIFF"


def decode(path: Path, *, source: str) -> Picture:
    """A JP2 with its place as a `Picture`, as of `inverse.io.formats.geotiff.decode`.

    Raises:
        InputError: a file that is broken, or declares more pixels than it can hold.
    """
    return _through_gdal(path, DRIVER, "geojp2", source)


def decode_raster(path: Path, *, source: str) -> Picture:
    """An ENVI or an ERDAS Imagine file as a `Picture`; errors as those of `decode`."""
    return _through_gdal(path, gdal_driver(path), "envi", source)


def decode_photograph(path: Path, *, source: str) -> Picture:
    """A photograph with files beside it as a `Picture`; one that its EXIF turns lies nowhere, and says so.

    Raises:
        InputError: As the reader of such photographs; or no pixel has a value.
    """
    driver = gdal_driver(path)
    own: Picture = _PHOTOGRAPHS[driver](path.read_bytes(), source=source)
    if any("turned upright" in note for note in own.notes):
        return replace(own, lost=(*own.lost, "what lies beside it is of the picture before its turn, and is not used"))
    with geotiff.reading(source), rasterio.open(path, driver=driver, sharing=False) as dataset:
        names = [interp.name for interp in dataset.colorinterp]
        bands = [index for index in dataset.indexes if names[index - 1] != "alpha" or dataset.count == 1]
        valid = np.moveaxis(dataset.read_masks(bands), 0, -1) > 0
        geo = geotiff.geo_of(dataset, bands)
    if geo.transform.is_identity and (world := world_file(path)) is not None:  # GDAL reads none of WebP
        geo = replace(geo, transform=_affine(world, source))
    valid = valid[..., 0] if (valid == valid[..., :1]).all() else valid
    if own.size != valid.shape[:2] or (valid.ndim == 3 and valid.shape[2] != own.channels):
        raise InputError(f"{source}: GDAL reads another size or number of bands of it", "convert it to a GeoTIFF")
    if not valid.any():
        raise InputError(f"{source}: no pixel has a value: all are nodata", "check the nodata value beside it")
    geo = geotiff.banded(replace(geo, creation={"compress": "deflate"}), own.channels)
    lost = (*(said for said in own.lost if "result is a" not in said), _SAID)
    extra = {**own.extra, "geo": geo}
    if not valid.all():  # blocks of a JPEG's coefficients go across the holes
        extra = {key: value for key, value in extra.items() if key not in ("quantisation", "subsampling")}
    return replace(own, format="placed", valid=None if valid.all() else valid, extra=extra, lost=lost)


def _affine(world: Path, source: str) -> rasterio.Affine:
    """The transform of a world file, whose origin is the centre of the first pixel."""
    try:
        numbers = [float(word) for word in read_small_text(world).split()[:6]]
        a, d, b, e, x, y = numbers
    except (OSError, ValueError) as error:
        raise InputError(f"{source}: {world.name} beside it is no world file", "six numbers, one a line") from error
    return rasterio.Affine(a, b, x - (a + b) / 2, d, e, y - (d + e) / 2)


def _through_gdal(path: Path, driver: str, form: str, source: str) -> Picture:
    with geotiff.reading(source), rasterio.open(path, driver=driver, sharing=False) as dataset:
        size = max(np.dtype(kind).itemsize for kind in geotiff.types(dataset, source))
        bounded((dataset.count, dataset.height, dataset.width), size, path.stat().st_size, source=source)
        picture = geotiff.picture_of(dataset, None, source)
    geo = picture.extra["geo"]
    kept = {key: value for key, value in geo.creation.items() if form == "geojp2" or key != "interleave"}
    extra = {**picture.extra, "geo": replace(geo, creation={**kept, "compress": "deflate"})}
    return replace(picture, format=form, extra=extra, lost=(*picture.lost, _SAID))


def open_windows(path: Path, *, source: str, inner: str | None, stack: ExitStack) -> RasterWindows:
    """A JP2 with its place as `inverse.io.windows.open_windows` has it; ``inner`` is None."""
    del inner
    return RasterWindows(path, source, stack, driver=DRIVER, form="geojp2")


def open_raster(path: Path, *, source: str, inner: str | None, stack: ExitStack) -> RasterWindows:
    """An ENVI or an ERDAS Imagine file, as `open_windows`."""
    del inner
    return RasterWindows(path, source, stack, driver=gdal_driver(path), form="envi")


def encode(picture: Picture, provenance: Mapping[str, str]) -> bytes:
    """The bytes of a GeoTIFF."""
    return geotiff.encode(replace(picture, format="geotiff"), provenance)


def float_map(values: Array, like: Picture) -> Picture:
    """A map of floats as a GeoTIFF that lies where the picture does."""
    made: Picture = geotiff.float_map(values, replace(like, format="geotiff"))
    return replace(made, format=like.format)
