"""A problem with an exact posterior, as every module of this package defines some, and the draws of a method on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from inverse.posterior.posterior import Posterior
from inverse.sampling.posterior_samples import sample

__all__ = ["ExactProblem"]


@dataclass(frozen=True)
class ExactProblem:
    """A measurement whose posterior is known; what is known of it are the fields of the kinds of problems."""

    prior: Any
    physics: Any
    y: Any  # one measurement (1, ...), or a ``TensorList`` of such
    shape: tuple[int, ...]  # (C, *S) or (d,) of the unknown

    def draw(self, method: str, *, samples: int = 400, seed: int = 0, **params: Any) -> Posterior:
        """``samples`` samples of a method; ``params`` as of `inverse.sample`."""
        return sample(
            self.y, self.physics, self.prior, method=method, samples=samples, seed=seed, shape=self.shape, **params
        )
