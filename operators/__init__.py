"""Forward operators: deepinv physics, and the subclasses deepinv lacks.

Each kind has a typed specification in a `spec` module and a factory beside it. `build_operator` makes a physics from
a kind and its parameters.
"""

import lazy_loader as lazy

if __name__ != "inverse.operators":
    raise ImportError(
        "import this package as 'inverse.operators', not as 'operators': a second copy would split its registries"
    )

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
