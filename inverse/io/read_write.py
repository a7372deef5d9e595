"""Read and write what a file holds, whatever its format: a picture, a volume of slices, raw k-space."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from inverse.errors import InputError, OutputError
from inverse.io.content import Array, Picture, Scan, Volume, float_volume
from inverse.io.detect import judge, load_bytes
from inverse.io.registry import FORMATS, function
from inverse.storage.files import atomic_bytes
from inverse.storage.paths import locate

__all__ = [
    "float_path",
    "float_picture",
    "read",
    "read_picture",
    "read_pictures",
    "result_path",
    "save_float",
    "write",
    "write_volume",
]

_FLOATS = ("npy", "tiff")


def read(path: str | os.PathLike[str], *, name: str | None = None) -> Picture | Volume | Scan:
    """Read a file; its format is judged by its content.

    Args:
        path: The file; ``FILE::INNER`` for one array of a file that holds several.
        name: What messages call it (default: the path as given). A run gives the item's id, so that no absolute path
            gets into its files.

    Raises:
        InputError: The file is missing, empty, broken, of another kind, has no pixels, or has NaN or infinite ones; or it needs an
            optional package that is not installed.
    """
    source = os.fspath(path) if name is None else name
    place, inner = locate(path)
    form = judge(place, inner, name=source)
    spec = FORMATS[form]
    if inner is not None and not spec.named:
        raise InputError(f"{source}: {spec.title} holds one image, not several by name", f"leave ::{inner} away")
    decode = function(spec.decode, title=spec.title, source=source, error=InputError)
    content = load_bytes(place, name=source) if spec.whole else place
    try:
        found: Picture | Volume | Scan = decode(content, source=source, **({"inner": inner} if spec.named else {}))
    except (ValueError, LookupError, ArithmeticError, TypeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{source}: broken {spec.title}: {reason}", "copy or export the file again") from error
    _check(found)
    return found


def read_picture(path: str | os.PathLike[str], *, name: str | None = None) -> Picture:
    """As `read`, for one image.

    Raises:
        InputError: As `read`; or the file holds a volume or raw k-space.
    """
    found = read(path, name=name)
    if isinstance(found, Picture):
        return found
    kind = f"{len(found.slices)} slices" if isinstance(found, Volume) else "raw k-space"
    raise InputError(f"{found.source}: holds {kind}, expected one image", "save each slice as a file of its own")


def read_pictures(path: str | os.PathLike[str], *, name: str | None = None) -> tuple[Picture, ...]:
    """As `read`, for all images of a file: one, or the slices of a volume.

    Raises:
        InputError: As `read`; or the file holds raw k-space.
    """
    found = read(path, name=name)
    if isinstance(found, Scan):
        raise InputError(f"{found.source}: holds raw k-space, expected images", "reconstruct it first")
    return found.slices if isinstance(found, Volume) else (found,)


def _check(found: Picture | Volume | Scan) -> None:
    if isinstance(found, Scan):
        coils, image = found.kspace.shape[1], found.shape
        if coils > max(image):
            raise InputError(
                f"{found.source}: k-space of {coils} coils and {image[0]} x {image[1]} points: are its axes swapped?",
                "the order is (slices, coils, rows, columns)",
            )
        _check_finite([found.kspace], found.source, "k-space")
        return
    pictures = found.slices if isinstance(found, Volume) else (found,)
    for picture in pictures[:1]:
        array, source = picture.array, found.source
        if array.size == 0:
            height, width = picture.size
            raise InputError(f"{source}: the image is empty: {width} x {height} pixels, {picture.channels} channels")
        if array.dtype.kind != "f" and not (array.dtype.kind in "iu" and array.dtype.itemsize <= 4):
            hint = "convert it to uint8, uint16 or float32"
            raise InputError(f"{source}: pixels of type {array.dtype} have no defined range", hint)
    _check_finite([picture.array for picture in pictures], found.source, "pixel")


def _check_finite(arrays: Sequence[Array], source: str, kind: str) -> None:
    if arrays and arrays[0].dtype.kind not in "fc":
        return
    bad = sum(int(array.size - np.isfinite(array).sum()) for array in arrays)
    if bad:
        hint = "fill them in, or mark them as missing with a file-mask operator"
        total = sum(array.size for array in arrays)
        raise InputError(f"{source}: {bad} of {total} {kind} values are NaN or infinite", hint)


def result_path(path: str | os.PathLike[str], form: str) -> Path:
    """Where `write` and `write_volume` put an item of a format: its own name, or for one that is only read another suffix appended."""
    spec, target = FORMATS[form], Path(path)
    return target if not spec.result else target.with_name(f"{target.name}{FORMATS[spec.result].suffixes[0]}")


def write(
    path: str | os.PathLike[str],
    picture: Picture,
    *,
    provenance: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a picture in its own format (`picture.format`), whole or not at all.

    Args:
        path: The file; missing folders are made.
        picture: What to write.
        provenance: Text to embed, such as ``{"inverse:run": "..."}``: PNG text chunks, the TIFF description, the JPEG
            comment, HDF5 attributes; a npy file has no place for it.
        overwrite: Replace an existing file.

    Returns:
        The path that was written: `result_path`.

    Raises:
        OutputError: The file exists, cannot be written, or the format cannot hold the pixels.
    """
    return _write(path, picture, provenance, overwrite)


