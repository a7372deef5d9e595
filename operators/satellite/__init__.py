"""Operators of remote sensing.

Sensor response, pansharpening, stripes, speckle and radiometry. Estimated parameters come from the scene itself.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
