"""Other libraries' reconstructions, each in its own conventions.

The registry names every peer without importing one. A peer gets the measurement, the true operator and our prior,
with its evaluations counted.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
