"""What a file is, judged by its content and never by its suffix."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

from inverse.errors import InputError
from inverse.io.registry import FORMATS, Format, installed
from inverse.storage.paths import is_store, locate

__all__ = ["FORMATS", "Format", "load_bytes", "sniff"]

HEAD = 4096
GEO_TAGS = (33550, 33922, 34264, 34735, 42112, 42113)
_HDF5 = b"\x89HDF\r\n\x1a\n"
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
    (b"\x93NUMPY", "npy"),
)
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"%PDF", "a PDF"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000"),
    (b"8BPS", "a Photoshop file"),
    (b"MATLAB", "a MATLAB file"),
    (b"SIMPLE", "a FITS file"),
)


def sniff(path: str | os.PathLike[str], *, name: str | None = None) -> str:
    """The format of a file, called `name` in messages: a key of `FORMATS`.

    Raises:
        InputError: The file is missing, empty, a folder, or of another kind.
    """
    place, inner = locate(path)
    return judge(place, inner, name=os.fspath(path) if name is None else name)


def judge(place: Path, inner: str | None, *, name: str) -> str:
    """The format of the file at `place`, of which the array `inner` is wanted."""
    if is_store(place):
        return "zarr"
    head = _read(place, HEAD, name)
    if any(head[at:].startswith(_HDF5) for at in (0, 512, 1024, 2048)):
        from inverse.io.formats import hdf5

        return hdf5.kind(place, inner, source=name)
    if head.startswith(b"PK\x03\x04"):
        from inverse.io.formats.npy import is_npz

        if is_npz(place):
            return "npz"
    if place.suffix.lower() == ".cfl" and place.with_suffix(".hdr").is_file():
        return "cfl"
    form = _judge(head, name)
    return "geotiff" if form == "tiff" and installed("geo") and _is_geotiff(place) else form


def load_bytes(path: str | os.PathLike[str], *, name: str) -> bytes:
    """The whole content of a file, called `name` in messages."""
    return _read(path, -1, name)


def _read(path: str | os.PathLike[str], count: int, name: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(count)
    except FileNotFoundError:
        raise InputError(f"{name}: no such file", "check the spelling and the current folder") from None
    except IsADirectoryError:
        raise InputError(f"{name}: is a folder, expected a file") from None
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{name!r}: is not a file name: {error}") from None


def _judge(head: bytes, name: str) -> str:
    for magic, form in _MAGIC:
        if head.startswith(magic):
            return form
    if _is_nifti(head) or (head.startswith(b"\x1f\x8b") and _is_nifti(_inflated(head))):
        return "nifti"
    if head[128:132] == b"DICM":
        return "dicom"
    supported = f"supported: {', '.join(FORMATS)} (inverse list formats)"
    if not head:
        raise InputError(f"{name}: the file is empty", "copy or export it again")
    kind = next((title for magic, title in _OTHERS if head.startswith(magic)), None)
    if kind is None and head[8:12] == b"WEBP":
        kind = "a WebP"
    if kind is None:
        kind = "half of a pair: a .cfl needs its .hdr" if name.lower().endswith(".cfl") else None
    if kind is None:
        text = all(byte >= 32 or byte in b"\t\n\r\f" for byte in head)
        kind = "text, not an image" if text else "no image format that is known here"
    raise InputError(f"{name}: the content is {kind}", supported)


def _is_nifti(head: bytes) -> bool:
    """Header size 348 with ``n+1``, or 540 with ``n+2``, in either byte order."""
    if len(head) < 348:
        return False
    sizes = {struct.unpack(f"{order}i", head[:4])[0] for order in "<>"}
    return (348 in sizes and head[344:348] == b"n+1\0") or (540 in sizes and head[4:8] == b"n+2\0")


def _is_geotiff(place: Path) -> bool:
    """Whether a TIFF has tags of GeoTIFF or GDAL in its first directory."""
    import tifffile

    from inverse.io.formats.tiff import quiet

    try:
        with quiet(), open(place, "rb") as file, tifffile.TiffFile(file, _multifile=False) as tiff:
            tags = tiff.pages.first.tags
            return any(code in tags for code in GEO_TAGS)
    except Exception:  # tifffile raises a dozen types on damaged files; the reader says what is wrong
        return False


def _inflated(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(head, HEAD)
    except zlib.error:
        return b""
