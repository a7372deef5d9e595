"""Training of priors from images.

A network is trained, or a small model is fitted in under a minute. Every step is a function of the seed and its
number.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
