"""Scenes that are larger than memory: GeoTIFF, TIFF and Zarr read and written window by window (rasterio and zarr, extras ``geo`` and ``zarr``)."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from inverse.errors import InputError, OutputError
from inverse.io.content import Picture
from inverse.io.detect import judge
from inverse.io.formats.geotiff import (
    anywhere,
    banded,
    describe,
    for_writing,
    library,
    picture_of,
    placed,
    profile_of,
    put_pixels,
    reading,
    scaled,
    types,
)
from inverse.io.formats.tiff import quiet
from inverse.io.registry import FORMATS, function
from inverse.storage.files import FREE, part_path
from inverse.storage.paths import locate

__all__ = ["Windows", "in_blocks", "open_windows", "open_writer", "read_window"]

CACHE = 64 * 2**20
"""Bytes that GDAL may keep of a file."""
NUMBERS = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64")
FULL = 16 * 2**20
"""Free bytes below which a failure of GDAL's is that of a full disk; it does not say so itself."""


class Windows(Protocol):
    """A scene that is open to be read by windows."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        ...

    @property
    def channels(self) -> int:
        """Number of channels, alpha not counted."""
        ...

    def picture(self, top: int, left: int, height: int, width: int, *, empty: bool = False) -> Picture:
        """A window, which may hold no value at all where ``empty`` says so."""
        ...


class _Raster:
    """A dataset of GDAL's; ``plain``: a TIFF that lies nowhere, whose floats are all numbers."""

    def __init__(self, path: Path, source: str, stack: ExitStack, *, plain: bool = False) -> None:
        rasterio, self.source, self._plain = library(), source, plain
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=CACHE))
        with reading(source):
            self._dataset = stack.enter_context(rasterio.open(path, driver="GTiff", sharing=False))
            types(self._dataset, source)
            if not plain:
                placed(self._dataset, path, source)

    @property
    def size(self) -> tuple[int, int]:
        return int(self._dataset.height), int(self._dataset.width)

    @property
    def channels(self) -> int:
        count = int(self._dataset.count)
        return count - (sum(interp.name == "alpha" for interp in self._dataset.colorinterp) if count > 1 else 0)

    def picture(self, top: int, left: int, height: int, width: int, *, empty: bool = False) -> Picture:
        with reading(self.source):
            place = library().windows.Window(left, top, width, height)
            found = picture_of(self._dataset, place, self.source, empty=empty or self._plain)
        if self._plain and found.valid is not None:
            bad, bands = int((~found.valid).sum()), found.array.size // found.valid.size
            raise InputError(
                f"{self.source}: {bands * bad} of {found.array.size} pixel values of a window are NaN or infinite",
                "fill them in, or mark them as missing with a file-mask operator",
            )
        return found


def open_windows(path: str | os.PathLike[str], source: str, stack: ExitStack) -> Windows:
    """A scene opened to be read by windows; closed with ``stack``.

    Args:
        path: The file; ``STORE::/ARRAY`` for an array of a store.
        source: What messages call it.
        stack: Closes it.

    Raises:
        InputError: its format is not read by windows, or it holds more than one upright image.
    """
    place, inner = locate(path)
    form = judge(place, inner, name=source)
    if form == "zarr":
        reader = function("inverse.io.formats.zarr:Reader", title=FORMATS[form].title, source=source, error=InputError)
        found: Windows = reader(place, source=source, inner=inner)
        return found
    hint = "convert it: gdal_translate IN OUT.tif; or --tile off"
    if form not in ("geotiff", "tiff") or inner is not None:
        raise InputError(f"{source}: tiles are read from GeoTIFF, TIFF and Zarr, this is {form}", hint)
    if form == "tiff" and (reason := _unlike(place)):
        raise InputError(f"{source}: a TIFF {reason} is not read by windows", hint)
    return _Raster(place, source, stack, plain=form == "tiff")


def _unlike(path: Path) -> str:
    """What GDAL would read of a plain TIFF otherwise than :mod:`inverse.io.formats.tiff`."""
    import tifffile

    try:
        with quiet(), tifffile.TiffFile(path, _multifile=False) as file:
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
            if any(int(kind) in (1, 2) for kind in page.extrasamples):
                return "with alpha"
            if min(np.atleast_1d(page.bitspersample)) < 8:
                return f"of {page.bitspersample} bit"
            if str(page.dtype) not in NUMBERS:
                return f"of {page.dtype}"
            return "" if int(page.photometric) in (1, 2) else "that is neither grey nor RGB"
    except Exception:  # tifffile raises a dozen types on damaged files
        return "that is damaged"


def read_window(path: str | os.PathLike[str], window: tuple[int, int, int, int], *, source: str = "") -> Picture:
    """A rectangle of a scene, the rest stays on disk.

    Args:
        path: The file.
        window: Top row, left column, height, width; inside the scene.
        source: What messages call it.

    Raises:
        InputError: as `inverse.io.read`, or a window that is not inside the scene.
    """
    source = source or Path(path).name
    top, left, height, width = window
    with ExitStack() as stack:
        scene = open_windows(path, source, stack)
        rows, columns = scene.size
        inside = 0 <= top < top + height <= rows and 0 <= left < left + width <= columns
        if not inside:
            raise InputError(
                f"{source}: window {list(window)} of a scene of {rows} rows and {columns} columns",
                "allowed: [top, left, height, width] inside it",
            )
        return scene.picture(top, left, height, width)


