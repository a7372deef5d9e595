"""Posterior sampling: a measurement, a physics and a prior give samples.

`denoiser`, `guidance` and `samplers` compose into the methods of `methods`. `sample` and `steps` are the public
calls.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
