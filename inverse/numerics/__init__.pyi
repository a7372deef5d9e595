from .defaults import independent as independent
from .defaults import own_defaults as own_defaults
from .linalg import Damped as Damped
from .linalg import Vector as Vector
from .linalg import conjugate_gradients as conjugate_gradients
from .linalg import expand as expand
from .linalg import gmres as gmres
from .linalg import inner as inner
from .linalg import lanczos_log as lanczos_log
from .linalg import largest_eigenvalue as largest_eigenvalue
from .linalg import least_squares as least_squares
from .linalg import norm as norm
from .linalg import parts as parts
from .linalg import scale as scale
from .linalg import square_root as square_root
from .rng import BLOCK as BLOCK
from .rng import VECTOR_BLOCK as VECTOR_BLOCK
from .rng import Rng as Rng
from .rng import require_seed as require_seed
from .statistics import EMPIRICAL as EMPIRICAL
from .statistics import interval_quantile as interval_quantile
from .statistics import mean_interval as mean_interval
from .transforms import dct2 as dct2
from .transforms import dct2_filter as dct2_filter
from .transforms import dct2_solve as dct2_solve
from .transforms import dct_matrix as dct_matrix
from .transforms import dct_squared as dct_squared
from .transforms import fold as fold
from .transforms import full_from_half as full_from_half
from .transforms import half_from_full as half_from_full
from .transforms import hartley2 as hartley2
from .transforms import hartley_squared as hartley_squared
from .transforms import idct2 as idct2
from .transforms import mirror as mirror
from .transforms import smoothed as smoothed

__all__ = [
    "BLOCK",
    "EMPIRICAL",
    "VECTOR_BLOCK",
    "Damped",
    "Rng",
    "Vector",
    "conjugate_gradients",
    "dct2",
    "dct2_filter",
    "dct2_solve",
    "dct_matrix",
    "dct_squared",
    "expand",
    "fold",
    "full_from_half",
    "gmres",
    "half_from_full",
    "hartley2",
    "hartley_squared",
    "idct2",
    "independent",
    "inner",
    "interval_quantile",
    "lanczos_log",
    "largest_eigenvalue",
    "least_squares",
    "mean_interval",
    "mirror",
    "norm",
    "own_defaults",
    "parts",
    "require_seed",
    "scale",
    "smoothed",
    "square_root",
]
