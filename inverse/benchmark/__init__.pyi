from .cells import Bench as Bench
from .cells import PeerError as PeerError
from .cells import Reconstruction as Reconstruction
from .cells import Result as Result
from .cells import results as results
from .cells import thumbnail as thumbnail
from .images import find_images as find_images
from .images import load_truth as load_truth
from .page import benchmark_suite as benchmark_suite
from .page import to_html as to_html
from .problems import measure_problem as measure_problem
from .run import Cell as Cell
from .run import Done as Done
from .run import Keys as Keys
from .run import SuiteEstimate as SuiteEstimate
from .run import cells_of as cells_of
from .run import estimate_suite as estimate_suite
from .run import kept as kept
from .run import run_suite as run_suite
from .run import truth_of as truth_of
from .suite import FIXTURES as FIXTURES
from .suite import MethodRow as MethodRow
from .suite import Suite as Suite
from .suite import SuiteTask as SuiteTask
from .suite import load_suite as load_suite
from .suite import problem_names as problem_names
from .suite import shipped_suites as shipped_suites
from .table import COLUMNS as COLUMNS
from .table import Column as Column
from .table import Line as Line
from .table import SuiteTable as SuiteTable
from .table import make_table as make_table
from .table import to_csv as to_csv
from .table import to_json as to_json
from .table import to_markdown as to_markdown
from .verdicts import FEWEST as FEWEST
from .verdicts import TaskVerdict as TaskVerdict

__all__ = [
    "COLUMNS",
    "FEWEST",
    "FIXTURES",
    "Bench",
    "Cell",
    "Column",
    "Done",
    "Keys",
    "Line",
    "MethodRow",
    "PeerError",
    "Reconstruction",
    "Result",
    "Suite",
    "SuiteEstimate",
    "SuiteTable",
    "SuiteTask",
    "TaskVerdict",
    "benchmark_suite",
    "cells_of",
    "estimate_suite",
    "find_images",
    "kept",
    "load_suite",
    "load_truth",
    "make_table",
    "measure_problem",
    "problem_names",
    "results",
    "run_suite",
    "shipped_suites",
    "thumbnail",
    "to_csv",
    "to_html",
    "to_json",
    "to_markdown",
    "truth_of",
]
