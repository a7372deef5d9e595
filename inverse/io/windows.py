"""Scenes that are larger than memory, read and written window by window, by what their format brings for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Protocol

from inverse.errors import InputError, OutputError
from inverse.io.content import Picture
from inverse.io.detect import judge
from inverse.io.registry import formats, function
from inverse.storage.paths import locate

__all__ = ["Windows", "in_blocks", "open_windows", "open_writer"]


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


def open_windows(path: str | os.PathLike[str], source: str, stack: ExitStack) -> Windows:
    """A scene, or ``STORE::/ARRAY``, an array of a store, opened to be read by windows; ``stack`` closes it.

    Raises:
        InputError: its format is not read by windows, or it holds more than one upright image.
    """
    place, inner = locate(path)
    form = judge(place, inner, name=source)
    spec = formats()[form]
    if not spec.windows or (inner is not None and not spec.named):
        *others, last = sorted(spec.title.split()[0] for spec in formats().values() if spec.windows)
        raise InputError(
            f"{source}: tiles are read from {', '.join(others)} and {last}, this is {form}",
            "convert it: gdal_translate IN OUT.tif; or --tile off",
        )
    opener = function(spec.windows, title=spec.title, source=source)
    opened: Windows = opener(place, source=source, inner=inner, stack=stack)
    return opened


def in_blocks(like: Picture, *, size: tuple[int, int], side: int) -> Picture:
    """A picture of the kind of a scene, to be written in blocks, by a window with its origin at the scene's.

    Blocks have that side; those of the scene are kept where they fit. Tiles whose sides are multiples of a block's
    share none. Chunks of a store need not divide a tile: then neighbours share some.
    """
    spec = formats()[like.format]
    made: Picture = function(spec.blocks, title=spec.title, source=like.source)(like, size=size, side=side)
    return made


@contextmanager
def open_writer(
    path: str | os.PathLike[str],
    like: Picture,
    *,
    size: tuple[int, int],
    provenance: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Iterator[Callable[[int, int, Picture], None]]:
    """Write a scene window by window, whole or not at all; missing folders are made.

    ``like`` is a picture of the kind to be written: a window of the scene with its origin at the scene's, or all of it;
    what places it on Earth is scaled to the scene's ``size``, height and width. It yields ``put(top, left, picture)``,
    which writes a picture's pixels and nodata with its first pixel there.

    Raises:
        OutputError: the file exists or cannot be written.
    """
    spec = formats()[like.format]
    writer = function(spec.writer, title=spec.title, source=str(path), error=OutputError)
    with writer(path, like, size=size, provenance=provenance or {}, overwrite=overwrite) as put:
        yield put
