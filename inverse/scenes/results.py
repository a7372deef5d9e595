"""What a scene solved by coupled tiles says: its samples on disk, and statistics of them tile by tile.

They are the `inverse.restoration.item.statistics` of an item in memory, taken on windows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from inverse.calibration.recalibration import Map
from inverse.errors import UsageError
from inverse.io.tiling import Tiling, Window
from inverse.numerics.statistics import moments
from inverse.operators.observation import Observation
from inverse.posterior.evidence import Lags, averaged, standardised
from inverse.posterior.posterior import Cost, Posterior
from inverse.restoration.case import Case
from inverse.restoration.item import statistics
from inverse.scenes.passes import KNOWN, Layout
from inverse.scenes.source import MeasuredScene
from inverse.scenes.state import State

__all__ = ["ON_MEASUREMENT", "Arrays", "ScenePosterior"]

Arrays = dict[str, NDArray[np.float32]]
ON_MEASUREMENT = ("measurement", "observed", "residual")
SIDE = 512

#: Pixels that the smoothing of an estimated data share takes.
SMOOTHED = 8


@dataclass(frozen=True)
class ScenePosterior:
    """Samples of a scene's posterior, on disk.

    Attributes:
        source: What was measured.
        layout: How it was solved.
        state: Where they are.
        samples: How many.
        misfit: ``chi^2 / m`` of each.
        cost: Evaluations of the whole scene; seconds and memory of this process.
        kept: Whether each sample is there, not just their mean and spread.
        calibration: Of standard deviations and quantiles, by `arrays` alone.
    """

    source: MeasuredScene
    layout: Layout
    state: State
    samples: int
    misfit: NDArray[np.float64]
    cost: Cost
    kept: bool = False
    calibration: Map | None = None
    _lags: dict[int, Lags] = field(default_factory=dict, init=False, repr=False)
    _squares: list[float] = field(default_factory=list, init=False, repr=False)

    #: Why it is not what would be restored in memory: it is.
    approximate: ClassVar[str] = ""

    @property
    def method(self) -> dict[str, object]:
        """The method and its parameters."""
        return {"kind": self.layout.problem.spec.name, **self.layout.problem.params}

    @property
    def levels(self) -> tuple[float, ...]:
        """The noise levels."""
        return self.layout.problem.levels[0]

    @property
    def tiled(self) -> str:
        """How, in words."""
        return f"coupled, {self.layout.tiling.side}"

    @property
    def _knows(self) -> bool:
        """Whether the method knows mean and variance."""
        return self.layout.problem.spec.knows

    def mean(self, window: Window | None = None) -> NDArray[np.float32]:
        """Posterior mean (C, h, w) in a window, or all of it: the method's where it knows it, else the samples'."""
        if self._knows:
            return self._read(f"exact_mean{self.samples % 2}", window)
        if self.kept:
            return np.asarray(self._moments(window)[0], np.float32)
        return self._read(f"mean{self._entries % 2}", window)

    def std(self, window: Window | None = None) -> NDArray[np.float32]:
        """Standard deviation: the method's where it knows it, else the samples'.

        Raises:
            UsageError: there is one sample only, and the method does not know it.
        """
        if self._knows:
            return np.sqrt(self._read(f"exact_variance{self.samples % 2}", window))
        if self.samples < 2:
            raise UsageError("a standard deviation needs at least 2 samples, there is 1", "use samples=4 or more")
        if self.kept:
            return np.asarray(np.sqrt(self._moments(window)[1]), np.float32)
        entries = self._entries
        variance = self._read(f"square{entries % 2}", window) / max(1, entries - 1)
        if self.layout.problem.antithetic:
            variance += self._read(f"inside{entries % 2}", window) / entries
        return np.asarray(np.sqrt(variance), np.float32)

    @property
    def _entries(self) -> int:
        """What mean and spread are taken over: samples, or pairs."""
        return max(1, self.samples // 2) if self.layout.problem.antithetic else self.samples

    def _moments(self, window: Window | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        samples = self._samples(window).astype(np.float64)
        if len(samples) == 1:
            return samples[0], np.zeros_like(samples[0])
        found: tuple[NDArray[np.float64], NDArray[np.float64]] = moments(
            samples, antithetic=self.layout.problem.antithetic
        )
        return found

    def sample(self, index: int, window: Window | None = None) -> NDArray[np.float32]:
        """A sample, where they were kept; the last one is always there.

        Raises:
            UsageError: it was not kept.
        """
        if (self.state.folder / f"sample{index}.f32").exists():
            return self._read(f"sample{index}", window)
        if index == self.samples - 1:
            return self._read(f"x{(len(self.levels) - 1) % 2}", window)
        raise UsageError(f"sample {index} was not kept", "use keep_samples=True")

    def _samples(self, window: Window | None) -> NDArray[np.float32]:
        return np.stack([self.sample(index, window) for index in range(self.samples)])

    def _read(self, name: str, window: Window | None) -> NDArray[np.float32]:
        return self.state.raster(name).read(Window(0, 0, *self.state.shape[-2:]) if window is None else window)

    def tiles(self) -> Iterator[Window]:
        """Squares of the measurement, which results are asked for by."""
        return Tiling(self.source.size, SIDE, 1).tiles()

    def arrays(self, tile: Window) -> Arrays:
        """What is known of a tile, by the names of ``posterior.h5``: the statistics of a window around it, cut to it.

        They are on the grid of the result, or of the measurement (`ON_MEASUREMENT`).
        """
        lies, unknown = self.source.lies, self._unknown(tile)
        window = self._around(unknown)
        post, case = self._posterior(window, self._map)
        images = {name: values for name, values in statistics(post, case).items() if values.ndim >= 3}
        self._squares.append(post.data_share_error)
        on_measurement = tile.inside(lies.measured(window))
        self._listen(post, on_measurement)
        down, across = case.crop[:2] if case.crop else (0, 0)
        result = unknown.inside(Window(window.top + down, window.left + across, window.bottom, window.right))
        return {
            name: values[(..., *(on_measurement if name in ON_MEASUREMENT else result))].numpy()
            for name, values in images.items()
        }

    @property
    def share_error(self) -> float:
        """Standard error of the data share: root mean square over the tiles that were asked for so far."""
        return float(np.sqrt(np.mean(np.square(self._squares)))) if self._squares else 0.0

    def told(self) -> dict[str, float]:
        """What the residuals of all tiles say (`inverse.posterior.evidence.of_samples`), once all were asked for."""
        return averaged([lags.told() for lags in self._lags.values()])

    def close(self) -> None:
        """Close the state's files."""
        self.state.close()

    @cached_property
    def _map(self) -> Map | None:
        """Calibration of its parts: the factor of an image is by the scene's mean data share, a pass over all tiles."""
        if self.calibration is None or self.calibration.power == 0:
            return self.calibration
        total = count = 0.0
        for tile in self.tiles():
            unknown = self._unknown(tile)
            window = self._around(unknown)
            post, _ = self._posterior(window, None)
            share = post.data_share[(..., *unknown.inside(window))]
            total, count = total + float(share.double().sum()), count + share.numel()
        return self.calibration.of_image(total / count)

    def _around(self, unknown: Window) -> Window:
        """A window that knows all of a part of the unknown."""
        lies = self.source.lies
        halo = lies.spill if lies.diagonal else self.layout.solve + lies.spill + SMOOTHED
        return self.layout.tiling.window(unknown, halo)

    def _unknown(self, tile: Window) -> Window:
        """Where a tile of the measurement lies in the unknown."""
        down, across = (count - (count + 1) // 2 for count in self.source.lies.margin)
        place = tile.scaled(self.source.lies.factor)
        return Window(place.top + down, place.left + across, place.bottom + down, place.right + across)

    def _posterior(self, window: Window, calibration: Map | None) -> tuple[Posterior, Case]:
        problem = self.layout.problem
        y, physics = self.source.observe(window)
        shape = (self.source.lies.shape[0], *window.size)
        sigma = problem.observation.sigma
        states = torch.from_numpy(self._samples(window)[:, None]).to(sigma)
        known = {
            name: torch.from_numpy(self._read(f"{name}{self.samples % 2}", window)[None, None]).to(sigma)
            for name in (KNOWN if self._knows else ())
        }
        post = Posterior(
            states=states, observation=Observation(y, physics, sigma, shape), prior_mean=problem.prior_mean,
            data_var=problem.card.data_var, cost=self.cost, items=tuple(problem.items), method=self.method,
            levels=problem.levels, calibration=calibration, label=problem.label, diagnostics=known,
            antithetic=problem.antithetic,
        )  # fmt: skip
        return post, Case(y, physics, shape, float(sigma[0]), estimated=False)

    def _listen(self, post: Posterior, place: tuple[slice, slice]) -> None:
        for index, sample in enumerate(post.states):
            values = standardised(post.observation, sample)
            if values is not None:
                z, weight = (value[0][(..., *place)] for value in values)
                self._lags.setdefault(index, Lags()).add(z, weight)
