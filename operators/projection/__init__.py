"""Operators whose measurement is no picture.

Magnitudes of Fourier transforms, cosine coefficients and projections. The specification names each one's parameters.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
