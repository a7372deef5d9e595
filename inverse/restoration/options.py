"""How a run is carried out, as opposed to what it computes: device, precision, batch, shard, and what is kept."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from inverse.errors import UsageError
from inverse.recipes.recipe import Recipe
from inverse.restoration.plan import Compute
from inverse.restoration.prior import resolve_dtype

__all__ = ["Options"]


def _one_of(*names: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in names


def _whole(value: object, low: int = 1) -> bool:
    return not isinstance(value, bool) and isinstance(value, numbers.Integral) and int(value) >= low


def _texts(value: object) -> bool:
    return isinstance(value, list | tuple | set | frozenset) and all(isinstance(name, str) for name in value)


def _seconds(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, numbers.Real) and 0 < float(value) < math.inf


def _part(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(_whole, value)) and value[0] <= value[1]


_WHOLE = "a whole number from 1, or None"
#: Of each field what fits it, and the same in words; what a text may be is said where it is read.
_ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "device": (lambda value: isinstance(value, str | torch.device), "auto, cpu, cuda, cuda:1"),
    "dtype": (_one_of("auto", "float32", "bfloat16"), "auto, float32, bfloat16"),
    "batch": (lambda value: isinstance(value, str) or _whole(value), "auto, or a whole number from 1"),
    "tile": (
        lambda value: _one_of("auto", "off", "independent")(value) or _whole(value, 64),
        "auto, off, independent, or a multiple of 64",
    ),
    "keep": (lambda value: value is None or isinstance(value, str) or _texts(value), "names of data sets"),
    "shard": (lambda value: value is None or isinstance(value, str) or _part(value), "I/N with I from 1 to N"),
    "executor": (
        lambda value: isinstance(value, str) or callable(getattr(value, "map", None)),
        "a name, or an inverse.runs.executors.Executor",
    ),
    "workers": (lambda value: value is None or _whole(value), _WHOLE),
    "threads": (lambda value: value is None or _whole(value), _WHOLE),
    "overwrite": (lambda value: isinstance(value, bool), "True, False"),
    "strict": (lambda value: isinstance(value, bool), "True, False"),
    "progress": (_one_of("auto", "json", "off"), "auto, json, off"),
    "time_budget": (lambda value: value is None or _seconds(value), "seconds, more than 0"),
}


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

    def __post_init__(self) -> None:
        """Refuse values that no field of these has.

        Raises:
            UsageError: There is one.
        """
        for name, (fits, allowed) in _ALLOWED.items():
            value = getattr(self, name)
            if not fits(value):
                raise UsageError(f"{name} {value!r} is not valid", f"allowed: {allowed}")
        object.__setattr__(self, "device", str(self.device))

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
        self.block(recipe)
