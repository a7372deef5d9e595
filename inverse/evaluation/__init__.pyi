from .calibration_figure import draw as draw
from .calibration_findings import Findings as Findings
from .calibration_findings import calibrate as calibrate
from .calibration_findings import predictions_of as predictions_of
from .calibration_findings import verdict as verdict
from .calibration_fit import checked as checked
from .calibration_fit import cross_fitted as cross_fitted
from .calibration_fit import make_file as make_file
from .calibration_pairs import PairedPredictions as PairedPredictions
from .calibration_pairs import beside as beside
from .compare_runs import COST as COST
from .compare_runs import Comparison as Comparison
from .compare_runs import Difference as Difference
from .compare_runs import compare as compare
from .compare_runs import sign_flip as sign_flip
from .evaluate import Table as Table
from .pairs import Comparand as Comparand
from .pairs import FilePairs as FilePairs
from .pairs import Pair as Pair
from .pairs import Pairing as Pairing
from .pairs import Scaled as Scaled
from .pairs import batch_of as batch_of
from .pairs import pairs_of_arrays as pairs_of_arrays
from .pairs import scaled as scaled
from .pairs_files import is_folder as is_folder
from .pairs_files import pairs_of_files as pairs_of_files
from .pairs_files import pairs_of_run as pairs_of_run
from .protocol_rows import Image as Image
from .protocol_rows import Mask as Mask
from .protocol_rows import blanked as blanked
from .protocol_rows import by_default as by_default
from .protocol_rows import cropped as cropped
from .protocol_rows import row_of as row_of
from .protocol_rows import windowed_ssim as windowed_ssim
from .protocols import PROTOCOLS as PROTOCOLS
from .protocols import Protocol as Protocol
from .protocols import by_fastmri as by_fastmri
from .protocols import by_luma as by_luma
from .protocols import by_skimage as by_skimage
from .protocols import protocol as protocol

__all__ = [
    "COST",
    "PROTOCOLS",
    "Comparand",
    "Comparison",
    "Difference",
    "FilePairs",
    "Findings",
    "Image",
    "Mask",
    "Pair",
    "PairedPredictions",
    "Pairing",
    "Protocol",
    "Scaled",
    "Table",
    "batch_of",
    "beside",
    "blanked",
    "by_default",
    "by_fastmri",
    "by_luma",
    "by_skimage",
    "calibrate",
    "checked",
    "compare",
    "cropped",
    "cross_fitted",
    "draw",
    "is_folder",
    "make_file",
    "pairs_of_arrays",
    "pairs_of_files",
    "pairs_of_run",
    "predictions_of",
    "protocol",
    "row_of",
    "scaled",
    "sign_flip",
    "verdict",
    "windowed_ssim",
]
