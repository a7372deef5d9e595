"""The labels of an ``xarray.DataArray`` that is restored block by block (`inverse.scenes.blocks`).

What its attributes or its encoding name as nodata is unobserved, and NaN in the result, which is float32 and has no
such attribute. Coordinates of a finer result are interpolated; those along channels that the operator changed are
left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from inverse.errors import UsageError

__all__ = ["dimensions", "labelled", "nodata_of"]

ROWS = ("y", "lat", "latitude", "row", "rows", "northing")
COLUMNS = ("x", "lon", "longitude", "column", "columns", "col", "easting")
CHANNELS = ("band", "bands", "channel", "channels", "c", "rgb", "wavelength")
NODATA = ("_FillValue", "missing_value", "nodata")


def dimensions(array: Any, dims: Sequence[str] | None) -> tuple[str, ...]:
    """The dimensions of rows, columns and, if any, channels: those asked for, else those with a usual name.

    Raises:
        UsageError: another xarray object, or dimensions that are not found.
    """
    if type(array).__name__ != "DataArray":
        raise UsageError(f"an xarray {type(array).__name__}", "give one of its variables: data['name']")
    present = [str(name) for name in array.dims]
    if dims is not None:
        missing = [name for name in dims if name not in present]
        if missing or len(dims) not in (2, 3) or len(set(dims)) != len(dims):
            raise UsageError(f"dims {list(dims)}: the array has {present}", "give rows, columns and, if any, channels")
        return tuple(dims)
    found = [next((name for name in present if name.lower() in usual), None) for usual in (ROWS, COLUMNS, CHANNELS)]
    if found[0] is None or found[1] is None:
        raise UsageError(f"which dimensions of {present} are rows and columns?", "give dims=('y', 'x', 'band')")
    return tuple(name for name in found if name is not None)


def nodata_of(array: Any) -> float | None:
    """The value of its unobserved pixels besides NaN, or None."""
    for attributes in (array.attrs, array.encoding):
        for name in NODATA:
            if attributes.get(name) is not None and np.ndim(attributes[name]) == 0:
                return float(attributes[name])
    return None


def labelled(array: Any, values: Any, chosen: tuple[str, ...], output: str) -> Any:
    """The result with the labels of the array it was made from; ``chosen`` is as of `dimensions`.

    Its axes are in the same order, with one more where the operator adds channels.
    """
    import xarray

    sizes = [values.shape[array.dims.index(name)] for name in array.dims]
    dims, coords = list(array.dims), {}
    if values.ndim > len(dims):
        dims.append("band")
    changed = {name for name, size in zip(array.dims, sizes, strict=True) if size != array.sizes[name]}
    for name, coordinate in array.coords.items():
        touched = changed & set(coordinate.dims)
        if not touched:
            coords[name] = coordinate
        elif (
            coordinate.dims == (name,) and name in chosen[:2] and coordinate.dtype.kind in "iuf" and coordinate.size > 1
        ):
            coords[name] = (name, _finer(coordinate.values, sizes[array.dims.index(name)]), coordinate.attrs)
    attrs = {name: value for name, value in array.attrs.items() if name not in NODATA}
    attrs |= {"inverse_output": output, "inverse_blocks": "approximate: blocks restored one by one and blended"}
    return xarray.DataArray(values, dims=dims, coords=coords, attrs=attrs, name=array.name)


def _finer(values: Any, size: int) -> Any:
    """Centres of ``size`` pixels over the same extent."""
    places = (np.arange(size) + 0.5) * len(values) / size - 0.5
    inside = np.interp(places, np.arange(len(values)), values.astype(float))
    first, last = float(values[1]) - float(values[0]), float(values[-1]) - float(values[-2])
    before, after = places < 0, places > len(values) - 1
    inside[before] = values[0] + first * places[before]
    inside[after] = values[-1] + last * (places[after] - (len(values) - 1))
    return inside
