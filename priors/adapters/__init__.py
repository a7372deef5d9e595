"""Other people's networks as priors.

One module a code base, imported when it is asked for; `registry` names them all and says what a module has. Each
turns a network's prediction into a denoiser in data units.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
