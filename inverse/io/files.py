"""Read and write one picture, whatever its format."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from inverse.errors import InputError, OutputError
from inverse.io.atomic import atomic_bytes
from inverse.io.picture import Array, Picture
from inverse.io.sniff import FORMATS, load_bytes

__all__ = ["float_path", "read", "save_float", "write"]


def read(path: str | os.PathLike[str], *, name: str | None = None) -> Picture:
    """Read an image file; its format is judged by its content.

    Args:
        path: The file.
        name: What messages call it (default: the path as given). A run gives the item's id, so that no absolute path
            gets into its files.

    Raises:
        InputError: The file is missing, empty, broken, of another kind, has no pixels, or has NaN or infinite ones.
    """
    source = os.fspath(path) if name is None else name
    data, form = load_bytes(path, name=source)
    if form == "tiff":
        from inverse.io import tiff

        picture = tiff.decode(data, source=source)
    elif form == "npy":
        from inverse.io import arrays

        picture = arrays.decode(data, source=source)
    else:
        from inverse.io import raster

        picture = raster.decode(data, format=form, source=source)
    _check(picture)
    return picture


def _check(picture: Picture) -> None:
    array, source = picture.array, picture.source
    if array.size == 0:
        height, width = picture.size
        raise InputError(f"{source}: the image is empty: {width} x {height} pixels, {picture.channels} channels")
    if array.dtype.kind == "f":
        bad = int(array.size - np.isfinite(array).sum())
        if bad:
            hint = "fill them in, or mark them as missing with a file-mask operator"
            raise InputError(f"{source}: {bad} of {array.size} pixel values are NaN or infinite", hint)
    elif array.dtype not in (np.uint8, np.uint16):
        hint = "convert it to uint8, uint16 or float32"
        raise InputError(f"{source}: pixels of type {array.dtype} have no defined range", hint)


def write(
    path: str | os.PathLike[str],
    picture: Picture,
    *,
    provenance: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a picture in its own format (`picture.format`), whole or not at all.

    Args:
        path: The file; missing folders are made.
        picture: What to write.
        provenance: Text to embed, such as ``{"inverse:run": "..."}``: PNG text chunks, the TIFF description, the JPEG
            comment; a npy file has no place for it.
        overwrite: Replace an existing file.

    Raises:
        OutputError: The file exists, cannot be written, or the format cannot hold the pixels.
    """
    stamp = dict(provenance or {})
    if picture.format == "png":
        from inverse.io import raster

        data = raster.encode_png(picture, stamp)
    elif picture.format == "jpeg":
        from inverse.io import raster

        data = raster.encode_jpeg(picture, stamp)
    elif picture.format == "tiff":
        from inverse.io import tiff

        data = tiff.encode(picture, stamp)
    elif picture.format == "npy":
        from inverse.io import arrays

        data = arrays.encode(picture)
    else:
        raise OutputError(f"{path}: unknown format '{picture.format}'", f"allowed: {', '.join(FORMATS)}")
    atomic_bytes(path, data, overwrite=overwrite)


def float_path(path: str | os.PathLike[str]) -> Path:
    """Where `save_float` puts a map for an item: npy and TIFF names stay, others get ``.tif`` appended."""
    target = Path(path)
    keep = (*FORMATS["npy"].suffixes, *FORMATS["tiff"].suffixes)
    return target if target.suffix.lower() in keep else target.with_name(f"{target.name}.tif")


def save_float(
    path: str | os.PathLike[str],
    array: Array,
    *,
    like: Picture | None = None,
    provenance: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a (C, H, W) or (H, W) map as float32: npy for a ``.npy`` name, TIFF for every other.

    Args:
        path: The item's name; `float_path` says what it becomes.
        array: Values, not limited to [0, 1].
        like: The item's picture, whose resolution and, at equal size, geo tags are taken over.
        provenance: Text to embed.
        overwrite: Replace an existing file.

    Returns:
        The path that was written.
    """
    target = float_path(path)
    values = np.asarray(array, np.float32)
    values = values if values.ndim == 2 else np.moveaxis(values, 0, -1)
    if values.ndim == 3 and values.shape[-1] == 1:
        values = values[..., 0]
    same = like is not None and like.size == values.shape[:2]
    picture = Picture(
        array=np.ascontiguousarray(values),
        format="npy" if target.suffix.lower() == ".npy" else "tiff",
        dpi=like.dpi if like is not None and same else None,
        extra={"tags": like.extra.get("tags", ())} if like is not None and same else {},
    )
    write(target, picture, provenance=provenance, overwrite=overwrite)
    return target
