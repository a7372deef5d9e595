"""The files of a scene, written by windows.

They are the restored image, its standard deviations and ``posterior.h5``; what a figure shows is kept, thinned.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inverse.io.content import Picture, widths
from inverse.io.hdf5_windows import Put, open_chunked
from inverse.io.nodata import REACH, closed, filled_by, still_valid
from inverse.io.read_write import float_picture, result_path
from inverse.io.tiling import Tiling, Window
from inverse.io.transfer import from_data
from inverse.io.windows import in_blocks, open_writer
from inverse.restoration.figure import LIMIT
from inverse.restoration.item import INTERVAL
from inverse.restoration.result import Made
from inverse.restoration.write_item import DATASETS
from inverse.scenes.independent import Independent
from inverse.scenes.results import ON_MEASUREMENT, Arrays, ScenePosterior
from inverse.scenes.source import FileScene
from inverse.storage.files import file_hash

__all__ = ["SolvedScene", "Written", "write_scene"]

SolvedScene: TypeAlias = ScenePosterior | Independent

BLOCK = 512
FOOTPRINT = 1024
SHOWN = ("measurement", "mean", "std", "data_share", "invented", "observed")
Valid = NDArray[np.bool_] | None
_Put = Callable[[int, int, Picture], None]


@dataclass(frozen=True)
class Written:
    """The files of a scene, and what is known of it once they are written."""

    made: Made
    share: float  # mean data share
    values: tuple[float, float, float]  # as of `inverse.restoration.case.Case.values`
    shown: Arrays  # what a figure shows, thinned


def write_scene(
    out: Path,
    item: str,
    scene: FileScene,
    solved: SolvedScene,
    *,
    keep: Sequence[str],
    stamp: str,
    attributes: Mapping[str, Any],
) -> Written:
    """Write a scene's files, each whole or not at all; the caller writes the figure, and the marker after all.

    What is kept is of `inverse.restoration.write_item.KEEP`; the stamp is one line of provenance, the attributes are
    those of ``posterior.h5``.

    Raises:
        OutputError: something cannot be written.
    """
    with ExitStack() as stack:
        writer = _Writer(out, item, scene, solved, tuple(keep), stamp, stack)
        described: dict[str, dict[str, Any]] = {"": {**attributes, "item": item, "stamp": stamp}}
        put = stack.enter_context(open_chunked(out / writer.arrays, described))
        for tile in writer.tiles:
            writer.tile(tile, put)
        if "misfit" in keep:
            put("misfit", solved.misfit.astype(np.float32), (0, 0), None)
        described[""]["data_share_error"] = solved.share_error
        described["quantiles"] = {"q": INTERVAL}
        described["data_share"] = {"standard_error": solved.share_error}
    return writer.written()


class _Writer:
    """The open files, and sums over the tiles."""

    def __init__(
        self,
        out: Path,
        item: str,
        scene: FileScene,
        solved: SolvedScene,
        keep: tuple[str, ...],
        stamp: str,
        stack: ExitStack,
    ) -> None:
        self.out, self.scene, self.solved, self.keep, self.stack = out, scene, solved, keep, stack
        self.tiles = list(solved.tiles())
        self.factor = scene.lies.factor
        self.size = (self.factor * scene.size[0], self.factor * scene.size[1])
        self.shown: Arrays = {}
        self.low, self.high = np.inf, -np.inf
        self.sums: defaultdict[str, float] = defaultdict(float)
        self._valid = _kept(scene)
        self._like = _tiled(scene, self.tiles[0])
        name = result_path(item, self._like.format).as_posix()
        self.restored, self.std, self.arrays = f"restored/{name}", f"std/{name}", f"items/{item}/posterior.h5"
        self.files = [self.restored, self.arrays]
        self._provenance = {"inverse:run": stamp}
        self._put = self._opened(self.restored, self._like, {})
        self._put_std: _Put | None = None

    def _opened(self, path: str, like: Picture, said: Mapping[str, str]) -> _Put:
        provenance = {**self._provenance, **said}
        writer = open_writer(self.out / path, like, size=self.size, provenance=provenance, overwrite=True)
        return self.stack.enter_context(writer)

    def tile(self, tile: Window, put: Put) -> None:
        """Write all of a tile."""
        scene, place = self.scene, tile.scaled(self.factor)
        y, observed = scene.measured(tile)
        arrays = self.solved.arrays(tile) | {"measurement": y[0].cpu().numpy()}
        if scene.gaps or scene.mask is not None:
            seen = np.ones((len(y[0]) if scene.each else 1, *tile.size), np.float32)
            arrays["observed"] = seen if observed is None else seen * observed[0].cpu().numpy()
        self._pictures(tile, place, arrays)
        grids = {name: (scene.size, tile) if name in ON_MEASUREMENT else (self.size, place) for name in arrays}
        for name in DATASETS:
            if name in self.keep and name in arrays:
                put(name, arrays[name], *grids[name])
        for name in SHOWN if "figure" in self.keep else ():
            if name in arrays:
                self._show(name, arrays[name], *grids[name])
        self._measured(arrays)

    def _pictures(self, tile: Window, place: Window, arrays: Arrays) -> None:
        measured, recipe, span = self.scene.picture(tile), self.scene.recipe, self.scene.span
        image = arrays["mean"] if recipe.output == "mean" else arrays["samples"][0]
        finite = np.isfinite(image)
        made, clipped = from_data(np.where(finite, image, 0), like=measured, transfer=recipe.data.transfer, span=span)
        valid = None if self._valid is None else self._valid(tile, measured)
        if valid is not None and self.factor > 1:
            valid = valid.repeat(self.factor, 0).repeat(self.factor, 1)
        if not finite.all():
            everywhere = np.asarray(finite.all(0))
            valid = everywhere if valid is None else everywhere & (valid if valid.ndim == 2 else valid.any(-1))
        made = replace(made, valid=valid)
        self._put(place.top, place.left, made)
        self._add(clipped=clipped * image.size, values=image.size, share=float(np.nansum(arrays["data_share"])))
        if "std" not in arrays:
            return
        if self._put_std is None:
            light = {"inverse:light": "linear"} if recipe.data.transfer == "linear" else {}
            ground = float_picture(np.zeros((*self._like.size, len(image)), np.float32), self._like, source=self.std)
            self._put_std = self._opened(self.std, ground, light)
            self.files.insert(1, self.std)
        values = np.moveaxis(widths(span) * np.where(finite, arrays["std"], 0), 0, -1)
        self._put_std(place.top, place.left, replace(float_picture(values, made, source=self.std), valid=valid))

    def _show(self, name: str, values: NDArray[np.float32], size: tuple[int, int], window: Window) -> None:
        """Every n-th pixel of a tile into what a figure shows."""
        step = -(-max(size) // LIMIT)
        whole = self.shown.setdefault(name, np.zeros((len(values), *(-(-side // step) for side in size)), np.float32))
        top, left = -window.top % step, -window.left % step
        thin = np.nan_to_num(values[:, top::step, left::step])
        row, column = (window.top + top) // step, (window.left + left) // step
        whole[:, row : row + thin.shape[1], column : column + thin.shape[2]] = thin

    def _measured(self, arrays: Arrays) -> None:
        """Range of the observed values, and how many are outside that of the data, as `Case.values` says."""
        y, slack = arrays["measurement"], 4 * self.scene.sigma
        if "observed" in arrays:
            y = y[np.broadcast_to(arrays["observed"], y.shape) > 0]
        if not y.size:
            return
        low, high = self.scene.recipe.data.range
        self.low, self.high = min(self.low, float(y.min())), max(self.high, float(y.max()))
        self._add(outside=int(((y < low - slack) | (y > high + slack)).sum()), measured=y.size)

    def _add(self, **values: float) -> None:
        for name, value in values.items():
            self.sums[name] += value

    def written(self) -> Written:
        """What was written, once all files are closed."""
        hashes = {path: file_hash(self.out / path) for path in self.files}
        sums, count = self.sums, max(self.sums["values"], 1)
        made = Made(hashes, self.restored, sums["clipped"] / count)
        values = (self.low, self.high, sums["outside"] / max(sums["measured"], 1))
        return Written(made, sums["share"] / count, values, self.shown)


def _tiled(scene: FileScene, tile: Window) -> Picture:
    """A picture of the scene's kind with as many channels as the result, to be written in blocks (`in_blocks`)."""
    picture = scene.picture(Window(0, 0, 16, 16).clipped(*scene.size))
    channels = scene.lies.shape[0]
    if channels != picture.channels:
        shape = picture.size if channels == 1 else (*picture.size, channels)
        picture = replace(picture, array=np.zeros(shape, picture.array.dtype))
    return in_blocks(picture, size=scene.size, side=min(BLOCK, max(tile.size) * scene.lies.factor))


