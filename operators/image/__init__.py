"""Operators of photography and microscopy.

Masks, resampling, colour filters, haze, saturation, JPEG and matrices. Each file holds one family of operators.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
