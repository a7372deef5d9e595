"""A posterior sampler as a deepinv ``Reconstructor``, for pipelines that call ``model(y, physics)``."""

from __future__ import annotations

from typing import Any

import torch
from deepinv.models import Reconstructor as _Reconstructor

from inverse.api import sample
from inverse.linalg import Vector

__all__ = ["Reconstructor"]


class Reconstructor(_Reconstructor):
    """Posterior mean of a measurement: ``model(y, physics)`` (B, C, *S).

    Args:
        prior: As in :func:`inverse.sample`.
        method: Method name.
        samples: Samples averaged.
        **params: Everything else :func:`inverse.sample` takes.
    """

    def __init__(self, prior: Any, *, method: str = "diffpir", samples: int = 4, **params: Any) -> None:
        super().__init__()
        self.prior, self.method, self.samples, self.params = prior, method, samples, params

    def forward(self, y: Vector, physics: Any, **_: Any) -> torch.Tensor:
        """The posterior mean (B, C, *S)."""
        return sample(y, physics, self.prior, method=self.method, samples=self.samples, **self.params).mean
