r"""Passes over a scene that draw its samples (:mod:`inverse.scenes.coupled`): start, steps, misfit, mean and spread.

A pass takes the scene tile by tile. Where pixels are missing, sampling starts from an interpolation
(:mod:`inverse.sampling.start`), by windows: its pyramid is cut at level 6, averages of 64 x 64 pixels, of which a scene
of 10,000 x 10,000 has 157 x 157. They are summed window by window and interpolated at once; the six levels below need
one coarser pixel on each side, 64 + 32 + ... + 2 = 126 pixels of halo. The result is the whole scene's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from inverse.errors import UsageError
from inverse.io.tiling import Tiling, Window
from inverse.numerics.linalg import inner
from inverse.numerics.rng import Rng
from inverse.operators.noise.clipped import unclipped_square
from inverse.operators.observation import Observation, observed
from inverse.sampling.denoiser import Denoise, Denoised
from inverse.sampling.problem import Problem
from inverse.sampling.start import COARSE, initial_mean, interpolated
from inverse.scenes.source import MeasuredScene
from inverse.scenes.state import State

__all__ = ["BLOCK", "HALO", "KNOWN", "Layout", "Pyramid", "Report", "SceneSteps", "holes", "weighted"]

#: Takes how many tiles of how many are done.
Report = Callable[[int, int], object]
Work = Callable[[int, Window], None]

#: What a method may know of its posterior: mean and variance, each sample its own estimate.
KNOWN = ("exact_mean", "exact_variance")
LEVELS = 6
BLOCK = 2**LEVELS
HALO = 2 * BLOCK


@dataclass(frozen=True)
class Layout:
    """The problem that is solved on each window of a scene, and the windows."""

    problem: Problem  # on the part of the scene that decides the method
    tiling: Tiling
    halo: int  # pixels around a tile
    solve: int  # how many of them the solve with the operator takes

    def pixels(self) -> int:
        """Pixels of all windows together: of one evaluation of the scene."""
        sizes = (self.tiling.window(tile, self.halo).size for tile in self.tiling.tiles())
        return sum(height * width for height, width in sizes)


@dataclass(frozen=True)
class _WindowObservation(Observation):
    """A window's observation, with what is known of the whole scene."""

    scene_excess: Tensor | None = None
    scene_s_max: Tensor | None = None

    def excess(self, residual: Any) -> Tensor:
        """What the residual of the scene shows, where that is known."""
        return super().excess(residual) if self.scene_excess is None else self.scene_excess

    @property
    def s_max(self) -> Tensor:
        """The scene's, where that is known."""
        return super().s_max if self.scene_s_max is None else self.scene_s_max


@dataclass(frozen=True)
class _Known(Denoise):
    """A denoiser whose answer is on disk."""

    mean: Tensor = field(kw_only=True)

    def estimate(self, x: Tensor, sigma: float, *, grad: bool = False) -> Denoised:
        """As it was."""
        del x, sigma
        assert not grad
        return Denoised(self.mean, lambda v, *, keep=False: v)


