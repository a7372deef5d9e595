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


def locate(path: str | os.PathLike[str]) -> tuple[Path, str | None]:
    """A path and the name of the array in it, None where none is given."""
    text = os.fspath(path)
    outer, mark, inner = text.partition("::")
    if not mark or not outer or os.path.lexists(text):
        return Path(text), None
    return Path(outer), inner or None


def is_store(path: Path) -> bool:
    """Whether a folder is one item: a Zarr array or group."""
    # os.path, because a name that is too long for the file system is no error there
    return os.path.isdir(path) and any(os.path.isfile(path / name) for name in _STORE)


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
