from .coupling import draw as draw
from .coupling import measurement_noise as measurement_noise
from .daps import DAPS as DAPS
from .ddnm import DDNM as DDNM
from .ddrm import DDRM as DDRM
from .exact import Exact as Exact
from .gram import DENSE_LIMIT as DENSE_LIMIT
from .gram import Diagonal as Diagonal
from .gram import Iterative as Iterative
from .gram import Solver as Solver
from .gram import kernel_of as kernel_of
from .gram import solver as solver
from .pnpdm import Chain as Chain
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
from .twist import LowRank as LowRank
from .twist import Spectral as Spectral
from .twist import gather as gather

__all__ = [
    "DAPS",
    "DDNM",
    "DDRM",
    "DENSE_LIMIT",
    "SMC",
    "Bridge",
    "Chain",
    "Diagonal",
    "Exact",
    "Iterative",
    "LowRank",
    "PnPDM",
    "Population",
    "Predicted",
    "REDDiff",
    "Solver",
    "Spectral",
    "Stationary",
    "draw",
    "gather",
    "kernel_of",
    "measurement_noise",
    "pnp_dm",
    "red_diff",
    "solver",
    "systematic",
]
