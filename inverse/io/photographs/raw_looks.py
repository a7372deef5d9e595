"""Whether a file is a camera's raw file, told without the package that reads it."""

from __future__ import annotations

from pathlib import Path

import tifffile

from inverse.io.limits import quiet

__all__ = ["looks_like"]

_DNG, _MAKER, _CFA = 50706, 271, 32803


def looks_like(path: Path, inner: str | None, *, source: str) -> bool:
    """Whether a file is a camera's raw file: a TIFF that says so, or one of the kinds that are no TIFF."""
    del inner, source
    with open(path, "rb") as file:
        head = file.read(16)
    if head[:4] not in (b"II*\0", b"MM\0*"):
        return True
    if head[8:10] == b"CR":
        return True
    try:
        with quiet("tifffile"), tifffile.TiffFile(path, _multifile=False) as file:
            page = file.pages.first
            if _DNG in page.tags:
                return True
            return _MAKER in page.tags and any(int(part.photometric) == _CFA for part in page.pages or ())
    except Exception:  # tifffile raises a dozen types on damaged files; the reader of TIFF says what is wrong
        return False
