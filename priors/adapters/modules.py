"""Other packages' ``torch.nn.Module`` as networks of an :class:`~inverse.priors.adapters.parametrisation.AdaptedPrior`, and whether to stay offline."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["ModuleNetwork", "offline"]


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


def offline() -> bool:
    """Whether INVERSE_OFFLINE or HF_HUB_OFFLINE is set."""
    return any(
        os.environ.get(name, "0").lower() not in ("", "0", "no", "false")
        for name in ("INVERSE_OFFLINE", "HF_HUB_OFFLINE")
    )
