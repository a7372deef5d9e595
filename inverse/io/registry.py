"""The formats that are read and written: how they are known, what they hold, what survives, where the code is.

A format is a module in `inverse.io.formats` and its entry in `FORMATS`, which is all that the package knows of it by
name; other packages add theirs by the entry point group ``inverse.formats``. Entries are data: of code they have dotted
paths ``module:name``, so that nothing is imported, and no optional package needed, until a file of that format is met.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from inverse.errors import InputError, InverseError
from inverse.io.format import Format
from inverse.io.photographs.entries import PHOTOGRAPHS

__all__ = ["FORMATS", "OPTIONAL", "Format", "formats", "function", "installed"]

#: Extra to the packages it brings; ``pip install 'inverse-imaging[EXTRA]'``.
OPTIONAL = {
    "geo": ("rasterio",),
    "heif": ("pillow_heif",),
    "jxl": ("pyjpegxl",),
    "nufft": ("finufft",),
    "raw": ("rawpy",),
    "medical": ("nibabel", "pydicom"),
    "zarr": ("zarr", "numcodecs"),
    "twix": ("twixtools",),
}

_AT = "inverse.io.formats."
#: What folders of band files have in common: their results are GeoTIFF.
_PRODUCT: dict[str, Any] = {
    "encode": f"{_AT}geotiff:encode",
    "float_map": "inverse.io.products.product:float_map",
    "facts": "inverse.io.products.product:facts",
    "writer": f"{_AT}geotiff_windows:open_writer",
    "blocks": f"{_AT}geotiff_windows:in_blocks",
    "result": "geotiff",
    "marks": True,
    "named": True,
    "folder": True,
    "extra": "geo",
    "subject": "scene",
}
#: What pictures have in common that GDAL reads and whose results are GeoTIFF.
_PLACED: dict[str, Any] = {
    "encode": "inverse.io.photographs.placed:encode",
    "float_map": "inverse.io.photographs.placed:float_map",
    "facts": f"{_AT}geotiff:facts",
    "result": "geotiff",
    "marks": True,
    "extra": "geo",
    "subject": "scene",
}
FORMATS: dict[str, Format] = {
    **PHOTOGRAPHS,
    "tiff": Format(
        title="TIFF",
        suffixes=(".tif", ".tiff"),
        pixels="8 to 32 bit integers and float, any number of channels; pages of OME-TIFF, ImageJ and plain stacks are "
        "slices; one of several images of other sizes by FILE.tif::NUMBER",
        keeps="layout, axes, OME-XML (scaled with the grid), alpha, ICC profile, description, resolution, geo tags at "
        "equal size",
        magic=rb"II[*+]\0|MM\0[*+]",
        decode=f"{_AT}tiff:decode",
        encode=f"{_AT}tiff:encode",
        facts=f"{_AT}tiff:facts",
        windows=f"{_AT}geotiff_windows:open_tiff",
        named=True,
        bare=True,
        float_map=f"{_AT}tiff:float_map",
    ),
    "geotiff": Format(
        title="GeoTIFF",
        suffixes=(".tif", ".tiff"),
        pixels="8 to 32 bit integers and float, any number of bands; nodata, masks and NaN are unobserved pixels; "
        "files beside it (.msk, .aux.xml, world files) are read",
        keeps="CRS, transform (scaled with the grid), nodata, mask, band names, tags, colours, scale, offset, blocks, "
        "compression",
        magic=rb"II[*+]\0|MM\0[*+]",
        looks=f"{_AT}tiff:is_geotiff",
        decode=f"{_AT}geotiff:decode",
        encode=f"{_AT}geotiff:encode",
        float_map=f"{_AT}geotiff:float_map",
        facts=f"{_AT}geotiff:facts",
        windows=f"{_AT}geotiff_windows:open_geotiff",
        writer=f"{_AT}geotiff_windows:open_writer",
        blocks=f"{_AT}geotiff_windows:in_blocks",
        marks=True,
        extra="geo",
        subject="scene",
    ),
    "geojp2": Format(
        title="JPEG 2000 with its place",
        suffixes=(".jp2",),
        pixels="8 to 16 bit, any number of bands; the result is a GeoTIFF with .tif appended to the name",
        keeps="CRS, transform (scaled with the grid), band names, tags",
        magic=rb"\0\0\0\x0cjP  \r\n\x87\n",
        looks="inverse.io.photographs.jpeg2000:is_placed",
        decode="inverse.io.photographs.placed:decode",
        windows="inverse.io.photographs.placed:open_windows",
        writer=f"{_AT}geotiff_windows:open_writer",
        blocks=f"{_AT}geotiff_windows:in_blocks",
        **_PLACED,
    ),
    "placed": Format(
        title="photograph with its place",
        suffixes=(),
        pixels="PNG, JPEG, WebP, BMP or GIF with a world file, .aux.xml or .msk beside it; the result is a GeoTIFF, "
        ".tif appended to the name",
        keeps="CRS, transform (scaled with the grid), nodata, mask, band names, scale, offset",
        magic=rb"\x89PNG|\xff\xd8\xff|GIF8|BM|RIFF",
        looks="inverse.io.sidecars:is_placed",
        decode="inverse.io.photographs.placed:decode_photograph",
        **_PLACED,
    ),
    "envi": Format(
        title="ENVI, ERDAS Imagine",
        suffixes=(".img", ".bsq", ".bil", ".bip"),
        pixels="8 to 32 bit integers and float, any number of bands, ENVI's with its .hdr; the result is a GeoTIFF, "
        ".tif appended to the name",
        keeps="CRS, transform (scaled with the grid), nodata, band names, tags, scale, offset",
        magic=rb".",
        looks="inverse.io.sidecars:is_raster",
        decode="inverse.io.photographs.placed:decode_raster",
        windows="inverse.io.photographs.placed:open_raster",
        writer=f"{_AT}geotiff_windows:open_writer",
        blocks=f"{_AT}geotiff_windows:in_blocks",
        **_PLACED,
    ),
    "npy": Format(
        title="NumPy array",
        suffixes=(".npy",),
        pixels="(H, W) or (H, W, C), integers of up to 32 bit or float; complex (coils, H, W) is raw k-space",
        keeps="dtype and shape; of raw k-space the result is (slices, H, W) complex64",
        magic=rb"\x93NUMPY",
        decode=f"{_AT}npy:decode",
        encode=f"{_AT}npy:encode",
        scan=f"{_AT}npy:write_scan",
        whole=True,
        bare=True,
    ),
    "npz": Format(
        title="NumPy archive",
        suffixes=(".npz",),
        pixels="one array, or one of several by FILE.npz::NAME; images, or stacks whose slices are restored one by one",
        keeps="dtype, shape, the array's name, compression; the archive's other arrays are not copied",
        magic=rb"PK\x03\x04",
        looks=f"{_AT}npy:is_npz",
        decode=f"{_AT}npy:decode_npz",
        encode=f"{_AT}npy:encode_npz",
        facts=f"{_AT}npy:facts_npz",
        named=True,
    ),
    "hdf5": Format(
        title="HDF5, netCDF-4",
        suffixes=(".h5", ".hdf5", ".hdf", ".nc", ".nc4"),
        pixels="any data set by FILE.h5::/PATH, real, 2 to 4 axes; "
        "NaN and fill values are unobserved pixels; stacks are restored slice by slice",
        keeps="path of the data set, dtype, shape, attributes on the way to it, compression; other data sets are not "
        "copied",
        magic=rb"(.{512}|.{1024}|.{2048})?\x89HDF\r\n\x1a\n",
        decode=f"{_AT}hdf5:decode",
        encode=f"{_AT}hdf5:encode",
        facts=f"{_AT}hdf5:facts",
        float_map=f"{_AT}hdf5:float_map",
        marks=True,
        named=True,
    ),
    "nifti": Format(
        title="NIfTI-1 and NIfTI-2",
        suffixes=(".nii", ".nii.gz"),
        pixels="2-D to 4-D, real; slices along the third axis, one by one; scaled integers become float32",
        keeps="affine (scaled with the grid), qform and sform codes, zooms, intent, units, extensions, gzip",
        # the size of the header, 348 or 540, in either byte order, and the name of the version
        magic=rb"(\x5c\x01\0\0|\0\0\x01\x5c).{340}n\+1\0|(\x1c\x02\0\0|\0\0\x02\x1c)n\+2\0.{340}",
        packed=True,
        decode=f"{_AT}nifti:decode",
        encode=f"{_AT}nifti:encode",
        facts=f"{_AT}nifti:facts",
        extra="medical",
        subject="medical",
    ),
    "zarr": Format(
        title="Zarr 2 and 3, OME-Zarr",
        suffixes=(".zarr",),
        pixels="an array by STORE.zarr::/PATH, real, 2 to 4 axes; NaN and _FillValue are unobserved pixels; stacks are "
        "restored slice by slice",
        keeps="path of the array, version, dtype, chunks, names of axes, attributes, coordinates; of resolution levels "
        "the first",
        decode=f"{_AT}zarr:decode",
        store=f"{_AT}zarr:store",
        float_map=f"{_AT}zarr:float_map",
        windows=f"{_AT}zarr:open_windows",
        writer=f"{_AT}zarr:open_writer",
        blocks=f"{_AT}zarr:in_blocks",
        marks=True,
        extra="zarr",
        named=True,
        folder=True,
    ),
    "sentinel2": Format(
        title="Sentinel-2 product (SAFE)",
        suffixes=(".safe",),
        pixels="levels 1C and 2A: B4, B3, B2, B8 at 10 m; FOLDER.SAFE::20m, ::60m, ::B5,B6 are the others; read only, "
        "the result is a GeoTIFF with .tif appended to the name",
        keeps="CRS, transform (scaled with the grid), nodata, band names, scale and offset to reflectance",
        looks="inverse.io.products.sentinel2:looks_like",
        decode="inverse.io.products.sentinel2:decode",
        windows="inverse.io.products.sentinel2:open_windows",
        **_PRODUCT,
    ),
    "landsat": Format(
        title="Landsat product (MTL)",
        suffixes=(),
        pixels="levels 1 and 2 of Landsat 4 to 9, a folder with its MTL.txt: the 30 m bands, red, green, blue first; "
        "FOLDER::15m, ::thermal, ::B5,B6 are the others; read only, the result is a GeoTIFF with .tif appended",
        keeps="CRS, transform (scaled with the grid), nodata, band names, scale and offset to reflectance or kelvin",
        looks="inverse.io.products.landsat:looks_like",
        decode="inverse.io.products.landsat:decode",
        windows="inverse.io.products.landsat:open_windows",
        **_PRODUCT,
    ),
    "dicom": Format(
        title="DICOM",
        suffixes=(".dcm", ".dicom"),
        pixels="grey, one or several frames",
        keeps="rescaled units (16 bits with slope and intercept), spacing, position, padding, patient and study; a "
        "derived instance of a series of its own",
        magic=rb".{128}DICM",
        decode=f"{_AT}dicom:decode",
        encode=f"{_AT}dicom:encode",
        float_map=f"{_AT}dicom:float_map",
        marks=True,
        facts=f"{_AT}dicom:facts",
        extra="medical",
        whole=True,
        subject="medical",
    ),
    "fastmri": Format(
        title="fastMRI HDF5",
        suffixes=(".h5",),
        pixels="raw k-space, (slices, coils, H, W) or (slices, H, W), complex, with or without a mask or a trajectory",
        keeps="header, attributes; written as reconstruction (slices, h, w) float32, of several coils the RSS, and "
        "reconstruction_complex",
        magic=rb"(.{512}|.{1024}|.{2048})?\x89HDF\r\n\x1a\n",
        looks=f"{_AT}fastmri:looks_like",
        decode=f"{_AT}fastmri:decode",
        scan=f"{_AT}fastmri:write_scan",
    ),
    "ismrmrd": Format(
        title="ISMRMRD (MRD)",
        suffixes=(".h5", ".mrd"),
        pixels="raw k-space, Cartesian or with its trajectory, with noise scans, averages and oversampling; the first "
        "contrast, phase, repetition and set, or FILE.h5::contrast=1,repetition=2",
        keeps="header, field of view, position and directions; written as an image group on the reconstructed matrix",
        magic=rb"(.{512}|.{1024}|.{2048})?\x89HDF\r\n\x1a\n",
        looks=f"{_AT}ismrmrd:looks_like",
        decode=f"{_AT}ismrmrd:decode",
        named=True,
        scan=f"{_AT}ismrmrd:write_scan",
    ),
    "twix": Format(
        title="Siemens twix",
        suffixes=(".dat",),
        pixels="raw k-space of VB, VD and VE, Cartesian slices, with noise scans, averages, oversampling; read only, "
        "the result is an ISMRMRD file with .h5 appended to the name",
        keeps="field of view, position and directions, matrix, echo and repetition times",
        # VD, VE: the number of measurements, the first of which begins at byte 10240; VB: a header that begins so
        magic=rb".{2}\0\0[\x01-\x40]\0\0\0.{8}\0\x28\0\0\0\0\0\0|.{4}[\x01-\x20]\0\0\0Config\0",
        decode="inverse.io.kspace.twix:decode",
        scan=f"{_AT}ismrmrd:write_scan",
        result="ismrmrd",
        extra="twix",
    ),
    "cfl": Format(
        title="BART cfl",
        suffixes=(".cfl",),
        pixels="raw k-space, complex64, with its .hdr beside it: rows, columns, coils, slices; samples with traj.cfl",
        keeps="the dimensions of the images",
        looks=f"{_AT}cfl:looks_like",
        half="half of a pair: a .cfl needs its .hdr",
        decode=f"{_AT}cfl:decode",
        scan=f"{_AT}cfl:write_scan",
    ),
}


@cache
def formats() -> Mapping[str, Format]:
    """All formats by name: ours, then those of other packages."""
    table = dict(FORMATS)
    for entry in metadata.entry_points(group="inverse.formats"):
        table.setdefault(entry.name, entry.load())
    return table


def function(dotted: str, *, title: str, source: str, error: type[InverseError] = InputError) -> Callable[..., Any]:
    """The function that a dotted path ``module:name`` names.

    Raises:
        InverseError: Of the type given, naming the extra, where an optional package is missing.
    """
    module, name = dotted.split(":")
    try:
        resolved: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as missing:
        package = (missing.name or "").split(".")[0]
        extra = next((extra for extra, packages in OPTIONAL.items() if package in packages), None)
        if extra is None:
            raise
        raise error(
            f"{source}: {title} needs the package {package}, which is not installed",
            f"pip install 'inverse-imaging[{extra}]'",
        ) from missing
    return resolved


def installed(extra: str) -> bool:
    """Whether an extra's packages can be imported; True for ""."""
    return all(find_spec(package) is not None for package in OPTIONAL.get(extra, ()))
