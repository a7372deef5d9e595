"""Read and write what a file holds, whatever its format: a picture, a volume of slices, raw k-space."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inverse.errors import InputError, OutputError, printable
from inverse.io.content import Array, Picture, Scan, Volume, float_volume
from inverse.io.detect import judge, load_bytes
from inverse.io.limits import reason
from inverse.io.nodata import marked, unobserved
from inverse.io.registry import Format, formats, function
from inverse.io.sidecars import sidecars
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
    "whole",
    "write",
    "write_scan",
    "write_volume",
]

#: The format of a map where the item's own holds no floats.
MAPS = "tiff"


def read(path: str | os.PathLike[str], *, name: str | None = None) -> Picture | Volume | Scan:
    """Read a file, or ``FILE::INNER``, one array of several; its format is judged by its content.

    Floats that are NaN or infinite are pixels without a value, `Picture.valid`, whatever the format; and so is what
    alpha hides altogether.

    Messages call it ``name`` (default: the path as given). A run gives the item's id, so that no absolute path gets
    into its files.

    Raises:
        InputError: The file is missing, empty, broken, of another kind, has no pixels, or none with a value; or it
            needs an optional package that is not installed. Of raw k-space: samples that are not finite.
    """
    source = printable(os.fspath(path)) if name is None else name
    place, inner = locate(path)
    form = judge(place, inner, name=source)
    spec = formats()[form]
    if inner is not None and not spec.named:
        raise InputError(f"{source}: {spec.title} holds one image, not several by name", f"leave ::{inner} away")
    decode = function(spec.decode, title=spec.title, source=source)
    data = load_bytes(place, name=source) if spec.whole else place
    try:
        content: Picture | Volume | Scan = decode(data, source=source, **({"inner": inner} if spec.named else {}))
    except (ValueError, LookupError, ArithmeticError, TypeError, MemoryError) as error:
        raise InputError(f"{source}: broken {spec.title}: {reason(error)}", "copy or export the file again") from error
    _check(content)
    if isinstance(content, Scan):
        return content
    content = _visible(_observed(content), spec)
    return replace(content, lost=(*content.lost, *_beside(place, spec)))


def _beside(place: Path, spec: Format) -> tuple[str, ...]:
    """A sentence on files beside one whose reader does not look at them."""
    names = [] if spec.subject == "scene" or spec.folder else [path.name for path in sidecars(place)]
    if not names:
        return ()
    return (f"{', '.join(names)} beside it not read: gdal_translate IN OUT.tif makes a GeoTIFF that holds both",)


def read_picture(path: str | os.PathLike[str], *, name: str | None = None) -> Picture:
    """As `read`, for one image.

    Raises:
        InputError: As `read`; or the file holds a volume or raw k-space.
    """
    content = read(path, name=name)
    if isinstance(content, Picture):
        return content
    kind = f"{len(content.slices)} slices" if isinstance(content, Volume) else "raw k-space"
    raise InputError(f"{content.source}: holds {kind}, expected one image", "save each slice as a file of its own")


def read_pictures(path: str | os.PathLike[str], *, name: str | None = None) -> tuple[Picture, ...]:
    """As `read`, for all images of a file: one, or the slices of a volume.

    Raises:
        InputError: As `read`; or the file holds raw k-space.
    """
    content = read(path, name=name)
    if isinstance(content, Scan):
        raise InputError(f"{content.source}: holds raw k-space, expected images", "reconstruct it first")
    return content.slices if isinstance(content, Volume) else (content,)


def _check(content: Picture | Volume | Scan) -> None:
    source = content.source
    if isinstance(content, Scan):
        coils, (height, width) = content.kspace.shape[1], content.shape
        if content.trajectory is None and coils > max(height, width):
            raise InputError(
                f"{source}: k-space of {coils} coils and {height} x {width} points: are its axes swapped?",
                "the order is (slices, coils, rows, columns)",
            )
        bad = int(content.kspace.size - np.isfinite(content.kspace).sum())
        if bad:
            raise InputError(
                f"{source}: {bad} of {content.kspace.size} k-space values are NaN or infinite",
                "set them to 0: a sample that is 0 in all coils was not measured",
            )
        return
    pictures = content.slices if isinstance(content, Volume) else (content,)
    for picture in pictures[:1]:
        array = picture.array
        if array.size == 0:
            height, width = picture.size
            raise InputError(f"{source}: the image is empty: {width} x {height} pixels, {picture.channels} channels")
        if array.dtype.kind != "f" and not (array.dtype.kind in "iu" and array.dtype.itemsize <= 4):
            hint = "convert it to uint8, uint16 or float32"
            raise InputError(f"{source}: pixels of type {array.dtype} have no defined range", hint)


def _observed(content: Picture | Volume) -> Picture | Volume:
    """What was read, its floats finite and zero where they have no value."""
    pictures = content.slices if isinstance(content, Volume) else (content,)
    if pictures[0].array.dtype.kind != "f" or all(np.isfinite(picture.array).all() for picture in pictures):
        return content
    shape = pictures[0].array.shape
    planes = np.concatenate([picture.array.reshape(*shape[:2], -1) for picture in pictures])
    valid = np.concatenate([_mask(picture) for picture in pictures])
    planes, observed, notes = unobserved(planes, valid, source=content.source)
    made = []
    for picture, top in zip(pictures, range(0, len(planes), shape[0]), strict=True):
        mask = None if observed is None else observed[top : top + shape[0]]
        array = np.ascontiguousarray(planes[top : top + shape[0]].reshape(shape))
        made.append(replace(picture, array=array, valid=None if mask is None or mask.all() else mask))
    if isinstance(content, Volume):
        return replace(content, slices=tuple(made), notes=(*content.notes, *notes))
    return replace(made[0], notes=(*content.notes, *notes))


def _visible(content: Picture | Volume, spec: Format) -> Picture | Volume:
    """What was read, without a value where alpha is 0: what is hidden there is nobody's measurement."""
    pictures = content.slices if isinstance(content, Volume) else (content,)
    hidden = [picture.alpha is not None and bool((picture.alpha == 0).any()) for picture in pictures]
    if spec.marks or not any(hidden):
        return content
    made = []
    for picture in pictures:
        seen = np.ones(picture.size, bool) if picture.alpha is None else picture.alpha > 0
        if picture.valid is not None:
            seen = picture.valid & (seen if picture.valid.ndim == 2 else seen[..., None])
        made.append(replace(picture, valid=None if seen.all() else seen))
    if not any(picture.valid is None or picture.valid.any() for picture in made):
        raise InputError(f"{content.source}: all of it is transparent (alpha 0)", "remove its alpha channel")
    share = 100 * float(np.mean([1.0 if picture.valid is None else picture.valid.mean() for picture in made]))
    note = (f"transparent (alpha 0) are {100 - share:.2g} %, taken as unobserved",)
    if isinstance(content, Volume):
        return replace(content, slices=tuple(made), notes=(*content.notes, *note))
    return replace(made[0], notes=(*content.notes, *note))


