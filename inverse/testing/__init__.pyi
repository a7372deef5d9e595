from .formats import assert_round_trip as assert_round_trip
from .methods import MonteCarlo as MonteCarlo
from .methods import assert_batch_invariant as assert_batch_invariant
from .methods import assert_exact as assert_exact
from .methods import monte_carlo as monte_carlo
from .metrics import assert_metric as assert_metric
from .operators import assert_adjoint as assert_adjoint
from .operators import assert_gradient as assert_gradient
from .operators import assert_linear as assert_linear
from .operators import assert_operator as assert_operator
from .operators import assert_svd as assert_svd
from .priors import assert_prior as assert_prior

__all__ = [
    "MonteCarlo",
    "assert_adjoint",
    "assert_batch_invariant",
    "assert_exact",
    "assert_gradient",
    "assert_linear",
    "assert_metric",
    "assert_operator",
    "assert_prior",
    "assert_round_trip",
    "assert_svd",
    "monte_carlo",
]
