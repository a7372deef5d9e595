"""PNG and JPEG through Pillow, and 16-bit PNG, of which Pillow makes 8 bit, through imagecodecs.

EXIF orientation is applied on reading and removed from the block that is written back. JPEG is written at quality 100
without chroma subsampling: 8-bit rounding of a restored picture is lossy enough. PNG (ISO/IEC 15948) is written by
imagecodecs with the chunks that it does not know (iCCP, pHYs, eXIf, text, those of colour) put between.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
from PIL import Image, JpegImagePlugin, PngImagePlugin, UnidentifiedImageError

from inverse.errors import InputError, OutputError
from inverse.io.content import Array, Picture, stamped, turn
from inverse.io.limits import bounded, quiet, reason
from inverse.io.photographs.cmyk import to_rgb
from inverse.io.photographs.metadata import upright

__all__ = ["decode16", "decode_jpeg", "decode_png", "encode_jpeg", "encode_png", "png_bytes"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Chunks of a PNG that say what its numbers mean as light; they are written as they were read.
COLOURS = (b"cICP", b"cHRM", b"gAMA", b"sRGB", b"mDCV", b"cLLI")
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, struct.error, zlib.error)
_ORIENTATION = 0x0112
_XMP, _IPTC, _XMP_TEXT = b"http://ns.adobe.com/xap/1.0/\0", b"Photoshop 3.0\0", "XML:com.adobe.xmp"


def decode_png(data: bytes, *, source: str) -> Picture:
    """A PNG as a `Picture`.

    Raises:
        InputError: The file is broken, truncated or too large.
    """
    return _decode(data, "png", source)


def decode_jpeg(data: bytes, *, source: str) -> Picture:
    """A JPEG as a `Picture`.

    Raises:
        InputError: The file is broken, truncated or too large.
    """
    return _decode(data, "jpeg", source)


def _decode(data: bytes, form: str, source: str) -> Picture:
    title = form.upper()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=[title]) as image:
                return _picture(image, data, form, source)
    except Image.DecompressionBombError as error:
        raise InputError(f"{source}: {str(error).split('(')[-1].split(')')[0]}", "cut it into parts") from error
    except UnidentifiedImageError:
        raise InputError(f"{source}: broken {title}: the header is damaged", "copy or export the file again") from None
    except _BROKEN as error:
        raise InputError(f"{source}: broken {title}: {reason(error)}", "copy or export the file again") from error


def _picture(image: Image.Image, data: bytes, form: str, source: str) -> Picture:
    sixteen = form == "png" and data[12:16] == b"IHDR" and data[24:25] == b"\x10"
    mode = image.mode
    ink = mode == "CMYK" and form == "jpeg"
    if mode not in ("1", "L", "LA", "P", "RGB", "RGBA") and not sixteen and not ink:
        raise InputError(f"{source}: colour mode {mode} is not supported", "convert it to RGB or grey first")
    notes: tuple[str, ...] = ()
    bounded((image.height, image.width, len(image.getbands())), 2 if sixteen else 1, len(data), source=source)
    if sixteen:
        array, alpha = decode16(data)
    elif ink:
        (array, said), alpha = to_rgb(image, image.info.get("icc_profile")), None
        notes = (said,)
    else:
        if mode == "1":
            notes = ("1 bit, converted to 8-bit grey",)
        elif mode == "P":
            notes = ("palette, converted to RGB",)
        array, alpha = _pixels(image)
    if image.width == 0 or image.height == 0:
        raise InputError(f"{source}: the image is empty: {image.width} x {image.height} pixels")
    exif = image.getexif()
    orientation = exif.get(_ORIENTATION, 1)
    if orientation in range(2, 9):
        array, alpha = turn(array, orientation), None if alpha is None else turn(alpha, orientation)
        notes += ("turned upright as its EXIF orientation says",)
    if _ORIENTATION in exif:
        exif[_ORIENTATION] = 1
    text = dict(image.text) if isinstance(image, PngImagePlugin.PngImageFile) else {}
    if orientation in range(2, 9) and (packet := text.get(_XMP_TEXT)):
        text[_XMP_TEXT] = upright(packet).decode("utf-8", "replace")
    dpi = image.info.get("dpi")
    if dpi is not None and orientation in (5, 6, 7, 8):
        dpi = (dpi[1], dpi[0])
    comment = image.info.get("comment") if form == "jpeg" else None
    extra = {} if ink else _colours(data, orientation) if form == "png" else _compression(image, orientation)
    if form == "jpeg" and (kept := _applications(data, whole=int(getattr(image, "n_frames", 1)) == 1)):
        extra["applications"] = kept
    return Picture(
        array=np.ascontiguousarray(array),
        alpha=None if alpha is None else np.ascontiguousarray(alpha),
        format=form,
        icc=None if ink else image.info.get("icc_profile") or None,
        dpi=None if dpi is None or min(dpi) <= 0 else (float(dpi[0]), float(dpi[1])),
        description=comment.decode("utf-8", "replace") if isinstance(comment, bytes) else None,
        exif=exif.tobytes() if len(exif) else None,
        text={str(key): str(value) for key, value in text.items()},
        extra=extra,
        notes=notes,
        lost=((*_further(image, form), "colours of ink (CMYK): the result is RGB") if ink else _further(image, form)),
        source=source,
    )


def _colours(data: bytes, orientation: int) -> dict[str, Any]:
    """The chunks of a PNG that say what its numbers mean as light, `COLOURS`, and the shape of its pixels."""
    try:
        read = list(_chunks(data))
        shape = [(name, body) for name, body in read if name == b"pHYs" and body[8:] == b"\0" and orientation < 5]
        found = tuple([(name, body) for name, body in read if name in COLOURS] + shape)
    except ValueError:
        return {}
    return {"chunks": found} if found else {}


def _applications(data: bytes, *, whole: bool) -> tuple[tuple[int, bytes], ...]:
    """Segments of a JPEG with XMP and IPTC: their markers and bodies. XMP says that the picture is upright.

    XMP that lists further parts of the file (``Container:Directory``), and of a file of several pictures, is left out.
    """
    found = []
    for marker, start, end in _segments(data):
        body = data[start:end]
        if marker == 0xED and body.startswith(_IPTC):
            found.append((marker, body))
        elif marker == 0xE1 and body.startswith(_XMP) and whole and b"Container:Directory" not in body:
            found.append((marker, _XMP + upright(body.removeprefix(_XMP))))
    return tuple(found)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of the body of each segment of a JPEG before its scan."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == 0xFF:  # filling
            position += 1
            continue
        if marker == 0xDA or length < 2 or position + 2 + length > len(data):
            return
        yield marker, position + 4, position + 2 + length
        position += 2 + length


def _further(image: Image.Image, form: str) -> tuple[str, ...]:
    """A sentence on the other pictures of the file, of which the first alone is read."""
    frames = int(getattr(image, "n_frames", 1))
    if frames < 2:
        return ()
    if form == "png":
        return (f"animated: the first of {frames} frames is restored, the others are lost; save them as files",)
    return (f"holds {frames} pictures (MPO): the first is restored, the others are lost; exiftool -b extracts them",)


def _compression(image: Image.Image, orientation: int) -> dict[str, Any]:
    """What a JPEG file says of its rounding.

    Quantisation tables by rows, luma then chroma; sampling of the colours; how the picture was turned upright.
    """
    tables = getattr(image, "quantization", None)
    if not tables or not 1 <= len(tables) <= 2 or any(len(table) != 64 for table in tables.values()):
        return {}
    sampling = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}.get(JpegImagePlugin.get_sampling(image))
    rows = tuple(tuple(int(step) for step in tables[key]) for key in sorted(tables))
    turned = {"orientation": orientation} if orientation in range(2, 9) else {}
    return {"quantisation": rows} | ({"subsampling": sampling} if sampling else {}) | turned


def _pixels(image: Image.Image) -> tuple[Array, Array | None]:
    grey = image.mode in ("1", "L", "LA")
    transparent = image.mode in ("LA", "RGBA") or "transparency" in image.info
    if not transparent:
        return np.array(image.convert("L" if grey else "RGB")), None
    values = np.array(image.convert("RGBA"))
    return (values[..., 0] if grey else values[..., :3]), values[..., 3]


def encode_png(picture: Picture, provenance: Mapping[str, str]) -> bytes:
    """The bytes of a PNG; provenance goes into text chunks."""
    array = picture.array
    if array.dtype not in (np.uint8, np.uint16) or picture.channels not in (1, 3):
        raise OutputError(
            f"a PNG cannot hold {picture.channels} channels of {array.dtype}", "write a TIFF or a npy instead"
        )
    planes = [array[..., None] if array.ndim == 2 else array]
    if picture.alpha is not None:
        planes.append(picture.alpha[..., None])
    pixels = np.concatenate(planes, -1)
    text = {**picture.text, **provenance}
    chunks = picture.extra.get("chunks", ())
    return png_bytes(pixels, icc=picture.icc, dpi=picture.dpi, exif=picture.exif, text=text, chunks=chunks)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and body of each chunk of a PNG; raises `ValueError` where one is cut or damaged."""
    position = len(SIGNATURE)
    while True:
        if position + 12 > len(data):
            raise ValueError("the file ends before its IEND chunk")
        (length,) = struct.unpack_from(">I", data, position)
        name, body = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        position += 12 + length
        if position > len(data):
            raise ValueError("the file ends inside a chunk")
        if zlib.crc32(name + body) != int.from_bytes(data[position - 4 : position], "big"):
            raise ValueError(f"wrong checksum in chunk {name.decode('latin-1')}")
        yield name, body
        if name == b"IEND":
            return


