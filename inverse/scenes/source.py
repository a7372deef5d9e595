"""A scene in a file, GeoTIFF, TIFF or Zarr, as a `inverse.scenes.coupled.Source`: read by windows, never whole.

What belongs to the whole scene is found in one pass over it, in strips: the percentiles of ``data.scale`` (of the same sample of values as of a scene in
memory), whether pixels are missing, the range of the values. The noise level ``auto`` is the median over up to nine parts of 1024 x 1024 pixels: of a scene
that is one part what is estimated in memory. A mask that is not the file's own (``operator.file``, simulated gaps) is one of the whole scene: it is made at
once, and kept as a byte a pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from inverse.errors import InputError, RecipeError
from inverse.io.content import Picture, Span
from inverse.io.tiling import Tiling, Window
from inverse.restoration.frame import SAMPLED, STRETCH, Frame
from inverse.scenes.coupled import HEAD
from inverse.scenes.windowed import Local, local

if TYPE_CHECKING:
    from inverse.io.windows import Windows
    from inverse.recipes.recipe import Recipe

__all__ = ["FileScene", "grids", "open_scene"]

STRIP = 256
PARTS = 9
MASKS = ("gap-mask", "file-mask", "box-mask", "random-mask")


@dataclass(frozen=True)
class FileScene:
    """A measured scene in an open file.

    Attributes:
        opened: Read by windows.
        source: What messages call it.
        recipe: What was measured, and how.
        lies: How its grids lie.
        span: The file's values that are 0 and 1 in data units.
        sigma: Noise level, data units.
        estimated: Whether it was estimated.
        gaps: Whether pixels have no value in the file.
        each: Whether bands miss different pixels.
        mask: (H, W), False where the operator hides a pixel; None: nowhere.
        head: The part of the unknown that decides the method.
        device: Where windows are computed.
    """

    opened: Windows
    source: str
    recipe: Recipe
    lies: Local
    span: Span | None
    sigma: float = 0.0
    estimated: bool = False
    gaps: bool = False
    each: bool = False
    mask: NDArray[np.bool_] | None = None
    head: Window | None = None
    device: str = "cpu"

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the measurement."""
        return self.opened.size

    def picture(self, window: Window) -> Picture:
        """A window of the measurement, which may hold no value at all."""
        found = self.opened.picture(window.top, window.left, *window.size, empty=True)
        if self.each and found.valid is not None and found.valid.ndim == 2:
            return replace(found, valid=np.broadcast_to(found.valid[..., None], found.array.shape))
        return found

    def measured(self, window: Window) -> tuple[Tensor, Tensor | None]:
        """A window of the measurement (1, C, h, w) in data units, zero where there is no value, and 1 where there is one; None: everywhere."""
        found = Frame(self.picture(window), 0, self.span).measurement(self.recipe.data.transfer, device=self.device)
        y, valid = found.y, found.valid
        if self.mask is not None:
            own = self._mask(window, y)
            y, valid = y * own, own if valid is None else valid * own
        return y, valid

    def _mask(self, window: Window, like: Tensor) -> Tensor:
        import torch

        assert self.mask is not None
        cut = self.mask[window.top : window.bottom, window.left : window.right]
        return torch.from_numpy(np.ascontiguousarray(cut))[None, None].to(like)

    def observe(self, window: Window, *, alone: bool = False) -> tuple[Tensor, Any]:
        """What a window of the unknown explains; ``alone``: as if the scene ended there."""
        y, valid = self.measured(self.lies.measured(window))
        seen = None if alone else self.lies.seen(window, y)
        if seen is not None:
            y, valid = y * seen, seen if valid is None else valid * seen
        physics = _physics(self.recipe, tuple(y.shape[1:]), self.sigma, masked=self.mask is not None)
        shape = (self.lies.shape[0], *window.size)
        return y, (physics if valid is None else _seen(physics, valid, shape)).to(y.device)


def _physics(recipe: Recipe, shape: tuple[int, ...], sigma: float, *, masked: bool = False) -> Any:
    """The operator of a part of the measurement (C, h, w); a mask of the whole scene is laid over it by `_seen`."""
    from inverse.operators.build import operator_for

    return operator_for({"kind": "denoise"} if masked else recipe.located()["operator"], shape, noise=sigma)[0]


def _seen(physics: Any, valid: Tensor, shape: tuple[int, ...]) -> Any:
    """`inverse.operators.image.masks.restricted`, for a part that may hold no value."""
    from inverse.operators.image.masks import Mask, Restricted
    from inverse.operators.image.matrix import Denoise

    if isinstance(physics, Mask | Denoise):
        mask = physics.mask * valid if isinstance(physics, Mask) else valid
        return Mask(mask, shape=shape, noise_model=physics.noise_model)
    return Restricted(physics, valid, shape=shape)