def _mask(picture: Picture) -> npt.NDArray[np.bool_]:
    """Which values there are, (H, W, C)."""
    shape = (*picture.size, picture.channels)
    if picture.valid is None:
        return np.ones(shape, bool)
    return np.broadcast_to(picture.valid.reshape(*picture.size, -1), shape)


def _marked(content: Picture | Volume) -> Picture | Volume:
    """What is written, its floats NaN where there is no value; what alpha hides stays."""
    if isinstance(content, Volume):
        return replace(content, slices=tuple(_marked_picture(picture) for picture in content.slices))
    return _marked_picture(content)


def _marked_picture(picture: Picture) -> Picture:
    valid = picture.valid
    if valid is None or picture.alpha is not None or picture.array.dtype.kind != "f":
        return picture
    if valid.ndim == 3 and valid.shape[-1] != picture.channels:
        valid = np.asarray(valid.any(-1))
    planes = marked(picture.array.reshape(*picture.size, -1), valid, None)
    return replace(picture, array=planes.reshape(picture.array.shape))


def whole(picture: Picture) -> Picture:
    """The picture itself, of a file whose pixels must all have a value: a kernel, a truth, an image to learn from.

    Raises:
        InputError: some are NaN or infinite; of scenes and stores it is left to the caller.
    """
    spec = formats()[picture.format]
    if picture.valid is None or picture.array.dtype.kind != "f" or spec.subject == "scene" or spec.folder:
        return picture
    bad = int((~_mask(picture)).sum())
    raise InputError(f"{picture.source}: {bad} of {picture.array.size} values are NaN or infinite", "fill them in")


def result_path(path: str | os.PathLike[str], form: str) -> Path:
    """Where `write` and `write_volume` put an item: its own name, or of a format only read, another suffix appended."""
    spec, target = formats()[form], Path(path)
    return target if not spec.result else target.with_name(f"{target.name}{formats()[spec.result].suffixes[0]}")


