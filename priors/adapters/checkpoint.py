"""Tensors of other people's files: PyTorch checkpoints, safetensors, and, on request, pickles; none of their code runs.

* safetensors: read and checked by :mod:`inverse.priors.weights`.
* ``.pt``, ``.pth``, ``.ckpt`` (zip, or the format before it), never by ``torch.load``: after the archive's own table
  has been checked against the file's size, the pickle inside by :mod:`inverse.priors.adapters.pickles`, which runs none
  of it, the storages as bytes.
* What names code (a pickled module, a ``.pkl``): read in the same way, but refused unless ``trust`` is given.

The kind is told from the first bytes, not from the name. Weights are looked for under the usual keys (``ema``,
``params_ema``, ``state_dict``, ``model``, ...).

PyTorch's two formats (``torch/serialization.py`` describes both) are the zip archive since 1.6, ``ROOT/data.pkl`` and
one file ``ROOT/data/KEY`` a storage; and the legacy one before it, a row of pickles (magic number, protocol, system,
content, keys) followed by the storages, each a count of 8 bytes and its values. A pickle refers to its storages by
persistent identifiers ``("storage", type, key, device, count, ...)``. A storage is never larger than the file.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from inverse.errors import PriorError
from inverse.priors import weights
from inverse.priors.adapters import pickles
from inverse.priors.header import regular_file

__all__ = ["read_checkpoint", "read_tensors"]

#: Where weights are, the averaged ones first.
KEYS = (
    *("ema", "ema_state_dict", "model_ema", "ema_model", "params_ema"),
    *("state_dict", "model_state_dict", "model", "params", "net", "network"),
)
#: The number that PyTorch's format before zip starts with, pickled.
LEGACY = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"
DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "UntypedStorage": torch.uint8,
}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name, of a file that names no code.

    Raises:
        PriorError: as :func:`read_checkpoint`.
    """
    return read_checkpoint(path)[0]


def read_checkpoint(path: Path, *, trust: bool = False) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by name, and the attributes of the pickled module they were in, if any, with its class as ``class``.

    With `trust` a file that names code is read too (without running it).

    Raises:
        PriorError: it is missing, truncated, no checkpoint, names code, holds no weights, or has values that are not
            finite.
    """
    if path.is_dir():
        raise PriorError(f"{path.name}: is a folder, expected a file of weights")
    with regular_file(path) as (file, size):
        start = file.read(64)
        file.seek(0)
        if start[8:9] == b"{":
            return weights.read_tensors(path), {}
        try:
            content = _load(file, start, size, path.name, trust)
        except PriorError:
            raise
        except Exception as error:  # a damaged pickle can fail in any way
            raise PriorError(
                f"{path.name}: damaged, truncated or no checkpoint ({type(error).__name__})",
                "copy or download it again",
            ) from error
        tensors, attributes = _weights(content, path.name)
        _check(tensors, size, path.name)
    return tensors, attributes


def _load(file: IO[bytes], start: bytes, size: int, name: str, trust: bool) -> Any:
    if not start:
        raise PriorError(f"{name}: is empty", "copy or download it again")
    archive = start.startswith(b"PK\x03\x04")
    if archive:
        _check_archive(file, size, name)
    elif not start.startswith(b"\x80"):
        raise PriorError(f"{name}: no PyTorch checkpoint, safetensors file or pickle", "copy or download it again")
    named: set[str] = set()
    if archive:
        content = _load_archive(file, named)
    elif LEGACY in start:
        content = _load_legacy(file, size, named)
    elif not trust:
        raise _needs_trust(name)
    else:
        content = _unpickle(file, None, named)
    if named and not trust:
        raise _needs_trust(name)
    return content


def _needs_trust(name: str) -> PriorError:
    return PriorError(
        f"{name}: names code, as pickles do; it was not opened",
        "if it is from where it says, --i-trust-this-file reads its tensors (and still runs none of its code)",
    )


def _check_archive(file: IO[bytes], size: int, name: str) -> None:
    """Refuse archives that unpack to more than they are, and TorchScript."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise PriorError(f"{name}: truncated or damaged archive", "copy or download it again") from error
    declared = sum(entry.file_size for entry in entries)
    if declared > size or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise PriorError(
            f"{name}: an archive of {size:,} bytes that unpacks to {declared:,}; PyTorch's are not compressed",
            "save it again with torch.save",
        )
    if any(entry.filename.endswith("/constants.pkl") for entry in entries):
        raise PriorError(f"{name}: TorchScript, which is code", "allowed: a state dict, saved with torch.save")
    file.seek(0)