def in_blocks(like: Picture, *, size: tuple[int, int], side: int) -> Picture:
    """A picture of the kind of a scene, to be written in blocks, of a GeoTIFF compressed.

    Tiles whose sides are multiples of a block's share none. Chunks of a store need not divide a tile: then neighbours share some.

    Args:
        like: A window of the scene with its origin at the scene's.
        size: Height and width of the scene.
        side: Of a block; those of the scene are kept where they divide it, chunks of a store where they are not larger.
    """
    if like.format == "zarr":
        own = like.extra["zarr"]
        chunks, rows = list(own.chunks), len(own.order) - own.channels - 2
        for axis in own.order[rows : rows + 2]:
            chunks[axis] = min(chunks[axis], side)
        return replace(like, extra={**like.extra, "zarr": replace(own, chunks=tuple(chunks))})
    geo = like.extra["geo"]
    creation = dict(geo.creation)
    blocks = (creation.get("blockxsize", 0), creation.get("blockysize", 0))
    if not creation.get("tiled") or any(not block or side % block for block in blocks):
        creation |= {"tiled": True, "blockxsize": -(-side // 16) * 16, "blockysize": -(-side // 16) * 16}
    creation.setdefault("compress", "deflate")
    return replace(like, extra={**like.extra, "geo": replace(geo, size=size, creation=creation)})


@contextmanager
def open_writer(
    path: str | os.PathLike[str],
    like: Picture,
    *,
    size: tuple[int, int],
    provenance: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Iterator[Callable[[int, int, Picture], None]]:
    """Write a scene window by window, whole or not at all.

    Args:
        path: The file; missing folders are made.
        like: A picture of the kind to be written; its `Geo` is of the whole scene or of any window of it with its origin at the scene's.
        size: Height and width of the scene to be written; the transform is scaled from that of ``like``.
        provenance: Text to embed.
        overwrite: Replace an existing file.

    Yields:
        ``put(top, left, picture)``: write a picture's pixels and nodata with its first pixel there.

    Raises:
        OutputError: the file exists or cannot be written.
    """
    if like.format == "zarr":
        store = function(
            "inverse.io.formats.zarr:writer", title=FORMATS["zarr"].title, source=str(path), error=OutputError
        )
        with store(path, like, size=size, provenance=provenance or {}, overwrite=overwrite) as put_values:
            yield put_values
        return
    rasterio, target = for_writing(), Path(path)
    if target.exists() and not overwrite:
        raise OutputError(f"{target}: exists already", "choose another name, or allow overwriting")
    geo, part = banded(scaled(like.extra["geo"], size), like.channels), part_path(target)
    try:
        with ExitStack() as stack:
            with _writing(target), anywhere():
                target.parent.mkdir(parents=True, exist_ok=True)
                profile = profile_of(geo, like.array.dtype, like.alpha is not None)
                dataset = stack.enter_context(rasterio.open(part, "w", **profile))
                describe(dataset, geo, provenance or {}, alpha=like.alpha is not None)

            left_over = size[0] * size[1]

            def put(top: int, left: int, picture: Picture) -> None:
                nonlocal left_over
                height, width = picture.size
                left_over -= height * width
                with _writing(target):
                    put_pixels(dataset, picture, geo, rasterio.windows.Window(left, top, width, height))

            yield put
            with _writing(target):
                masks = dataset.mask_flag_enums
                stack.close()
                _read_back(part, masks, partly=left_over > 0)
                with open(part, "rb") as written:
                    os.fsync(written.fileno())
                part.replace(target)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Errors of GDAL and of the file system as `OutputError`, caused by ``ENOSPC`` where nothing is free."""
    rasterio = library()
    try:
        yield
    except Exception as error:  # beside its own errors rasterio lets GDAL's through, which have no public class
        known = isinstance(error, OSError | rasterio.errors.RasterioError) or type(error).__module__ == "rasterio._err"
        if not known:
            raise
        cause = error
        if not (isinstance(error, OSError) and error.errno) and shutil.disk_usage(target.parent).free < FULL:
            cause = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            cause.__cause__ = error
        code, reason = (cause.errno, cause.strerror) if isinstance(cause, OSError) else (None, None)
        reason = reason or " ".join(str(error).split())[:160]
        hint = FREE if code in (errno.ENOSPC, errno.EDQUOT) else ""
        raise OutputError(f"{target}: cannot be written: {reason}", hint) from cause


def _read_back(part: Path, masks: object, *, partly: bool) -> None:
    """Raise `OSError` unless a file that GDAL closed holds all its blocks: of what it cannot write as it closes it, GDAL says nothing.

    Args:
        part: The file.
        masks: Which masks it has.
        partly: Whether parts of it were never put: GDAL fills them with blocks, in a mask it does not.
    """
    import tifffile

    length, rasterio = part.stat().st_size, library()
    try:
        with quiet(), tifffile.TiffFile(part) as file:
            whole = all(
                (offset > 0 < count and offset + count <= length)
                or (partly and page.index > 0 and offset == count == 0)
                for page in file.pages
                for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)
            )
        with anywhere(), rasterio.open(part, driver="GTiff", sharing=False) as dataset:
            *_, (_, last) = dataset.block_windows(1)
            dataset.read(window=last)
            dataset.read_masks(window=last)
            whole = whole and dataset.mask_flag_enums == masks
    except Exception as error:  # tifffile raises a dozen types on damaged files
        raise OSError("what was written cannot be read back") from error
    if not whole:
        raise OSError("what was written is not complete")
