"""Any data set of an HDF5 file, in and out: ``FILE.h5::/entry/data``, or ``FILE.h5`` where only one is an image.

Its axes are taken as `inverse.io.axes` says. The result is a new file with that data set alone, at the same path, with
the attributes of the groups above it and its own (as they are: a pixel size is not scaled), compressed if it was;
provenance is an attribute of the data set. Nothing outside the file is ever opened: external links, external storage
and virtual data sets are refused, and so are soft links, which can be cyclic.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from inverse.errors import InputError
from inverse.io.axes import arranged, fits, flattened
from inverse.io.content import Picture, Volume
from inverse.io.limits import bounded, reason

__all__ = ["arrays_in", "check_lengths", "checked", "decode", "encode", "facts", "opened", "unlinked"]

_AGAIN = "copy or export the file again"
_BROKEN = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, UnicodeDecodeError, AttributeError)
_MOST = 10_000


@contextmanager
def opened(path: Path, source: str) -> Iterator[h5py.File]:
    """A file open for reading; what HDF5 says of a damaged one as `InputError`."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except _BROKEN as error:
        raise InputError(f"{source}: broken HDF5: {reason(error, 140)}", _AGAIN) from error


@contextmanager
def unlinked(path: Path, source: str) -> Iterator[h5py.File]:
    """A file open for reading, as `opened`; raises `InputError` where a link at its top leads to another file."""
    with opened(path, source) as file:
        for group in (file, *(file[name] for name in _groups(file))):
            for name in _names(group):
                _link(group, name, source)
        yield file


def _names(group: h5py.Group) -> list[str]:
    return list(itertools.islice(group, _MOST))


def _groups(file: h5py.File) -> list[str]:
    return [
        name
        for name in _names(file)
        if isinstance(file.get(name, getlink=True), h5py.HardLink) and file.get(name, getclass=True) is h5py.Group
    ]


def _link(group: h5py.Group, name: str, source: str) -> None:
    link = group.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        raise InputError(
            f"{source}: '{name}' is a link into another file, which is never opened", "copy the data into this file"
        )


def arrays_in(file: h5py.File) -> dict[str, h5py.Dataset]:
    """The data sets that could be images, by path; links are not followed."""
    arrays: dict[str, h5py.Dataset] = {}
    seen = 0

    def visit(name: str, item: Any) -> bool | None:
        nonlocal seen
        seen += 1
        if isinstance(item, h5py.Dataset) and item.shape is not None and fits(item.shape, item.dtype):
            arrays[f"/{name}"] = item
        return True if seen >= _MOST else None

    file.visititems(visit)
    return arrays


def checked(file: h5py.File, name: str, source: str) -> h5py.Dataset:
    """The data set at a path, of which nothing lies in another file and no more is declared than is stored.

    Raises:
        InputError: No such data set, a link, external storage, a virtual data set, a filter that is not there, an
            absurd size.
    """
    item: Any = file
    for part in [part for part in name.split("/") if part not in ("", ".")]:
        if not isinstance(item, h5py.Group) or item.get(part, getlink=True) is None:
            raise InputError(f"{source}: no data set '{name}' in the file", _listed(file))
        _link(item, part, source)
        link = item.get(part, getlink=True)
        if isinstance(link, h5py.SoftLink):
            raise InputError(f"{source}: '{part}' is a soft link to {link.path}", "name the data set itself")
        item = item[part]
    if not isinstance(item, h5py.Dataset):
        raise InputError(f"{source}: '{name}' is a group, expected a data set", _listed(file))
    if item.external or item.is_virtual:
        raise InputError(
            f"{source}: the values of '{name}' lie in other files, which are never opened", "copy them into this file"
        )
    if item.shape is None:
        raise InputError(f"{source}: the data set '{name}' is empty", "it has no shape")
    filters = item.id.get_create_plist()
    for index in range(filters.get_nfilters()):
        code, _, _, title = filters.get_filter(index)
        if not h5py.h5z.filter_avail(code):
            raise InputError(
                f"{source}: '{name}' is compressed by filter {code} ({title.decode(errors='replace')[:40]}), "
                "not known here",
                "h5repack -f GZIP=4 makes a copy that can be read",
            )
    stored = item.id.get_storage_size()
    bounded(item.shape, item.dtype.itemsize, stored, source=source)
    if item.chunks:
        bounded(item.chunks, item.dtype.itemsize, stored, source=source)
    return item