def write_volume(
    path: str | os.PathLike[str],
    volume: Volume,
    *,
    provenance: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write all slices as one file of the volume's own format, whole or not at all; arguments as those of `write`.

    The slices may have another size or type than those that were read, the same for all of them.
    """
    kinds = {(picture.array.shape, picture.array.dtype) for picture in volume.slices}
    if len(kinds) != 1:
        raise OutputError(f"{path}: slices of {len(kinds)} shapes and types, expected one of each")
    return _write(path, volume, provenance, overwrite)


def _write(
    path: str | os.PathLike[str], found: Picture | Volume, provenance: Mapping[str, str] | None, overwrite: bool
) -> Path:
    spec = FORMATS.get(found.format)
    if spec is None:
        raise OutputError(f"{path}: unknown format '{found.format}'", f"allowed: {', '.join(FORMATS)}")
    target, stamp = result_path(path, found.format), dict(provenance or {})
    if spec.store:
        store = function(spec.store, title=spec.title, source=str(path), error=OutputError)
        store(target, found, stamp, overwrite=overwrite)
    elif spec.encode:
        encode = function(spec.encode, title=spec.title, source=str(path), error=OutputError)
        atomic_bytes(target, encode(found, stamp), overwrite=overwrite)
    else:
        raise OutputError(f"{path}: {spec.title} is only read here", "convert the input to TIFF or HDF5 first")
    return target


def float_path(path: str | os.PathLike[str], *, like: Picture | Volume | None = None) -> Path:
    """Where `save_float` puts a map for an item: names of formats that hold floats stay, others get ``.tif`` appended."""
    target = Path(path)
    if like is not None and like.format not in ("png", "jpeg"):
        return result_path(path, like.format)
    keep = tuple(suffix for name in _FLOATS for suffix in FORMATS[name].suffixes)
    return target if target.suffix.lower() in keep else target.with_name(f"{target.name}.tif")


def save_float(
    path: str | os.PathLike[str],
    array: Array,
    *,
    like: Picture | Volume | None = None,
    provenance: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a map as float32 in the item's own format; as TIFF where that holds no floats (PNG, JPEG).

    Args:
        path: The item's name; `float_path` says what it becomes.
        array: (C, H, W) or (H, W); for a volume (S, C, H, W) or (S, H, W). Values are not limited to [0, 1].
        like: The item's picture or volume, whose format, resolution and, at equal size, geo tags are taken over.
        provenance: Text to embed.
        overwrite: Replace an existing file.

    Returns:
        The path that was written.
    """
    if isinstance(like, Volume):
        return write_volume(path, float_volume(array, like=like), provenance=provenance, overwrite=overwrite)
    target = float_path(path, like=like)
    values = np.asarray(array, np.float32)
    values = values if values.ndim == 2 else np.moveaxis(values, 0, -1)
    if values.ndim == 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if like is not None and FORMATS[like.format].float_map:
        picture = float_picture(values, like, source=str(path))
        return write(target, picture, provenance=provenance, overwrite=overwrite)
    own = like is not None and like.format not in ("png", "jpeg")
    same = like is not None and like.size == values.shape[:2]
    form = like.format if like is not None and own else "npy" if target.suffix.lower() == ".npy" else "tiff"
    extra = dict(like.extra) if like is not None and own else {}
    if form == "tiff":
        extra = {"tags": extra.get("tags", ()) if same else ()}
    picture = Picture(
        array=np.ascontiguousarray(values),
        format=form,
        valid=like.valid if like is not None and same else None,
        dpi=like.dpi if like is not None and same else None,
        extra=extra,
    )
    return write(path if own else target, picture, provenance=provenance, overwrite=overwrite)


def float_picture(values: Array, like: Picture, *, source: str) -> Picture:
    """A map (H, W) or (H, W, C) as a float32 picture on the ground of one whose format keeps more than pixels (`Format.float_map`).

    Raises:
        OutputError: an optional package is missing.
    """
    spec = FORMATS[like.format]
    made: Picture = function(spec.float_map, title=spec.title, source=source, error=OutputError)(values, like)
    return made
