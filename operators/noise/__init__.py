"""Noise models of a measurement.

Their specification, their levels estimated from the measurement, and draws of them. Whitening turns every kind into
white Gaussian noise of one level.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
