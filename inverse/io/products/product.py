"""A product of several band files: one raster of the bands that share a grid, through rasterio, extra ``geo``.

Which bands: ``FOLDER`` is the finest colour grid (Sentinel-2's 10 m, Landsat's 30 m), red, green and blue first;
``FOLDER::20m`` another grid; ``FOLDER::B5,B6`` bands by name, of one grid. Numbers stay those of the files, each band's
scale and offset to reflectance or kelvin beside it; fill values are unobserved. Nothing is resampled: finer pixels of a
coarse grid are an operator's business. The result is a GeoTIFF of the chosen bands, `inverse.io.formats.geotiff`'s.

BandFile files are read where they lie inside the folder, by the driver of their kind alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.windows

from inverse.errors import InputError
from inverse.io.content import Array, Picture
from inverse.io.formats import geotiff
from inverse.io.formats.geotiff import Geo
from inverse.io.limits import bounded, reason
from inverse.io.nodata import unobserved

__all__ = ["BandFile", "Bands", "Product", "facts", "float_map", "read"]

_CACHE = 64 * 2**20
_TYPES = ("uint8", "uint16", "int16")
_DRIVERS = {".jp2": "JP2OpenJPEG", ".tif": "GTiff"}


@dataclass(frozen=True)
class BandFile:
    """One file of a product."""

    name: str  # as the sensor's tables call it: B4
    path: Path
    scale: float  # of the stored numbers, to the unit
    offset: float
    unit: str


@dataclass(frozen=True)
class Product:
    """What a folder holds."""

    form: str  # its key of `inverse.io.registry.formats`
    grids: Mapping[str, tuple[BandFile, ...]]  # by the name of the grid, that of the picture first
    tags: Mapping[str, str]  # what the product says of itself
    fill: int  # the number that says that there is none


class Bands:
    """Chosen bands of a product, open to be read by windows."""

    def __init__(self, folder: Path, product: Product, inner: str | None, source: str, stack: ExitStack) -> None:
        self.source, self.product = source, product
        self.bands = _chosen(product, inner, source)
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=_CACHE))
        self._files = [stack.enter_context(_opened(folder, band, source)) for band in self.bands]
        first = self._files[0]
        for file, band in zip(self._files, self.bands, strict=True):
            if (file.count, file.dtypes[0]) != (1, first.dtypes[0]) or file.dtypes[0] not in _TYPES:
                raise InputError(f"{source}: {band.path.name} is no band of integers", "download the product again")
            if (file.shape, file.transform, file.crs) != (first.shape, first.transform, first.crs):
                raise InputError(
                    f"{source}: {self.bands[0].name} and {band.name} are not on one grid",
                    f"allowed: {'; '.join(_listed(product))}",
                )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return int(self._files[0].height), int(self._files[0].width)

    @property
    def channels(self) -> int:
        """Number of bands."""
        return len(self.bands)

    def picture(self, top: int, left: int, height: int, width: int, *, empty: bool = False) -> Picture:
        """A window; without any value only where ``empty`` says so."""
        window, first = rasterio.windows.Window(left, top, width, height), self._files[0]
        with _reading(self.source):
            planes = np.stack([file.read(1, window=window) for file in self._files], -1)
        array, valid, notes = unobserved(planes, planes != self.product.fill, source=self.source, empty=empty)
        gray = rasterio.enums.ColorInterp.gray
        geo = Geo(
            size=(height, width),
            crs=first.crs,
            transform=first.transform @ type(first.transform).translation(left, top),
            gcps=([], None),
            rpcs=None,
            nodata=float(self.product.fill),
            masked=False,
            bands=tuple(
                {
                    "description": band.name,
                    "tags": {},
                    "colour": gray,
                    "scale": band.scale,
                    "offset": band.offset,
                    "unit": band.unit,
                }
                for band in self.bands
            ),
            tags=dict(self.product.tags),
            creation={"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate"},
        )
        return Picture(
            array=np.ascontiguousarray(array[..., 0] if len(self.bands) == 1 else array),
            format=self.product.form,
            valid=valid,
            extra={"geo": geo, "grids": dict(self.product.grids)},
            notes=notes,
            source=self.source,
        )


def read(folder: Path, product: Product, inner: str | None, source: str) -> Picture:
    """All of the chosen bands.

    Raises:
        InputError: a band is missing or broken, there is no such band or grid, or the bands are not of one grid.
    """
    with ExitStack() as stack:
        bands = Bands(folder, product, inner, source, stack)
        (height, width), stored = bands.size, sum(band.path.stat().st_size for band in bands.bands)
        bounded((len(bands.bands), height, width), 2, stored, source=source)
        picture = bands.picture(0, 0, height, width)
    names = {band.name for band in bands.bands}
    others = [
        said
        for said, held in zip(_listed(product), product.grids.values(), strict=True)
        if not names & {band.name for band in held}
    ]
    left = (f"other bands of the product are not in this result: {'; '.join(others)}",) if others else ()
    return replace(picture, lost=(*picture.lost, *left))


def _listed(product: Product) -> list[str]:
    return [f"::{name} ({', '.join(band.name for band in bands)})" for name, bands in product.grids.items()]


def _chosen(product: Product, inner: str | None, source: str) -> tuple[BandFile, ...]:
    if inner is None:
        return next(iter(product.grids.values()))
    if inner in product.grids:
        return product.grids[inner]
    known = {band.name: band for bands in product.grids.values() for band in bands}
    names = [name.strip() for name in inner.split(",")]
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"{source}: no band or grid '{unknown[0]}'", f"allowed: {'; '.join(_listed(product))}")
    return tuple(known[name] for name in names)


@contextmanager
def _opened(folder: Path, band: BandFile, source: str) -> Iterator[Any]:
    """A band's file, inside the folder."""
    place, home = band.path.resolve(), folder.resolve()
    if not place.is_relative_to(home):
        raise InputError(f"{source}: {band.name} lies outside the product's folder", "download the product again")
    if not place.is_file():
        raise InputError(f"{source}: {band.path.name}, {band.name}, is missing", "download the product again")
    with _reading(source), rasterio.open(place, driver=_DRIVERS[place.suffix.lower()], sharing=False) as dataset:
        yield dataset


@contextmanager
def _reading(source: str) -> Iterator[None]:
    with geotiff.anywhere():
        try:
            yield
        except (InputError, MemoryError):
            raise
        except (rasterio.errors.RasterioError, OSError, ValueError, KeyError) as error:
            cause = reason(error.__cause__ or error, 140)
            raise InputError(f"{source}: a broken band: {cause}", "download the product again") from error


def float_map(values: Array, like: Picture) -> Picture:
    """As `inverse.io.formats.geotiff.float_map`."""
    made = geotiff.float_map(values, like)
    return replace(made, format=like.format, extra={**like.extra, **made.extra})


def facts(picture: Picture) -> dict[str, Any]:
    """Where a scene lies, and what the product holds, for `inverse info`."""
    offsets = sorted({(band["scale"], band["offset"], band["unit"]) for band in picture.extra["geo"].bands})
    units = [f"{unit} = {scale:g} x number {offset:+g}" for scale, offset, unit in offsets]
    held = {name: [band.name for band in bands] for name, bands in picture.extra["grids"].items()}
    grids = [f"{name}: {', '.join(names)}" for name, names in held.items()]
    return {**geotiff.facts(picture), "units": units, "grids": grids, **dict(picture.extra["geo"].tags)}