@dataclass
class SceneSteps:
    """One scene, pass by pass; a pass ends when all tiles have done it."""

    source: MeasuredScene
    layout: Layout
    state: State
    samples: int
    keep: bool  # each sample, not just their mean and spread
    progress: Report | None
    _pyramid: Pyramid | None = None

    @property
    def problem(self) -> Problem:
        """What is solved."""
        return self.layout.problem

    @property
    def tiling(self) -> Tiling:
        """The tiles."""
        return self.layout.tiling

    @property
    def two_phase(self) -> bool:
        """Whether a step needs a number of the scene."""
        return self.problem.spec.totals

    @property
    def products(self) -> int:
        """Steps that take the Jacobian."""
        return self.problem.spec.cost(self.problem.params)[1] if self.two_phase else 0

    def sample(self, index: int) -> None:
        """Draw a sample, as far as it is not done."""
        works = self._works(index)
        for turn, work in enumerate(works, index * len(works)):
            self._pass(turn, self.samples * len(works), work)

    def _works(self, sample: int) -> list[Work]:
        """What the passes of a sample do with a tile, and its number."""
        works: list[Work] = [lambda _, tile: self._start(sample, tile)]
        for step in range(len(self.problem.levels[0]) - 1):
            works += [partial(self._totals, sample, step)] if self.two_phase else []
            works.append(partial(self._step, sample, step))
        return [*works, partial(self._end, sample)]

    def timed(self) -> float:
        """Seconds of a sample, by its first and its last step on the largest window; nothing of it counts as done."""
        tiles = list(self.tiling.tiles())
        areas = [math.prod(self.tiling.window(tile, self.layout.halo).size) for tile in tiles]
        number = areas.index(max(areas))
        works, each, count = self._works(0), 2 if self.two_phase else 1, len(self.problem.levels[0]) - 1

        def seconds(work: Work) -> float:
            began = time.perf_counter()
            work(number, tiles[number])
            return time.perf_counter() - began

        seconds(works[0])  # the scene's interpolation is made once
        seconds(works[-1 - each])
        start, *steps, end = map(seconds, (works[0], *works[1 : 1 + each], *works[-1 - each :]))
        wide = self.products / count if self.two_phase else 0.5
        step = wide * sum(steps[:each]) + (1 - wide) * sum(steps[each:])
        return (start + end + count * step) * sum(areas) / max(areas)

    def _pass(self, turn: int, passes: int, work: Work) -> None:
        if self.state.turn > turn:
            return
        spent = self.state.numbers("seconds", len(self.tiling))
        for number, tile in self.state.todo(turn):
            began = time.perf_counter()
            work(number, tile)
            spent.put(number, spent.get()[number] + time.perf_counter() - began)
            if self.progress is not None:
                self.progress(turn * len(self.tiling) + number + 1, passes * len(self.tiling))

    def _observe(self, window: Window, *, excess: Tensor | None = None) -> Observation:
        y, physics = self.source.observe(window)
        head, lies = self.problem.observation, self.source.lies
        return _WindowObservation(
            y, physics, head.sigma, (lies.shape[0], *window.size), factor=lies.factor,
            scene_excess=excess, scene_s_max=None if head.spectral else head.s_max,
        )  # fmt: skip

    def _rng(self, sample: int, window: Window) -> Rng:
        problem = self.problem
        return Rng(problem.seed, problem.items, [sample], (window.top, window.left), problem.antithetic)

    def _denoise(self, sample: int, step: int) -> Denoise:
        height, width = self.state.shape[-2:]
        return self.problem.denoise.for_window(sample, self.problem.card, square=height == width, number=step)

    def _read(self, name: str, window: Window) -> Tensor:
        like = self.problem.observation.sigma
        return torch.from_numpy(self.state.raster(name).read(window))[None].to(like)

    def _write(self, name: str, tile: Window, window: Window, values: Tensor) -> None:
        kept = values[0][(slice(None), *tile.inside(window))]
        self.state.raster(name).write(tile, kept.float().cpu().numpy())

    def _start(self, sample: int, tile: Window) -> None:
        mean, card, method = self.problem.prior_mean, self.problem.card, self.problem.method
        pyramid = self._interpolation()
        if pyramid is None:
            window = self.tiling.window(tile, self.layout.solve)
            plain = card.model_copy(update={"spectrum_exponent": None})  # of a start without interpolation
            centre = initial_mean(self._observe(window), mean, plain)
        else:
            window = pyramid.around(tile)
            observation = self._observe(window)
            centre = observation.empty() + mean
            centre = centre + pyramid.at(window, *weighted(observation, centre))
        moved, memory = method.start(centre, self.problem.levels[0][0], self._rng(sample, window))
        assert memory is None
        self._write("x0", tile, window, moved)

    def _interpolation(self) -> Pyramid | None:
        """The pyramid of a scene with holes, made once in each process; None where sampling starts otherwise."""
        if self._pyramid is not None:
            return self._pyramid
        card, shape = self.problem.card, self.state.shape
        if card.spectrum_exponent is None or not self.source.lies.diagonal or self.source.lies.factor > 1:
            return None
        if max(shape[-2:]) <= 2 * BLOCK:
            raise UsageError(f"a scene of {shape[-1]} x {shape[-2]} pixels", "it needs no tiles")
        pyramid = Pyramid(shape[0], shape[-2:], self.problem.observation.sigma, card.data_var)
        missing = False
        for tile in self.tiling.tiles():
            observation = self._observe(tile)
            missing = missing or holes(observation)
            pyramid.add(tile, *weighted(observation, observation.empty() + self.problem.prior_mean))
        self._pyramid = pyramid if missing else None
        return self._pyramid

    def _totals(self, sample: int, step: int, number: int, tile: Window) -> None:
        """What the residual of a tile adds to the scene's."""
        sigma = self.problem.levels[0][step]
        window = self.tiling.window(tile, self.layout.halo)
        x = self._read(f"x{step % 2}", window)
        mean = self._denoise(sample, step).estimate(x, sigma).mean
        own = mean[(..., *tile.inside(window))]
        if step >= self.products:
            self._write("denoised", tile, tile, own)
        observation = self._observe(tile)
        residual = observation.residual(own)
        power = observation.count().to(observation.sigma) * observation.sigma**2
        total = torch.stack([inner(residual, residual) - power, observation.row_power], 1)[0]
        self.state.numbers("totals", len(self.tiling), 2).put(number, total.double().cpu().numpy())

    def _step(self, sample: int, step: int, _: int, tile: Window) -> None:
        levels, method = self.problem.levels[0], self.problem.method
        excess, denoise, halo = None, self._denoise(sample, step), self.layout.halo
        remembers = self.problem.spec.knows  # its last answer, from level to level
        if self.two_phase:
            total = self.state.numbers("totals", len(self.tiling), 2).get().sum(0)
            excess = torch.full_like(self.problem.observation.sigma, total[0] / total[1])
            halo = halo if step < self.products else 0
        window = self.tiling.window(tile, halo)
        if self.two_phase and step >= self.products:
            denoise = _Known(denoise.prior, denoise.counter, mean=self._read("denoised", window))
        x = self._read(f"x{step % 2}", window)
        observation = self._observe(window, excess=excess)
        rng = self._rng(sample, window)
        memory = (self._read(f"before{step % 2}", window), levels[step - 1]) if remembers and step else None
        move = method.step(denoise, x, levels[step], levels[step + 1], observation, rng, step, memory)
        if move.memory is not None:
            self._write(f"before{(step + 1) % 2}", tile, window, move.memory[0])
        self._write(f"x{(step + 1) % 2}", tile, window, move.x)
        for name in KNOWN:
            if name in move.info:
                self._write(name, tile, window, move.info[name])

    def _end(self, sample: int, number: int, tile: Window) -> None:
        """Misfit of a sample, and the sample, or its part in mean and spread (Welford 1962), each in another file."""
        window = self.tiling.window(tile, self.source.lies.spill)
        x = self._read(f"x{(len(self.problem.levels[0]) - 1) % 2}", window)
        chi2 = self.state.numbers("chi2", self.samples * len(self.tiling), 2)
        chi2.put(sample * len(self.tiling) + number, self._misfit(x, window, tile))
        own = x[0][(slice(None), *tile.inside(window))].cpu().numpy().astype(np.float64)
        old, new = sample % 2, (sample + 1) % 2
        for name in KNOWN if self.problem.spec.knows else ():
            mean = self.state.raster(name).read(tile).astype(np.float64)
            if sample:
                before = self.state.raster(f"{name}{old}").read(tile)
                mean = before + (mean - before) / (sample + 1)
            self.state.raster(f"{name}{new}").write(tile, mean)
        if self.keep:
            self.state.raster(f"sample{sample}").write(tile, own)
            return
        self._add(sample, tile, own)

    def _add(self, sample: int, tile: Window, own: NDArray[np.float64]) -> None:
        """A sample's part in mean and spread; of antithetic ones a pair's, when its second is there."""
        entry = sample
        if self.problem.antithetic and self.samples > 1:
            entry = sample // 2
            if sample % 2 == 0:
                self.state.raster("first").write(tile, own)
                return
            first = self.state.raster("first").read(tile).astype(np.float64)
            self._sum("inside", entry, tile, (own - first) ** 2 / 4)
            own = (own + first) / 2
        old, new = entry % 2, (entry + 1) % 2
        mean, apart = own, np.zeros_like(own)
        if entry:
            before = self.state.raster(f"mean{old}").read(tile).astype(np.float64)
            mean = before + (own - before) / (entry + 1)
            apart = (own - before) * (own - mean)
        self.state.raster(f"mean{new}").write(tile, mean)
        self._sum("square", entry, tile, apart)

    def _sum(self, name: str, entry: int, tile: Window, values: NDArray[np.float64]) -> None:
        """A sum of the entries so far, each in another file."""
        if entry:
            values = values + self.state.raster(f"{name}{entry % 2}").read(tile)
        self.state.raster(f"{name}{(entry + 1) % 2}").write(tile, values)

    def _misfit(self, x: Tensor, window: Window, tile: Window) -> NDArray[np.float64]:
        """``chi^2`` and number of the values that are counted with a tile."""
        observation, lies = self._observe(window), self.source.lies
        place = (..., *lies.own(tile).inside(lies.measured(window)))
        residual = observation.residual(x)[place].double()
        weight = observed(observation.physics, observation.y)
        told: Tensor | None = getattr(observation.physics, "measured_mask", None)  # a bound is none of them
        if told is not None:
            residual = residual * told.expand(observation.y.shape)[place]
            weight = told if weight is None else weight * told
        bounds: Tensor | None = getattr(observation.physics, "bounds", None)
        if bounds is not None and weight is not None:
            weight = weight * unclipped_square(observation.A(x), observation.y, bounds, observation.sigma)
        values = residual.numel() if weight is None else float(weight.expand(observation.y.shape)[place].double().sum())
        chi2 = float(residual.square().sum() / observation.sigma[0].double() ** 2) if values else 0.0
        return np.array([chi2, values])


