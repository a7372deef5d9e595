"""Camera raw files by windows: a mosaic is read at once, and solved and written tile by tile.

The pixels of the result, as those of the mosaic, fit into memory; what the network makes of them does not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from inverse.errors import OutputError
from inverse.io.content import Picture
from inverse.io.photographs.raw import decode, encode
from inverse.storage.files import atomic_bytes

__all__ = ["in_blocks", "open_windows", "open_writer"]


@dataclass(frozen=True)
class _Mosaic:
    """A mosaic that was read."""

    whole: Picture

    @property
    def size(self) -> tuple[int, int]:
        return self.whole.size

    @property
    def channels(self) -> int:
        return 1

    def picture(self, top: int, left: int, height: int, width: int, *, empty: bool = False) -> Picture:
        """A window, with the pattern that it has."""
        del empty
        letters = np.roll(np.reshape(list(self.whole.extra["pattern"]), (2, 2)), (-(top % 2), -(left % 2)), (0, 1))
        kept = {name: value for name, value in self.whole.extra.items() if name != "deviation"}
        array = np.ascontiguousarray(self.whole.array[top : top + height, left : left + width])
        return replace(self.whole, array=array, extra={**kept, "pattern": "".join(letters.ravel())})


def open_windows(path: Path, *, source: str, inner: str | None, stack: ExitStack) -> _Mosaic:
    """A raw file as `inverse.io.windows.open_windows` has it; errors as of `inverse.io.photographs.raw.decode`."""
    del stack
    return _Mosaic(decode(path, source=source, inner=inner))


def in_blocks(like: Picture, *, size: tuple[int, int], side: int) -> Picture:
    """As `inverse.io.windows.in_blocks`: the result has no blocks."""
    del size, side
    return like


@contextmanager
def open_writer(
    path: str | os.PathLike[str],
    like: Picture,
    *,
    size: tuple[int, int],
    provenance: Mapping[str, str],
    overwrite: bool,
) -> Iterator[Callable[[int, int, Picture], None]]:
    """As `inverse.io.windows.open_writer`; the file is written at the end."""
    target = Path(path)
    if target.exists() and not overwrite:
        raise OutputError(f"{target}: exists already", "choose another name, or allow overwriting")
    array = np.zeros((*size, *like.array.shape[2:]), np.float32)

    def put(top: int, left: int, picture: Picture) -> None:
        height, width = picture.size
        array[top : top + height, left : left + width] = picture.array

    yield put
    atomic_bytes(target, encode(replace(like, array=array, valid=None), provenance), overwrite=overwrite)
