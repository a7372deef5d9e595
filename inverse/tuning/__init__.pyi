from .bench import Bench as Bench
from .search import SEARCHES as SEARCHES
from .search import Choice as Choice
from .search import Range as Range
from .search import Trial as Trial
from .search import parse as parse
from .search import propose as propose
from .search import value_of as value_of
from .tuner import Tuned as Tuned
from .tuner import split as split
from .tuner import tune as tune

__all__ = [
    "SEARCHES",
    "Bench",
    "Choice",
    "Range",
    "Trial",
    "Tuned",
    "parse",
    "propose",
    "split",
    "tune",
    "value_of",
]
