"""A file that holds several two-dimensional images: restored slice by slice, written as one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from inverse.errors import OutputError
from inverse.io.formats import FORMATS, function
from inverse.io.picture import Array, Picture

__all__ = ["Volume", "float_volume", "slices_of", "stack"]

SAID = "slices are treated one by one, in two dimensions"


@dataclass(frozen=True, eq=False, kw_only=True)
class Volume:
    """The slices of one file and what must survive its round trip.

    Attributes:
        slices: Pictures of one size, dtype and number of channels, in the file's order.
        format: A key of `inverse.io.FORMATS`; `inverse.io.write_volume` writes this format.
        extra: What the format needs to write itself back (affine, header, axes).
        notes: What was converted on reading, and that the slices are treated one by one.
        source: The path as it was given, for messages.
    """

    slices: tuple[Picture, ...]
    format: str
    extra: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    source: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a slice."""
        return self.slices[0].size

    @property
    def channels(self) -> int:
        """Number of channels of a slice."""
        return self.slices[0].channels


def slices_of(array: Array, *, format: str, source: str) -> tuple[Picture, ...]:  # noqa: A002
    """(S, H, W) or (S, H, W, C) as pictures."""
    return tuple(Picture(array=np.ascontiguousarray(part), format=format, source=source) for part in array)


def stack(volume: Volume) -> Array:
    """The slices as (S, H, W) or (S, H, W, C)."""
    return np.stack([picture.array for picture in volume.slices])


def float_volume(array: Array, *, like: Volume) -> Volume:
    """A map of a volume's slices, such as their uncertainty, as a volume of the same kind.

    Args:
        array: (S, C, H, W) or (S, H, W), any range; height and width may differ from those of `like`.
        like: The volume whose format and metadata are taken over, less what says how its values are stored (`Format.float_map`).
    """
    values = np.asarray(array, np.float32)
    values = np.moveaxis(values, 1, -1) if values.ndim == 4 else values
    values = values[..., 0] if values.ndim == 4 and values.shape[-1] == 1 and like.slices[0].array.ndim == 2 else values
    spec = FORMATS.get(like.format)
    if spec is None or not spec.float_map:
        return replace(like, slices=slices_of(values, format=like.format, source=like.source))
    make = function(spec.float_map, title=spec.title, source=like.source, error=OutputError)
    slices = tuple(make(part, replace(one, extra=like.extra)) for part, one in zip(values, like.slices, strict=True))
    return replace(like, slices=slices, extra=slices[0].extra)
