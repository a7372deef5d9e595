"""A weight file before anything of it is believed: a regular file, its hash, and the header of a safetensors file.

safetensors: 8 bytes ``N`` (little endian), ``N`` bytes of JSON
``{name: {dtype, shape, data_offsets}, "__metadata__": {...}}``, then the tensors back to back, without gaps
(https://huggingface.co/docs/safetensors). All of it is checked against the file's size before any memory is asked
for, so a header cannot ask for more than the file holds. Nothing here can execute what a file says: no pickle is
opened, and torch is not imported. Deviations: a header is at most 16 MiB (the format allows 100 MB), a tensor has at
most 16 axes.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

from inverse.errors import PriorError

__all__ = ["PICKLES", "Entry", "Header", "digest", "read_header", "regular_file"]

PICKLES = (".pt", ".pth", ".ckpt", ".pkl", ".bin")
ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_HEADER_LIMIT = 16 * 2**20
_AXES_LIMIT = 16
_CONVERT = "a pickle runs code when it is opened; if you trust it: inverse prior convert {} --name NAME"
_FOREIGN = (
    (b"PK\x03\x04", "a zip archive (a PyTorch checkpoint?)", _CONVERT),
    (b"\x80\x02", "a pickle", _CONVERT),
    (b"\x80\x03", "a pickle", _CONVERT),
    (b"\x80\x04", "a pickle", _CONVERT),
    (b"\x80\x05", "a pickle", _CONVERT),
    (b"\x89HDF", "an HDF5 file", "allowed: a .safetensors file"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "fetch the file: git lfs pull"),
    (b"<", "a web page or XML", "the download went wrong: get the file again, and compare its sha256"),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
)


@dataclass(frozen=True)
class Entry:
    """A tensor's place in a file: the bytes from ``begin`` up to ``end``."""

    dtype: str  # of ITEM_BYTES
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """What a safetensors file says it holds: its tensors and its texts, by name."""

    tensors: dict[str, Entry]
    metadata: dict[str, str]


@contextmanager
def regular_file(path: Path) -> Iterator[tuple[BufferedReader, int]]:
    """Open a regular file and give its size; a folder, pipe, socket or device is refused, and waited for never.

    Raises:
        PriorError: There is no such file, it cannot be read, or it is not a regular file.
    """
    try:
        # without O_NONBLOCK, opening a pipe waits for a writer that may never come
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        code = error.errno if isinstance(error, OSError) else None
        hint = "its links lead in a circle" if code == errno.ELOOP else "check the path"
        reason = getattr(error, "strerror", None) or str(error)
        raise PriorError(f"{path.name}: cannot be read: {reason}", hint) from error
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise PriorError(f"{path.name}: is {what}, expected a file of weights")
    with open(handle, "rb") as file:
        yield file, status.st_size


def digest(path: Path) -> str:
    """The sha256 of a file, in hexadecimal.

    Raises:
        PriorError: It cannot be read.
    """
    with regular_file(path) as (file, _):
        try:
            return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise PriorError(f"{path.name}: cannot be read: {error.strerror}") from error


def read_header(file: IO[bytes], size: int, name: str) -> Header:
    """The header of a safetensors file that is `size` bytes long; `name` is for messages.

    Raises:
        PriorError: It is not one, or the header contradicts itself or the file.
    """
    start = file.read(32)
    if not start:
        raise PriorError(f"{name}: is empty", "copy or download it again")
    for magic, what, hint in _FOREIGN:
        # the length of a header may read like the start of a pickle; then its table follows
        if start.startswith(magic) and start[8:9] != b"{":
            raise PriorError(f"{name}: is {what}, expected safetensors; it was not opened", hint.format(name))
    length = int.from_bytes(start[:8], "little")
    if len(start) < 8 or length > size - 8:
        raise PriorError(
            f"{name}: is truncated or not safetensors: a header of {length:,} bytes in a file of {size:,}",
            "copy or download it again",
        )
    if length > _HEADER_LIMIT:
        raise PriorError(f"{name}: header of {length:,} bytes; allowed: at most {_HEADER_LIMIT:,}")
    file.seek(8)
    table = _table(file.read(length), name)
    metadata = table.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise PriorError(f"{name}: __metadata__ of its header is not a table of texts")
    tensors = {key: _entry(key, value, 8 + length, name) for key, value in table.items()}
    if not tensors:
        raise PriorError(f"{name}: holds no tensors")
    _check_layout(tensors, 8 + length, size, name)
    return Header(tensors, metadata)


def _table(content: bytes, name: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) < len(pairs):
            raise PriorError(f"{name}: a name appears twice in its header")
        return table

    try:
        table = json.loads(content.decode(), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else "not JSON"
        raise PriorError(f"{name}: is not safetensors: its header is {why}", "copy or download it again") from error
    if not isinstance(table, dict):
        raise PriorError(f"{name}: is not safetensors: its header is no table of tensors")
    return table


def _whole(values: Any, count: int | None = None) -> bool:
    """Whether this is a list of whole numbers from 0 (True and False are none)."""
    return (
        isinstance(values, list)
        and (count is None or len(values) == count)
        and all(type(value) is int and 0 <= value < 2**63 for value in values)
    )


def _entry(key: str, value: Any, start: int, name: str) -> Entry:
    shown = key if len(key) <= 60 else key[:57] + "..."
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise PriorError(f"{name}: tensor {shown!r}: its header needs dtype, shape and data_offsets, no more")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise PriorError(f"{name}: tensor {shown!r}: dtype {str(dtype)[:20]!r}", f"allowed: {', '.join(ITEM_BYTES)}")
    if not _whole(shape) or len(shape) > _AXES_LIMIT:
        raise PriorError(f"{name}: tensor {shown!r}: its shape is not a list of at most {_AXES_LIMIT} sizes")
    if not _whole(offsets, 2):
        raise PriorError(f"{name}: tensor {shown!r}: its data_offsets are not two byte positions")
    begin, end = offsets
    if math.prod(shape) * ITEM_BYTES[dtype] != end - begin:
        raise PriorError(
            f"{name}: tensor {shown!r}: {dtype} of shape {str(shape)[:60]} is not the {end - begin:,} bytes it has",
            "the file is damaged: copy or download it again",
        )
    return Entry(dtype, tuple(shape), start + begin, start + end)


def _check_layout(tensors: dict[str, Entry], start: int, size: int, name: str) -> None:
    """Tensors follow each other without gap or overlap, to the end of the file."""
    place = start
    for entry in sorted(tensors.values(), key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != place:
            what = "overlap" if entry.begin < place else "leave a gap"
            raise PriorError(f"{name}: is damaged: tensors {what} at byte {entry.begin:,}")
        place = entry.end
    if place != size:
        raise PriorError(
            f"{name}: is {'truncated' if size < place else 'too long'}: {size:,} bytes, its header describes {place:,}",
            "copy or download it again",
        )
