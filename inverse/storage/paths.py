"""Paths as users write them: a file, or one array of a file that holds several.

``FILE::INNER`` addresses one array: ``scan.h5::/entry/data``, ``pair.npz::left``, ``scene.zarr::/0``. A file whose own
name has ``::`` in it is taken as that file.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["is_store", "locate"]

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
    return path.is_dir() and any((path / name).is_file() for name in _STORE)
