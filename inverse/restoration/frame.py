"""Between what a file holds and what is solved: one frame a picture, a slice of a volume, or a slice of raw k-space.

Frames are solved one by one, each with noise of its own, so that a slice's result does not depend on how many others
its file has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inverse.errors import InputError
from inverse.io.content import STRETCH, Picture, Scan, Span, Volume, require
from inverse.io.transfer import to_data
from inverse.operators.measurement import Measurement
from inverse.recipes.sections import Data

__all__ = ["MINIMUM_SIDE", "Frame", "count", "first_filled", "frame", "frame_shape", "nothing_in", "of_content", "zero"]

Content = Picture | Volume | Scan

#: Smallest side of a picture: below it there is no neighbourhood to estimate anything from.
MINIMUM_SIDE = 16
#: Values a percentile is taken of, evenly spread over the scene.
SAMPLED = 1_000_000


@dataclass(frozen=True)
class Frame:
    """One of the images of a file."""

    content: Content  # all of the file
    index: int  # which frame
    span: Span | None  # the file's values that are 0 and 1 in data units; None: by their type

    @property
    def picture(self) -> Picture | None:
        """The picture or the slice; None for raw k-space."""
        if isinstance(self.content, Volume):
            return self.content.slices[self.index]
        return self.content if isinstance(self.content, Picture) else None

    @property
    def whole(self) -> bool:
        """Whether the file holds one picture, which is read and written as such."""
        return isinstance(self.content, Picture)

    @property
    def lost(self) -> tuple[str, ...]:
        """What of the file a result will not have, said once a file."""
        return self.content.lost if not isinstance(self.content, Scan) and self.index == 0 else ()

    def measurement(self, transfer: str, *, device: str = "cpu") -> Measurement:
        """What was measured, in data units."""
        if isinstance(self.content, Scan):
            y = torch.from_numpy(np.array(self.content.kspace[self.index]))[None].to(device)
            return Measurement(y, None, self._facts())
        picture = self.picture
        assert picture is not None
        y = torch.from_numpy(to_data(picture, transfer, self.span))[None].to(device)
        valid = None
        if picture.valid is not None and not picture.valid.all():
            planes = picture.valid[None] if picture.valid.ndim == 2 else np.moveaxis(picture.valid, -1, 0)
            valid = torch.from_numpy(np.ascontiguousarray(planes))[None].to(device, y.dtype)
            y = torch.where(valid > 0, y, torch.zeros_like(y))
        facts = {**picture.extra, **zero(self.span)}
        if transfer != "srgb" or self.span is not None:  # it is of the values as they are stored
            facts.pop("deviation", None)
        if isinstance(self.content, Volume) and "optics" in self.content.extra:
            facts["optics"] = self.content.extra["optics"]
        if "quantisation" in facts:  # of the file's own values
            planes = np.moveaxis(picture.array.reshape(*picture.size, -1), -1, 0)
            facts |= {"pixels": torch.from_numpy(planes.astype(np.float32))[None].to(device), "data": y}
        return Measurement(y, valid, facts)

    def _facts(self) -> Mapping[str, Any]:
        scan = self.content
        assert isinstance(scan, Scan)
        facts: dict[str, Any] = {**scan.extra, "shape": scan.shape, "noise": scan.noise, "notes": scan.notes}
        for name in ("mask", "trajectory"):
            value: NDArray[Any] | None = getattr(scan, name)
            facts[name] = None if value is None else value[self.index if len(value) > 1 else 0]
        return facts


def zero(span: Span | None) -> dict[str, Any]:
    """The data units of a file's 0, as a fact of its measurement; nothing where values were not stretched."""
    if span is None:
        return {}
    low, high = (np.asarray(end, np.float64).reshape(-1) for end in span)
    return {"zero": torch.from_numpy(-low / (high - low))}


def count(content: Content) -> int:
    """How many frames a file holds."""
    if isinstance(content, Volume):
        return len(content.slices)
    return len(content.kspace) if isinstance(content, Scan) else 1


