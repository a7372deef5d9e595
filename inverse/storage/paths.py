"""Paths as users write them: a file, or one array of a file that holds several.

``FILE::INNER`` addresses one array: ``scan.h5::/entry/data``, ``pair.npz::left``, ``scene.zarr::/0``. A file whose own
name has ``::`` in it is taken as that file.
"""

from __future__ import annotations

import os
from pathlib import Path

from inverse.errors import OutputError, UsageError

__all__ = ["is_store", "locate", "output_folder"]

_STORE = ("zarr.json", ".zarray", ".zgroup")
_PRODUCTS = ("MTD_MSIL1C.xml", "MTD_MSIL2A.xml")  # Sentinel-2's, in a folder .SAFE


def locate(path: str | os.PathLike[str]) -> tuple[Path, str | None]:
    """A path and the name of the array in it, None where none is given."""
    text = os.fspath(path)
    outer, mark, inner = text.partition("::")
    if not mark or not outer or os.path.lexists(text):
        return Path(text), None
    return Path(outer), inner or None


def is_store(path: Path) -> bool:
    """Whether a folder is one item: a Zarr array or group, or a satellite product with its metadata."""
    # os.path, because a name that is too long for the file system is no error there
    if not os.path.isdir(path):
        return False
    return any(os.path.isfile(path / name) for name in (*_STORE, *_PRODUCTS)) or _is_landsat(path)


def _is_landsat(folder: Path) -> bool:
    """Whether a folder has one ``*_MTL.txt``."""
    try:
        with os.scandir(folder) as entries:
            return sum(entry.name.endswith("_MTL.txt") for entry in entries) == 1
    except OSError:
        return False


def output_folder(path: str | os.PathLike[str]) -> Path:
    """A folder to write to, as it was given; it need not exist.

    Raises:
        UsageError: It holds a NUL.
        OutputError: Its name is longer than the file system's may be, or it leads in a circle.
    """
    text = os.fspath(path)
    if "\0" in text:
        raise UsageError("the name of the output holds a NUL character", "choose another with -o")
    try:
        os.stat(text)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass
    except OSError as error:
        shown = text if len(text) <= 80 else f"{text[:77]}..."
        raise OutputError(
            f"{shown}: cannot be written: {error.strerror or error}", "choose a shorter path with -o"
        ) from error
    return Path(path)
