"""Axes of TIFF files with several pages, and the descriptions that name them: OME-XML, ImageJ, tifffile's own.

Rows and columns are Y and X, channels S (samples of a pixel) or else C; every other axis (Z, T, pages) is one of
slices, the last running fastest. OME-XML is edited in place, so that channel names, objectives and annotations stay:
SizeX, SizeY, the type, PhysicalSizeX and Y (scaled, the extent stays), one TiffData for all pages, no UUID.
"""

from __future__ import annotations

import json
import math
import re
import struct
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from inverse.errors import InputError
from inverse.io.content import Array
from inverse.io.photographs.metadata import upright as turned_upright

__all__ = [
    "Axes",
    "calibrated",
    "calibration",
    "described",
    "edited",
    "imagej_tags",
    "nanometres",
    "of_file",
    "of_floats",
    "optics",
    "parsed",
    "pixel_of",
]

#: Nanometres of a unit, by its symbol in lower case; those of screens and pages are none of a specimen.
_NANOMETRES = {"pm": 1e-3, "å": 0.1, "nm": 1.0, "µm": 1e3, "um": 1e3, "μm": 1e3, "mm": 1e6, "cm": 1e7, "m": 1e9} | {
    "ångström": 0.1, "angstrom": 0.1, "nanometer": 1.0, "nanometre": 1.0, "micron": 1e3, "microns": 1e3,
    "micrometer": 1e3, "micrometre": 1e3, "millimeter": 1e6, "millimetre": 1e6, "centimeter": 1e7, "meter": 1e9,
}  # fmt: skip
#: Of units of pages, and of resolution, pixels that are smaller than so many nanometres are a microscope's.
_OF_PAGES = {"in": 2.54e7, "inch": 2.54e7, "inches": 2.54e7, '"': 2.54e7, "ft": 3.048e8, "thou": 2.54e4, "mil": 2.54e4}
_SMALL = 1e4
_MICRO_MANAGER = 51123
#: Tags of whole files: document, maker, model, page, time, artist, host, copyright, XMP, IPTC, Photoshop's resources.
_OF_FILES = (269, 271, 272, 285, 306, 315, 316, 33432, 700, 33723, 34377)
_BLOCKS = {34665: "EXIF", 34853: "GPS"}
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


def nanometres(value: object, unit: object) -> float | None:
    """A length in nanometres; None where it is no positive number, or its unit is none of lengths."""
    name = str(unit).strip().lower()
    try:
        length = float(str(value)) * (_NANOMETRES | _OF_PAGES)[name]
    except (ValueError, KeyError):
        return None
    return length if 0 < length < (_SMALL if name in _OF_PAGES else math.inf) else None


def pixel_of(page: Any, dpi: tuple[float, float] | None) -> dict[str, Any]:
    """The pixel size that tags or a description state, as the fact ``optics``: Micro-Manager's, a slide scanner's.

    Or the resolution, where its pixels are a microscope's.
    """
    sides: tuple[float | None, float | None] = (None, None)
    tag = page.tags.get(_MICRO_MANAGER)
    said = re.search(r"\|\s*MPP\s*=\s*([\d.]+)", page.description or "")
    if tag is not None:
        with suppress(ValueError, TypeError, AttributeError):
            told = tag.value if isinstance(tag.value, dict) else json.loads(tag.value)
            sides = (nanometres(told.get("PixelSizeUm"), "um"),) * 2
    elif said is not None:
        sides = (nanometres(said.group(1), "um"),) * 2
    elif dpi is not None:
        sides = nanometres(1 / dpi[1], "inch"), nanometres(1 / dpi[0], "inch")
    return {"pixel": sides} if all(sides) else {}


def of_file(page: Any, *, upright: bool) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    """Tags of a whole file as tifffile writes them, and a sentence on blocks that it does not write.

    XMP of a picture that was turned says that it is upright.
    """
    kept = []
    for tag in (page.tags.get(code) for code in _OF_FILES):
        if tag is None:
            continue
        value, dtype = tag.value, int(tag.dtype)
        if dtype == 2:  # text
            kept.append((tag.code, dtype, 0, str(value).encode(), True))
            continue
        data = value.encode() if isinstance(value, str) else value
        data = data if isinstance(data, bytes) else np.asarray(data).tobytes()
        data = turned_upright(data) if tag.code == 700 and not upright else data
        kept.append((tag.code, 7 if dtype == 7 else 1, len(data), data, True))
    blocks = [name for code, name in _BLOCKS.items() if code in page.tags]
    return tuple(kept), (f"its {' and '.join(blocks)} tags are not in the result",) if blocks else ()


