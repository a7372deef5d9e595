from .files import atomic_bytes as atomic_bytes
from .files import csv_bytes as csv_bytes
from .files import disk_is_full as disk_is_full
from .files import file_hash as file_hash
from .files import is_unicode as is_unicode
from .files import part_path as part_path
from .files import plain as plain
from .files import read_csv as read_csv
from .files import read_hdf5 as read_hdf5
from .files import read_json as read_json
from .files import unsynced as unsynced
from .files import write_bytes as write_bytes
from .files import write_hdf5 as write_hdf5
from .files import write_json as write_json
from .locks import claim as claim
from .locks import hold as hold
from .locks import run_lock as run_lock
from .paths import is_store as is_store
from .paths import locate as locate
from .paths import output_folder as output_folder
from .regular import TEXT_LIMIT as TEXT_LIMIT
from .regular import open_regular as open_regular
from .regular import read_regular as read_regular
from .regular import read_small_text as read_small_text

__all__ = [
    "TEXT_LIMIT",
    "atomic_bytes",
    "claim",
    "csv_bytes",
    "disk_is_full",
    "file_hash",
    "hold",
    "is_store",
    "is_unicode",
    "locate",
    "open_regular",
    "output_folder",
    "part_path",
    "plain",
    "read_csv",
    "read_hdf5",
    "read_json",
    "read_regular",
    "read_small_text",
    "run_lock",
    "unsynced",
    "write_bytes",
    "write_hdf5",
    "write_json",
]