class Pyramid:
    """The coarse part of the interpolation of weighted values of a scene with a side above 128; noise level (1,)."""

    def __init__(self, channels: int, size: tuple[int, int], sigma: Tensor, data_var: float) -> None:
        rows, columns = (-(-side // BLOCK) for side in size)
        self._size = size
        self._coarse = coarse = (COARSE + sigma**2 / data_var).reshape(1, 1, 1, 1)
        self._value = coarse.new_zeros(1, channels, rows, columns)
        self._weight = torch.zeros_like(self._value)
        self._top: Tensor | None = None

    def add(self, window: Window, value: Tensor, weight: Tensor) -> None:
        """Take note of a window that begins and ends at multiples of 64, or at the scene's end: (1, C, h, w) both."""
        place = window.top // BLOCK, window.left // BLOCK
        for total, coarse in ((self._value, value), (self._weight, weight)):
            for _ in range(LEVELS):
                coarse = _halved(coarse)
            total[..., place[0] : place[0] + coarse.shape[-2], place[1] : place[1] + coarse.shape[-1]] = coarse

    def around(self, tile: Window) -> Window:
        """A window as `at` takes it, right all over a tile."""
        bottom, right = (-(-(stop + HALO) // BLOCK) * BLOCK for stop in (tile.bottom, tile.right))
        whole = Window(max(0, tile.top - HALO), max(0, tile.left - HALO), bottom, right)
        return whole.clipped(*self._size)

    def at(self, window: Window, value: Tensor, weight: Tensor) -> Tensor:
        """The interpolation in such a window, right from `HALO` pixels inside its edges on."""
        if self._top is None:
            self._top = interpolated(self._value, self._weight, self._coarse)
        levels = [(value, weight)]
        for _ in range(LEVELS - 1):
            value, weight = _halved(value), _halved(weight)
            levels.append((value, weight))
        rows, columns = (
            slice(start // BLOCK, -(-stop // BLOCK))
            for start, stop in ((window.top, window.bottom), (window.left, window.right))
        )
        values = self._top[..., rows, columns]
        for value, weight in reversed(levels):
            height, width = value.shape[-2:]
            above = interpolate(values, scale_factor=2, mode="bilinear", align_corners=False)[..., :height, :width]
            values = (value + self._coarse * above) / (weight + self._coarse)
        return values


def holes(observation: Observation) -> bool:
    """Whether pixels are missing."""
    mask = observed(observation.physics, observation.y)
    return mask is not None and bool((mask == 0).any())


def weighted(observation: Observation, centre: Tensor) -> tuple[Tensor, Tensor]:
    """What was observed beside a centre (1, C, h, w), zero where nothing was, and its weight."""
    mask = observed(observation.physics, observation.y)
    weight = torch.ones_like(centre) if mask is None else mask.to(centre).expand_as(centre)
    return weight * (observation.y - centre), weight


def _halved(value: Tensor) -> Tensor:
    height, width = value.shape[-2:]
    return avg_pool2d(pad(value, (0, width % 2, 0, height % 2)), 2)
