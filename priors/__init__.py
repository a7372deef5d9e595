"""Priors: denoisers ``D(x, sigma) = E[x0 | x0 + sigma n = x]`` in data units, and the cards that describe them.

`open_prior` opens one by name, file, adapter or from a callable. Weights are checked before anything of them is
believed.
"""

import lazy_loader as lazy

if __name__ != "inverse.priors":
    raise ImportError(
        "import this package as 'inverse.priors', not as 'priors': a second copy would split its registries"
    )

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
