"""Any data set of an HDF5 file, in and out: ``FILE.h5::/entry/data``, or ``FILE.h5`` where only one is an image.

Its axes are taken as `inverse.io.axes` says. The result is a new file with that data set alone, at the same path, with
the attributes of the groups above it and its own (as they are; ``element_size_um`` is scaled with the grid), compressed
if it was; provenance is an attribute of the data set. Pixels without a value are NaN, or the data set's fill value
(``_FillValue`` and ``missing_value`` of netCDF, a fill value other than 0 of HDF5), which they get again. Nothing
outside the file is ever opened: external links, external storage and virtual data sets are refused, and so are soft
links, which can be cyclic.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from inverse.errors import InputError
from inverse.io.axes import arranged, fits, flattened
from inverse.io.content import Array, Picture, Volume
from inverse.io.limits import bounded, reason
from inverse.io.nodata import held, marked

__all__ = ["arrays_in", "check_lengths", "checked", "decode", "encode", "facts", "float_map", "opened", "unlinked"]

_AGAIN = "copy or export the file again"
_BROKEN = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, UnicodeDecodeError, AttributeError)
_MOST = 10_000
#: Attributes of stored values that those of a deviation do not have.
PACKED = ("_FillValue", "missing_value", "add_offset", "valid_min", "valid_max", "valid_range")
#: Names of the two parts of complex numbers that are stored as pairs.
_PARTS = {("real", "imag"), ("re", "im"), ("r", "i"), ("real", "imaginary")}


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
            if not arrays and (found := _complex(file)):
                raise _complex_numbers(source, *found)
            if len(arrays) != 1:
                few = ", ".join(f"{name} {item.shape}" for name, item in list(arrays.items())[:6])
                example = next(iter(arrays), "/PATH")
                raise InputError(
                    f"{source}: holds {len(arrays)} arrays{f': {few}' if few else ' that could be images'}",
                    f"name one: FILE.h5::{example}",
                )
            inner = next(iter(arrays))
        dataset = checked(file, inner, source)
        if _is_pair(dataset.dtype):
            raise _complex_numbers(source, dataset.name, dataset)
        if not fits(dataset.shape, dataset.dtype) and dataset.dtype.kind != "c":
            raise InputError(
                f"{source}: '{inner}' is {dataset.dtype} of shape {dataset.shape}, no image",
                "allowed: 2 to 4 axes of integers or floats",
            )
        extra: dict[str, Any] = {
            "path": dataset.name,
            "attributes": _attributes(file, dataset.name),
            "compressed": dataset.chunks is not None and dataset.id.get_create_plist().get_nfilters() > 0,
        }
        if dataset.dtype.kind == "c":
            return arranged(np.empty(dataset.shape[:0], dataset.dtype), format="hdf5", source=source, extra=extra)
        extra |= {"missing": _missing(dataset), "shape": dataset.shape, **_pixel(dataset)}
        return _observed(arranged(dataset[()], format="hdf5", source=source, extra=extra))


def _is_pair(dtype: np.dtype[Any]) -> bool:
    return dtype.names is not None and tuple(name.lower() for name in dtype.names) in _PARTS


def _complex(file: h5py.File) -> tuple[str, h5py.Dataset] | None:
    """The first data set of complex numbers, or of such as pairs, as MATLAB writes them."""
    found = file.visititems(
        lambda name, item: (
            name
            if isinstance(item, h5py.Dataset) and (item.dtype.kind == "c" or _is_pair(item.dtype)) and item.ndim > 1
            else None
        )
    )
    return None if found is None else (f"/{found}", file[found])


def _complex_numbers(source: str, name: str, dataset: h5py.Dataset) -> InputError:
    said = f"{source}: '{name}' holds complex numbers of shape {dataset.shape}"
    if dataset.dtype.kind == "c":
        return InputError(said, "k-space (slices, coils, H, W) is called 'kspace', or is a .npy; of an image save |v|")
    return InputError(
        f"{said} as pairs (real, imag), as MATLAB writes them",
        "save k-space as .npy (slices, coils, H, W): v = f[NAME][()]; np.save(OUT, v['real'] + 1j * v['imag']), axes "
        "reversed; of an image its magnitude",
    )


def _missing(dataset: h5py.Dataset) -> float | int | None:
    """The value of pixels without one; None where the data set has none, or one that its type does not hold."""
    value = next((dataset.attrs[key] for key in ("_FillValue", "missing_value") if key in dataset.attrs), None)
    defined = dataset.id.get_create_plist().fill_value_defined() == h5py.h5d.FILL_VALUE_USER_DEFINED
    if value is None and defined and dataset.fillvalue != 0:
        value = dataset.fillvalue
    numbers = np.ravel(value) if value is not None else np.empty(0)
    if numbers.size != 1 or numbers.dtype.kind not in "iuf" or np.isnan(numbers[0]):
        return None
    missing: float | int = numbers[0].item()
    return missing if held(missing, dataset.dtype) else None


def _pixel(dataset: h5py.Dataset) -> dict[str, Any]:
    """The pixel size of ``element_size_um``, of axes z, y, x, as the fact ``optics`` of a measurement."""
    sizes = np.ravel(dataset.attrs.get("element_size_um", ()))
    if len(sizes) < 2 or sizes.dtype.kind not in "iuf" or not (np.isfinite(sizes) & (sizes > 0)).all():
        return {}
    return {"optics": {"pixel": (1e3 * float(sizes[-2]), 1e3 * float(sizes[-1]))}}


def _observed(content: Picture | Volume) -> Picture | Volume:
    """What was read, and which of its values are not the data set's fill value; of NaN `inverse.io.read` knows."""
    missing = content.extra["missing"]
    pictures = content.slices if isinstance(content, Volume) else (content,)
    if missing is None or not any((picture.array == missing).any() for picture in pictures):
        return content
    made = []
    for picture in pictures:
        seen = picture.array != missing
        array = np.where(seen, picture.array, np.zeros((), picture.array.dtype))
        seen = seen[..., 0] if seen.ndim == 3 and (seen == seen[..., :1]).all() else seen
        made.append(replace(picture, array=array, valid=None if seen.all() else np.ascontiguousarray(seen)))
    if all(picture.valid is not None and not picture.valid.any() for picture in made):
        raise InputError(f"{content.source}: no pixel has a value: all are {missing}", "check the fill value")
    count = sum(int((picture.array == missing).sum()) for picture in pictures)
    notes = (*content.notes, f"{count} values are the fill value {missing:g}, taken as unobserved")
    if isinstance(content, Volume):
        return replace(content, slices=tuple(made), notes=notes)
    return replace(made[0], notes=notes)


