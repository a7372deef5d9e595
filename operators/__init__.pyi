from .arrays import as_file as as_file
from .arrays import is_array as is_array
from .arrays import load_array as load_array
from .arrays import load_plane as load_plane
from .arrays import with_files as with_files
from .base import Cloned as Cloned
from .base import Linear as Linear
from .base import Spectral as Spectral
from .base import Tangent as Tangent
from .base import of_items as of_items
from .base import per_item as per_item
from .build import autos as autos
from .build import build_operator as build_operator
from .build import fitted_operator as fitted_operator
from .build import fitted_to as fitted_to
from .build import is_fixed as is_fixed
from .build import located as located
from .build import operator_for as operator_for
from .build import own_level as own_level
from .build import resolved as resolved
from .build import result_shape as result_shape
from .build import stated_operator as stated_operator
from .build import unmeasured as unmeasured
from .catalogue import OPERATORS as OPERATORS
from .catalogue import Chain as Chain
from .catalogue import is_drawn as is_drawn
from .catalogue import operator_spec as operator_spec
from .catalogue import operators as operators
from .chain import ChainPhysics as ChainPhysics
from .chain import NonlinearChain as NonlinearChain
from .chain import locate as locate
from .chain import result as result
from .checks import OperatorCheck as OperatorCheck
from .checks import check_operator as check_operator
from .clipping import bounded as bounded
from .clipping import clipped as clipped
from .clipping import clipped_in_words as clipped_in_words
from .clipping import is_blur as is_blur
from .functions import FunctionPhysics as FunctionPhysics
from .functions import function_operator as function_operator
from .local import Local as Local
from .local import part as part
from .measurement import Estimated as Estimated
from .measurement import Fitted as Fitted
from .measurement import Measurement as Measurement
from .observation import Counter as Counter
from .observation import Observation as Observation
from .observation import observed as observed
from .selfcheck import ARRAYS as ARRAYS
from .selfcheck import Checked as Checked
from .selfcheck import check_catalogue as check_catalogue
from .selfcheck import example_shapes as example_shapes
from .selfcheck import written as written
from .spec import AUTO as AUTO
from .spec import PATH as PATH
from .spec import Boundary as Boundary
from .spec import File as File
from .spec import OptionalFile as OptionalFile
from .spec import Side as Side
from .spec import number_or_auto as number_or_auto

__all__ = [
    "ARRAYS",
    "AUTO",
    "OPERATORS",
    "PATH",
    "Boundary",
    "Chain",
    "ChainPhysics",
    "Checked",
    "Cloned",
    "Counter",
    "Estimated",
    "File",
    "Fitted",
    "FunctionPhysics",
    "Linear",
    "Local",
    "Measurement",
    "NonlinearChain",
    "Observation",
    "OperatorCheck",
    "OptionalFile",
    "Side",
    "Spectral",
    "Tangent",
    "as_file",
    "autos",
    "bounded",
    "build_operator",
    "check_catalogue",
    "check_operator",
    "clipped",
    "clipped_in_words",
    "example_shapes",
    "fitted_operator",
    "fitted_to",
    "function_operator",
    "is_array",
    "is_blur",
    "is_drawn",
    "is_fixed",
    "load_array",
    "load_plane",
    "locate",
    "located",
    "number_or_auto",
    "observed",
    "of_items",
    "operator_for",
    "operator_spec",
    "operators",
    "own_level",
    "part",
    "per_item",
    "resolved",
    "result",
    "result_shape",
    "stated_operator",
    "unmeasured",
    "with_files",
    "written",
]
