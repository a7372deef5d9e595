"""What a file is, judged by its first bytes and never by its suffix."""

from __future__ import annotations

import os
from typing import NamedTuple

from inverse.errors import InputError

__all__ = ["FORMATS", "Format", "load_bytes", "sniff"]


class Format(NamedTuple):
    """A format that is read and written."""

    title: str
    suffixes: tuple[str, ...]
    pixels: str
    keeps: str


FORMATS: dict[str, Format] = {
    "png": Format(
        "PNG",
        (".png",),
        "8 and 16 bit, grey and RGB; palette and 1 bit are converted",
        "alpha, ICC profile, EXIF, DPI, text",
    ),
    "jpeg": Format(
        "JPEG",
        (".jpg", ".jpeg"),
        "8 bit, grey and RGB; written at quality 95, 4:4:4",
        "ICC profile, EXIF (turned upright), DPI, comment",
    ),
    "tiff": Format(
        "TIFF",
        (".tif", ".tiff"),
        "8, 16 bit and float, any number of channels",
        "layout, alpha, ICC profile, description, resolution, geo tags at equal size",
    ),
    "npy": Format(
        "NumPy array",
        (".npy",),
        "(H, W) or (H, W, C), uint8, uint16 or float",
        "dtype and shape",
    ),
}

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
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"PK\x03\x04", "a zip archive (npz, docx)"),
    (b"%PDF", "a PDF"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000"),
    (b"8BPS", "a Photoshop file"),
    (b"MATLAB", "a MATLAB file"),
    (b"SIMPLE", "a FITS file"),
)


def sniff(path: str | os.PathLike[str]) -> str:
    """The format of a file: a key of `FORMATS`.

    Raises:
        InputError: The file is missing, empty, a folder, or of another kind.
    """
    return _judge(_read(path, 4096, os.fspath(path)), os.fspath(path))


def load_bytes(path: str | os.PathLike[str], *, name: str) -> tuple[bytes, str]:
    """The whole content of a file, called `name` in messages, and its format."""
    data = _read(path, -1, name)
    return data, _judge(data[:4096], name)


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
    supported = f"supported: {', '.join(FORMATS)} (inverse list formats)"
    if not head:
        raise InputError(f"{name}: the file is empty", "copy or export it again")
    kind = next((title for magic, title in _OTHERS if head.startswith(magic)), None)
    if kind is None and head[8:12] == b"WEBP":
        kind = "a WebP"
    if kind is None and head[128:132] == b"DICM":
        kind = "a DICOM file"
    if kind is None:
        text = all(byte >= 32 or byte in b"\t\n\r\f" for byte in head)
        kind = "text, not an image" if text else "no image format that is known here"
    raise InputError(f"{name}: the content is {kind}", supported)