def open_scene(
    opened: Windows, recipe: Recipe, *, source: str, channels: int | None, device: str = "cpu", coupled: bool = True
) -> FileScene:
    """A scene, and what is known of the whole of it.

    Args:
        opened: The file, open.
        recipe: What was measured, and how.
        source: What messages call it.
        channels: Of the prior.
        device: Where windows are computed.
        coupled: Whether it is for coupled tiles, which ask more of the operator than independent ones.

    Raises:
        RecipeError: an operator, or noise, that is not the same everywhere.
        InputError: a scene without values.
    """
    from inverse.io.content import require
    from inverse.operators.build import located
    from inverse.restoration.case import MINIMUM_SIDE

    height, width = opened.size
    first = FileScene(opened, source, recipe, Local((1, height, width)), None, device=device)
    small = first.picture(Window(0, 0, STRIP, STRIP).clipped(height, width))
    require(small, channels=channels, minimum=MINIMUM_SIDE)
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
    if recipe.noise.kind != "gaussian":
        return scene
    sigma = recipe.noise.sigma
    if isinstance(sigma, tuple):
        return scene
    level = float(sigma) if not isinstance(sigma, str) else _level(scene)
    return replace(scene, head=_head(scene) if coupled else None, sigma=level, estimated=isinstance(sigma, str))


def grids(recipe: Recipe, shape: tuple[int, int, int]) -> tuple[Local, NDArray[np.bool_] | None]:
    """How the operator lies on the scene, and its mask where it is one of the whole scene.

    Args:
        recipe: What was measured, and how.
        shape: (C, H, W) of the measurement.

    Raises:
        RecipeError: it is not local, or noise that is not the same everywhere.
    """
    from inverse.operators.build import operator_for
    from inverse.scenes.blocks import require_local

    operator, noise = recipe.located()["operator"], recipe.noise
    if noise.kind != "gaussian" or isinstance(noise.sigma, tuple):
        raise RecipeError(
            f"noise of kind {noise.kind} has no coupled tiles: its weights are taken from the whole scene",
            "allowed: gaussian noise of one level; or --tile independent",
        )
    plain = operator["kind"] == "gap-mask" and operator["pattern"] == "nodata" and operator["file"] is None
    if operator["kind"] in MASKS and not plain:
        whole = operator_for(operator, shape)[0].mask[0, 0].numpy() > 0
        return Local(shape), whole
    part = (shape[0], *(min(STRIP, side) for side in shape[1:]))
    near = local(operator_for(operator, part)[0])
    require_local(recipe)
    return near, None


def _blocks(recipe: Recipe, shape: tuple[int, int, int]) -> Local:
    """How large the result of blocks is.

    Raises:
        RecipeError: an operator that is another in each part of a scene.
    """
    from inverse.operators.build import result_shape
    from inverse.scenes.blocks import require_local

    require_local(recipe)
    channels, height, width = result_shape(recipe.located()["operator"], shape)
    factor = height // shape[1]
    if (height, width) != (factor * shape[1], factor * shape[2]):
        raise RecipeError("the operator's result is no whole number of times as large", "restore the whole")
    return Local((channels, height, width), factor)


def _strips(scene: FileScene) -> Iterator[Picture]:
    height, width = scene.size
    for top in range(0, height, STRIP):
        yield scene.picture(Window(top, 0, min(height, top + STRIP), width))


def _surveyed(scene: FileScene, bands: int) -> tuple[Span | None, bool, bool]:
    """The scene's span, whether pixels are missing, and whether each band misses others."""
    scale = scene.recipe.data.scale
    wanted = scale in ("auto", "bands")
    step = max(1, scene.size[0] * scene.size[1] * bands // SAMPLED)
    taken: list[list[NDArray[Any]]] = [[] for _ in range(bands if scale == "bands" else 1)]
    passed, gaps, each, seen = [0] * len(taken), False, False, False
    for one in _strips(scene):
        planes = one.array.reshape(*one.size, -1)
        valid = np.ones(planes.shape, bool)
        if one.valid is not None:
            valid = np.broadcast_to(one.valid.reshape(*one.size, -1), planes.shape)
            gaps, each = gaps or not one.valid.all(), each or one.valid.ndim == 3
        seen = seen or bool(valid.any())
        for index, chosen in enumerate(taken if wanted else []):
            own = (..., index) if scale == "bands" else (...,)
            values = planes[own][valid[own]]
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
        own = Window(place.top * factor, place.left * factor, place.bottom * factor, place.right * factor)
        own = Window(own.top, own.left, own.bottom + rows, own.right + columns).clipped(*scene.lies.shape[-2:])
        fallback = own if fallback is None and share > 0 else fallback
        if share > 0.5 and gaps == (share < 1):
            return own
    assert fallback is not None
    return fallback


def _level(scene: FileScene) -> float:
    """The noise level, estimated."""
    from inverse.operators.noise.fit import fit_noise

    found = []
    places = _places(scene)
    for place in places[:: -(-len(places) // PARTS)]:
        y, valid = scene.measured(place)
        if len(places) == 1 or (min(y.shape[-2:]) >= STRIP and (valid is None or float(valid.mean()) > 0.5)):
            seen = None if valid is None else valid.expand(y.shape)
            found.append(fit_noise(scene.recipe.noise, y, observed=seen).sigma)
    if not found:
        raise InputError(
            f"{scene.source}: too few observed pixels to estimate the noise", "give it: -s noise.sigma=0.01"
        )
    return float(np.median(found))
