"""Other packages' ``torch.nn.Module`` as networks of an :class:`~inverse.priors.adapters.parametrisation.AdaptedPrior`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["ModuleNetwork"]


@dataclass(frozen=True)
class ModuleNetwork:
    """A module and how to call it.

    Attributes:
        module: The module; it is never changed.
        call: ``call(module, x, time)``.
    """

    module: Any
    call: Callable[[Any, Tensor, Tensor], Tensor]

    def __call__(self, x: Tensor, time: Tensor) -> Tensor:
        """Evaluate: ``x`` (B, C, H, W), ``time`` (B,)."""
        return self.call(self.module, x, time)

    def to(self, *, dtype: torch.dtype, device: torch.device | str) -> ModuleNetwork:
        """A copy in another precision or on another device."""
        if not isinstance(self.module, nn.Module):
            return self
        return ModuleNetwork(copy.deepcopy(self.module).to(dtype=dtype, device=device), self.call)
