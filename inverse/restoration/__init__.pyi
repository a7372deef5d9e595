from .arrays import measurements as measurements
from .arrays import restore_array as restore_array
from .arrays import restore_picture as restore_picture
from .case import FOR_ARRAYS as FOR_ARRAYS
from .case import FOR_FILES as FOR_FILES
from .case import Case as Case
from .case import assumed_blur as assumed_blur
from .case import known_range as known_range
from .case import make_case as make_case
from .case import open_case as open_case
from .case import require_range as require_range
from .case import require_values as require_values
from .case import settled_operator as settled_operator
from .figure import Panels as Panels
from .figure import draw as draw
from .figure import saved as saved
from .frame import MINIMUM_SIDE as MINIMUM_SIDE
from .frame import Frame as Frame
from .frame import count as count
from .frame import frame_shape as frame_shape
from .frame import zero as zero
from .item import INTERVAL as INTERVAL
from .item import arguments as arguments
from .item import describe as describe
from .item import pose as pose
from .item import solve as solve
from .item import spread as spread
from .item import statistics as statistics
from .memory import halved as halved
from .memory import is_out_of_memory as is_out_of_memory
from .options import Options as Options
from .plan import BLOCK_PIXELS as BLOCK_PIXELS
from .plan import CLOSED_FORM_PIXELS as CLOSED_FORM_PIXELS
from .plan import Compute as Compute
from .plan import Item as Item
from .plan import Job as Job
from .plan import Plan as Plan
from .plan import Terms as Terms
from .plan import Unit as Unit
from .plan import block_size as block_size
from .plan import item_name as item_name
from .plan import split as split
from .plan import units as units
from .prior import fit_prior as fit_prior
from .prior import forward_seconds as forward_seconds
from .prior import open_recipe_prior as open_recipe_prior
from .prior import resolve_dtype as resolve_dtype
from .provenance import stamp as stamp
from .provenance import versions as versions
from .reconstructor import Reconstructor as Reconstructor
from .result import COLUMNS as COLUMNS
from .result import FINISHED as FINISHED
from .result import NO_SCORE as NO_SCORE
from .result import ItemResult as ItemResult
from .result import Made as Made
from .result import sound as sound
from .result import typed as typed
from .simulate import FORMATS as FORMATS
from .simulate import Simulated as Simulated
from .simulate import given as given
from .simulate import simulate_files as simulate_files
from .truth import Truths as Truths
from .truth import held as held
from .truth import load_image as load_image
from .truth import scale_factor as scale_factor
from .truth import score as score
from .write_item import DATASETS as DATASETS
from .write_item import KEEP as KEEP
from .write_item import facts as facts
from .write_item import overshoot as overshoot
from .write_item import parse_keep as parse_keep
from .write_item import result_valid as result_valid
from .write_item import slice_path as slice_path

__all__ = [
    "BLOCK_PIXELS",
    "CLOSED_FORM_PIXELS",
    "COLUMNS",
    "DATASETS",
    "FINISHED",
    "FORMATS",
    "FOR_ARRAYS",
    "FOR_FILES",
    "INTERVAL",
    "KEEP",
    "MINIMUM_SIDE",
    "NO_SCORE",
    "Case",
    "Compute",
    "Frame",
    "Item",
    "ItemResult",
    "Job",
    "Made",
    "Options",
    "Panels",
    "Plan",
    "Reconstructor",
    "Simulated",
    "Terms",
    "Truths",
    "Unit",
    "arguments",
    "assumed_blur",
    "block_size",
    "count",
    "describe",
    "draw",
    "facts",
    "fit_prior",
    "forward_seconds",
    "frame_shape",
    "given",
    "halved",
    "held",
    "is_out_of_memory",
    "item_name",
    "known_range",
    "load_image",
    "make_case",
    "measurements",
    "open_case",
    "open_recipe_prior",
    "overshoot",
    "parse_keep",
    "pose",
    "require_range",
    "require_values",
    "resolve_dtype",
    "restore_array",
    "restore_picture",
    "result_valid",
    "saved",
    "scale_factor",
    "score",
    "settled_operator",
    "simulate_files",
    "slice_path",
    "solve",
    "sound",
    "split",
    "spread",
    "stamp",
    "statistics",
    "typed",
    "units",
    "versions",
    "zero",
]
