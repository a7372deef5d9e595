"""Methods with a step of their own.

One paper a file, opened by its formula. The loop of `inverse.sampling.loop` runs them.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
