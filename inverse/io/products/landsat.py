"""Landsat products, a folder with one ``*_MTL.txt`` and a GeoTIFF a band, levels 1 and 2, collections 1 and 2.

The MTL names the files and, by band, scale and offset: of level 1 to top-of-atmosphere reflectance (without the sun's
angle, as the MTL has it), of level 2 to surface reflectance and kelvin. 0 is no data. Grids: ``30m``, red, green and
blue first; ``15m``, the panchromatic band; ``thermal``.

Source: Landsat 8-9 Collection 2 Level 2 Science Product Guide, LSDS-1619, and Level 1 Data Format Control Book,
LSDS-1822.
"""

from __future__ import annotations

import math
import re
from contextlib import ExitStack
from pathlib import Path

from inverse.errors import InputError
from inverse.io.content import Picture
from inverse.io.products.product import BandFile, Bands, Product, read
from inverse.storage.regular import read_small_text

__all__ = ["decode", "looks_like", "open_windows"]

_AGAIN = "download the product again"
#: Red, green, blue, then the others, by the number in the names of files.
_OLI, _TM = ("4", "3", "2", "1", "5", "6", "7", "9"), ("3", "2", "1", "4", "5", "7")
_THERMAL = ("10", "11", "6", "6_VCID_1", "6_VCID_2", "ST_B10", "ST_B6")
_CONTENTS = ("PRODUCT_CONTENTS", "PRODUCT_METADATA")


def looks_like(path: Path, inner: str | None, *, source: str) -> bool:
    """Whether a folder has one MTL."""
    return _metadata(path) is not None


def _metadata(folder: Path) -> Path | None:
    found = sorted(folder.glob("*_MTL.txt"))
    return found[0] if len(found) == 1 else None


def decode(path: Path, *, source: str, inner: str | None) -> Picture:
    """Bands of a product that share a grid.

    Raises:
        InputError: Broken metadata, or as `inverse.io.products.product.read`.
    """
    return read(path, _product(path, source), inner, source)


def open_windows(path: Path, *, source: str, inner: str | None, stack: ExitStack) -> Bands:
    """As `inverse.io.windows.open_windows`."""
    return Bands(path, _product(path, source), inner, source, stack)


def _groups(text: str) -> dict[str, dict[str, str]]:
    """Values by group and key; of groups in groups the innermost counts."""
    groups: dict[str, dict[str, str]] = {}
    inside: list[str] = []
    for line in text.splitlines():
        key, sign, value = (part.strip() for part in line.partition("="))
        if not sign:
            continue
        if key == "GROUP":
            inside.append(value)
        elif key == "END_GROUP" and inside:
            inside.pop()
        elif inside:
            groups.setdefault(inside[-1], {})[key] = value.strip('"')
    return groups


def _product(folder: Path, source: str) -> Product:
    metadata = _metadata(folder)
    assert metadata is not None
    try:
        groups = _groups(read_small_text(metadata))
    except (OSError, ValueError) as error:
        raise InputError(f"{source}: {metadata.name} cannot be read: {str(error)[:100]}", _AGAIN) from error
    everything = {key: value for group in groups.values() for key, value in group.items()}
    contents = next((groups[name] for name in _CONTENTS if name in groups), {})
    second = contents.get("PROCESSING_LEVEL", "").startswith("L2")
    reflectance = groups.get("LEVEL2_SURFACE_REFLECTANCE_PARAMETERS" if second else "LEVEL1_RADIOMETRIC_RESCALING")
    reflectance = reflectance or groups.get("RADIOMETRIC_RESCALING", {})
    thermal = groups.get("LEVEL2_SURFACE_TEMPERATURE_PARAMETERS", {}) if second else reflectance
    newer = everything.get("SPACECRAFT_ID", "").replace("LANDSAT_", "") in ("8", "9")

    def bands(numbers: tuple[str, ...], values: dict[str, str], quantity: str, unit: str) -> tuple[BandFile, ...]:
        made = []
        for number in numbers:
            name = contents.get(f"FILE_NAME_BAND_{number}")
            if name is None or (number == "6" and newer != (quantity == "REFLECTANCE")):
                continue
            if re.fullmatch(r"[\w.-]+\.(tif|TIF|tiff|TIFF)", name) is None:
                raise InputError(f"{source}: {metadata.name} names the file {name[:60]!r}", _AGAIN)
            pair = [_number(values.get(f"{quantity}_{part}_BAND_{number}")) for part in ("MULT", "ADD")]
            known = pair[0] is not None and pair[1] is not None
            scale, offset = (pair[0] or 1.0, pair[1] or 0.0) if known else (1.0, 0.0)
            short = "B" + number.removeprefix("ST_B")
            made.append(BandFile(short, folder / name, scale, offset, unit if known else "number"))
        return tuple(made)

    grids = {
        "30m": bands(_OLI if newer else _TM, reflectance, "REFLECTANCE", "reflectance"),
        "15m": bands(("8",), reflectance, "REFLECTANCE", "reflectance"),
        "thermal": bands(_THERMAL, thermal, "TEMPERATURE", "K")
        if second
        else bands(_THERMAL, thermal, "RADIANCE", "W/(m2 sr um)"),
    }
    grids = {name: held for name, held in grids.items() if held}
    if not grids:
        raise InputError(f"{source}: {metadata.name} names no bands", _AGAIN)
    known = ("LANDSAT_PRODUCT_ID", "SPACECRAFT_ID", "SENSOR_ID", "DATE_ACQUIRED", "SUN_ELEVATION")
    tags = {key: everything[key] for key in known if everything.get(key)}
    return Product("landsat", grids, tags, 0)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