def frame(content: Content, index: int, data: Data, *, channels: int | None = None, minimum: int = 1) -> Frame:
    """A frame of a file.

    Args:
        content: What was read.
        index: Which.
        data: The recipe's section.
        channels: Of the prior; None accepts any.
        minimum: The smallest allowed height and width.

    Raises:
        InputError: the prior cannot take it.
    """
    if isinstance(content, Scan):
        if channels not in (None, 2):
            raise InputError(
                f"{content.source}: raw k-space, the prior is of real images",
                "choose a prior of complex images: -s prior.name=mri",
            )
        return Frame(content, index, None)
    slices = content.slices if isinstance(content, Volume) else (content,)
    require(slices[index], channels=channels, minimum=minimum)
    if data.scale == "type":
        return Frame(content, index, None)
    if not isinstance(data.scale, str):
        return Frame(content, index, data.scale)
    return Frame(content, index, _stretch(slices, each=data.scale == "bands"))


def nothing_in(content: Content, index: int) -> str:
    """Why there is nothing to solve in a frame of a file whose other frames hold something; "" where there is.

    Volumes have empty slices at their ends, and numbers of slices gaps: they stay as they are.
    """
    why = _flat(content, index)
    if not why or all(_flat(content, other) for other in range(count(content)) if other != index):
        return ""
    return why


def first_filled(content: Content) -> int:
    """The first frame that holds something, or the first."""
    return next((index for index in range(count(content)) if not _flat(content, index)), 0)


def _flat(content: Content, index: int) -> str:
    if isinstance(content, Scan):
        return "" if content.kspace[index].any() else "no sample of it was measured"
    if not isinstance(content, Volume):
        return ""
    picture = content.slices[index]
    values = picture.array.reshape(*picture.size, -1)
    if picture.valid is not None:
        values = values[np.broadcast_to(picture.valid.reshape(*picture.size, -1), values.shape)]
        if not values.size:
            return "no pixel of it holds a value"
    return f"all its values are {float(values.flat[0]):g}" if (values == values.flat[0]).all() else ""


def of_content(operator: Mapping[str, Any], content: Content) -> Mapping[str, Any]:
    """A recipe's operator with what the file alone can tell: the size of the image of samples off the grid."""
    if not isinstance(content, Scan) or content.trajectory is None or min(content.shape) < 1:
        return operator
    unknown = operator.get("kind") == "mri-radial" and operator.get("image") is None
    return {**operator, "image": content.shape} if unknown else operator


def frame_shape(content: Content, index: int) -> tuple[int, ...]:
    """(C, h, w) of a frame's measurement; (coils, ...) of raw k-space."""
    if isinstance(content, Scan):
        return tuple(content.kspace.shape[1:])
    picture = content.slices[index] if isinstance(content, Volume) else content
    return (picture.channels, *picture.size)


def _stretch(slices: tuple[Picture, ...], *, each: bool) -> Span:
    """The values that become 0 and 1, the same for all slices.

    They are the same for all bands too, so that their ratios stay, or for each its own.
    """
    if not each:
        return _percentiles(slices, None)
    bands = [_percentiles(slices, band) for band in range(slices[0].channels)]
    return tuple(low for low, _ in bands), tuple(high for _, high in bands)


def _percentiles(slices: tuple[Picture, ...], band: int | None) -> tuple[float, float]:
    chosen = []
    step = max(1, sum(picture.array.size for picture in slices) // SAMPLED)
    for picture in slices:
        planes = picture.array.reshape(*picture.size, -1)
        valid = np.ones(planes.shape, bool)
        if picture.valid is not None:
            valid = np.broadcast_to(picture.valid.reshape(*picture.size, -1), planes.shape)
        if band is not None:
            planes, valid = planes[..., band], valid[..., band]
        chosen.append(planes[valid][::step])
    values = np.concatenate(chosen)
    if not values.size:
        raise InputError(f"{slices[0].source}: no pixel holds a value", "is its nodata value right?")
    low, high = (float(value) for value in np.percentile(values, STRETCH))
    if not high > low:
        raise InputError(f"{slices[0].source}: all values are {low:g}", "say which are black and white: data.scale")
    return low, high
