"""An HDF5 file written by windows: data sets in chunks, made as their first window comes; whole or not at all.

HDF5 ends the process where a file cannot be closed, as on a full disk: it writes through `_Disk`, which never fails and
remembers the first error. It does so in a thread of its own, because Ctrl-C raises in the main thread, where it would
go through HDF5 too.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
from numpy.typing import NDArray

from inverse.errors import OutputError
from inverse.io.tiling import Window
from inverse.storage.files import FREE, part_path

__all__ = ["Put", "open_chunked"]

CHUNK = 256
Put = Callable[[str, NDArray[Any], tuple[int, int], Window | None], None]


class _Disk(io.RawIOBase):
    """A new file that takes what is written, from its first ``error`` on in memory: HDF5 reads back what it wrote."""

    fd = -1

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        self.error: OSError | None = None
        self._place, self._size = 0, 0
        self._beside: list[tuple[int, bytes]] = []

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a place."""
        self._place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        return self._place

    def tell(self) -> int:
        """The place."""
        return self._place

    def write(self, data: Any, /) -> int:
        """Take all of it."""
        view, start = memoryview(data).cast("B"), self._place
        self._place += len(view)
        self._size = max(self._size, self._place)
        try:
            done = 0
            while self.error is None and done < len(view):
                done += os.pwrite(self.fd, view[done:], start + done)
        except OSError as error:
            self.error = error
        if self.error is not None:
            self._beside.append((start, bytes(view)))
        return len(view)

    def readinto(self, buffer: Any, /) -> int:
        """Give what was written, zeros between."""
        view, start = memoryview(buffer).cast("B"), self._place
        view = view[: max(0, self._size - start)]
        done = 0
        try:
            while done < len(view) and (count := os.preadv(self.fd, [view[done:]], start + done)):
                done += count
        except OSError as error:
            self.error = self.error or error
        view[done:] = bytes(len(view) - done)
        for place, data in self._beside:
            low, high = max(place, start), min(place + len(data), start + len(view))
            if low < high:
                view[low - start : high - start] = data[low - place : high - place]
        self._place += len(view)
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        """Cut or extend it."""
        self._size = self._place if size is None else size
        try:
            if self.error is None:
                os.ftruncate(self.fd, self._size)
        except OSError as error:
            self.error = error
        return self._size

    def seekable(self) -> bool:
        """Yes."""
        return True

    def readable(self) -> bool:
        """Yes."""
        return True

    def writable(self) -> bool:
        """Yes."""
        return True

    def close(self) -> None:
        """Close it."""
        if self.fd >= 0 and not self.closed:
            os.close(self.fd)
        super().close()


@contextmanager
def open_chunked(path: Path, attributes: Mapping[str, Mapping[str, Any]]) -> Iterator[Put]:
    """Write a file window by window.

    It yields ``put(name, values, size, window)``, which writes ``values`` (..., h, w) into a window of the data set of
    ``size`` pixels; without a window all of it. Attributes by the name of their data set ("" for the file) are read at
    the end, those of data sets that are not there left out.

    Raises:
        OutputError: it cannot be written; ``put`` says so at once.
    """
    part = part_path(path)
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        disk = _Disk(part)
    try:
        with disk, ThreadPoolExecutor(1) as thread:
            file = thread.submit(h5py.File, disk, "w", libver=("v110", "v110")).result()

            def checked(act: Callable[..., None], *given: Any) -> None:
                thread.submit(act, file, *given).result()
                with _named(path):
                    if disk.error is not None:
                        raise disk.error

            try:
                yield lambda *given: checked(_put, *given)
                checked(_describe, attributes)
            finally:
                thread.submit(file.close).result()
            with _named(path):
                if disk.error is not None:
                    raise disk.error
                os.fsync(disk.fd)
        with _named(path):
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors of the system as those of this file."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}", FREE) from error


def _put(file: Any, name: str, values: NDArray[Any], size: tuple[int, int], window: Window | None) -> None:
    if window is None:
        file.create_dataset(name, data=values, track_times=False)
        return
    lead = values.shape[:-2]
    if name not in file:
        chunks = (*(1 for _ in lead), *(min(CHUNK, side) for side in size))
        file.create_dataset(name, (*lead, *size), "f4", chunks=chunks, track_times=False)
    file[name][..., window.top : window.bottom, window.left : window.right] = values


def _describe(file: Any, attributes: Mapping[str, Mapping[str, Any]]) -> None:
    for name, values in attributes.items():
        target = file if not name else file.get(name)
        for key, value in values.items() if target is not None else ():
            target.attrs[key] = value