def write(
    path: str | os.PathLike[str],
    picture: Picture,
    *,
    provenance: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a picture in its own format (`picture.format`), whole or not at all; returns the path, `result_path`.

    Missing folders are made. ``provenance`` is text to embed, such as ``{"inverse:run": "..."}``: PNG text chunks, the
    TIFF description, the JPEG comment, HDF5 attributes; a npy file has no place for it.

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
    path: str | os.PathLike[str], content: Picture | Volume, provenance: Mapping[str, str] | None, overwrite: bool
) -> Path:
    spec = formats().get(content.format)
    if spec is None:
        raise OutputError(f"{path}: unknown format '{content.format}'", f"allowed: {', '.join(formats())}")
    target, stamp = result_path(path, content.format), dict(provenance or {})
    content = content if spec.marks else _marked(content)
    if spec.store:
        store = function(spec.store, title=spec.title, source=str(path), error=OutputError)
        store(target, content, stamp, overwrite=overwrite)
    elif spec.encode:
        encode = function(spec.encode, title=spec.title, source=str(path), error=OutputError)
        atomic_bytes(target, encode(content, stamp), overwrite=overwrite)
    else:
        raise OutputError(f"{path}: {spec.title} is only read here", "convert the input to TIFF or HDF5 first")
    return target


def write_scan(
    path: str | os.PathLike[str],
    images: npt.NDArray[np.complex64 | np.float32],
    *,
    like: Scan,
    magnitude: npt.NDArray[np.float32] | None = None,
    provenance: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the images (S, H, W) of raw k-space in the scan's own kind of file, whole or not at all; returns the path.

    They are complex, or real for an uncertainty map or a root sum of squares; in units of the k-space. fastMRI files
    get a ``reconstruction``, ISMRMRD files an image group, a ``.cfl`` its ``.hdr``. ``magnitude`` (S, H, W) is what a
    fastMRI file's ``reconstruction`` is; None: that of the images.

    Raises:
        OutputError: The file exists or cannot be written, or the images are not (S, H, W).
    """
    if np.ndim(images) != 3 or not np.size(images):
        raise OutputError(f"{path}: images of shape {np.shape(images)}", "allowed: (slices, H, W)")
    spec = formats().get(like.format)
    if spec is None or not spec.scan:
        allowed = ", ".join(name for name, spec in formats().items() if spec.scan)
        raise OutputError(f"{path}: unknown scan format '{like.format}'", f"allowed: {allowed}")
    store = function(spec.scan, title=spec.title, source=str(path), error=OutputError)
    stamp = dict(provenance or {})
    target = result_path(path, like.format)
    store(target, images, like=like, magnitude=magnitude, provenance=stamp, overwrite=overwrite)
    return target


def float_path(path: str | os.PathLike[str], *, like: Picture | Volume | None = None) -> Path:
    """Where `save_float` puts a map for an item: names of formats that hold floats stay, others get ``.tif``."""
    target = Path(path)
    if like is not None and formats()[like.format].floats:
        return result_path(path, like.format)
    return target if _by_suffix(target) else target.with_name(f"{target.name}{formats()[MAPS].suffixes[0]}")


def _by_suffix(path: Path) -> str | None:
    """The format of a map that has only a name."""
    bare = (name for name, spec in formats().items() if spec.bare and spec.floats)
    return next((name for name in bare if path.suffix.lower() in formats()[name].suffixes), None)


def save_float(
    path: str | os.PathLike[str],
    array: Array,
    *,
    like: Picture | Volume | None = None,
    provenance: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a map as float32 in the item's own format; as TIFF where that holds no floats (PNG, JPEG).

    It is (C, H, W) or (H, W), for a volume (S, C, H, W) or (S, H, W), and not limited to [0, 1]. Of ``like``, the
    item's picture or volume, format, resolution and, at equal size, geo tags are taken over. `float_path` says what the
    item's name becomes; the path that was written is returned.
    """
    if isinstance(like, Volume):
        return write_volume(path, float_volume(array, like=like), provenance=provenance, overwrite=overwrite)
    target = float_path(path, like=like)
    values = np.asarray(array, np.float32)
    values = values if values.ndim == 2 else np.moveaxis(values, 0, -1)
    if values.ndim == 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if like is not None and formats()[like.format].float_map:
        picture = float_picture(values, like, source=str(path))
        return write(path, picture, provenance=provenance, overwrite=overwrite)
    own = like if like is not None and formats()[like.format].floats else None
    same = like if like is not None and like.size == values.shape[:2] else None
    form = _by_suffix(target) or MAPS if own is None else own.format
    keys, extra = formats()[form].map_keeps, {} if own is None else dict(own.extra)
    if keys is not None:
        extra = {key: value for key, value in extra.items() if key in keys and same}
    valid, dpi = (same.valid, same.dpi) if same else (None, None)
    picture = Picture(array=np.ascontiguousarray(values), format=form, valid=valid, dpi=dpi, extra=extra)
    return write(target if own is None else path, picture, provenance=provenance, overwrite=overwrite)


def float_picture(values: Array, like: Picture, *, source: str) -> Picture:
    """A map (H, W) or (H, W, C) as a float32 picture of the kind of one whose format keeps more (`Format.float_map`).

    Raises:
        OutputError: an optional package is missing.
    """
    spec = formats()[like.format]
    made: Picture = function(spec.float_map, title=spec.title, source=source, error=OutputError)(values, like)
    return made
