"""The state of a scene on disk: rasters read and written by windows, and how far each tile is.

Nothing is mapped: pages of a mapped file count as resident memory. A tile's counter is written after its pixels, so a
tile whose process was killed is computed again from what it was computed from before, byte for byte.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inverse.errors import OutputError, RecipeError
from inverse.io.tiling import Tiling, Window
from inverse.storage.files import FREE, disk_is_full, read_json, write_json
from inverse.storage.locks import hold

__all__ = ["Numbers", "Raster", "State"]

#: Seconds between looks at what others are doing: a step of a tile takes a hundred times as long.
WAIT = 0.005


class _File:
    """A file of a fixed size, sparse until written."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        with self._named("made"):
            self.fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            if os.fstat(self.fd).st_size != size:
                os.ftruncate(self.fd, size)

    @contextmanager
    def _named(self, done: str) -> Iterator[None]:
        """Errors of the system as those of this file."""
        try:
            yield
        except OSError as error:
            hint = FREE if disk_is_full(error) else ""
            raise OutputError(f"{self.path}: cannot be {done}: {error.strerror or error}", hint) from error

    def get(self, length: int, offset: int) -> bytes:
        with self._named("read"):
            content = os.pread(self.fd, length, offset)
        if len(content) != length:
            raise OutputError(
                f"{self.path}: this part of the state of a scene is shorter than it was made",
                f"remove {self.path.parent} and start again",
            )
        return content

    def put(self, data: Any, offset: int) -> None:
        view = memoryview(data).cast("B")
        with self._named("written"):
            while len(view):  # a write may take a part, on a full disk none
                written = os.pwrite(self.fd, view, offset)
                view, offset = view[written:], offset + written

    def take(self, length: int, offset: int) -> bool:
        """Hold a part of it alone, if no other process does; a lock goes with its process."""
        try:
            fcntl.lockf(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB, length, offset)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def release(self, length: int, offset: int) -> None:
        fcntl.lockf(self.fd, fcntl.LOCK_UN, length, offset)

    def close(self) -> None:
        os.close(self.fd)


class Raster:
    """An image (C, H, W) of float32 in a file, which is made where it is missing."""

    def __init__(self, path: Path, shape: tuple[int, int, int]) -> None:
        self.shape = shape
        self._file = _File(path, 4 * shape[0] * shape[1] * shape[2])

    def _rows(self, window: Window) -> Iterator[tuple[int, int, int]]:
        channels, height, width = self.shape
        for channel in range(channels):
            for row in range(window.top, window.bottom):
                yield channel, row - window.top, 4 * ((channel * height + row) * width + window.left)

    def read(self, window: Window) -> NDArray[np.float32]:
        """A window (C, h, w)."""
        out = np.empty((self.shape[0], *window.size), np.float32)
        for channel, row, offset in self._rows(window):
            out[channel, row] = np.frombuffer(self._file.get(4 * out.shape[-1], offset), np.float32)
        return out

    def write(self, window: Window, values: NDArray[Any]) -> None:
        """Write a window (C, h, w)."""
        block = np.ascontiguousarray(values, np.float32)
        for channel, row, offset in self._rows(window):
            self._file.put(block[channel, row], offset)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Numbers:
    """An array of float64 in a file, written entry by entry."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self._file = _File(path, 8 * int(np.prod(shape)))

    def put(self, index: int, values: NDArray[Any]) -> None:
        """Write entry ``index`` of the first axis."""
        row = np.ascontiguousarray(values, np.float64)
        self._file.put(row, index * row.nbytes)

    def get(self) -> NDArray[np.float64]:
        """All of it."""
        count = int(np.prod(self.shape))
        return np.frombuffer(self._file.get(8 * count, 0), np.float64).reshape(self.shape)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class State:
    """The files of a scene in the making, (C, H, W) of the unknown; their folder is made where it is missing.

    Raises:
        RecipeError: the folder holds the state of something else than the key, which they are computed from.
    """

    def __init__(self, folder: Path, shape: tuple[int, int, int], tiling: Tiling, key: dict[str, Any]) -> None:
        self.folder, self.shape, self.tiling = folder, shape, tiling
        with hold(folder / "scene.lock"):
            begun = read_json(folder / "scene.json")
            if begun is None:
                write_json(folder / "scene.json", key)
            elif begun != key:
                changed = next((name for name in key if begun.get(name) != key[name]), "version")
                raise RecipeError(
                    f"{folder.name} holds the state of another scene or setting ({changed} differs)",
                    "choose another folder, or empty it",
                )
        self._rasters: dict[str, Raster] = {}
        self._numbers: dict[str, Numbers] = {}
        self._done = _File(folder / "tiles.u4", 4 * len(tiling))

    def raster(self, name: str) -> Raster:
        """The image of that name."""
        if name not in self._rasters:
            self._rasters[name] = Raster(self.folder / f"{name}.f32", self.shape)
        return self._rasters[name]

    def numbers(self, name: str, *shape: int) -> Numbers:
        """The array of that name."""
        if name not in self._numbers:
            self._numbers[name] = Numbers(self.folder / f"{name}.f64", shape)
        return self._numbers[name]

    def todo(self, turn: int) -> Iterator[tuple[int, Window]]:
        """The tiles that have not yet finished pass ``turn``; each counts as finished once the next one is asked for.

        Processes that go through a pass together never get the same tile, and all end once the last one is finished:
        the tiles of one that dies are taken by the others.
        """
        while (unfinished := np.flatnonzero(self._counts() <= turn)).size:
            taken = False
            for number in unfinished.tolist():
                if not self._done.take(4, 4 * number):
                    continue
                try:
                    if self._counts()[number] <= turn:
                        taken = True
                        yield number, self.tiling.tile(number)
                        self._done.put(np.uint32(turn + 1).tobytes(), 4 * number)
                finally:
                    self._done.release(4, 4 * number)
            if not taken:
                time.sleep(WAIT)

    @property
    def turn(self) -> int:
        """The first pass that is not finished."""
        return int(self._counts().min())

    def _counts(self) -> NDArray[np.uint32]:
        """The passes that each tile has finished."""
        return np.frombuffer(self._done.get(4 * len(self.tiling), 0), np.uint32)

    def close(self) -> None:
        """Close all files."""
        for raster in self._rasters.values():
            raster.close()
        for numbers in self._numbers.values():
            numbers.close()
        self._done.close()
        self._rasters, self._numbers = {}, {}
