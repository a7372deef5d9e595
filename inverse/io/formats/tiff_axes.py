"""Axes of TIFF files with several pages, and the descriptions that name them: OME-XML, ImageJ, tifffile's own.

Rows and columns are Y and X, channels S (samples of a pixel) or else C; every other axis (Z, T, pages) is one of
slices, the last running fastest. OME-XML is edited in place, so that channel names, objectives and annotations stay:
SizeX, SizeY, the type, PhysicalSizeX and Y (scaled, the extent stays), one TiffData for all pages, no UUID.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from inverse.errors import InputError
from inverse.io.content import Array

__all__ = ["Axes", "described", "edited", "parsed"]

_TYPES = {"u1": "uint8", "u2": "uint16", "u4": "uint32", "i1": "int8", "i2": "int16", "i4": "int32"}
_FLOATS = {4: "float", 8: "double"}


@dataclass(frozen=True)
class Axes:
    """The layout of a TIFF's array."""

    names: str  # tifffile's letters of the axes longer than 1, and Y and X, in the file's order
    front: tuple[int, ...]  # sizes of the axes of slices
    size: tuple[int, int]  # height and width as read

    @property
    def channel(self) -> str:
        """The letter of the channel axis, or ""."""
        return "S" if "S" in self.names else "C" if "C" in self.names else ""

    @property
    def slices(self) -> str:
        """The letters of the axes of slices."""
        return "".join(name for name in self.names if name not in "YX" + self.channel)

    @property
    def layout(self) -> str:
        """Where the channels are: ``contig`` (interleaved), ``planar`` or ``pages``."""
        if self.channel != "S":
            return "pages" if self.channel else "contig"
        return "contig" if self.names.endswith("S") else "planar"

    def arranged(self, array: Array) -> Array:
        """An array with all its axes to (N, H, W) or (N, H, W, C); N is 1 where there are no slices."""
        order = self.slices + "YX" + self.channel
        turned = array.transpose([self.names.index(name) for name in order])
        return turned.reshape(-1, *turned.shape[len(self.front) :])

    def restored(self, array: Array) -> Array:
        """(N, h, w) or (N, h, w, C) to the file's order of axes."""
        order = self.slices + "YX" + (self.channel if array.ndim == 4 else "")
        front = self.front if np.prod(self.front, dtype=int) == len(array) else (len(array),)
        whole = array.reshape(*front, *array.shape[1:])
        names = "".join(name for name in self.names if name in order)
        return np.ascontiguousarray(whole.transpose([order.index(name) for name in names]))


def parsed(names: str, shape: tuple[int, ...], source: str) -> Axes:
    """The axes of an array as tifffile names them, those of size 1 left out.

    Raises:
        InputError: There are no rows and columns, or a letter comes twice.
    """
    pairs = [(name, size) for name, size in zip(names, shape, strict=True) if size != 1 or name in "YX"]
    kept = "".join(name for name, _ in pairs)
    if kept.count("Y") != 1 or kept.count("X") != 1 or len(set(kept)) != len(kept):
        raise InputError(f"{source}: a TIFF with axes {names} of sizes {shape}, no image", "save it with axes YX")
    sizes = dict(pairs)
    axes = Axes(kept, (), (sizes["Y"], sizes["X"]))
    return Axes(kept, tuple(sizes[name] for name in axes.slices), axes.size)


def described(extra: Mapping[str, Any], values: Array, axes: Axes) -> str | None:
    """The description by which readers find the axes of an array in the file's order; None where pages alone say it.

    ``extra`` has the ``ome`` or ``imagej`` text as it was read, if it was.
    """
    if extra.get("ome"):
        height, width = (values.shape[axes.names.index(name)] for name in "YX")
        samples = values.shape[axes.names.index("S")] if "S" in axes.names else 1
        pages = values.size // (samples * height * width)
        return edited(str(extra["ome"]), (height, width), axes.size, values.dtype, pages)
    if extra.get("imagej"):
        return str(extra["imagej"])
    if set(axes.names) <= set("YXSI"):
        return None
    return json.dumps({"shape": list(values.shape), "axes": axes.names})


def edited(xml: str, size: tuple[int, ...], old: tuple[int, int], dtype: np.dtype[Any], pages: int) -> str:
    """OME-XML of an image for one of another size, type or file name."""
    kind = _FLOATS.get(dtype.itemsize, "float") if dtype.kind == "f" else _TYPES[f"{dtype.kind}{dtype.itemsize}"]

    def pixels(match: re.Match[str]) -> str:
        tag = _attribute(match.group(), "Type", kind)
        for name, new, was in (("Y", size[0], old[0]), ("X", size[1], old[1])):
            tag = _attribute(tag, f"Size{name}", str(new))
            physical = re.search(rf'\bPhysicalSize{name}="([^"]*)"', tag)
            if physical and new != was:
                tag = _attribute(tag, f"PhysicalSize{name}", repr(float(physical.group(1)) * was / new))
        return re.sub(r'\s(?:BigEndian|SignificantBits)="[^"]*"', "", tag)

    xml = re.sub(r"<(?:\w+:)?Pixels\b[^>]*>", pixels, xml, count=1)
    xml = re.sub(r'(<(?:\w+:)?OME\b[^>]*?)\sUUID="[^"]*"', r"\1", xml, count=1)
    prefix = re.search(r"<(\w+:)?Pixels\b", xml)
    mark = (prefix.group(1) or "") if prefix else ""
    data = rf"<{mark}TiffData\b[^>]*?(?:/>|>.*?</{mark}TiffData>)"
    whole = f'<{mark}TiffData IFD="0" PlaneCount="{pages}"/>'
    first = re.search(data, xml, re.DOTALL)
    if first is None:
        return xml
    return xml[: first.start()] + whole + re.sub(data, "", xml[first.end() :], flags=re.DOTALL)


def _attribute(tag: str, name: str, value: str) -> str:
    return re.sub(rf'\b{name}="[^"]*"', f'{name}="{value}"', tag, count=1)
