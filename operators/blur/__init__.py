"""Blur operators and their kernels.

One kernel for all channels, or kernels that vary over the image. The width of an unknown blur is estimated by
marginal likelihood.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
