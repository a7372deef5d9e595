"""Files beside a raster that say what is not in it: a mask, a place on Earth, nodata, names and units of bands.

They are GDAL's: ``NAME.tif.msk`` (a mask), ``NAME.tif.aux.xml`` (nodata, names, coordinate system), a world file (the
affine transform) and rational polynomials. An ``.aux.xml`` of statistics alone says nothing that survives. An ENVI file
is nothing without its ``.hdr``.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from inverse.storage.files import file_hash

__all__ = ["gdal_driver", "input_hash", "is_placed", "is_raster", "sidecars", "world_file"]

#: What of an ``.aux.xml`` a result keeps, or its pixels depend on.
_TOLD = re.compile(
    rb"<(?:NoDataValue|SRS|GeoTransform|GCPList|Scale|Offset|UnitType|ColorInterp|MaskBand)\b"
    rb'|<Description>|<Metadata[^>]*domain="RPC"'
)
#: How the kinds of files begin that GDAL reads here; its names of them.
_BEGIN = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JP2OpenJPEG"),
    (b"EHFA_HEADER_TAG", "HFA"),
)
_LIKE_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: Bytes of an ``.aux.xml`` that are looked at.
_LARGEST = 2**24


def sidecars(path: Path) -> tuple[Path, ...]:
    """The files beside a raster that say something of it."""
    masks = (path.with_name(f"{path.name}.msk"), path.with_name(f"{path.name}.MSK"))
    points = tuple(path.with_name(f"{path.stem}{end}") for end in ("_RPC.TXT", "_rpc.txt", ".RPB", ".rpb"))
    found = [other for other in (*masks, *points) if os.path.isfile(other)]
    world, aux = world_file(path), path.with_name(f"{path.name}.aux.xml")
    found += [] if world is None else [world]
    if os.path.isfile(aux):
        with aux.open("rb") as file:
            found += [aux] if _TOLD.search(file.read(_LARGEST)) else []
    return tuple(dict.fromkeys(found))


def gdal_driver(path: Path) -> str:
    """GDAL's name of a photograph's kind, of an ENVI or an ERDAS Imagine file; "" for all else."""
    with path.open("rb") as file:
        head = file.read(16)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if kind := next((name for start, name in _BEGIN if head.startswith(start)), ""):
        return kind
    return "ENVI" if _envi_header(path) and not head.startswith(_LIKE_TIFF) else ""


def is_placed(path: Path, inner: str | None, *, source: str) -> bool:
    """Whether a photograph has files beside it that say something of it."""
    del source
    photograph = inner is None and gdal_driver(path) not in ("", "JP2OpenJPEG", "HFA", "ENVI")
    return photograph and bool(sidecars(path))


def is_raster(path: Path, inner: str | None, *, source: str) -> bool:
    """Whether a file is ENVI's or ERDAS Imagine's."""
    del source
    return inner is None and gdal_driver(path) in ("HFA", "ENVI")


def _envi_header(path: Path) -> Path | None:
    """The ``.hdr`` beside the pixels of ENVI."""
    for other in (path.with_suffix(".hdr"), path.with_name(f"{path.name}.hdr")):
        if other != path and os.path.isfile(other):
            with other.open("rb") as file:
                if file.read(4) == b"ENVI":
                    return other
    return None


def world_file(path: Path) -> Path | None:
    """The world file of a raster, as GDAL looks for it: ``.tfw``, ``.tifw`` or ``.wld`` of a ``.tif``."""
    suffix = path.suffix[1:]
    if len(suffix) < 2:
        return None
    for end in (f"{suffix[0]}{suffix[-1]}w", f"{suffix}w", "wld"):
        for spelled in (end.lower(), end.upper()):
            other = path.with_suffix(f".{spelled}")
            if os.path.isfile(other):
                return other
    return None


def input_hash(path: Path) -> str:
    """SHA-256 of a file, and of the files beside it that say something of it.

    Raises:
        InputError: it cannot be read.
    """
    header = _envi_header(path) if os.path.isfile(path) else None
    digest, others = file_hash(path), (*sidecars(path), *([header] if header else []))
    if not others:
        return digest
    lines = (f"{other.name} {file_hash(other)}\n" for other in others)
    return hashlib.sha256("".join((digest, *lines)).encode()).hexdigest()
