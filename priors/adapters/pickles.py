"""Pickles without their code: every class and function that a pickle names becomes an inert record of its arguments.

A pickle is a program: it names functions and calls them. Here every name is answered by a new, empty class
(:class:`Inert`) that keeps its arguments and state, but for the few that build tensors and ordered dictionaries, and
those are functions of this module. So nothing of the file runs: neither ``os.system``, nor the source code of the
network that a pickle of Karras et al. 2022 (``torch_utils.persistence``) carries as text.

What remains of a file with bad intentions is memory: a file may not make more tensors than it has bytes.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any

import torch
from torch import Tensor

__all__ = ["Inert", "InertUnpickler", "module_name", "module_tensors"]


class Inert(dict):  # type: ignore[type-arg]
    """What stands for an object: its arguments, its state, and its items where it is a container."""

    path = ""
    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any, **kwargs: Any) -> Inert:
        """Keep the arguments."""
        made = super().__new__(cls)
        made.args, made.state = args, None
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def append(self, item: Any) -> None:
        """An item of a list."""
        self[len(self)] = item

    def extend(self, items: Any) -> None:
        """Items of a list."""
        for item in items:
            self.append(item)

    add = append  # an item of a set

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)


def _tensor(storage: Any, offset: int, size: Any, stride: Any, *rest: Any) -> Tensor:
    """A view of a storage, which must hold it."""
    # by attribute: the methods of a typed storage warn that they are deprecated
    whole, dtype = storage._untyped_storage, storage.dtype
    held = whole.nbytes() // dtype.itemsize
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if offset < 0 or min([*stride, *size], default=0) < 0 or (0 not in size and last >= held):
        raise pickle.UnpicklingError("a tensor larger than its storage")
    empty: Tensor = torch.empty(0, dtype=dtype)
    return empty.set_(whole, offset, size, stride)


def _parameter(data: Any, *rest: Any) -> Any:
    return data


ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
}
#: What checkpoints name beside tensors and what no code is behind: answered like all else, and no reason to refuse.
HARMLESS = {
    ("_codecs", "encode"),
    ("collections", "Counter"),
    ("collections", "defaultdict"),
    ("torch", "Size"),
    ("torch", "device"),
    ("torch.nn.parameter", "Parameter"),
    ("torch.serialization", "_get_layout"),
    *(("builtins", name) for name in ("bytearray", "complex", "dict", "float", "int", "list", "set", "str", "tuple")),
    *(("__builtin__", name) for name in ("bytearray", "complex", "set")),
}


class InertUnpickler(pickle.Unpickler):
    """An unpickler that knows how to build tensors and nothing else.

    Args:
        file: The pickle.
        storage: What makes a storage of the bytes of a file within the file.
    """

    def __init__(self, file: IO[bytes], storage: Callable[[bytes], Any] | None = None) -> None:
        super().__init__(file)
        self._storage = storage
        self.named: set[str] = set()  # what the pickle names that could be code

    def find_class(self, module: str, name: str) -> Any:
        """What a name of the pickle stands for."""
        if (module, name) in ALLOWED:
            return ALLOWED[module, name]
        if (module, name) == ("torch.storage", "_load_from_bytes") and self._storage is not None:
            return self._storage
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        stored = module in ("torch", "torch.storage") and name.endswith("Storage")
        if not stored and (module, name) not in HARMLESS:
            self.named.add(f"{module}.{name}")
        return type("Inert", (Inert,), {"path": f"{module}.{name}"})


def _state(module: Any) -> dict[str, Any]:
    """State of a module: its own, or that in the record of ``torch_utils.persistence``."""
    if not isinstance(module, Inert):
        return {}
    state = module.state
    if module.args and isinstance(module.args[0], dict) and "state" in module.args[0]:
        state = module.args[0]["state"]
    if isinstance(state, Inert):
        return dict(state)
    return state if isinstance(state, dict) else {}


def module_name(module: Any) -> str:
    """Class of a pickled module, empty for anything else."""
    if not isinstance(module, Inert):
        return ""
    if module.args and isinstance(module.args[0], dict) and "class_name" in module.args[0]:
        return str(module.args[0]["class_name"])
    return module.path.rsplit(".", 1)[-1]


def module_tensors(module: Any, prefix: str = "", depth: int = 32) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Parameters and buffers of a pickled module by name, and its plain attributes (numbers and texts)."""
    state, tensors = _state(module), {}
    for kind in ("_parameters", "_buffers"):
        for name, value in dict(state.get(kind) or {}).items():
            if isinstance(value, Tensor):
                tensors[f"{prefix}{name}"] = value
    for name, value in dict(state.get("_modules") or {}).items() if depth else ():
        tensors.update(module_tensors(value, f"{prefix}{name}.", depth - 1)[0])
    plain = {key: value for key, value in state.items() if isinstance(value, bool | int | float | str)}
    return tensors, plain
