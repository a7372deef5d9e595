from .api import restore as restore
from .errors import InputError as InputError
from .errors import InverseError as InverseError
from .errors import MemoryLimitError as MemoryLimitError
from .errors import OutputError as OutputError
from .errors import PriorError as PriorError
from .errors import RecipeError as RecipeError
from .errors import UsageError as UsageError
from .errors import WorkerError as WorkerError
from .evaluation.evaluate import evaluate as evaluate
from .operators.build import build_operator as build_operator
from .posterior.posterior import Posterior as Posterior
from .priors.open import open_prior as open_prior
from .restoration.options import Options as Options
from .restoration.reconstructor import Reconstructor as Reconstructor
from .sampling.loop import Step as Step
from .sampling.posterior_samples import sample as sample
from .sampling.posterior_samples import simulate as simulate
from .sampling.posterior_samples import steps as steps
from .sampling.prior_samples import generate as generate
from .scenes.blocks import restore_blocks as restore_blocks
from .scenes.coupled import sample_scene as sample_scene

__version__: str

__all__ = [
    "InputError",
    "InverseError",
    "MemoryLimitError",
    "Options",
    "OutputError",
    "Posterior",
    "PriorError",
    "RecipeError",
    "Reconstructor",
    "Step",
    "UsageError",
    "WorkerError",
    "build_operator",
    "evaluate",
    "generate",
    "open_prior",
    "restore",
    "restore_blocks",
    "sample",
    "sample_scene",
    "simulate",
    "steps",
]