def decode16(data: bytes) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16] | None]:
    """Colour (H, W) or (H, W, 3) and alpha (H, W) or None of a PNG of bit depth 16; of tRNS too, a transparent colour.

    Raises:
        ValueError: The file is broken.
    """
    for _ in _chunks(data):
        pass  # every checksum: imagecodecs looks at those of the pixels alone
    try:
        with quiet("imagecodecs"):
            values = imagecodecs.png_decode(data)
    except imagecodecs.PngError as error:
        raise ValueError(str(error)) from error
    samples = 1 if values.ndim == 2 else values.shape[2]
    if samples in (1, 3):
        return values, None
    return (values[..., 0] if samples == 2 else values[..., :3]), values[..., -1]


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _text(key: str, value: str) -> bytes:
    name = key.encode("latin-1", "replace")
    if value.isascii() and not key.startswith("XML:"):
        return _chunk(b"tEXt", name + b"\0" + value.encode())
    return _chunk(b"iTXt", name + b"\0\0\0\0\0" + value.encode())


def png_bytes(
    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16],
    *,
    icc: bytes | None = None,
    dpi: tuple[float, float] | None = None,
    exif: bytes | None = None,
    text: Mapping[str, str] | None = None,
    chunks: Iterable[tuple[bytes, bytes]] = (),
) -> bytes:
    """A PNG of (H, W, samples) pixels, uint8 or uint16; samples 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA.

    libpng chooses the filter of each row (none, sub, up or average); Python's zlib compresses, because imagecodecs may
    be built with another one, whose bytes differ. The ``chunks`` come first, by name and body.
    """
    filters = imagecodecs.PNG.FILTER
    plain = bytes(
        imagecodecs.png_encode(
            pixels[..., 0] if pixels.shape[-1] == 1 else pixels,
            level=1,
            filter=filters.NONE | filters.SUB | filters.UP | filters.AVG,
        )
    )
    own = list(_chunks(plain))
    rows = zlib.decompress(b"".join(body for name, body in own if name == b"IDAT"))
    parts = [SIGNATURE, _chunk(*own[0]), *(_chunk(*chunk) for chunk in chunks)]
    if icc:
        parts.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)))
    if dpi:
        parts.append(_chunk(b"pHYs", struct.pack(">IIB", *(round(value / 0.0254) for value in dpi), 1)))
    if exif:
        parts.append(_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    parts += [_text(key, value) for key, value in (text or {}).items()]
    return b"".join([*parts, _chunk(b"IDAT", zlib.compress(rows, 6)), _chunk(b"IEND", b"")])


def encode_jpeg(picture: Picture, provenance: Mapping[str, str]) -> bytes:
    """The bytes of a JPEG; provenance goes into the comment, after the description."""
    array = picture.array
    if array.dtype != np.uint8 or picture.channels not in (1, 3) or picture.alpha is not None:
        raise OutputError(
            f"a JPEG cannot hold {picture.channels} channels of {array.dtype}"
            + (" with alpha" if picture.alpha is not None else ""),
            "write a PNG or a TIFF instead",
        )
    comment = stamped(picture.description, provenance).encode()[:65000]
    options: dict[str, Any] = {"comment": comment} if comment else {}
    if picture.dpi:
        options["dpi"] = tuple(round(value) for value in picture.dpi)
    if picture.icc:
        options["icc_profile"] = picture.icc
    if picture.exif:
        options["exif"] = picture.exif
    buffer = io.BytesIO()
    pixels = array if array.ndim == 2 or array.shape[2] == 3 else array[..., 0]
    try:
        Image.fromarray(pixels).save(buffer, "JPEG", quality=100, subsampling=0, **options)
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot be written as JPEG: {error}", "write a PNG or a TIFF instead") from error
    data = buffer.getvalue()
    parts = (
        struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body
        for marker, body in picture.extra.get("applications", ())
    )
    place = max((end for marker, _, end in _segments(data) if marker in (0xE0, 0xE1)), default=2)
    return b"".join((data[:place], *parts, data[place:]))
