"""The caller's defaults of torch, and calls that do not depend on them.

A result is a function of its arguments. What a caller has set for the rest of the program (a default dtype or device,
inference mode, autocast) is set aside while a call of this package runs and is back when it returns. The default dtype
is the process's, so calls in several threads share the change: the first sets it, the last puts it back.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

__all__ = ["independent", "own_defaults", "plain_module", "plain_tensor", "stepwise"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class _Dtype:
    """The default dtype that calls in progress have set aside."""

    def __init__(self) -> None:
        self.lock, self.calls, self.before = threading.Lock(), 0, torch.float32

    @contextmanager
    def aside(self) -> Iterator[None]:
        with self.lock:
            if self.calls == 0:
                self.before = torch.get_default_dtype()
                if self.before != torch.float32:
                    torch.set_default_dtype(torch.float32)
            self.calls += 1
        try:
            yield
        finally:
            with self.lock:
                self.calls -= 1
                if self.calls == 0 and self.before != torch.float32:
                    torch.set_default_dtype(self.before)


_DTYPE = _Dtype()


@contextmanager
def own_defaults() -> Iterator[None]:
    """Float32, the CPU, no inference mode and no autocast as defaults, whatever the caller's are."""
    with ExitStack() as stack:
        stack.enter_context(_DTYPE.aside())
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


def independent(function: Callable[P, R]) -> Callable[P, R]:
    """A function whose result does not depend on the caller's defaults."""

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        with own_defaults():
            return function(*args, **kwargs)

    return called


def stepwise(steps: Iterator[T]) -> Iterator[T]:
    """The same steps, each made with `own_defaults` and given with the caller's."""
    while True:
        with own_defaults():
            try:
                step = next(steps)
            except StopIteration:
                return
        yield step


def plain_tensor(tensor: Tensor) -> Tensor:
    """A tensor that autograd takes: one made in inference mode is copied."""
    return tensor.clone() if tensor.is_inference() else tensor


def plain_module(part: Any) -> Any:
    """A module that autograd takes: where it holds tensors made in inference mode, a copy with others; else itself."""
    if not isinstance(part, torch.nn.Module):
        return part
    held = [*part.parameters(), *part.buffers()]
    held += [value for module in part.modules() for value in vars(module).values() if isinstance(value, Tensor)]
    if not any(value.is_inference() for value in held):
        return part
    memo: dict[int, Any] = {}
    for value in held:
        if value.is_inference():
            other = value.detach().clone()
            memo[id(value)] = (
                torch.nn.Parameter(other, requires_grad=False) if isinstance(value, torch.nn.Parameter) else other
            )
    return copy.deepcopy(part, memo)
