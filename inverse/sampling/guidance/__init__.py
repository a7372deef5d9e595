"""Guidance: a prior's denoiser and an observation give a posterior denoiser.

One paper or family a file. Each header has the formula and the cost.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
