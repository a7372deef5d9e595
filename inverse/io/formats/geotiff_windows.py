"""GeoTIFF and plain TIFF that are larger than memory, read and written window by window through rasterio (GDAL)."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import rasterio
import rasterio.windows
import tifffile

from inverse.errors import InputError, OutputError
from inverse.io.content import Picture
from inverse.io.formats.geotiff import (
    anywhere,
    banded,
    describe,
    picture_of,
    placed,
    profile_of,
    put_pixels,
    reading,
    scaled,
    types,
)
from inverse.io.formats.tiff import unlike_gdal
from inverse.io.limits import quiet
from inverse.storage.files import FREE, part_path

__all__ = ["RasterWindows", "in_blocks", "open_geotiff", "open_tiff", "open_writer"]

#: Bytes that GDAL may keep of a file.
CACHE = 64 * 2**20
#: Free bytes below which a failure of GDAL's is that of a full disk; it does not say so itself.
FULL = 16 * 2**20


def open_geotiff(path: Path, *, source: str, inner: str | None, stack: ExitStack) -> RasterWindows:
    """A GeoTIFF as `inverse.io.windows.open_windows` has it; ``inner`` is None."""
    return RasterWindows(path, source, stack)


def open_tiff(path: Path, *, source: str, inner: str | None, stack: ExitStack) -> RasterWindows:
    """A TIFF that lies nowhere, as `open_geotiff`.

    Raises:
        InputError: GDAL would read something else of it than `inverse.io.formats.tiff`.
    """
    if unlike := unlike_gdal(path):
        raise InputError(
            f"{source}: a TIFF {unlike} is not read by windows", "convert it: gdal_translate IN OUT.tif; or --tile off"
        )
    return RasterWindows(path, source, stack, plain=True)


class RasterWindows:
    """A dataset of GDAL's; ``plain``: a TIFF that lies nowhere; ``form``: of the pictures."""

    def __init__(
        self,
        path: Path,
        source: str,
        stack: ExitStack,
        *,
        plain: bool = False,
        driver: str = "GTiff",
        form: str = "geotiff",
    ) -> None:
        self.source, self._form = source, form
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=CACHE))
        with reading(source):
            self._dataset = stack.enter_context(rasterio.open(path, driver=driver, sharing=False))
            types(self._dataset, source)
            if not plain and driver == "GTiff":
                placed(self._dataset, path, source)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return int(self._dataset.height), int(self._dataset.width)

    @property
    def channels(self) -> int:
        """Number of bands, alpha not counted."""
        count = int(self._dataset.count)
        return count - (sum(interp.name == "alpha" for interp in self._dataset.colorinterp) if count > 1 else 0)

    def picture(self, top: int, left: int, height: int, width: int, *, empty: bool = False) -> Picture:
        """A window, which may hold no value at all where ``empty`` says so."""
        with reading(self.source):
            place = rasterio.windows.Window(left, top, width, height)
            return replace(picture_of(self._dataset, place, self.source, empty=empty), format=self._form)


def in_blocks(like: Picture, *, size: tuple[int, int], side: int) -> Picture:
    """As `inverse.io.windows.in_blocks`: blocks are kept where they divide ``side``, and the file is compressed."""
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
    provenance: Mapping[str, str],
    overwrite: bool,
) -> Iterator[Callable[[int, int, Picture], None]]:
    """As `inverse.io.windows.open_writer`; the `Geo` of ``like`` is of the scene, or of a window with its origin."""
    target = Path(path)
    if target.exists() and not overwrite:
        raise OutputError(f"{target}: exists already", "choose another name, or allow overwriting")
    geo, part = banded(scaled(like.extra["geo"], size), like.channels), part_path(target)
    try:
        with ExitStack() as stack:
            with _writing(target), anywhere():
                target.parent.mkdir(parents=True, exist_ok=True)
                profile = profile_of(geo, like.array.dtype, like.alpha is not None)
                dataset = stack.enter_context(rasterio.open(part, "w", **profile))
                describe(dataset, geo, provenance, alpha=like.alpha is not None)

            unwritten = size[0] * size[1]

            def put(top: int, left: int, picture: Picture) -> None:
                nonlocal unwritten
                height, width = picture.size
                unwritten -= height * width
                with _writing(target):
                    put_pixels(dataset, picture, geo, rasterio.windows.Window(left, top, width, height))

            yield put
            with _writing(target):
                masks = dataset.mask_flag_enums
                stack.close()
                _read_back(part, masks, partly=unwritten > 0)
                with open(part, "rb") as written:
                    os.fsync(written.fileno())
                part.replace(target)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Errors of GDAL and of the file system as `OutputError`, caused by ``ENOSPC`` where nothing is free."""
    try:
        yield
    except Exception as error:  # beside its own errors rasterio lets GDAL's through, which have no public class
        if not isinstance(error, OSError | rasterio.errors.RasterioError) and type(error).__module__ != "rasterio._err":
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
    """Raise `OSError` unless a file that GDAL closed holds all its blocks and masks.

    Of what it cannot write as it closes it, GDAL says nothing. Where parts of it were never put, ``partly``, GDAL fills
    them with blocks, in a mask it does not.
    """
    length = part.stat().st_size
    try:
        with quiet("tifffile"), tifffile.TiffFile(part) as file:
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
