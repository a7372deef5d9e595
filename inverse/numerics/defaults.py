"""The caller's defaults of torch, and calls that do not depend on them.

A result is a function of its arguments. What a caller has set for a thread (a default device, inference mode, autocast)
is set aside while a call of this package runs there and is back when it returns. The default dtype is the process's and
is never touched: whatever this package makes, it makes of a dtype that it names.
"""

from __future__ import annotations

import copy
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


@contextmanager
def own_defaults() -> Iterator[None]:
    """The CPU, no inference mode and no autocast as defaults of this thread, whatever the caller's are."""
    with ExitStack() as stack:
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
