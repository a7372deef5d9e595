"""Reading only what is a file: a device, a pipe or a socket is refused, not waited for and not read without end."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

__all__ = ["TEXT_LIMIT", "open_regular", "read_regular", "read_small_text"]

#: Bytes of the largest text that a person writes: a recipe, a suite, a list of files.
TEXT_LIMIT = 16 * 2**20
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def _require_file(mode: int, path: str | os.PathLike[str]) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "no file")
        raise OSError(errno.EINVAL, f"it is {kind}, expected a file", os.fspath(path))


@contextmanager
def open_regular(path: str | os.PathLike[str]) -> Iterator[BufferedReader]:
    """Open a regular file, or what a link to one names.

    Raises:
        OSError: It cannot be read, or is none; ``strerror`` says why.
        ValueError: The path holds a NUL.
    """
    _require_file(os.stat(path).st_mode, path)
    # without O_NONBLOCK, opening a pipe that took the file's place meanwhile waits for a writer that may never come
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(handle, "rb") as file:
        _require_file(os.fstat(handle).st_mode, path)
        yield file


def read_regular(path: str | os.PathLike[str], count: int = -1) -> bytes:
    """The first bytes of a regular file, all of them by default; errors as those of `open_regular`."""
    with open_regular(path) as file:
        return file.read(count)


def read_small_text(path: str | os.PathLike[str], *, limit: int = TEXT_LIMIT) -> str:
    """The UTF-8 text of a regular file of at most so many bytes.

    Raises:
        OSError: As `open_regular`, or it is larger.
        ValueError: It is no UTF-8 (``UnicodeDecodeError``), or the path holds a NUL.
    """
    content = read_regular(path, limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit // 2**10:,} KiB", os.fspath(Path(path)))
    return content.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
