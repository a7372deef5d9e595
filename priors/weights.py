"""Tensors of a safetensors file, believed only after the header, the hash and the values have been checked.

The file is read once, so that what was hashed is what is used. A pickle is never opened here, whatever it is called.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from inverse.errors import PriorError
from inverse.priors.header import Entry, read_header, regular_file

__all__ = ["check_state", "read_tensors"]

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def read_tensors(path: Path, *, sha256: str | None = None, bytes: int | None = None) -> dict[str, Tensor]:  # noqa: A002
    """Tensors of a safetensors file by name, in its dtypes, on the CPU; they share one buffer of the file's size.

    Raises:
        PriorError: It is missing, no regular file, not safetensors, damaged, another file than the hash or the size
            says, larger than this machine's memory, or has values that are not finite.
    """
    path = Path(path)
    with regular_file(path) as (file, size):
        if bytes is not None and size != bytes:
            raise PriorError(
                f"{path.name}: has {size:,} bytes, its card says {bytes:,}",
                "the file is another one, or was cut: copy or download it again",
            )
        header = read_header(file, size, path.name)
        if size > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
            raise PriorError(f"{path.name}: {size / 1e9:.1f} GB do not fit into this machine's memory")
        content = bytearray(size)
        file.seek(0)
        if file.readinto(content) != size:
            raise PriorError(f"{path.name}: changed while it was read", "try again")
    if sha256 is not None and (actual := hashlib.sha256(content).hexdigest()) != sha256.lower():
        raise PriorError(
            f"{path.name}: has sha256 {actual[:16]}..., its card says {sha256[:16]}...",
            "the file was changed or damaged: get it again, or correct the card if the change is yours",
        )
    tensors = {name: _tensor(content, entry) for name, entry in header.tensors.items()}
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise PriorError(f"{path.name}: tensor {name[:60]!r} has values that are NaN or infinite")
    return tensors


def _tensor(content: bytearray, entry: Entry) -> Tensor:
    dtype = _DTYPES[entry.dtype]
    if entry.begin == entry.end:
        return torch.empty(entry.shape, dtype=dtype)
    count = (entry.end - entry.begin) // dtype.itemsize
    return torch.frombuffer(content, dtype=dtype, count=count, offset=entry.begin).reshape(entry.shape)


def check_state(expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor], *, name: str) -> None:
    """Check that tensors are those of a network: the same names and shapes, real numbers where it has real numbers.

    Of `expected` only shapes and dtypes are looked at, so the ``meta`` device does. `name` is for the message.

    Raises:
        PriorError: The message names the first missing, extra or wrongly shaped tensors.
    """
    missing = [key for key in expected if key not in tensors]
    extra = [key for key in tensors if key not in expected]
    shapes = [
        f"{key[:60]} has {_shape(tensors[key])}, expected {_shape(value)}"
        for key, value in expected.items()
        if key in tensors and tensors[key].shape != value.shape
    ]
    kinds = [
        f"{key[:60]} holds {str(tensors[key].dtype).removeprefix('torch.')}"
        for key, value in expected.items()
        if key in tensors and value.is_floating_point() and not tensors[key].is_floating_point()
    ]
    problems = [f"{what} {_few(keys)}" for what, keys in (("missing", missing), ("unexpected", extra)) if keys]
    problems += shapes[:1] + kinds[:1]
    if problems:
        raise PriorError(
            f"{name} does not fit the network on its card: {'; '.join(problems)}",
            "the card belongs to other weights, or its 'network' is not theirs",
        )


def _shape(tensor: Tensor) -> str:
    return " x ".join(str(n) for n in tensor.shape) or "a single number"


def _few(names: list[str]) -> str:
    shown = ", ".join(name[:60] for name in names[:2])
    return f"{shown} and {len(names) - 2} more" if len(names) > 2 else shown