def _marked(content: Picture | Volume) -> Picture | Volume:
    """What is written, with the fill value where there is no value; else NaN in floats."""
    missing = content.extra.get("missing")
    pictures = content.slices if isinstance(content, Volume) else (content,)
    made = []
    for picture in pictures:
        planes, valid = picture.array.reshape(*picture.size, -1), picture.valid
        if valid is not None and valid.ndim == 3 and valid.shape[-1] != planes.shape[-1]:
            valid = np.asarray(valid.any(-1))
        if valid is not None or missing is not None:
            planes = marked(planes, np.ones(picture.size, bool) if valid is None else valid, missing)
        made.append(replace(picture, array=planes.reshape(picture.array.shape)))
    return replace(content, slices=tuple(made)) if isinstance(content, Volume) else made[0]


def float_map(values: Array, like: Picture) -> Picture:
    """A map (H, W) or (H, W, C) of any size as a float32 picture of the kind of `like`, NaN where it has no value.

    A deviation has the scale of the values, never their offset.
    """
    attributes = {path: dict(own) for path, own in like.extra["attributes"].items()}
    for key in PACKED:
        attributes[like.extra["path"]].pop(key, None)
    extra = {**like.extra, "attributes": attributes, "missing": None}
    valid = like.valid if like.size == values.shape[:2] else None
    return Picture(array=np.ascontiguousarray(values, np.float32), format="hdf5", valid=valid, extra=extra)


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
    name, values = content.extra["path"], flattened(_marked(content))
    buffer = io.BytesIO()
    packed = {"compression": "gzip", "shuffle": True} if content.extra["compressed"] else {}
    with h5py.File(buffer, "w", libver=("v110", "v110")) as file:
        file.create_dataset(name, data=values, track_times=False, **packed)
        for path, attributes in _finer(content, values.shape).items():
            for key, value in attributes.items():
                file[path].attrs[key] = value
        for key, text in provenance.items():
            file[name].attrs[key] = text
    return buffer.getvalue()


def _finer(content: Picture | Volume, shape: tuple[int, ...]) -> Mapping[str, Mapping[str, Any]]:
    """Attributes of a result of a shape: pixel sizes follow the grid, so that the extent stays."""
    attributes: Mapping[str, Mapping[str, Any]] = content.extra["attributes"]
    name = content.extra["path"]
    sizes, old = attributes[name].get("element_size_um"), content.extra.get("shape", shape)
    ratios = [before / now for before, now in zip(old, shape, strict=False)] if len(old) == len(shape) else []
    image = [ratio for ratio in ratios if ratio != 1]
    if sizes is None or not image or np.ndim(sizes) != 1 or len(sizes) < 2:
        return attributes
    last = -3 if content.extra["channel_axis"] else -2
    height, width = ratios[last], ratios[last + 1]
    finer = np.array(sizes, np.float64)
    at = len(sizes) + last if len(sizes) == len(shape) else -2
    finer[at], finer[at + 1] = finer[at] * height, finer[at + 1] * width
    return {**attributes, name: {**attributes[name], "element_size_um": finer.astype(np.result_type(sizes, "f4"))}}


def facts(content: Picture | Volume) -> dict[str, Any]:
    """The path of the data set, for `inverse info`."""
    return {"array": content.extra["path"]}
