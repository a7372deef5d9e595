from .bench import TuningBench as TuningBench
from .search import SEARCHES as SEARCHES
from .search import Axis as Axis
from .search import Choice as Choice
from .search import Range as Range
from .search import ScoredSetting as ScoredSetting
from .search import best_of as best_of
from .search import parse as parse
from .search import propose as propose
from .search import value_of as value_of
from .tuner import Tuned as Tuned
from .tuner import split as split
from .tuner import tune as tune

__all__ = [
    "SEARCHES",
    "Axis",
    "Choice",
    "Range",
    "ScoredSetting",
    "Tuned",
    "TuningBench",
    "best_of",
    "parse",
    "propose",
    "split",
    "tune",
    "value_of",
]
