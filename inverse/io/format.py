"""What a format is to this package: how its files are known, what they hold, what survives, where the code is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Format"]


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format that is read, and written where it has an ``encode`` or a ``store``.

    A file is of the format whose ``magic`` its content matches, and whose ``looks`` says so where there is one. Formats
    with a ``looks`` are asked first: they are special cases of others (a GeoTIFF is a TIFF).
    """

    title: str  # in prose
    suffixes: tuple[str, ...]  # endings by which a folder is searched, lower case; files are judged by content
    pixels: str  # what it may hold
    keeps: str  # what survives the round trip
    decode: str  # reader, ``(path: Path, *, source) -> Picture | Volume | Scan``
    magic: bytes = b""  # regular expression of the first 4096 bytes; b"": its suffix decides, or that it is a folder
    packed: bool = False  # they may be inside a gzip file
    #: Closer test, ``(path: Path, inner: str | None, *, source) -> bool``; not asked where the extra is missing.
    looks: str = ""
    foreign: bool = False  # the reader of the general case would read something else: asked without the extra too
    half: str = ""  # what a file of its suffix is that is none
    whole: bool = False  # the reader is given the file's bytes instead of the path
    named: bool = False  # it is given ``inner: str | None`` too: of several arrays in a file one, by ``FILE::NAME``
    folder: bool = False  # an item is a folder
    encode: str = ""  # writer, ``(content: Picture | Volume, provenance: Mapping[str, str]) -> bytes``
    store: str = ""  # writer to a path, of what is no file: ``(path, content, provenance, *, overwrite)``
    scan: str = ""  # writer of images of raw k-space, ``(path, images, *, like, magnitude, provenance, overwrite)``
    result: str = ""  # the format that results are written in, where it is not this one
    floats: bool = True  # it holds floats
    marks: bool = False  # its writer marks pixels without a value; else floats among them are NaN
    bare: bool = False  # it is written of pixels alone, with nothing read from such a file
    float_map: str = ""  # what makes a map of floats a picture of this kind, ``(values, like) -> Picture``
    #: Else the entries of `Picture.extra` that a map of equal size takes over; None: all, of any size.
    map_keeps: tuple[str, ...] | None = None
    windows: str = ""  # opens a scene to be read by windows, ``(path, *, source, inner, stack) -> Windows``
    writer: str = ""  # writes one by windows, as `inverse.io.windows.open_writer`
    blocks: str = ""  # what makes a picture one of blocks, ``(like, *, size, side) -> Picture``
    facts: str = ""  # what `inverse info` says beside the pixels, ``(content) -> dict``
    #: What its pictures are, where that says how to read their values and what may be done with them.
    subject: Literal["", "photo", "scene", "medical"] = ""
    extra: str = ""  # the extra of ``inverse-imaging`` it needs; "" for none
