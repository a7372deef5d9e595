from .arrays import measurements as measurements
from .arrays import restore_array as restore_array
from .case import MINIMUM_SIDE as MINIMUM_SIDE
from .case import Case as Case
from .case import doubt as doubt
from .case import fit_prior as fit_prior
from .case import forward_seconds as forward_seconds
from .case import make_case as make_case
from .case import method_kind as method_kind
from .case import open_case as open_case
from .case import open_recipe_prior as open_recipe_prior
from .case import resolve_dtype as resolve_dtype
from .case import span as span
from .case import statistics as statistics
from .figure import Panels as Panels
from .figure import draw as draw
from .frame import Frame as Frame
from .frame import count as count
from .frame import frame_shape as frame_shape
from .memory import halved as halved
from .memory import is_out_of_memory as is_out_of_memory
from .options import Options as Options
from .plan import BLOCK_PIXELS as BLOCK_PIXELS
from .plan import CLOSED_FORM_PIXELS as CLOSED_FORM_PIXELS
from .plan import Item as Item
from .plan import Plan as Plan
from .plan import Terms as Terms
from .plan import Unit as Unit
from .plan import block_size as block_size
from .plan import split as split
from .plan import units as units
from .provenance import stamp as stamp
from .provenance import versions as versions
from .reconstructor import Reconstructor as Reconstructor
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
from .write_item import Made as Made
from .write_item import facts as facts
from .write_item import parse_keep as parse_keep
from .write_item import slice_path as slice_path

__all__ = [
    "BLOCK_PIXELS",
    "CLOSED_FORM_PIXELS",
    "DATASETS",
    "FORMATS",
    "KEEP",
    "MINIMUM_SIDE",
    "Case",
    "Frame",
    "Item",
    "Made",
    "Options",
    "Panels",
    "Plan",
    "Reconstructor",
    "Simulated",
    "Terms",
    "Truths",
    "Unit",
    "block_size",
    "count",
    "doubt",
    "draw",
    "facts",
    "fit_prior",
    "forward_seconds",
    "frame_shape",
    "given",
    "halved",
    "held",
    "is_out_of_memory",
    "load_image",
    "make_case",
    "measurements",
    "method_kind",
    "open_case",
    "open_recipe_prior",
    "parse_keep",
    "resolve_dtype",
    "restore_array",
    "scale_factor",
    "score",
    "simulate_files",
    "slice_path",
    "span",
    "split",
    "stamp",
    "statistics",
    "units",
    "versions",
]
