"""JPEG 2000 files that lie on the ground, as satellites' bands do, through GDAL, extra ``geo``.

A JP2 says where it lies by GeoTIFF's keys in a box (GeoJP2) or by GML (OGC 05-047). The result is a GeoTIFF.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio

from inverse.io.content import Array, Picture
from inverse.io.formats import geotiff
from inverse.io.formats.geotiff_windows import RasterWindows
from inverse.io.limits import bounded

__all__ = ["decode", "encode", "float_map", "open_windows"]

DRIVER = "JP2OpenJPEG"


def decode(path: Path, *, source: str) -> Picture:
    """A JP2 with its place as a `Picture`, as of `inverse.io.formats.geotiff.decode`.

    Raises:
        InputError: a file that is broken, or declares more pixels than it can hold.
    """
    with geotiff.reading(source), rasterio.open(path, driver=DRIVER, sharing=False) as dataset:
        size = max(np.dtype(kind).itemsize for kind in geotiff.types(dataset, source))
        bounded((dataset.count, dataset.height, dataset.width), size, path.stat().st_size, source=source)
        picture = geotiff.picture_of(dataset, None, source)
    geo = picture.extra["geo"]
    extra = {**picture.extra, "geo": replace(geo, creation={**geo.creation, "compress": "deflate"})}
    return replace(picture, format="geojp2", extra=extra, lost=(*picture.lost, "the result is a GeoTIFF"))


def open_windows(path: Path, *, source: str, inner: str | None, stack: ExitStack) -> RasterWindows:
    """A JP2 with its place as `inverse.io.windows.open_windows` has it; ``inner`` is None."""
    del inner
    return RasterWindows(path, source, stack, driver=DRIVER, form="geojp2")


def encode(picture: Picture, provenance: Mapping[str, str]) -> bytes:
    """The bytes of a GeoTIFF."""
    return geotiff.encode(replace(picture, format="geotiff"), provenance)


def float_map(values: Array, like: Picture) -> Picture:
    """A map of floats as a GeoTIFF that lies where the JP2 does."""
    made: Picture = geotiff.float_map(values, replace(like, format="geotiff"))
    return replace(made, format="geojp2")
