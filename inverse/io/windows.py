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
    spec = formats()[form]
    if not spec.windows or (inner is not None and not spec.named):
        *others, last = sorted(spec.title.split()[0] for spec in formats().values() if spec.windows)
        raise InputError(
            f"{source}: tiles are read from {', '.join(others)} and {last}, this is {form}",
            "convert it: gdal_translate IN OUT.tif; or --tile off",
        )
    opened: Windows = function(spec.windows, title=spec.title, source=source)(
        place, source=source, inner=inner, stack=stack
    )
    return opened


def in_blocks(like: Picture, *, size: tuple[int, int], side: int) -> Picture:
    """A picture of the kind of a scene, to be written in blocks.

    Tiles whose sides are multiples of a block's share none. Chunks of a store need not divide a tile: then neighbours
    share some.

    Args:
        like: A window of the scene with its origin at the scene's.
        size: Height and width of the scene.
        side: Of a block; those of the scene are kept where they fit.
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
    """Write a scene window by window, whole or not at all.

    Args:
        path: The file; missing folders are made.
        like: A picture of the kind to be written: a window of the scene with its origin at the scene's, or all of it.
        size: Height and width of the scene to be written; what places ``like`` on Earth is scaled to it.
        provenance: Text to embed.
        overwrite: Replace an existing file.

    Yields:
        ``put(top, left, picture)``: write a picture's pixels and nodata with its first pixel there.

    Raises:
        OutputError: the file exists or cannot be written.
    """
    spec = formats()[like.format]
    writer = function(spec.writer, title=spec.title, source=str(path), error=OutputError)
    with writer(path, like, size=size, provenance=provenance or {}, overwrite=overwrite) as put:
        yield put
