from .check import RecipeCheck as RecipeCheck
from .check import check_recipe as check_recipe
from .check import exit_code as exit_code
from .dask import Dask as Dask
from .dryrun import Estimate as Estimate
from .dryrun import estimate as estimate
from .dryrun_cost import SceneEstimate as SceneEstimate
from .dryrun_cost import Trial as Trial
from .dryrun_cost import estimate_scene as estimate_scene
from .dryrun_cost import trial as trial
from .executors import NAMES as NAMES
from .executors import Executor as Executor
from .executors import Serial as Serial
from .executors import executor as executor
from .executors import opened_executor as opened_executor
from .executors import parse_shard as parse_shard
from .folder import Kept as Kept
from .folder import RunFolder as RunFolder
from .ledger import Ledger as Ledger
from .ledger import Schedule as Schedule
from .ledger import renamed as renamed
from .merge import assemble as assemble
from .merge import merged as merged
from .merge import write_part as write_part
from .processes import ATTEMPTS as ATTEMPTS
from .processes import Processes as Processes
from .processes import default_workers as default_workers
from .processes import gpu_of as gpu_of
from .progress import MODES as MODES
from .progress import Progress as Progress
from .progress import Speeds as Speeds
from .progress import Tell as Tell
from .run import Options as Options
from .run import make_plan as make_plan
from .run import prepare_run as prepare_run
from .run import restore as restore
from .summary import collect as collect
from .summary import write_summary as write_summary
from .unit import Solver as Solver
from .worker import Task as Task
from .worker import main as main
from .worker import package as package
from .worker import solve as solve
from .worker import task as task

__all__ = [
    "ATTEMPTS",
    "MODES",
    "NAMES",
    "Dask",
    "Estimate",
    "Executor",
    "Kept",
    "Ledger",
    "Options",
    "Processes",
    "Progress",
    "RecipeCheck",
    "RunFolder",
    "SceneEstimate",
    "Schedule",
    "Serial",
    "Solver",
    "Speeds",
    "Task",
    "Tell",
    "Trial",
    "assemble",
    "check_recipe",
    "collect",
    "default_workers",
    "estimate",
    "estimate_scene",
    "executor",
    "exit_code",
    "gpu_of",
    "main",
    "make_plan",
    "merged",
    "opened_executor",
    "package",
    "parse_shard",
    "prepare_run",
    "renamed",
    "restore",
    "solve",
    "task",
    "trial",
    "write_part",
    "write_summary",
]
