"""Files beside a raster that say what is not in it: a mask, a place on Earth, nodata, names and units of bands.

They are GDAL's: ``NAME.tif.msk`` (a mask), ``NAME.tif.aux.xml`` (nodata, names, coordinate system), a world file (the
affine transform) and rational polynomials. An ``.aux.xml`` of statistics alone says nothing that survives.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from inverse.storage.files import file_hash

__all__ = ["input_hash", "sidecars", "world_file"]

#: What of an ``.aux.xml`` a result keeps, or its pixels depend on.
_TOLD = re.compile(
    rb"<(?:NoDataValue|SRS|GeoTransform|GCPList|Scale|Offset|UnitType|ColorInterp|MaskBand)\b"
    rb'|<Description>|<Metadata[^>]*domain="RPC"'
)
#: Bytes of an ``.aux.xml`` that are looked at.
_LARGEST = 2**24


def sidecars(path: Path) -> tuple[Path, ...]:
    """The files beside a raster that say something of it."""
    masks = (path.with_name(f"{path.name}.msk"), path.with_name(f"{path.name}.MSK"))
    points = tuple(path.with_name(f"{path.stem}{end}") for end in ("_RPC.TXT", "_rpc.txt", ".RPB", ".rpb"))
    found = [other for other in (*masks, *points) if other.is_file()]
    world, aux = world_file(path), path.with_name(f"{path.name}.aux.xml")
    found += [] if world is None else [world]
    if aux.is_file():
        with aux.open("rb") as file:
            found += [aux] if _TOLD.search(file.read(_LARGEST)) else []
    return tuple(dict.fromkeys(found))


def world_file(path: Path) -> Path | None:
    """The world file of a raster, as GDAL looks for it: ``.tfw``, ``.tifw`` or ``.wld`` of a ``.tif``."""
    suffix = path.suffix[1:]
    if len(suffix) < 2:
        return None
    for end in (f"{suffix[0]}{suffix[-1]}w", f"{suffix}w", "wld"):
        for spelled in (end.lower(), end.upper()):
            other = path.with_suffix(f".{spelled}")
            if other.is_file():
                return other
    return None


def input_hash(path: Path) -> str:
    """SHA-256 of a file, and of the files beside it that say something of it.

    Raises:
        InputError: it cannot be read.
    """
    digest, others = file_hash(path), sidecars(path)
    if not others:
        return digest
    lines = (f"{other.name} {file_hash(other)}\n" for other in others)
    return hashlib.sha256("".join((digest, *lines)).encode()).hexdigest()
