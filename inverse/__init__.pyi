from .api import restore as restore
from .evaluation.evaluate import evaluate as evaluate
from .operators.build import build_operator as build_operator
from .posterior.posterior import Posterior as Posterior
from .priors.open import open_prior as open_prior
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
    "Posterior",
    "Reconstructor",
    "Step",
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
