"""Scenes that are larger than memory: read and write a GeoTIFF window by window (rasterio, extra ``geo``)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from inverse.errors import InputError, OutputError
from inverse.io.atomic import part_path
from inverse.io.geotiff import describe, for_writing, library, opened, picture_of, profile_of, put_pixels, scaled, types
from inverse.io.picture import Picture

__all__ = ["open_writer", "read_window"]


def read_window(path: str | os.PathLike[str], window: tuple[int, int, int, int], *, source: str = "") -> Picture:
    """A rectangle of a scene, the rest stays on disk.

    Args:
        path: The file.
        window: Top row, left column, height, width; inside the scene.
        source: What messages call it.

    Raises:
        InputError: as `decode`, or a window that is not inside the scene.
    """
    source = source or Path(path).name
    top, left, height, width = window
    with opened(path, source) as dataset:
        inside = 0 <= top < top + height <= dataset.height and 0 <= left < left + width <= dataset.width
        if not inside:
            raise InputError(
                f"{source}: window {list(window)} of a scene of {dataset.height} rows and {dataset.width} columns",
                "allowed: [top, left, height, width] inside it",
            )
        types(dataset, source)
        return picture_of(dataset, library().windows.Window(left, top, width, height), source)


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
    rasterio, target = for_writing(), Path(path)
    if target.exists() and not overwrite:
        raise OutputError(f"{target}: exists already", "choose another name, or allow overwriting")
    geo, part = scaled(like.extra["geo"], size), part_path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(part, "w", **profile_of(geo, like.array.dtype, like.alpha is not None)) as dataset:
            describe(dataset, geo, provenance or {}, alpha=like.alpha is not None)

            def put(top: int, left: int, picture: Picture) -> None:
                height, width = picture.size
                put_pixels(dataset, picture, geo, rasterio.windows.Window(left, top, width, height))

            yield put
        with open(part, "rb") as written:
            os.fsync(written.fileno())
        part.replace(target)
    except (OSError, rasterio.errors.RasterioError) as error:
        raise OutputError(f"{target}: {' '.join(str(error).split())[:160]}") from error
    finally:
        part.unlink(missing_ok=True)
