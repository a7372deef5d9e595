from .axes import MOST_CHANNELS as MOST_CHANNELS
from .axes import arranged as arranged
from .axes import fits as fits
from .axes import flattened as flattened
from .axes import has_channels as has_channels
from .content import STRETCH as STRETCH
from .content import Array as Array
from .content import Picture as Picture
from .content import Scan as Scan
from .content import Span as Span
from .content import Volume as Volume
from .content import checked as checked
from .content import float_volume as float_volume
from .content import from_channels as from_channels
from .content import from_unit as from_unit
from .content import require as require
from .content import slices_of as slices_of
from .content import stack as stack
from .content import stamped as stamped
from .content import to_channels as to_channels
from .content import to_unit as to_unit
from .content import turn as turn
from .content import widths as widths
from .detect import judge as judge
from .detect import load_bytes as load_bytes
from .detect import sniff as sniff
from .hdf5_windows import Put as Put
from .hdf5_windows import open_chunked as open_chunked
from .limits import bounded as bounded
from .limits import quiet as quiet
from .limits import reason as reason
from .nodata import REACH as REACH
from .nodata import Fill as Fill
from .nodata import closed as closed
from .nodata import filled_by as filled_by
from .nodata import footprint as footprint
from .nodata import held as held
from .nodata import marked as marked
from .nodata import still_valid as still_valid
from .nodata import unobserved as unobserved
from .pages import image_url as image_url
from .pages import template as template
from .read_write import float_path as float_path
from .read_write import float_picture as float_picture
from .read_write import read as read
from .read_write import read_picture as read_picture
from .read_write import read_pictures as read_pictures
from .read_write import result_path as result_path
from .read_write import save_float as save_float
from .read_write import whole as whole
from .read_write import write as write
from .read_write import write_scan as write_scan
from .read_write import write_volume as write_volume
from .registry import FORMATS as FORMATS
from .registry import OPTIONAL as OPTIONAL
from .registry import Format as Format
from .registry import function as function
from .registry import installed as installed
from .sources import Source as Source
from .sources import check_name as check_name
from .sources import find as find
from .sources import match as match
from .tiling import Tiling as Tiling
from .tiling import Window as Window
from .transfer import decode as decode
from .transfer import encode as encode
from .transfer import from_data as from_data
from .transfer import to_data as to_data
from .windows import Windows as Windows
from .windows import in_blocks as in_blocks
from .windows import open_windows as open_windows
from .windows import open_writer as open_writer

__all__ = [
    "FORMATS",
    "MOST_CHANNELS",
    "OPTIONAL",
    "REACH",
    "STRETCH",
    "Array",
    "Fill",
    "Format",
    "Picture",
    "Put",
    "Scan",
    "Source",
    "Span",
    "Tiling",
    "Volume",
    "Window",
    "Windows",
    "arranged",
    "bounded",
    "checked",
    "closed",
    "decode",
    "encode",
    "filled_by",
    "find",
    "fits",
    "flattened",
    "float_path",
    "float_picture",
    "float_volume",
    "footprint",
    "from_channels",
    "from_data",
    "from_unit",
    "function",
    "has_channels",
    "held",
    "image_url",
    "in_blocks",
    "installed",
    "judge",
    "load_bytes",
    "marked",
    "match",
    "open_chunked",
    "open_windows",
    "open_writer",
    "quiet",
    "read",
    "read_picture",
    "read_pictures",
    "reason",
    "require",
    "result_path",
    "save_float",
    "slices_of",
    "sniff",
    "stack",
    "stamped",
    "still_valid",
    "template",
    "to_channels",
    "to_data",
    "to_unit",
    "turn",
    "unobserved",
    "whole",
    "widths",
    "write",
    "write_scan",
    "write_volume",
]
