"""A measured scene: in memory (`Scene`), or in a file (GeoTIFF, TIFF, Zarr) that is read by windows (`FileScene`).

What belongs to the whole scene of a file is found in one pass over it, in strips: the percentiles of ``data.scale`` (of
the same sample of values as of a scene in memory), whether pixels are missing, the range of the values. The noise level
``auto`` is the median over up to nine parts of 1024 x 1024 pixels: of a scene that is one part what is estimated in
memory. A mask that is not the file's own (``operator.file``, simulated gaps) is one of the whole scene: it is made at
once, and kept as a byte a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inverse.errors import InputError, RecipeError
from inverse.io.content import STRETCH, Picture, Span, require
from inverse.io.tiling import Tiling, Window
from inverse.io.windows import Windows
from inverse.operators.build import located, operator_for, own_level, result_shape, stated_operator
from inverse.operators.catalogue import operator_spec
from inverse.operators.image.holes import Shares, is_mask, of_file, settled_shares
from inverse.operators.image.masks import masked, restricted
from inverse.operators.local import Local, local, part
from inverse.operators.measurement import Measurement
from inverse.operators.noise.clipped import estimate_clipped_sigma
from inverse.operators.noise.fit import fit_noise
from inverse.recipes.recipe import Recipe
from inverse.restoration.frame import MINIMUM_SIDE, SAMPLED, Frame
from inverse.scenes.blocks import require_local
from inverse.scenes.ends import Ends, scene_ends

__all__ = ["HEAD", "FileScene", "MeasuredScene", "Scene", "grids", "open_scene"]

#: Side of the part of a scene that decides the method, and of the parts that noise is estimated on.
HEAD = 1024
STRIP = 256
PARTS = 9


@dataclass(frozen=True)
class Scene:
    """A measured scene in memory."""

    y: Tensor  # (1, C, h, w)
    physics: Any
    lies: Local

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the measurement."""
        return self.y.shape[-2], self.y.shape[-1]

    def observe(self, window: Window, *, alone: bool = False) -> tuple[Tensor, Any]:
        """The measurement (1, C, h, w) that a window of the unknown explains, and its physics with its noise.

        ``alone``: as if the scene ended there.
        """
        y, physics = part(self.y, self.lies.measured(window)), self.physics.cut(window)
        seen = None if alone else self.lies.seen(window, y)
        if seen is None:
            return y, physics
        return y * seen, restricted(physics, seen, (self.lies.shape[0], *window.size))


