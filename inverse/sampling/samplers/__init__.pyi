from .coupling import draw as draw
from .coupling import measurement_noise as measurement_noise
from .daps import DAPS as DAPS
from .ddnm import DDNM as DDNM
from .ddrm import DDRM as DDRM
from .exact import Exact as Exact
from .gram import DENSE_LIMIT as DENSE_LIMIT
from .gram import GramDense as GramDense
from .gram import GramDiagonal as GramDiagonal
from .gram import GramIterative as GramIterative
from .gram import GramSolver as GramSolver
from .gram import kernel_of as kernel_of
from .gram import signs as signs
from .gram import solver as solver
from .pnpdm import ChainStatistics as ChainStatistics
from .pnpdm import PnPDM as PnPDM
from .pnpdm import pnp_dm as pnp_dm
from .reddiff import REDDiff as REDDiff
from .reddiff import red_diff as red_diff
from .smc import SMC as SMC
from .smc import Population as Population
from .smc import systematic as systematic
from .stationary import Predicted as Predicted
from .stationary import Stationary as Stationary
from .twist import Bridge as Bridge
from .twist import Dense as Dense
from .twist import LowRank as LowRank
from .twist import OfEigenvalues as OfEigenvalues
from .twist import gather as gather
from .twist import identity as identity

__all__ = [
    "DAPS",
    "DDNM",
    "DDRM",
    "DENSE_LIMIT",
    "SMC",
    "Bridge",
    "ChainStatistics",
    "Dense",
    "Exact",
    "GramDense",
    "GramDiagonal",
    "GramIterative",
    "GramSolver",
    "LowRank",
    "OfEigenvalues",
    "PnPDM",
    "Population",
    "Predicted",
    "REDDiff",
    "Stationary",
    "draw",
    "gather",
    "identity",
    "kernel_of",
    "measurement_noise",
    "pnp_dm",
    "red_diff",
    "signs",
    "solver",
    "systematic",
]