def optics(extra: Mapping[str, Any], resolution: tuple[Any, ...] | None) -> dict[str, Any]:
    """What OME-XML, or ImageJ with the resolution tags, says of the microscope: the fact ``optics`` of a measurement.

    It is read by `inverse.operators.blur.optics`.
    """
    if extra.get("ome"):
        return _ome_optics(str(extra["ome"]))
    unit = re.search(r"^unit=(.*)$", str(extra.get("imagej", "")), re.MULTILINE)
    if unit is None or resolution is None:
        return {}
    name = unit.group(1).replace("\\u00B5", "µ").replace("\\u00b5", "µ")
    across, down = (nanometres(divisor / number if number else 0, name) for number, divisor in resolution)
    return {"pixel": (down, across)} if across and down else {}


def _ome_optics(xml: str) -> dict[str, Any]:
    """Of the first image: its pixels, its channels' emission, and its objective."""
    if "<!DOCTYPE" in xml or "<!ENTITY" in xml:
        return {}
    try:
        root = ElementTree.fromstring(xml.encode())
    except (ElementTree.ParseError, ValueError):
        return {}
    image = root.find("{*}Image")
    pixels = None if image is None else image.find("{*}Pixels")
    if image is None or pixels is None:
        return {}
    found: dict[str, Any] = {}
    sides = [
        nanometres(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "YX"
    ]
    if all(sides):
        found["pixel"] = tuple(sides)
    emitted = [
        nanometres(channel.get("EmissionWavelength"), channel.get("EmissionWavelengthUnit", "nm"))
        for channel in pixels.findall("{*}Channel")
    ]
    if emitted and all(emitted):
        found["wavelength"] = tuple(emitted)
    used = image.find("{*}ObjectiveSettings")
    objectives = root.findall("{*}Instrument/{*}Objective")
    chosen = [one for one in objectives if used is not None and one.get("ID") == used.get("ID")]
    chosen = chosen or (objectives if len(objectives) == 1 else [])
    with suppress(IndexError, ValueError):
        found["numerical_aperture"] = float(chosen[0].get("LensNA", ""))
    return found


def calibration(page: Any, *, turned: bool, imagej: bool) -> dict[str, Any]:
    """Pixels per unit (across, down) where the unit is not of TIFF's own, which are of ImageJ or none; its labels."""
    tags = [page.tags.get(code) for code in (282, 283, 296)]
    unit = 2 if tags[2] is None else int(tags[2].value)
    kept: dict[str, Any] = {}
    if None not in tags[:2] and (imagej or unit == 1):
        pair = [tuple(int(part) for part in tag.value) for tag in tags[:2]]
        nothing = not imagej and pair == [(1, 1), (1, 1)]  # what writers put where nobody said anything
        if not nothing and all(number > 0 and divisor > 0 for number, divisor in pair):
            kept = {"resolution": tuple(pair[::-1] if turned else pair), "unit": unit}
    labels = page.tags.get(50839) if imagej else None
    return kept | ({"imagej_tags": dict(labels.value)} if labels is not None and isinstance(labels.value, dict) else {})


def calibrated(extra: Mapping[str, Any], dpi: tuple[float, float] | None, size: tuple[int, ...]) -> dict[str, Any]:
    """The options of tifffile's writer for the resolution of an image of a height and width: the extent stays."""
    if "resolution" not in extra:
        return {"resolution": dpi, "resolutionunit": 2 if dpi else None}
    ratios = zip(extra["resolution"], size[::-1], extra["axes"].size[::-1], strict=True)
    finer = [Fraction(number * new, divisor * old).limit_denominator(2**20) for (number, divisor), new, old in ratios]
    pair = tuple((value.numerator, value.denominator) for value in finer)
    usable = all(0 < number < 2**32 for number, _ in pair)
    return {"resolution": pair if usable else None, "resolutionunit": extra["unit"] if usable else None}


def imagej_tags(extra: Mapping[str, Any], size: tuple[int, ...]) -> tuple[Any, ...]:
    """ImageJ's tags of an image of a height and width: labels of slices, colours, and what is drawn on pixels."""
    kept = dict(extra.get("imagej_tags", {}))
    if tuple(size) != tuple(extra["axes"].size if kept else ()):
        kept = {key: value for key, value in kept.items() if key not in ("ROI", "Overlays")}
    try:
        return tuple(tifffile.imagej_metadata_tag(kept, "<" if sys.byteorder == "little" else ">")) if kept else ()
    except (ValueError, TypeError, KeyError, struct.error):
        return ()


def of_floats(extra: Mapping[str, Any]) -> dict[str, Any]:
    """What a file keeps of one of other values: no range of display, no white that is zero."""
    kept = {key: value for key, value in extra.items() if key not in ("white", "optics")}
    if kept.get("imagej"):
        kept["imagej"] = re.sub(r"^(?:min|max)=.*\n?", "", str(kept["imagej"]), flags=re.MULTILINE)
    if "imagej_tags" in kept:
        kept["imagej_tags"] = {key: value for key, value in kept["imagej_tags"].items() if key != "Ranges"}
    return kept
