"""Sentinel-2 products, ``*.SAFE``, levels 1C and 2A: ``MTD_MSIL1C.xml`` or ``MTD_MSIL2A.xml`` names the bands' files.

Those are JPEG 2000. Reflectance = (number + offset) / quantification value, both of the metadata; the offset, -1000
from processing baseline 04.00 on, is 0 where it is not stated. 0 is no data. Bands are on their own grids of 10, 20 and
60 m; copies of a band on coarser grids, masks, and the maps beside the bands (classes, aerosol, vapour, true colour)
are left out.

Source: Sentinel-2 Products Specification Document, S2-PDGS-TAS-DI-PSD.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from xml.etree import ElementTree

from inverse.errors import InputError
from inverse.io.content import Picture
from inverse.io.products.product import BandFile, Bands, Product, read
from inverse.storage.regular import read_small_text

__all__ = ["decode", "looks_like", "open_windows"]

_METADATA = ("MTD_MSIL2A.xml", "MTD_MSIL1C.xml")
#: Bands in the order of ``band_id``.
_IDS = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
_GRIDS = {
    "10m": ("B4", "B3", "B2", "B8"),
    "20m": ("B5", "B6", "B7", "B8A", "B11", "B12"),
    "60m": ("B1", "B9", "B10"),
}
_FILE = re.compile(r"_(B\d{1,2}A?)(?:_(10|20|60)m)?$")
_AGAIN = "download the product again"


def looks_like(path: Path, inner: str | None, *, source: str) -> bool:
    """Whether a folder has the metadata of a product."""
    return any((path / name).is_file() for name in _METADATA)


def decode(path: Path, *, source: str, inner: str | None) -> Picture:
    """Bands of a product that share a grid.

    Raises:
        InputError: Broken metadata, or as `inverse.io.products.product.read`.
    """
    return read(path, _product(path, source), inner, source)


def open_windows(path: Path, *, source: str, inner: str | None, stack: ExitStack) -> Bands:
    """As `inverse.io.windows.open_windows`."""
    return Bands(path, _product(path, source), inner, source, stack)


def _product(folder: Path, source: str) -> Product:
    metadata = next(folder / name for name in _METADATA if (folder / name).is_file())
    try:
        text = read_small_text(metadata)
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise ValueError("it declares a document type")
        root = ElementTree.fromstring(text)
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise InputError(f"{source}: {metadata.name} cannot be read: {str(error)[:100]}", _AGAIN) from error
    for element in root.iter():
        element.tag = element.tag.rsplit("}", 1)[-1]
    second = metadata.name == _METADATA[0]
    divisor = _number(root.findtext(f".//{'BOA_' if second else ''}QUANTIFICATION_VALUE", "10000"), source)
    offsets = {
        element.get("band_id", ""): _number(element.text or "", source)
        for element in root.iter("BOA_ADD_OFFSET" if second else "RADIO_ADD_OFFSET")
    }
    paths: dict[tuple[str, str], str] = {}
    for element in root.iter("IMAGE_FILE"):
        name = (element.text or "").strip()
        if found := _FILE.search(name):
            paths[_short(found[1]), found[2] or ""] = name
    grids = {}
    for grid, names in _GRIDS.items():
        made = []
        for name in names:
            place = paths.get((name, grid.removesuffix("m"))) or paths.get((name, ""))
            if place is not None and divisor:
                offset = offsets.get(str(_IDS.index(name)), 0.0) / divisor
                made.append(BandFile(name, folder / f"{place}.jp2", 1 / divisor, offset, "reflectance"))
        if made:
            grids[grid] = tuple(made)
    if not grids:
        raise InputError(f"{source}: {metadata.name} names no bands", _AGAIN)
    tags = {key: root.findtext(f".//{key}", "").strip() for key in ("PRODUCT_URI", "PROCESSING_BASELINE")}
    tags["DATATAKE_SENSING_START"] = root.findtext(".//DATATAKE_SENSING_START", "").strip()
    return Product("sentinel2", grids, {key: value for key, value in tags.items() if value}, 0)


def _short(name: str) -> str:
    """B04 as the tables call it, B4."""
    return "B" + name[1:].lstrip("0")


def _number(text: str, source: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{source}: broken metadata: {text[:40]!r} is no number", _AGAIN) from None
