"""Files appear whole or not at all: ``.<stem>.part<suffix>`` beside the target, fsync, rename.

A machine that loses its power may hold a renamed file whose content was not flushed; hence the fsync. Where the hash of the content is kept beside
it and looked at before the file is relied on, as in a run folder, that is found out anyway, and `unsynced` spares the flush: milliseconds a file.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

from inverse.errors import OutputError

__all__ = ["atomic_bytes", "part_path", "unsynced"]

_SYNCED = ContextVar("synced", default=True)

_HINTS = {
    errno.ENOSPC: "free some space, then run the same command again: it resumes",
    errno.EDQUOT: "free some of your quota, then run the same command again: it resumes",
    errno.EFBIG: "the file size limit was reached (ulimit -f, or the file system's)",
    errno.EACCES: "choose a folder you may write to with -o",
    errno.EPERM: "choose a folder you may write to with -o",
    errno.EROFS: "the file system is read-only: choose another folder with -o",
    errno.ENOTDIR: "a part of this path is a file: choose another folder with -o",
    errno.EEXIST: "a part of this path is a file: choose another folder with -o",
    errno.ENAMETOOLONG: "choose a shorter path with -o",
}


def part_path(path: str | os.PathLike[str]) -> Path:
    """The temporary name a file has while it is written."""
    target = Path(path)
    return target.with_name(f".{target.stem}.part{target.suffix}")


def atomic_bytes(path: str | os.PathLike[str], data: bytes, *, overwrite: bool = False) -> None:
    """Write bytes so that `path` holds all of them or is untouched; missing folders are made.

    Raises:
        OutputError: The file exists and `overwrite` is False, or it cannot be written; no part file is left behind.
    """
    target = Path(path)
    if target.is_dir():
        raise OutputError(f"{path}: is a folder, expected a file name")
    if not overwrite and os.path.lexists(target):
        raise OutputError(f"{path}: already exists", "choose another name, or give --overwrite")
    part = part_path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            if _SYNCED.get():
                os.fsync(file.fileno())
        os.replace(part, target)
    except OSError as error:
        _discard(part)
        reason = error.strerror or str(error)
        raise OutputError(f"{path}: cannot be written: {reason}", _HINTS.get(error.errno or 0, "")) from error
    except BaseException:
        _discard(part)
        raise
    if _SYNCED.get():
        _sync_folder(target.parent)


@contextlib.contextmanager
def unsynced() -> Iterator[None]:
    """Files written here are as whole as ever where a process dies, but are not flushed to the disk one by one."""
    token = _SYNCED.set(False)
    try:
        yield
    finally:
        _SYNCED.reset(token)


def _discard(part: Path) -> None:
    with contextlib.suppress(OSError):
        part.unlink()


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
