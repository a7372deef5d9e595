from .ranks import Ranks as Ranks
from .ranks import central as central
from .ranks import sbc as sbc
from .ranks import tarp as tarp
from .recalibration import FEWEST as FEWEST
from .recalibration import Map as Map
from .recalibration import fit as fit
from .recalibration import of_data as of_data
from .statistics import LEVELS as LEVELS
from .statistics import Curve as Curve
from .statistics import Prediction as Prediction
from .statistics import coverage as coverage
from .statistics import needed_levels as needed_levels
from .statistics import normal_scores as normal_scores
from .statistics import range_null as range_null
from .statistics import spread_skill as spread_skill
from .statistics import stretch as stretch
from .statistics import student_factor as student_factor

__all__ = [
    "FEWEST",
    "LEVELS",
    "Curve",
    "Map",
    "Prediction",
    "Ranks",
    "central",
    "coverage",
    "fit",
    "needed_levels",
    "normal_scores",
    "of_data",
    "range_null",
    "sbc",
    "spread_skill",
    "stretch",
    "student_factor",
    "tarp",
]
