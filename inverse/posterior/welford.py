"""Mean and standard deviation of samples that come one by one."""

from __future__ import annotations

import torch
from torch import Tensor

from inverse.errors import UsageError
from inverse.numerics.defaults import independent

__all__ = ["Welford"]


class Welford:
    """Streaming mean and variance along samples (Welford 1962), float64 inside; antithetic ones in their order."""

    def __init__(self, *, antithetic: bool = False) -> None:
        self.count = 0
        self._antithetic = antithetic
        self._first: Tensor | None = None  # of a pair that is not whole
        self._entries = 0  # samples, or pairs
        self._mean: Tensor | None = None
        self._square: Tensor | None = None  # of entries around their mean
        self._inside: Tensor | None = None  # of pairs around their own

    def add(self, sample: Tensor) -> None:
        """Add one sample (B, C, *S)."""
        value = sample.double()
        self.count += 1
        if self._antithetic:
            if self._first is None:
                self._first = value
                return
            apart = (value - self._first).square() / 4
            self._inside = apart if self._inside is None else self._inside + apart
            value, self._first = (value + self._first) / 2, None
        self._entries += 1
        if self._mean is None or self._square is None:
            self._mean, self._square = value.clone(), torch.zeros_like(value)
            return
        delta = value - self._mean
        self._mean += delta / self._entries
        self._square += delta * (value - self._mean)

    @property
    def mean(self) -> Tensor:
        """Mean of the samples so far, of antithetic ones of the whole pairs where there are any."""
        known = self._mean if self._mean is not None else self._first
        if known is None:
            raise UsageError("no sample was added")
        return known

    @property
    @independent
    def std(self) -> Tensor:
        """Standard deviation of a draw (`inverse.numerics.statistics.moments`).

        Raises:
            UsageError: there are fewer than two samples.
        """
        if self._square is None or self.count < 2:
            raise UsageError(
                f"a standard deviation needs at least 2 samples, there is {self.count}", "use samples=4 or more"
            )
        variance = self._square / max(1, self._entries - 1)
        return (variance if self._inside is None else variance + self._inside / self._entries).sqrt()