def _weights(content: Any, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors in what a file held."""
    for _ in range(4):
        tensors, attributes = pickles.module_tensors(content)
        if tensors:
            return tensors, {**attributes, "class": pickles.module_name(content)}
        if not isinstance(content, dict):
            break
        tensors = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)}
        if tensors:
            return tensors, {}
        inside = next(
            (content[key] for key in KEYS if isinstance(content.get(key), dict) and content[key] is not content), None
        )
        if inside is None and len(content) == 1:
            inside = next(iter(content.values()))
        content = inside
    raise PriorError(f"{name}: holds no weights by name", f"looked under: {', '.join(KEYS[:6])}, ...")


def _check(tensors: dict[str, Tensor], size: int, name: str) -> None:
    """Refuse tensors larger than their file (views can repeat a number), and values that are not finite."""
    if any(value.layout != torch.strided or value.is_quantized for value in tensors.values()):
        raise PriorError(f"{name}: sparse or quantised tensors; allowed: plain ones")
    if sum(math.prod(value.shape) * value.element_size() for value in tensors.values()) > 4 * size:
        raise PriorError(f"{name}: tensors larger than the file that holds them", "copy or download it again")
    for key, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise PriorError(f"{name}: the tensor '{key[:80]}' has values that are NaN or infinite")


@dataclass(frozen=True)
class _Storage:
    """What a tensor is a view of, under the names that torch's own storages have."""

    _untyped_storage: torch.UntypedStorage
    dtype: torch.dtype


def _described(identifier: Any) -> tuple[torch.dtype, str, int, Any]:
    """Type, key, count and view of a persistent identifier of a storage."""
    kind, stored, key, _, count, *rest = identifier
    name = str(getattr(stored, "path", "")).rpartition(".")[2]
    if kind != "storage" or name not in DTYPES or not isinstance(count, int) or count < 0:
        raise pickle.UnpicklingError("no storage of a known type")
    return DTYPES[name], str(key), count, rest[0] if rest else None


def _zeros(size: int) -> torch.UntypedStorage:
    return torch.zeros(size, dtype=torch.uint8).untyped_storage()


def _bytes(storage: torch.UntypedStorage) -> torch.Tensor:
    empty = torch.empty(0, dtype=torch.uint8)
    return empty.set_(storage)


def _storage(content: bytes) -> Any:
    """A storage that was pickled as a file within the file."""
    return _load_legacy(io.BytesIO(content), len(content), set())


def _unpickle(file: IO[bytes], persistent: Callable[[Any], Any] | None, named: set[str]) -> Any:
    """The content of a pickle; what it names that could be code is added to `named`."""
    unpickler = pickles.InertUnpickler(file, _storage)
    if persistent is not None:
        unpickler.persistent_load = persistent  # type: ignore[method-assign]
    content = unpickler.load()
    named |= unpickler.named
    return content


def _load_archive(file: IO[bytes], named: set[str]) -> Any:
    """The content of a zip checkpoint, whose table of files has been checked; of a damaged file, any exception."""
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        root = next(name for name in names if name.endswith("/data.pkl")).removesuffix("data.pkl")
        if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
            raise pickle.UnpicklingError("values of another byte order")
        storages: dict[str, torch.UntypedStorage] = {}

        def persistent(identifier: Any) -> _Storage:
            dtype, key, count, _ = _described(identifier)
            if key not in storages:
                content = bytearray(archive.read(f"{root}data/{key}"))
                storages[key] = _zeros(len(content))
                if content:
                    _bytes(storages[key]).copy_(torch.frombuffer(content, dtype=torch.uint8))
            if storages[key].nbytes() != count * dtype.itemsize:
                raise pickle.UnpicklingError("a storage of another size")
            return _Storage(storages[key], dtype)

        with archive.open(f"{root}data.pkl") as content:
            return _unpickle(content, persistent, named)


def _load_legacy(file: IO[bytes], size: int, named: set[str]) -> Any:
    """The content of a legacy checkpoint, in a file of so many bytes; of a damaged file, any exception."""
    storages: dict[str, tuple[torch.UntypedStorage, torch.dtype]] = {}

    def persistent(identifier: Any) -> Any:
        if identifier[0] == "module":
            return identifier[1]
        dtype, key, count, view = _described(identifier)
        if key not in storages:
            if count * dtype.itemsize + sum(whole.nbytes() for whole, _ in storages.values()) > size:
                raise pickle.UnpicklingError("storages larger than the file")
            storages[key] = _zeros(count * dtype.itemsize), dtype
        whole = storages[key][0]
        if view is not None:
            _, first, length = view
            whole = whole[first * dtype.itemsize : (first + length) * dtype.itemsize]
        return _Storage(whole, dtype)

    _, _, system = (_unpickle(file, persistent, named) for _ in range(3))
    if not system.get("little_endian", True):
        raise pickle.UnpicklingError("values of another byte order")
    content, keys = _unpickle(file, persistent, named), _unpickle(file, persistent, named)
    for key in keys:
        whole, dtype = storages[str(key)]
        count, values = int.from_bytes(file.read(8), "little"), bytearray(file.read(whole.nbytes()))
        if count * dtype.itemsize != whole.nbytes() or len(values) != whole.nbytes():
            raise pickle.UnpicklingError("a storage of another size")
        if values:
            _bytes(whole).copy_(torch.frombuffer(values, dtype=torch.uint8))
    return content
