"""Boxes of ISO base media files (ISO/IEC 14496-12): what AVIF, HEIF and JPEG 2000 are made of.

A box is its size, its name of four letters and its body. An image of a HEIF file (ISO/IEC 23008-12) is an item:
``meta`` lists the items (``iinf``), what they refer to (``iref``), their properties (``iprp``: sizes, colours) and
where in the file they lie (``iloc``).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

__all__ = ["Box", "box", "boxes", "largest", "property_of", "with_metadata"]

#: Name and body.
Box = tuple[bytes, bytes]


def boxes(data: bytes) -> Iterator[Box]:
    """The boxes of a file or of a body, in order.

    Raises:
        ValueError: One is cut.
    """
    position = 0
    while position < len(data):
        if position + 8 > len(data):
            raise ValueError("the file ends inside the header of a box")
        size, head = int.from_bytes(data[position : position + 4], "big"), 8
        if size == 1:
            size, head = int.from_bytes(data[position + 8 : position + 16], "big"), 16
        size = size or len(data) - position
        if size < head or position + size > len(data):
            raise ValueError(f"the file ends inside box {data[position + 4 : position + 8].decode('latin-1')!r}")
        yield data[position + 4 : position + 8], data[position + head : position + size]
        position += size


def box(name: bytes, *parts: bytes) -> bytes:
    """A box of a name."""
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + name + body


def _properties(data: bytes) -> list[Box]:
    """The properties of all images of a HEIF file, none where it is damaged."""
    try:
        meta = next((body for name, body in boxes(data) if name == b"meta"), b"")
        found = next((body for name, body in boxes(meta[4:]) if name == b"iprp"), b"")
        return list(boxes(next((body for name, body in boxes(found) if name == b"ipco"), b"")))
    except ValueError:
        return []


def largest(data: bytes) -> tuple[int, int] | None:
    """Height and width of the largest image that a HEIF file declares; None where it declares none."""
    declared = (body for name, body in _properties(data) if name == b"ispe" and len(body) > 11)
    sizes = [struct.unpack_from(">II", body, 4) for body in declared]
    return max(((height, width) for width, height in sizes), key=lambda size: size[0] * size[1], default=None)


def property_of(data: bytes, name: bytes, start: bytes = b"") -> bytes | None:
    """The body of the first property of a name and of what its body starts with."""
    return next((body for found, body in _properties(data) if found == name and body.startswith(start)), None)


def with_metadata(data: bytes, *, icc: bytes | None, exif: bytes | None, xmp: bytes | None) -> bytes:
    """A HEIF file of one image, with its alpha if any, and a profile, an EXIF block and an XMP packet put into it.

    Args:
        data: As libavif writes it: ``meta`` with ``iloc`` of version 0 and offsets of 4 bytes, then ``mdat``.
        icc: The profile.
        exif: The block, without its ``Exif`` and two zeros.
        xmp: The packet.

    Raises:
        ValueError: The file is laid out otherwise.
    """
    added: list[tuple[bytes, bytes]] = []  # the rest of the item's entry, and its content
    if exif:
        added.append((b"Exif\0", struct.pack(">I", 0) + exif))
    if xmp:
        added.append((b"mime\0application/rdf+xml\0", xmp))
    if not added and not icc:
        return data
    parts = list(boxes(data))
    meta = dict(boxes(parts[1][1][4:]))
    if [name for name, _ in parts] != [b"ftyp", b"meta", b"mdat"] or meta[b"iloc"][:6] != b"\0\0\0\0\x44\0":
        raise ValueError("not as libavif writes it")
    primary = struct.unpack(">H", meta[b"pitm"][4:6])[0]
    count = struct.unpack(">H", meta[b"iinf"][4:6])[0]
    entries = b"".join(
        box(b"infe", b"\x02\0\0\x01", struct.pack(">HH", count + number, 0), rest)
        for number, (rest, _) in enumerate(added, 1)
    )
    refers = b"".join(box(b"cdsc", struct.pack(">HHH", count + n, 1, primary)) for n in range(1, len(added) + 1))
    meta[b"iinf"] = meta[b"iinf"][:4] + struct.pack(">H", count + len(added)) + meta[b"iinf"][6:] + entries
    meta[b"iref"] = meta.get(b"iref", b"\0\0\0\0") + refers
    if icc:
        meta[b"iprp"] = _coloured(meta[b"iprp"], icc, primary)
    places = _places(meta[b"iloc"])
    growth = sum(8 + len(body) for body in meta.values()) + 12 - (8 + len(parts[1][1])) + 14 * len(added)
    end = len(data) + growth + 8
    for number, (_, content) in enumerate(added, 1):
        places.append((count + number, [(end - growth, len(content))]))
        end += len(content)
    meta[b"iloc"] = meta[b"iloc"][:6] + struct.pack(">H", len(places)) + b"".join(_placed(*p, growth) for p in places)
    order = [b"hdlr", b"pitm", b"iloc", b"iinf", b"iref"]
    order += [name for name in meta if name not in order]
    whole = box(b"meta", b"\0\0\0\0", *(box(name, meta[name]) for name in order if name in meta))
    more = box(b"mdat", *(content for _, content in added)) if added else b""
    return box(*parts[0]) + whole + box(*parts[2]) + more


def _coloured(properties: bytes, icc: bytes, primary: int) -> bytes:
    """Properties with a profile of the primary image."""
    inner = dict(boxes(properties))
    inner[b"ipco"] += box(b"colr", b"prof", icc)
    index, table = len(list(boxes(inner[b"ipco"]))), inner[b"ipma"]
    if table[:4] != b"\0\0\0\0" or index > 127:
        raise ValueError("not as libavif writes it")
    out, position = table[:8], 8
    for _ in range(struct.unpack(">I", table[4:8])[0]):
        item, links = struct.unpack_from(">HB", table, position)
        own = table[position + 3 : position + 3 + links]
        own += bytes([index]) if item == primary else b""
        out, position = out + struct.pack(">HB", item, len(own)) + own, position + 3 + links
    inner[b"ipma"] = out
    return b"".join(box(name, body) for name, body in inner.items())


def _places(table: bytes) -> list[tuple[int, list[tuple[int, int]]]]:
    """Of each item its number, and offset and length of its parts."""
    places, position = [], 8
    for _ in range(struct.unpack(">H", table[6:8])[0]):
        item, _, parts = struct.unpack_from(">HHH", table, position)
        spans = [struct.unpack_from(">II", table, position + 6 + 8 * part) for part in range(parts)]
        places.append((item, [(offset, length) for offset, length in spans]))
        position += 6 + 8 * parts
    return places


def _placed(item: int, spans: list[tuple[int, int]], growth: int) -> bytes:
    moved = (struct.pack(">II", offset + growth, length) for offset, length in spans)
    return struct.pack(">HHH", item, 0, len(spans)) + b"".join(moved)
