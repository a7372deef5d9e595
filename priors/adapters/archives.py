"""PyTorch checkpoints that name code, read without ``torch.load``: the pickle inside by :mod:`inverse.priors.adapters.pickles`, the storages as bytes.

Two formats (``torch/serialization.py`` describes both): the zip archive since PyTorch 1.6, ``ROOT/data.pkl`` and one file ``ROOT/data/KEY`` a storage; and the one
before it, a row of pickles (magic number, protocol, system, content, keys) followed by the storages, each a count of 8 bytes and its values. A pickle refers to
its storages by persistent identifiers ``("storage", type, key, device, count, ...)``. Nothing of a file runs; a storage is never larger than the file.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

import torch

from inverse.priors.adapters.pickles import InertUnpickler

__all__ = ["load_archive", "load_legacy"]

DTYPES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16, "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64, "IntStorage": torch.int32, "ShortStorage": torch.int16, "CharStorage": torch.int8,
    "ByteStorage": torch.uint8, "BoolStorage": torch.bool, "UntypedStorage": torch.uint8,
}  # fmt: skip


@dataclass(frozen=True)
class _Storage:
    """What a tensor is a view of, under the names that torch's own storages have."""

    _untyped_storage: torch.UntypedStorage
    dtype: torch.dtype


def _identifier(found: Any) -> tuple[torch.dtype, str, int, Any]:
    """Type, key, count and view of a persistent identifier of a storage."""
    kind, stored, key, _, count, *rest = found
    name = str(getattr(stored, "path", "")).rpartition(".")[2]
    if kind != "storage" or name not in DTYPES or not isinstance(count, int) or count < 0:
        raise pickle.UnpicklingError("no storage of a known type")
    return DTYPES[name], str(key), count, rest[0] if rest else None


def _zeros(size: int) -> torch.UntypedStorage:
    return torch.zeros(size, dtype=torch.uint8).untyped_storage()


def _bytes(storage: torch.UntypedStorage) -> torch.Tensor:
    empty = torch.empty(0, dtype=torch.uint8)
    return empty.set_(storage)


def _unpickle(file: IO[bytes], persistent: Callable[[Any], Any]) -> Any:
    unpickler = InertUnpickler(file)
    unpickler.persistent_load = persistent  # type: ignore[method-assign]
    return unpickler.load()


def load_archive(file: IO[bytes]) -> Any:
    """The content of a zip checkpoint, whose table of files has been checked.

    Raises:
        Exception: of any kind, where the file is damaged.
    """
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        root = next(name for name in names if name.endswith("/data.pkl")).removesuffix("data.pkl")
        if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
            raise pickle.UnpicklingError("values of another byte order")
        storages: dict[str, torch.UntypedStorage] = {}

        def persistent(found: Any) -> _Storage:
            dtype, key, count, _ = _identifier(found)
            if key not in storages:
                content = bytearray(archive.read(f"{root}data/{key}"))
                storages[key] = _zeros(len(content))
                if content:
                    _bytes(storages[key]).copy_(torch.frombuffer(content, dtype=torch.uint8))
            if storages[key].nbytes() != count * dtype.itemsize:
                raise pickle.UnpicklingError("a storage of another size")
            return _Storage(storages[key], dtype)

        with archive.open(f"{root}data.pkl") as content:
            return _unpickle(content, persistent)


def load_legacy(file: IO[bytes], size: int) -> Any:
    """The content of a checkpoint of the format before zip, in a file of so many bytes.

    Raises:
        Exception: of any kind, where the file is damaged.
    """
    storages: dict[str, tuple[torch.UntypedStorage, torch.dtype]] = {}

    def persistent(found: Any) -> Any:
        if found[0] == "module":
            return found[1]
        dtype, key, count, view = _identifier(found)
        if key not in storages:
            if count * dtype.itemsize + sum(whole.nbytes() for whole, _ in storages.values()) > size:
                raise pickle.UnpicklingError("storages larger than the file")
            storages[key] = _zeros(count * dtype.itemsize), dtype
        whole = storages[key][0]
        if view is not None:
            _, first, length = view
            whole = whole[first * dtype.itemsize : (first + length) * dtype.itemsize]
        return _Storage(whole, dtype)

    _, _, system = (_unpickle(file, persistent) for _ in range(3))
    if not system.get("little_endian", True):
        raise pickle.UnpicklingError("values of another byte order")
    content, keys = _unpickle(file, persistent), _unpickle(file, persistent)
    for key in keys:
        whole, dtype = storages[str(key)]
        count, values = int.from_bytes(file.read(8), "little"), bytearray(file.read(whole.nbytes()))
        if count * dtype.itemsize != whole.nbytes() or len(values) != whole.nbytes():
            raise pickle.UnpicklingError("a storage of another size")
        if values:
            _bytes(whole).copy_(torch.frombuffer(values, dtype=torch.uint8))
    return content
