"""What a file is, judged by its content and never by its suffix."""

from __future__ import annotations

import os
import re
import zlib
from pathlib import Path

from inverse.errors import InputError, printable
from inverse.io.registry import Format, formats, function, installed
from inverse.storage.paths import is_store, locate
from inverse.storage.regular import read_regular

__all__ = ["judge", "load_bytes", "sniff"]

HEAD = 4096
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"%PDF", "a PDF"),
    (b"\x1f\x8b", "a gzip file"),
    (b"8BPS", "a Photoshop file"),
    (b"MATLAB", "a MATLAB file"),
    (b"SIMPLE", "a FITS file"),
)


def sniff(path: str | os.PathLike[str], *, name: str | None = None) -> str:
    """The format of a file, called `name` in messages: a key of `formats`.

    Raises:
        InputError: The file is missing, empty, a folder, or of another kind.
    """
    place, inner = locate(path)
    return judge(place, inner, name=printable(os.fspath(path)) if name is None else name)


def judge(place: Path, inner: str | None, *, name: str) -> str:
    """The format of the file at `place`, of which the array `inner` is wanted; the rest as `sniff`."""
    folder = is_store(place)
    head = b"" if folder else _read(place, HEAD, name)
    of_kind = ((form, spec) for form, spec in formats().items() if spec.folder == folder)
    possible = {form: spec for form, spec in of_kind if folder or _matches(spec, head, place)}
    for form, spec in possible.items():
        if spec.looks and (spec.foreign or installed(spec.extra)):
            looks = function(spec.looks, title=spec.title, source=name)
            if looks(place, inner, source=name):
                if not installed(spec.extra):
                    raise _uninstalled(spec, name)
                return form
    general = next((form for form, spec in possible.items() if not spec.looks), None)
    if general is None:
        for spec in possible.values():
            if not installed(spec.extra):
                raise _uninstalled(spec, name)
        raise _unknown(head, name)
    return general


def _matches(spec: Format, head: bytes, place: Path) -> bool:
    if not spec.magic:
        return place.suffix.lower() in spec.suffixes
    if spec.packed and head.startswith(b"\x1f\x8b"):
        try:
            head = zlib.decompressobj(31).decompress(head, HEAD)
        except zlib.error:
            return False
    return re.match(spec.magic, head, re.DOTALL) is not None


def load_bytes(path: str | os.PathLike[str], *, name: str) -> bytes:
    """The whole content of a file, called `name` in messages; errors as those of `sniff`."""
    return _read(path, -1, name)


def _read(path: str | os.PathLike[str], count: int, name: str) -> bytes:
    try:
        return read_regular(path, count)
    except FileNotFoundError:
        raise InputError(f"{name}: no such file", "check the spelling and the current folder") from None
    except IsADirectoryError:
        raise InputError(f"{name}: is a folder, expected a file") from None
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{name!r}: is not a file name: {error}") from None


def _uninstalled(spec: Format, name: str) -> InputError:
    """The error for a file of a format whose extra is missing."""
    return InputError(
        f"{name}: {spec.title} needs a package that is not installed", f"pip install 'inverse-imaging[{spec.extra}]'"
    )


def _unknown(head: bytes, name: str) -> InputError:
    """The error for a file that is of no format here, with a guess at what it is."""
    if not head:
        return InputError(f"{name}: the file is empty", "copy or export it again")
    kind = next((title for magic, title in _OTHERS if head.startswith(magic)), None)
    if kind is None:
        halves = (spec for spec in formats().values() if spec.half)
        kind = next((spec.half for spec in halves if name.lower().endswith(spec.suffixes)), None)
    if kind is None:
        text = all(byte >= 32 or byte in b"\t\n\r\f" for byte in head)
        kind = "text, not an image" if text else "no image format that is known here"
    return InputError(f"{name}: the content is {kind}", f"supported: {', '.join(formats())} (inverse list formats)")
