"""How a run is carried out, as opposed to what it computes: device, precision, batch, shard, and what is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from inverse.errors import UsageError
from inverse.recipes.recipe import Recipe
from inverse.restoration.plan import Compute
from inverse.restoration.prior import resolve_dtype

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """How a run is carried out; what it computes is the recipe's.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``.
        dtype: ``auto``, ``float32``, ``bfloat16``.
        batch: ``auto`` or the samples of an item evaluated together.
        tile: ``auto``: tiles where a scene does not fit in memory; ``off``; side of coupled tiles; ``independent``:
            tiles that are runs of their own.
        keep: Data sets of ``posterior.h5`` and "figure"; None is all, but samples only up to 1 GB for the whole run.
        shard: "I/N": every N-th unit from the I-th, 1-based.
        executor: ``serial``, ``processes``, ``dask``, ``dask://HOST:PORT``, ``dask:FILE`` (a scheduler file), or an
            `inverse.runs.executors.Executor`.
        workers: Processes of this machine, for ``processes`` and ``dask``; None: one a core, or one a GPU.
        threads: Threads of a unit; None: 1, but in ``serial`` as many as torch takes. Byte-identical results need the
            same number.
        overwrite: Start again in a folder that holds another run.
        strict: Stop at the first failure.
        progress: ``auto``, ``json``, ``off``.
        time_budget: Seconds that the whole run may take, for ``method: auto``; None without one.
    """

    device: str = "auto"
    dtype: str = "auto"
    batch: int | str = "auto"
    tile: int | str = "auto"
    keep: str | Sequence[str] | None = None
    shard: str | tuple[int, int] | None = None
    executor: Any = "serial"
    workers: int | None = None
    threads: int | None = None
    overwrite: bool = False
    strict: bool = False
    progress: str = "auto"
    time_budget: float | None = None

    def resolved_device(self) -> str:
        """``auto`` resolved: the first accelerator, else the CPU.

        Raises:
            UsageError: If the device is not there.
        """
        if self.device == "auto":
            return "cuda" if torch.cuda.is_available() else "cpu"
        try:
            torch.empty(0, device=self.device, dtype=torch.float32)
        except (RuntimeError, AssertionError) as error:
            raise UsageError(f"device '{self.device}' is not available", "allowed here: auto, cpu") from error
        return self.device

    def compute(self, recipe: Recipe, prior: Any, device: str | None = None) -> Compute:
        """Device and precision resolved.

        Args:
            recipe: The recipe.
            prior: Its prior, open.
            device: Where to compute; None: by these options.

        Raises:
            UsageError: If the device is not there.
        """
        device = device or self.resolved_device()
        return Compute(resolve_dtype(recipe.run.dtype if self.dtype == "auto" else self.dtype, prior, device), device)

    def block(self, recipe: Recipe) -> int | None:
        """Samples evaluated together; None for ``auto``."""
        batch = recipe.run.batch if self.batch == "auto" else self.batch
        if batch == "auto":
            return None
        try:
            count = int(batch)
        except ValueError:
            count = 0
        if count < 1:
            raise UsageError(f"--batch {batch} is not valid; allowed: auto, or a whole number from 1")
        return count

    def check(self, recipe: Recipe) -> None:
        """Refuse what is not available, before anything is read."""
        for tile in (self.tile, recipe.run.tile):
            if isinstance(tile, int) and tile % 64:
                raise UsageError(f"tile {tile} is not valid; allowed: auto, off, independent, or a multiple of 64")
        if self.overwrite and self.shard is not None:
            raise UsageError(
                "--overwrite cannot be used with --shard: shards would erase each other", "empty the folder first"
            )
        if self.time_budget is not None and recipe.params.get("quality") is None:
            raise UsageError("a time budget is for method auto", "leave it away, or choose -s method.kind=auto")
        for name, given in (("workers", self.workers), ("threads", self.threads)):
            if given is not None and given < 1:
                raise UsageError(f"--{name} {given} is not valid; allowed: a whole number from 1")
        self.block(recipe)
