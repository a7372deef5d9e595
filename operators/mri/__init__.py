"""Operators of magnetic resonance imaging.

Cartesian and radial k-space, sampling patterns and receive coils. Measured data fit their own noise, maps and scale.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
