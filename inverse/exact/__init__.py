"""Problems whose posterior is known exactly.

Conjugate Gaussians, random fields, a Gaussian mixture and nonlinear problems in two unknowns. Every sampling method
is held to them.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