def _kept(scene: FileScene) -> Callable[[Window, Picture], Valid] | None:
    """Which pixels of a tile get a value; None where all do."""
    fill = filled_by(scene.recipe.located()["operator"])
    if not scene.gaps or fill == "all":
        return None
    if fill == "none":
        return lambda tile, picture: still_valid(picture.valid, fill="none", size=picture.size)
    inside = _footprint(scene)
    return lambda tile, picture: inside[tile.slices]


def _footprint(scene: FileScene) -> NDArray[np.bool_]:
    """`inverse.io.nodata.footprint` of the scene (H, W[, C]), a byte a pixel: closed by windows, its holes at once."""
    bands = scene.lies.shape[0] if scene.each else 1
    inside = np.zeros((*scene.size, bands), bool)
    tiling = Tiling(scene.size, FOOTPRINT, 1)
    for tile in tiling.tiles():
        window = tiling.window(tile, 4 * REACH)
        valid = scene.picture(window).valid
        whole = np.ones((*window.size, 1), bool) if valid is None else valid.reshape(*window.size, -1)
        for band in range(bands):
            values = closed(whole[..., min(band, whole.shape[-1] - 1)])
            inside[(*tile.slices, band)] = values[tile.inside(window)]
    for band in range(bands):
        inside[..., band] = ndimage.binary_fill_holes(inside[..., band])
    return inside if scene.each else inside[..., 0]
