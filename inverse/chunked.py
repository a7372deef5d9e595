"""An HDF5 file written by windows: chunked data sets that are made as their first window comes, the file whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from inverse.errors import OutputError
from inverse.io.atomic import part_path
from inverse.store import FREE
from inverse.tiling import Window

__all__ = ["Put", "open_chunked"]

CHUNK = 256
Put = Callable[[str, NDArray[Any], tuple[int, int], Window | None], None]


@contextmanager
def open_chunked(path: Path, attributes: Mapping[str, Mapping[str, Any]]) -> Iterator[Put]:
    """Write a file window by window.

    Args:
        path: The file.
        attributes: Name of a data set ("" for the file) to its attributes; read at the end, those of other data sets left out.

    Yields:
        ``put(name, values, size, window)``: write ``values`` (..., h, w) into a window of the data set, which has ``size`` pixels; without a window all of it.

    Raises:
        OutputError: it cannot be written.
    """
    import h5py

    part = part_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(part, "w", libver=("v110", "v110")) as file:

            def put(name: str, values: NDArray[Any], size: tuple[int, int], window: Window | None) -> None:
                if window is None:
                    file.create_dataset(name, data=values, track_times=False)
                    return
                lead = values.shape[:-2]
                if name not in file:
                    chunks = (*(1 for _ in lead), *(min(CHUNK, side) for side in size))
                    file.create_dataset(name, (*lead, *size), "f4", chunks=chunks, track_times=False)
                file[name][..., window.top : window.bottom, window.left : window.right] = values

            yield put
            for name, values in attributes.items():
                target = file if not name else file.get(name)
                for key, value in values.items() if target is not None else ():
                    target.attrs[key] = value
        with part.open("rb") as stream:
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}", FREE) from error
    finally:
        part.unlink(missing_ok=True)
