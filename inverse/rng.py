"""Keyed random numbers: noise that is a pure function of what it is for.

The normal noise of (seed, item, sample, step, stream, draw) is laid on the unknown's own grid in blocks of 64 x 64 pixels (4,096
values for vectors), each from a counter-based generator (numpy Philox) whose key is the blake2b hash of all of these and of the
block's channel, row and column. So a result depends neither on the batch it was computed in, nor on the tile, nor on the order, nor on
what was drawn before; and no global generator is read or moved. Blocks are drawn whole and cropped, float32 on the CPU, then cast.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["BLOCK", "VECTOR_BLOCK", "Rng"]

BLOCK = 64
VECTOR_BLOCK = 4096


def _generator(prefix: hashlib.blake2b, channel: int, row: int, column: int) -> np.random.Generator:
    digest = prefix.copy()
    digest.update(b"%d,%d,%d" % (channel, row, column))
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest.digest(), "little")))


@cache
def _pool() -> ThreadPoolExecutor:
    """Threads that draw the planes of one image side by side; every block has its own key, so their order does not matter."""
    return ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1), thread_name_prefix="inverse-noise")


def _draw(generator: np.random.Generator, out: NDArray[np.float32], kind: str) -> None:
    if kind == "normal":
        generator.standard_normal(out=out, dtype=np.float32)
    else:
        out[...] = 2.0 * generator.integers(0, 2, out.shape, dtype=np.int8) - 1.0


@dataclass(frozen=True)
class Rng:
    """Keyed noise for a batch.

    Attributes:
        seed: The run's seed.
        items: Name of the item of each batch entry.
        samples: Index of the posterior sample of each batch entry.
    """

    seed: int
    items: Sequence[str]
    samples: Sequence[int]

    def _field(
        self, entry: int, shape: Sequence[int], step: int, stream: str, draw: int, kind: str
    ) -> NDArray[np.float32]:
        key = f"{self.seed}\0{self.items[entry]}\0{self.samples[entry]}\0{step}\0{stream}\0{draw}\0"
        prefix = hashlib.blake2b(key.encode(), digest_size=16)
        if len(shape) < 3:
            channels, length = prod(shape[:-1]), shape[-1]
            line = np.empty((channels, -(-length // VECTOR_BLOCK), VECTOR_BLOCK), np.float32)
            for channel in range(channels):
                for column in range(line.shape[1]):
                    _draw(_generator(prefix, channel, 0, column), line[channel, column], kind)
            return line.reshape(channels, -1)[:, :length].reshape(shape)
        channels, (height, width) = prod(shape[:-2]), shape[-2:]
        out = np.empty((channels, height, width), np.float32)

        def plane(channel: int) -> None:
            block = np.empty((BLOCK, BLOCK), np.float32)
            for top in range(0, height, BLOCK):
                for left in range(0, width, BLOCK):
                    _draw(_generator(prefix, channel, top // BLOCK, left // BLOCK), block, kind)
                    part = out[channel, top : top + BLOCK, left : left + BLOCK]
                    part[...] = block[: part.shape[0], : part.shape[1]]

        if out.size > 16 * BLOCK**2 and channels > 1:
            list(_pool().map(plane, range(channels)))
        else:
            for channel in range(channels):
                plane(channel)
        return out.reshape(shape)

    def _batch(self, like: Tensor, step: int, stream: str, draw: int, kind: str) -> Tensor:
        if like.shape[0] != len(self.items):
            raise ValueError(f"batch of {like.shape[0]} for {len(self.items)} keys")
        shape = tuple(like.shape[1:]) or (1,)
        if like.is_complex():
            shape = (2, *shape)
        stack = np.stack([self._field(i, shape, step, stream, draw, kind) for i in range(len(self.items))])
        noise = torch.from_numpy(stack)
        if like.is_complex():
            noise = torch.complex(noise[:, 0], noise[:, 1])
        return noise.reshape(like.shape).to(device=like.device, dtype=like.dtype)

    def normal(self, like: Tensor, *, step: int, stream: str, draw: int = 0) -> Tensor:
        """Standard normal noise with the shape, dtype and device of ``like`` (B, C, *S) or (B, d).

        Real and imaginary part of complex noise have unit variance each.
        """
        return self._batch(like, step, stream, draw, "normal")

    def signs(self, like: Tensor, *, step: int, stream: str, draw: int = 0) -> Tensor:
        """Rademacher noise (each value -1 or 1 with equal probability), as :meth:`normal`."""
        return self._batch(like, step, stream, draw, "signs")
