"""Files that are either whole or absent: atomic writes, content hashes, JSON, CSV and HDF5 as bytes.

A write goes to ``.<stem>.part<suffix>`` beside the target, is flushed to the disk and renamed: a process killed at any
moment leaves the old file, the new file, or a part file that the next run writes over. HDF5 is built in memory and
written as bytes, because closing an HDF5 file on a full disk is unsafe; above `MEMORY_LIMIT` it is written through a
part file.

A machine that loses its power may hold a renamed file whose content was not flushed; hence the fsync. Where the hash of
the content is kept beside it and looked at before the file is relied on, as in a run folder, that is found out anyway,
and `unsynced` spares the flush: milliseconds a file.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inverse.errors import InputError, OutputError
from inverse.storage.paths import is_store, locate
from inverse.storage.regular import open_regular, read_regular

__all__ = [
    "atomic_bytes",
    "csv_bytes",
    "disk_is_full",
    "file_hash",
    "is_unicode",
    "part_path",
    "plain",
    "read_csv",
    "read_hdf5",
    "read_json",
    "unsynced",
    "write_bytes",
    "write_hdf5",
    "write_json",
]

MEMORY_LIMIT = 256 * 2**20
FREE = "free some space, then run the same command again: it resumes"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
#: The start of a text that spreadsheets compute, or of one that was marked as none.
_FORMULA = re.compile("'*[=+\\-@\\t\\r\uff1d\uff0b\uff0d\uff20]")
_SYNCED = ContextVar("synced", default=True)
_HINTS = {
    errno.ENOSPC: FREE,
    errno.EDQUOT: "free some of your quota, then run the same command again: it resumes",
    errno.EFBIG: "the file size limit was reached (ulimit -f, or the file system's)",
    errno.EACCES: "choose a folder you may write to with -o",
    errno.EPERM: "choose a folder you may write to with -o",
    errno.EROFS: "the file system is read-only: choose another folder with -o",
    errno.ENOTDIR: "a part of this path is a file: choose another folder with -o",
    errno.EEXIST: "a part of this path is a file: choose another folder with -o",
    errno.ENAMETOOLONG: "choose a shorter path with -o",
}


def file_hash(path: Path) -> str:
    """The sha256 of a file's content, in hexadecimal.

    Of a folder (a Zarr store) it is that of the names and the hashes of its files; of ``FILE::INNER`` that of the
    file's and ``INNER``.

    Raises:
        InputError: If the file cannot be read.
    """
    place, inner = locate(path)
    try:
        if inner is not None:
            return hashlib.sha256(f"{file_hash(place)}::{inner}".encode()).hexdigest()
        if is_store(place):
            files = sorted(part for part in place.rglob("*") if part.is_file())
            lines = (f"{part.relative_to(place).as_posix()} {file_hash(part)}\n" for part in files)
            return hashlib.sha256("".join(lines).encode()).hexdigest()
        with open_regular(place) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot read {path.name}: {getattr(error, 'strerror', None) or error}",
            "check the path and its permissions",
        ) from error


def disk_is_full(error: BaseException | None) -> bool:
    """Whether an error, or one that caused it, says that nothing more fits on the disk."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        error = error.__cause__
    return False


def write_bytes(path: Path, content: bytes) -> str:
    """Write a file atomically and return its sha256.

    Raises:
        OutputError: If the folder or the file cannot be written.
    """
    atomic_bytes(path, content, overwrite=True)
    return hashlib.sha256(content).hexdigest()


def plain(value: Any) -> Any:
    """Data that JSON holds: what is not finite becomes None."""
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, content: Mapping[str, Any]) -> str:
    """Write a mapping as JSON, atomically, and return the file's sha256."""
    text = json.dumps(content, indent=1, ensure_ascii=False)
    if not is_unicode(text):
        text = json.dumps(content, indent=1)
    return write_bytes(path, (text + "\n").encode())


def is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8, which a file's name of other bytes cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def csv_bytes(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> bytes:
    """Rows as CSV, as all tables of the package: numbers in their shortest exact form, what a row lacks empty.

    A text that a spreadsheet would take for a formula gets an apostrophe in front, which `read_csv` takes away; bytes
    of a name that is no UTF-8 are written as escapes.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n", restval="", extrasaction="ignore")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return stream.getvalue().encode("utf-8", "backslashreplace")


def _cell(value: Any) -> Any:
    """A value that no spreadsheet computes."""
    if not isinstance(value, str) or not _FORMULA.match(value):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a table of `csv_bytes`; a row may be short or long where the file is damaged.

    Raises:
        InputError: It cannot be read, or is no table.
    """
    try:
        text = read_regular(path).decode("utf-8")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), restkey="", restval=""))
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "it is no table"
        raise InputError(
            f"{path.name} cannot be read: {reason}", "was it damaged? run the same command again"
        ) from error
    return [
        {key: text[1:] if _FORMULA.match(text[1:]) and text[0] == "'" else text for key, text in row.items() if key}
        for row in rows
    ]


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON mapping, or None where the file is missing or damaged."""
    try:
        content = json.loads(read_regular(path))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def write_hdf5(
    path: Path, datasets: Mapping[str, np.ndarray[Any, Any]], attributes: Mapping[str, Mapping[str, Any]]
) -> str:
    """Write arrays by name to an HDF5 file whose bytes depend on nothing but the arguments; returns its sha256.

    Attributes are by the name of their data set, "" for the file.

    Raises:
        OutputError: If the file cannot be written.
    """
    import h5py

    def fill(file: Any) -> None:
        for name, array in datasets.items():
            file.create_dataset(name, data=array, track_times=False)
        for name, values in attributes.items():
            target = file[name] if name else file
            for key, value in values.items():
                target.attrs[key] = value

    fixed = {"libver": ("v110", "v110")}
    if sum(array.nbytes for array in datasets.values()) < MEMORY_LIMIT:
        with h5py.File(path.name, "w", driver="core", backing_store=False, **fixed) as file:
            fill(file)
            file.flush()
            content = file.id.get_file_image()
        return write_bytes(path, content)

    part = part_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(part, "w", **fixed) as file:
            fill(file)
        with part.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}", FREE) from error
    return file_hash(path)


def read_hdf5(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an HDF5 file written by `write_hdf5`."""
    import h5py

    with h5py.File(path, "r") as file:
        return {name: np.asarray(file[name]) for name in file}


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
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink()
        if not isinstance(error, OSError):
            raise
        reason = error.strerror or str(error)
        raise OutputError(f"{path}: cannot be written: {reason}", _HINTS.get(error.errno or 0, "")) from error
    if _SYNCED.get():
        with contextlib.suppress(OSError):
            handle = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


@contextlib.contextmanager
def unsynced() -> Iterator[None]:
    """Files written here are as whole as ever where a process dies, but are not flushed to the disk one by one."""
    token = _SYNCED.set(False)
    try:
        yield
    finally:
        _SYNCED.reset(token)