def check_lengths(dataset: h5py.Dataset, fields: Mapping[str, int], source: str) -> None:
    """Check a table's variable-length fields, with their bytes a value, before HDF5 allocates what they ask for.

    Raises:
        InputError: They ask for more than the file holds.
    """
    table, path = dataset.id.get_type(), Path(dataset.file.filename)
    starts = {name: table.get_member_offset(table.get_member_index(name.encode())) for name in fields}
    size, whole = table.get_size(), path.stat().st_size
    if dataset.chunks is None:
        places = [(dataset.id.get_offset() or 0, dataset.size * size)]
    else:
        chunks = (dataset.id.get_chunk_info(index) for index in range(dataset.id.get_num_chunks()))
        places = [(chunk.byte_offset, chunk.size) for chunk in chunks]
    if dataset.id.get_create_plist().get_nfilters():
        return
    with path.open("rb") as file:
        for offset, length in places:
            file.seek(offset)
            rows = np.frombuffer(file.read(length // size * size), np.uint8).reshape(-1, size)
            asked = sum(
                item * int(rows[:, at : at + 4].copy().view("<u4").sum(dtype=np.uint64))
                for item, at in ((fields[name], starts[name]) for name in fields)
            )
            if asked > whole:
                raise InputError(f"{source}: broken HDF5: its records ask for {asked} bytes of {whole}", _AGAIN)


def _listed(file: h5py.File) -> str:
    return f"it holds {', '.join(list(arrays_in(file))[:8]) or 'no array of numbers'}"


def decode(path: Path, *, source: str, inner: str | None) -> Picture | Volume:
    """A data set as a `Picture` or a `Volume`.

    Raises:
        InputError: As `checked` and `inverse.io.axes.arranged`; or several data sets could be images and none is named.
    """
    with opened(path, source) as file:
        if inner is None:
            arrays = arrays_in(file)
            if len(arrays) != 1:
                few = ", ".join(f"{name} {item.shape}" for name, item in list(arrays.items())[:6])
                example = next(iter(arrays), "/PATH")
                raise InputError(
                    f"{source}: holds {len(arrays)} arrays{f': {few}' if few else ' that could be images'}",
                    f"name one: FILE.h5::{example}",
                )
            inner = next(iter(arrays))
        dataset = checked(file, inner, source)
        if not fits(dataset.shape, dataset.dtype) and dataset.dtype.kind != "c":
            raise InputError(
                f"{source}: '{inner}' is {dataset.dtype} of shape {dataset.shape}, no image",
                "allowed: 2 to 4 axes of integers or floats",
            )
        extra = {
            "path": dataset.name,
            "attributes": _attributes(file, dataset.name),
            "compressed": dataset.chunks is not None and dataset.id.get_create_plist().get_nfilters() > 0,
        }
        if dataset.dtype.kind == "c":
            return arranged(np.empty(dataset.shape[:0], dataset.dtype), format="hdf5", source=source, extra=extra)
        return arranged(dataset[()], format="hdf5", source=source, extra=extra)


def _attributes(file: h5py.File, name: str) -> dict[str, dict[str, Any]]:
    """Attributes by path, from the root to the data set; those that refer to other objects left out."""
    kept: dict[str, dict[str, Any]] = {}
    parts = name.strip("/").split("/")
    for depth in range(len(parts) + 1):
        path = "/" + "/".join(parts[:depth])
        attributes = file[path].attrs
        kept[path] = {}
        for key in list(attributes)[:_MOST]:
            try:
                value = attributes[key]
            except _BROKEN:
                continue
            if isinstance(value, str | bytes) or (isinstance(value, np.generic | np.ndarray) and _plain(value)):
                kept[path][key] = value
    return kept


def _plain(value: Any) -> bool:
    if value.dtype.kind == "O":
        return all(isinstance(part, str | bytes) for part in np.ravel(value))
    return value.dtype.names is None


def encode(content: Picture | Volume, provenance: Mapping[str, str]) -> bytes:
    """The bytes of an HDF5 file with one data set; they depend on nothing but the arguments."""
    name, values = content.extra["path"], flattened(content)
    buffer = io.BytesIO()
    packed = {"compression": "gzip", "shuffle": True} if content.extra["compressed"] else {}
    with h5py.File(buffer, "w", libver=("v110", "v110")) as file:
        file.create_dataset(name, data=values, track_times=False, **packed)
        for path, attributes in content.extra["attributes"].items():
            for key, value in attributes.items():
                file[path].attrs[key] = value
        for key, text in provenance.items():
            file[name].attrs[key] = text
    return buffer.getvalue()


def facts(content: Picture | Volume) -> dict[str, Any]:
    """The path of the data set, for `inverse info`."""
    return {"array": content.extra["path"]}
