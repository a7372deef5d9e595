"""What a solved scene says, tile by tile of its result: by coupled tiles, the same `inverse.restoration.case.statistics` as of an item in memory, taken on windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from inverse.io.tiling import Tiling, Window
from inverse.posterior.evidence import Lags, averaged, standardised

if TYPE_CHECKING:
    from inverse.calibration.recalibration import Map
    from inverse.posterior.posterior import Cost, Posterior
    from inverse.restoration.case import Case
    from inverse.scenes.coupled import ScenePosterior
    from inverse.scenes.source import FileScene

__all__ = ["ON_MEASUREMENT", "Arrays", "Coupled", "Solved"]

Arrays = dict[str, NDArray[np.float32]]
ON_MEASUREMENT = ("measurement", "observed", "residual")
SIDE = 512
SMOOTHED = 8
"""Pixels that the smoothing of an estimated data share takes."""


class Solved(Protocol):
    """A scene that was solved."""

    @property
    def method(self) -> dict[str, object]:
        """The method and its parameters."""
        ...

    @property
    def levels(self) -> tuple[float, ...]:
        """The noise levels."""
        ...

    @property
    def cost(self) -> Cost:
        """What it took."""
        ...

    @property
    def misfit(self) -> NDArray[np.float64]:
        """Of each sample."""
        ...

    @property
    def share_error(self) -> float:
        """Standard error of the data share, of what was asked for so far."""
        ...

    @property
    def tiled(self) -> str:
        """How, in words."""
        ...

    @property
    def approximate(self) -> str:
        """Why it is not what would be restored in memory; empty where it is."""
        ...

    def tiles(self) -> Iterator[Window]:
        """The parts of the measurement that results are asked for by."""
        ...

    def arrays(self, tile: Window) -> Arrays:
        """What is known of a tile, by the names of ``posterior.h5``: on the grid of the result, or of the measurement (`ON_MEASUREMENT`)."""
        ...

    def told(self) -> dict[str, float]:
        """What the residuals of all tiles say (`inverse.posterior.evidence.of_samples`), once all were asked for."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


@dataclass
class Coupled:
    """A scene solved by coupled tiles.

    Attributes:
        scene: What was measured.
        post: Its samples, all of them kept.
        item: Id.
        calibration: Of standard deviations and quantiles.
    """

    scene: FileScene
    post: ScenePosterior
    item: str
    calibration: Map | None
    _lags: dict[int, Lags] = field(default_factory=dict)
    _squares: list[float] = field(default_factory=list)
    approximate: str = ""

    @property
    def method(self) -> dict[str, object]:
        """The method and its parameters."""
        return self.post.method

    @property
    def levels(self) -> tuple[float, ...]:
        """The noise levels."""
        return self.post.levels

    @property
    def cost(self) -> Cost:
        """What it took."""
        return self.post.cost

    @property
    def misfit(self) -> NDArray[np.float64]:
        """Of each sample."""
        return self.post.misfit

    @property
    def share_error(self) -> float:
        """Root mean square over the tiles."""
        return float(np.sqrt(np.mean(np.square(self._squares)))) if self._squares else 0.0

    @property
    def tiled(self) -> str:
        """How, in words."""
        return f"coupled, {self.post.state.tiling.side}"

    def tiles(self) -> Iterator[Window]:
        """Squares."""
        return Tiling(self.scene.size, SIDE, 1).tiles()

    def arrays(self, tile: Window) -> Arrays:
        """The statistics of a window around a tile, cut to it."""
        from inverse.restoration.case import statistics

        lies, own = self.scene.lies, self._unknown(tile)
        window = self._around(own)
        post, case = self._posterior(window, self._map)
        found = statistics(post, case)
        self._squares.append(post.data_share_error)
        measured = lies.measured(window)
        self._listen(post, tile.inside(measured))
        down, across = case.crop[:2] if case.crop else (0, 0)
        result = own.inside(Window(window.top + down, window.left + across, window.bottom, window.right))
        cut = {}
        for name, values in found.items():
            if values.ndim < 3:
                continue
            place = tile.inside(measured) if name in ON_MEASUREMENT else result
            cut[name] = values[(..., *place)].numpy()
        return cut

    @cached_property
    def _map(self) -> Map | None:
        """The calibration of parts of this scene; its factor of an image is by the scene's mean data share, which is a pass over all tiles."""
        if self.calibration is None or self.calibration.power == 0:
            return self.calibration
        total = count = 0.0
        for tile in self.tiles():
            own = self._unknown(tile)
            window = self._around(own)
            post, _ = self._posterior(window, None)
            share = post.data_share[(..., *own.inside(window))]
            total, count = total + float(share.double().sum()), count + share.numel()
        return self.calibration.of_image(total / count)

    def _around(self, own: Window) -> Window:
        """A window that knows all of a part of the unknown."""
        lies = self.scene.lies
        halo = lies.spill if lies.diagonal else self.post.layout.solve + lies.spill + SMOOTHED
        return self.post.state.tiling.window(own, halo)

    def told(self) -> dict[str, float]:
        """What the residuals say."""
        return averaged([lags.told() for lags in self._lags.values()])

    def close(self) -> None:
        """Close the state's files."""
        self.post.state.close()

    def _unknown(self, tile: Window) -> Window:
        """Where a tile of the measurement lies in the unknown."""
        factor, margin = self.scene.lies.factor, self.scene.lies.margin
        down, across = (count - (count + 1) // 2 for count in margin)
        top, left, bottom, right = (factor * end for end in (tile.top, tile.left, tile.bottom, tile.right))
        return Window(top + down, left + across, bottom + down, right + across)

    def _posterior(self, window: Window, calibration: Map | None) -> tuple[Posterior, Case]:
        from inverse.operators.observation import Observation
        from inverse.posterior.posterior import Posterior
        from inverse.restoration.case import Case

        problem = self.post.layout.problem
        y, physics = self.scene.observe(window)
        shape = (self.scene.lies.shape[0], *window.size)
        sigma = problem.observation.sigma
        states = np.stack([self.post.sample(index, window) for index in range(self.post.samples)])[:, None]
        post = Posterior(
            states=torch.from_numpy(states).to(sigma), observation=Observation(y, physics, sigma, shape), prior_mean=problem.prior_mean,
            data_var=problem.card.data_var, cost=self.cost, items=(self.item,), method=self.method, levels=problem.levels,
            calibration=calibration,
        )  # fmt: skip
        return post, Case(y, physics, shape, self.scene.sigma, self.scene.estimated)

    def _listen(self, post: Posterior, place: tuple[slice, slice]) -> None:
        for index, sample in enumerate(post.states):
            found = standardised(post.observation, sample)
            if found is not None:
                z, weight = (value[0][(..., *place)] for value in found)
                self._lags.setdefault(index, Lags()).add(z, weight)