@dataclass(frozen=True)
class FileScene:
    """A measured scene in an open file."""

    opened: Windows
    source: str  # what messages call it
    recipe: Recipe
    lies: Local
    span: Span | None  # the file's values that are 0 and 1 in data units
    sigma: float = 0.0  # noise level, data units
    estimated: bool = False  # whether it was estimated
    gaps: bool = False  # whether pixels have no value in the file
    each: bool = False  # whether bands miss different pixels
    mask: NDArray[np.bool_] | None = None  # (H, W), False where the operator hides a pixel; None: nowhere
    head: Window | None = None  # the part of the unknown that decides the method
    device: str = "cpu"  # where windows are computed
    said: tuple[str, ...] = ()  # what of the operator the file says
    ends: Ends | None = None  # what of its values was clipped

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the measurement."""
        return self.opened.size

    def picture(self, window: Window) -> Picture:
        """A window of the measurement, which may hold no value at all."""
        picture = self.opened.picture(window.top, window.left, *window.size, empty=True)
        if self.each and picture.valid is not None and picture.valid.ndim == 2:
            return replace(picture, valid=np.broadcast_to(picture.valid[..., None], picture.array.shape))
        return picture

    def measured(self, window: Window) -> tuple[Tensor, Tensor | None]:
        """A window (1, C, h, w) in data units, zero where there is no value; and 1 where there is; None: everywhere."""
        measurement = Frame(self.picture(window), 0, self.span).measurement(
            self.recipe.data.transfer, device=self.device
        )
        y, valid = measurement.y, measurement.valid
        if self.mask is not None:
            shown = torch.from_numpy(np.ascontiguousarray(self.mask[window.slices]))[None, None].to(y)
            y, valid = y * shown, shown if valid is None else valid * shown
        return y, valid

    def observe(self, window: Window, *, alone: bool = False) -> tuple[Tensor, Any]:
        """As `Scene.observe`."""
        y, valid = self.measured(self.lies.measured(window))
        seen = None if alone else self.lies.seen(window, y)
        if seen is not None:
            y, valid = y * seen, seen if valid is None else valid * seen
        spec = {"kind": "denoise"} if self.mask is not None else self.recipe.located()["operator"]
        physics = operator_for(spec, tuple(y.shape[1:]), noise=self.sigma)[0]  # the mask is laid over it
        shape = (self.lies.shape[0], *window.size)
        physics = (physics if valid is None else masked(physics, valid, shape)).to(y.device)
        if self.ends is None:
            return y, physics
        return self.ends.laid(y, physics, self.lies.measured(window), self.size, self.measured, shape)


MeasuredScene = Scene | FileScene


def open_scene(
    opened: Windows, recipe: Recipe, *, source: str, channels: int | None, device: str = "cpu", coupled: bool = True
) -> FileScene:
    """A scene, and what is known of the whole of it; ``source`` is what messages call it, the channels are the prior's.

    Coupled tiles ask more of the operator than independent ones.

    Raises:
        RecipeError: an operator, or noise, that is not the same everywhere.
        InputError: a scene without values.
    """
    height, width = opened.size
    first = FileScene(opened, source, recipe, Local((1, height, width)), None, device=device)
    small = first.picture(Window(0, 0, STRIP, STRIP).clipped(height, width))
    require(small, channels=channels, minimum=MINIMUM_SIDE)
    stated, said = stated_operator(recipe.operator, small.extra)
    recipe = recipe.model_copy(update={"operator": type(recipe.operator).model_validate(stated)}) if said else recipe
    first = replace(first, recipe=recipe, said=said)
    bands, operator = small.channels, recipe.located()["operator"]
    span, gaps, each = _surveyed(first, bands)
    mask: NDArray[np.bool_] | None = None
    if coupled:
        near, mask = grids(recipe, (bands, height, width))
        _, shape = located(operator, (bands, height, width))
        diagonal = near.diagonal and not (gaps and near.factor > 1)
        lies = replace(near, shape=(shape[0], shape[1], shape[2]), diagonal=diagonal)
    else:
        lies = _blocks(recipe, (bands, height, width))
    scene = replace(first, lies=lies, span=span, gaps=gaps, each=each, mask=mask)
    scene = _settled(scene) if is_mask(operator) else scene
    if recipe.noise.kind != "gaussian":
        return scene
    sigma = recipe.noise.sigma
    if isinstance(sigma, tuple):
        return scene
    if coupled:
        scene = _with_ends(scene)
    level = float(sigma) if not isinstance(sigma, str) else _level(scene)
    return replace(scene, head=_head(scene) if coupled else None, sigma=level, estimated=isinstance(sigma, str))


def _settled(scene: FileScene) -> FileScene:
    """A scene with the hole that was meant: of a shipped recipe's mask at random what has no value in the file.

    Raises:
        InputError: a mask that does not say where the hole is.
    """
    operator, mask = scene.recipe.located()["operator"], scene.mask
    if mask is None and not of_file(operator):
        return scene
    bare, total, there, seen, hidden = replace(scene, mask=None), 0, 0.0, 0.0, 0.0
    for strip in _windows(scene):
        y, valid = bare.measured(strip)
        known = torch.ones_like(y) if valid is None else valid.expand(y.shape)
        shown = torch.ones_like(y)
        if mask is not None:
            shown = torch.from_numpy(np.ascontiguousarray(mask[strip.slices]))[None, None].to(y).expand(y.shape)
        total, there = total + y.numel(), there + float((known > 0).sum())
        seen += float(((known * shown) > 0).sum())
        hidden += float(((shown == 0) & (y != 0)).sum())
    shares = Shares((total - there) / total, seen / total, hidden / total)
    chosen, said = settled_shares(operator, shares, asked=not scene.recipe.assumes_operator)
    whole = np.ones(scene.size, bool) if chosen["kind"] != operator["kind"] and mask is not None else mask
    return replace(scene, mask=whole, said=(*scene.said, *said))


def _with_ends(scene: FileScene) -> FileScene:
    """A scene with what of it was clipped."""
    operator = scene.recipe.located()["operator"]
    if scene.mask is not None:
        return scene
    like = scene.measured(Window(0, 0, STRIP, STRIP).clipped(*scene.size))[0]
    physics = operator_for(operator, tuple(like.shape[1:]))[0].to(like.device)
    ends = scene_ends(scene.recipe, _windows(scene), scene.measured, physics, like)
    return scene if ends is None else replace(scene, ends=ends, said=(*scene.said, ends.said))


def grids(recipe: Recipe, shape: tuple[int, int, int]) -> tuple[Local, NDArray[np.bool_] | None]:
    """How the operator lies on a measurement (C, H, W), and its mask where it is one of the whole scene.

    Raises:
        RecipeError: it is not local, or noise that is not the same everywhere.
    """
    operator, noise = recipe.located()["operator"], recipe.noise
    if noise.kind != "gaussian" or isinstance(noise.sigma, tuple):
        raise RecipeError(
            f"noise of kind {noise.kind} has no coupled tiles: its weights are taken from the whole scene",
            "allowed: gaussian noise of one level; or --tile independent",
        )
    spec = operator_spec(operator["kind"])
    if spec.mask and not (spec.local and not spec.placed_by(operator)):
        whole = operator_for(operator, shape)[0].mask[0, 0].numpy() > 0
        return Local(shape), whole
    corner = (shape[0], *(min(STRIP, side) for side in shape[1:]))
    near = local(operator_for(operator, corner)[0])
    require_local(recipe)
    return near, None


def _blocks(recipe: Recipe, shape: tuple[int, int, int]) -> Local:
    """How large the result of blocks is.

    Raises:
        RecipeError: an operator that is another in each part of a scene.
    """
    require_local(recipe)
    channels, height, width = result_shape(recipe.located()["operator"], shape)
    factor = height // shape[1]
    if (height, width) != (factor * shape[1], factor * shape[2]):
        raise RecipeError("the operator's result is no whole number of times as large", "restore the whole")
    return Local((channels, height, width), factor)


def _windows(scene: FileScene) -> Iterator[Window]:
    height, width = scene.size
    for top in range(0, height, STRIP):
        yield Window(top, 0, min(height, top + STRIP), width)


def _strips(scene: FileScene) -> Iterator[Picture]:
    yield from map(scene.picture, _windows(scene))


def _surveyed(scene: FileScene, bands: int) -> tuple[Span | None, bool, bool]:
    """The scene's span, whether pixels are missing, and whether each band misses others."""
    scale = scene.recipe.data.scale
    wanted = scale in ("auto", "bands")
    step = max(1, scene.size[0] * scene.size[1] * bands // SAMPLED)
    taken: list[list[NDArray[Any]]] = [[] for _ in range(bands if scale == "bands" else 1)]
    passed, gaps, each, seen = [0] * len(taken), False, False, False
    for strip in _strips(scene):
        planes = strip.array.reshape(*strip.size, -1)
        valid = np.ones(planes.shape, bool)
        if strip.valid is not None:
            valid = np.broadcast_to(strip.valid.reshape(*strip.size, -1), planes.shape)
            gaps, each = gaps or not strip.valid.all(), each or strip.valid.ndim == 3
        seen = seen or bool(valid.any())
        for index, chosen in enumerate(taken if wanted else []):
            band = (..., index) if scale == "bands" else (...,)
            values = planes[band][valid[band]]
            chosen.append(values[-passed[index] % step :: step])
            passed[index] += len(values)
    if not seen:
        raise InputError(f"{scene.source}: no pixel has a value: all are nodata", "check the file's nodata value")
    if not wanted:
        return None if isinstance(scale, str) else scale, gaps, each
    ends = []
    for chosen in taken:
        values = np.concatenate(chosen)
        low, high = (float(end) for end in np.percentile(values, STRETCH)) if values.size else (0.0, 0.0)
        if not high > low:
            raise InputError(f"{scene.source}: all values are {low:g}", "say which are black and white: data.scale")
        ends.append((low, high))
    if scale == "auto":
        return ends[0], gaps, each
    return (tuple(low for low, _ in ends), tuple(high for _, high in ends)), gaps, each


def _places(scene: FileScene) -> list[Window]:
    """Parts of the measurement, whole ones first, from the middle on."""
    parts = list(Tiling(scene.size, HEAD, 1).tiles())
    order = sorted(range(len(parts)), key=lambda index: (-min(parts[index].size), abs(index - len(parts) // 2)))
    return [parts[index] for index in order]


def _head(scene: FileScene) -> Window:
    """A part of the unknown that is half observed at least, and has gaps where the scene has."""
    fallback: Window | None = None
    factor, (rows, columns) = scene.lies.factor, scene.lies.margin
    gaps = scene.gaps or scene.mask is not None
    for place in _places(scene):
        _, valid = scene.measured(place)
        share = 1.0 if valid is None else float(valid.mean())
        head = place.scaled(factor)
        head = Window(head.top, head.left, head.bottom + rows, head.right + columns).clipped(*scene.lies.shape[-2:])
        fallback = head if fallback is None and share > 0 else fallback
        if share > 0.5 and gaps == (share < 1):
            return head
    assert fallback is not None
    return fallback


def _level(scene: FileScene) -> float:
    """The noise level, estimated."""
    levels = []
    places = _places(scene)
    for place in places[:: -(-len(places) // PARTS)]:
        y, valid = scene.measured(place)
        if len(places) == 1 or (min(y.shape[-2:]) >= STRIP and (valid is None or float(valid.mean()) > 0.5)):
            seen = None if valid is None else valid.expand(y.shape)
            known = own_level(scene.recipe.located()["operator"], Measurement(y, valid))
            if scene.ends is not None and not scene.ends.reach and known is None:
                known = estimate_clipped_sigma(y, scene.ends.at(y, valid), valid) or None
                known = None if known is not None and math.isnan(known) else known
            levels.append(fit_noise(scene.recipe.noise, y, observed=seen, sigma=known).sigma)
    if not levels:
        raise InputError(
            f"{scene.source}: too few observed pixels to estimate the noise", "give it: -s noise.sigma=0.01"
        )
    return float(np.median(levels))
