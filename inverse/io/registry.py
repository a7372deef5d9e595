"""The formats that are read and written: what they hold, what survives, where the code is, which extra it needs.

Dotted paths only: nothing is imported until a file of that format is met. Conventions:

* ``decode``: ``(path: Path, *, source) -> Picture | Volume | Scan``; with ``whole`` it is given the file's bytes instead of the path, with
  ``named`` further ``inner: str | None``, the name of an array in the file.
* ``encode``: ``(picture: Picture | Volume, provenance: Mapping[str, str]) -> bytes``.
* ``store``: ``(path, picture: Picture | Volume, provenance, *, overwrite)``, for what is a folder; of raw k-space `inverse.io.formats.kspace.write_scan`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from inverse.errors import InverseError

__all__ = ["FORMATS", "OPTIONAL", "Format", "function", "installed"]

OPTIONAL = {
    "geo": ("rasterio",),
    "nufft": ("finufft",),
    "medical": ("nibabel", "pydicom"),
    "zarr": ("zarr", "numcodecs"),
}
"""Extra to the packages it brings; ``pip install 'inverse-imaging[EXTRA]'``."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format that is read, and written where it has an ``encode`` or a ``store``.

    Attributes:
        title: Its name in prose.
        suffixes: Endings by which a folder is searched, lower case; files are judged by content.
        pixels: What it may hold.
        keeps: What survives the round trip.
        decode: Dotted path of the reader.
        encode: Dotted path of the writer to bytes.
        store: Dotted path of the writer to a path.
        extra: The extra of ``inverse-imaging`` it needs; "" for none.
        whole: The reader takes the file's bytes.
        named: It may hold several arrays, chosen by ``FILE::NAME``.
        folder: An item is a folder.
        float_map: Dotted path of what makes a map of floats a picture of this kind; "" where a plain one will do.
        result: The format that results are written in, where it is not this one.
    """

    title: str
    suffixes: tuple[str, ...]
    pixels: str
    keeps: str
    decode: str
    encode: str = ""
    store: str = ""
    extra: str = ""
    whole: bool = False
    named: bool = False
    folder: bool = False
    float_map: str = ""
    result: str = ""


FORMATS: dict[str, Format] = {
    "png": Format(
        title="PNG",
        suffixes=(".png",),
        pixels="8 and 16 bit, grey and RGB; palette and 1 bit are converted",
        keeps="alpha, ICC profile, EXIF, DPI, text",
        decode="inverse.io.formats.raster:decode_png",
        encode="inverse.io.formats.raster:encode_png",
        whole=True,
    ),
    "jpeg": Format(
        title="JPEG",
        suffixes=(".jpg", ".jpeg"),
        pixels="8 bit, grey and RGB; written at quality 95, 4:4:4",
        keeps="ICC profile, EXIF (turned upright), DPI, comment",
        decode="inverse.io.formats.raster:decode_jpeg",
        encode="inverse.io.formats.raster:encode_jpeg",
        whole=True,
    ),
    "tiff": Format(
        title="TIFF",
        suffixes=(".tif", ".tiff"),
        pixels="8 to 32 bit integers and float, any number of channels; pages of OME-TIFF, ImageJ and plain stacks are slices",
        keeps="layout, axes, OME-XML (scaled with the grid), alpha, ICC profile, description, resolution, geo tags at equal size",
        decode="inverse.io.formats.tiff:decode",
        encode="inverse.io.formats.tiff:encode",
        whole=True,
    ),
    "geotiff": Format(
        title="GeoTIFF",
        suffixes=(".tif", ".tiff"),
        pixels="8 to 32 bit integers and float, any number of bands; nodata, masks and NaN are unobserved pixels",
        keeps="CRS, transform (scaled with the grid), nodata, mask, band names, tags, colours, scale, offset, blocks, compression",
        decode="inverse.io.formats.geotiff:decode",
        encode="inverse.io.formats.geotiff:encode",
        float_map="inverse.io.formats.geotiff:float_map",
        extra="geo",
        whole=True,
    ),
    "npy": Format(
        title="NumPy array",
        suffixes=(".npy",),
        pixels="(H, W) or (H, W, C), integers of up to 32 bit or float; complex (coils, H, W) is raw k-space",
        keeps="dtype and shape; of raw k-space the result is (slices, H, W) complex64",
        decode="inverse.io.formats.npy:decode",
        encode="inverse.io.formats.npy:encode",
        whole=True,
    ),
    "npz": Format(
        title="NumPy archive",
        suffixes=(".npz",),
        pixels="one array, or one of several by FILE.npz::NAME; images, or stacks whose slices are restored one by one",
        keeps="dtype, shape, the array's name, compression; the archive's other arrays are not copied",
        decode="inverse.io.formats.npy:decode_npz",
        encode="inverse.io.formats.npy:encode_npz",
        named=True,
    ),
    "hdf5": Format(
        title="HDF5",
        suffixes=(".h5", ".hdf5", ".hdf"),
        pixels="any data set by FILE.h5::/PATH, real, 2 to 4 axes; stacks are restored slice by slice",
        keeps="path of the data set, dtype, shape, attributes on the way to it, compression; other data sets are not copied",
        decode="inverse.io.formats.hdf5:decode",
        encode="inverse.io.formats.hdf5:encode",
        named=True,
    ),
    "nifti": Format(
        title="NIfTI-1 and NIfTI-2",
        suffixes=(".nii", ".nii.gz"),
        pixels="2-D to 4-D, real; slices along the third axis, one by one; scaled integers become float32",
        keeps="affine (scaled with the grid), qform and sform codes, zooms, intent, units, extensions, gzip",
        decode="inverse.io.formats.nifti:decode",
        encode="inverse.io.formats.nifti:encode",
        extra="medical",
    ),
    "zarr": Format(
        title="Zarr 2 and 3, OME-Zarr",
        suffixes=(".zarr",),
        pixels="an array by STORE.zarr::/PATH, real, 2 to 4 axes; NaN and _FillValue are unobserved pixels; stacks are restored slice by slice",
        keeps="path of the array, version, dtype, chunks, names of axes, attributes, coordinates; of resolution levels the first",
        decode="inverse.io.formats.zarr:decode",
        store="inverse.io.formats.zarr:store",
        float_map="inverse.io.formats.zarr:float_map",
        extra="zarr",
        named=True,
        folder=True,
    ),
    "dicom": Format(
        title="DICOM",
        suffixes=(".dcm", ".dicom"),
        pixels="grey, one or several frames; read only, the result is a TIFF with .tif appended to the name",
        keeps="rescaled units, pixel spacing; nothing that identifies the patient",
        decode="inverse.io.formats.dicom:decode",
        encode="inverse.io.formats.tiff:encode",
        extra="medical",
        whole=True,
        result="tiff",
    ),
    "fastmri": Format(
        title="fastMRI HDF5",
        suffixes=(".h5",),
        pixels="raw k-space, (slices, coils, H, W) or (slices, H, W), complex, with or without a mask",
        keeps="header, attributes; written as reconstruction (slices, h, w) float32, of several coils the RSS, and reconstruction_complex",
        decode="inverse.io.formats.fastmri:decode",
        store="inverse.io.formats.kspace:write_scan",
    ),
    "ismrmrd": Format(
        title="ISMRMRD (MRD)",
        suffixes=(".h5", ".mrd"),
        pixels="raw k-space, Cartesian, with noise scans, averages and oversampling",
        keeps="header; written as an image group",
        decode="inverse.io.formats.ismrmrd:decode",
        store="inverse.io.formats.kspace:write_scan",
    ),
    "cfl": Format(
        title="BART cfl",
        suffixes=(".cfl",),
        pixels="raw k-space, complex64, with its .hdr beside it: rows, columns, coils, slices",
        keeps="the dimensions of the images",
        decode="inverse.io.formats.cfl:decode",
        store="inverse.io.formats.kspace:write_scan",
    ),
}


def function(dotted: str, *, title: str, source: str, error: type[InverseError]) -> Callable[..., Any]:
    """The function a dotted path ``module:name`` names.

    Raises:
        InverseError: Of the type given, naming the extra, where an optional package is missing.
    """
    module, name = dotted.split(":")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as missing:
        package = (missing.name or "").split(".")[0]
        extra = next((extra for extra, packages in OPTIONAL.items() if package in packages), None)
        if extra is None:
            raise
        raise error(
            f"{source}: {title} needs the package {package}, which is not installed",
            f"pip install 'inverse-imaging[{extra}]'",
        ) from missing
    return found


def installed(extra: str) -> bool:
    """Whether an extra's packages can be imported; True for ""."""
    from importlib.util import find_spec

    return all(find_spec(package) is not None for package in OPTIONAL.get(extra, ()))
