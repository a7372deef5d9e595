"""From a measurement to its posterior: diffusion priors, forward operators and posterior sampling for imaging.

The public calls are here and import their modules when they are first used, so ``import inverse`` loads no torch.
The packages stand in the order of their imports: see the map in CONTRIBUTING.md.
"""

import lazy_loader as lazy

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
