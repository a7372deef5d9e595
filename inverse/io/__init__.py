"""Image files in and out: read, write, and the mapping between a file's pixels and data units."""

from inverse.io.atomic import atomic_bytes, part_path
from inverse.io.files import float_path, read, read_picture, read_pictures, result_path, save_float, write, write_volume
from inverse.io.picture import Picture, Span, from_channels, from_unit, require, to_channels, to_unit, widths
from inverse.io.scan import Scan
from inverse.io.scans import write_scan
from inverse.io.sniff import FORMATS, locate, sniff
from inverse.io.volume import Volume, float_volume, stack

__all__ = [
    "FORMATS",
    "Picture",
    "Scan",
    "Span",
    "Volume",
    "atomic_bytes",
    "float_path",
    "float_volume",
    "from_channels",
    "from_unit",
    "locate",
    "part_path",
    "read",
    "read_picture",
    "read_pictures",
    "require",
    "result_path",
    "save_float",
    "sniff",
    "stack",
    "to_channels",
    "to_unit",
    "widths",
    "write",
    "write_scan",
    "write_volume",
]
