"""Which items are solved by tiles, and how large these are, from the file's header and the memory that is free.

An item is solved in memory where it fits. Memory of an evaluation is taken as proportional to its pixels (`BYTES`,
measured with the embedded priors on one core: 700 to 900 bytes in float32, 560 in bfloat16, 3,600 and 1,900 with the
gradient).
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from inverse.errors import InputError, InverseError, RecipeError
from inverse.io.windows import open_windows
from inverse.operators.build import result_shape
from inverse.recipes.recipe import Recipe
from inverse.restoration.options import Options
from inverse.restoration.plan import Item
from inverse.sampling.methods import method_spec
from inverse.scenes.coupled import require_tiles
from inverse.scenes.source import grids

__all__ = ["LEAST", "Tiles", "free_bytes"]

BYTES = {"float32": 900, "bfloat16": 600}
GRADIENT = 4

#: Bytes of one evaluation that tiles are made for, however much is free.
BUDGET = 3 * 2**30
CAP, LEAST = 512, 64

#: Side of a scene below which there is nothing to cut.
SMALLEST = 128

#: Images of the unknown that are in memory beside the network, and the samples.
STATE = 12


@dataclass(frozen=True)
class Tiles:
    """What a run was told of tiles, and what decides where it was told nothing."""

    tile: int | str  # "auto", "off", "independent", or a side
    recipe: Recipe
    samples: int  # of an item evaluated together, at most
    dtype: str  # precision of the network
    device: str

    @classmethod
    def of(cls, options: Options, recipe: Recipe, *, dtype: str, device: str) -> Tiles:
        """By the flags, else by the recipe."""
        tile = recipe.run.tile if options.tile == "auto" else options.tile
        block = options.block(recipe)
        return cls(tile, recipe, 1 if block is None else min(block, recipe.run.samples), dtype, device)

    def agrees(self, item: Item) -> bool:
        """Whether an item need not be planned anew."""
        if self.tile == "auto":
            return True
        if self.tile == "off":
            return item.tile == 0
        if item.tile == 0:  # in memory, as what is small is whatever is asked for
            return max(item.shape[-2:], default=0) <= max(SMALLEST, self.tile if isinstance(self.tile, int) else 0)
        return item.independent if self.independent else item.tile == self.tile and not item.independent

    @property
    def independent(self) -> bool:
        """Whether each tile is a run of its own."""
        return self.tile == "independent"

    def cut(self, path: Path) -> tuple[int, tuple[int, ...]] | None:
        """The side of a file's tiles, and (C, H, W) of its result; None: it is not cut, or not read by windows."""
        if self.tile == "off":
            return None
        try:
            shape, factor = self._shape(path)
        except InverseError:
            return None
        side = self.tile
        if not isinstance(side, int):
            if not self.independent and self._fits(shape):
                return None
            side = self._largest(math.lcm(LEAST, factor))
        if self.tile == "auto" and self._refused(shape):
            return None
        return None if max(shape[-2:]) <= max(side, SMALLEST) else (side, shape)

    def missed(self, shape: tuple[int, ...]) -> int:
        """The side of the tiles asked for, where an image of a file not read by windows has more pixels; else 0."""
        side = self.tile if isinstance(self.tile, int) else CAP if self.independent else 0
        return side if side and len(shape) == 3 and max(shape[-2:]) > max(side, SMALLEST) else 0

    def _shape(self, path: Path) -> tuple[tuple[int, ...], int]:
        """(C, H, W) of the result, and how many of its pixels are one of the file's, along each axis."""
        with ExitStack() as stack:
            scene = open_windows(path, path.name, stack)
            measured = (scene.channels, *scene.size)
        shape = result_shape(self.recipe.located()["operator"], measured)
        return shape, max(1, shape[-1] // measured[-1])

    @property
    def _each(self) -> int:
        """Bytes of an evaluation for each pixel."""
        spec = method_spec(self.recipe.method_kind)
        values = spec.validate({name: value for name, value in self.recipe.params.items() if value is not None})
        return BYTES.get(self.dtype, BYTES["float32"]) * (GRADIENT if "grad" in spec.needs_for(values) else 1)

    def _fits(self, shape: tuple[int, ...]) -> bool:
        channels, height, width = shape
        values = 4 * channels * (STATE + self.recipe.run.samples)
        return height * width * (self._each * self.samples + values) <= free_bytes(self.device)

    def _largest(self, unit: int) -> int:
        """The largest multiple of a unit whose window fits into half of what is free, up to a cap."""
        most = min(BUDGET, free_bytes(self.device) // 2)
        radius = 2 * 96 if self._each > max(BYTES.values()) else 96
        side = int((most / self._each) ** 0.5) - 2 * radius
        return max(unit, min(CAP, side) // unit * unit)

    def _refused(self, shape: tuple[int, ...]) -> bool:
        """Whether there are no coupled tiles, so that it is tried in memory."""
        kind = self.recipe.method_kind
        try:
            lies, _ = grids(self.recipe, (shape[0], SMALLEST, SMALLEST))
            if kind != "auto":
                given = {name: value for name, value in self.recipe.params.items() if value is not None}
                require_tiles(kind, method_spec(kind).validate(given), lies)
        except (RecipeError, InputError):
            return True
        return False


def free_bytes(device: str) -> int:
    """Memory that is free for a run: of an accelerator, or of this machine and the process's control group."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    return min((number for number in (_available(), _group()) if number is not None), default=BUDGET)


def _available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable")), None)


def _group() -> int | None:
    folder = Path("/sys/fs/cgroup")
    try:
        most, used = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return None if most == "max" else max(0, int(most) - int(used))
    except (OSError, ValueError):
        return None
