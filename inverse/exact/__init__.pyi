from .field import FieldBias as FieldBias
from .field import FieldProblem as FieldProblem
from .field import FourierBand as FourierBand
from .field import solve as solve
from .gaussian import Band as Band
from .gaussian import Bias as Bias
from .gaussian import EigenRatios as EigenRatios
from .gaussian import GaussianProblem as GaussianProblem
from .gaussian import flatten as flatten
from .gaussian import matrix as matrix
from .gaussian import measure as measure
from .mixture import CELLS as CELLS
from .mixture import PROBLEMS_PER_CELL as PROBLEMS_PER_CELL
from .mixture import MixturePosterior as MixturePosterior
from .mixture import MixtureProblem as MixtureProblem
from .mixture import MixtureScore as MixtureScore
from .mixture import definitions as definitions
from .mixture import mixture_problem as mixture_problem
from .mixture import sliced_wasserstein as sliced_wasserstein
from .nonlinear import NonlinearBias as NonlinearBias
from .nonlinear import NonlinearProblem as NonlinearProblem
from .nonlinear import Norm as Norm
from .nonlinear import Squares as Squares
from .nonlinear import sliced_w1 as sliced_w1
from .problem import ExactProblem as ExactProblem
from .registry import draw as draw
from .registry import exact_problem as exact_problem

__all__ = [
    "CELLS",
    "PROBLEMS_PER_CELL",
    "Band",
    "Bias",
    "EigenRatios",
    "ExactProblem",
    "FieldBias",
    "FieldProblem",
    "FourierBand",
    "GaussianProblem",
    "MixturePosterior",
    "MixtureProblem",
    "MixtureScore",
    "NonlinearBias",
    "NonlinearProblem",
    "Norm",
    "Squares",
    "definitions",
    "draw",
    "exact_problem",
    "flatten",
    "matrix",
    "measure",
    "mixture_problem",
    "sliced_w1",
    "sliced_wasserstein",
    "solve",
]
