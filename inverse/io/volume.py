"""A file that holds several two-dimensional images: restored slice by slice, written as one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from inverse.io.picture import Picture

__all__ = ["Volume"]


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
