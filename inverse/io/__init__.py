"""Image files in and out: read, write, and the mapping between a file's pixels and data units."""

from inverse.io.atomic import atomic_bytes, part_path
from inverse.io.files import float_path, read, save_float, write
from inverse.io.picture import Picture, from_channels, from_unit, require, to_channels, to_unit
from inverse.io.sniff import FORMATS, sniff

__all__ = [
    "FORMATS",
    "Picture",
    "atomic_bytes",
    "float_path",
    "from_channels",
    "from_unit",
    "part_path",
    "read",
    "require",
    "save_float",
    "sniff",
    "to_channels",
    "to_unit",
    "write",
]
