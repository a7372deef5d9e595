"""Image metrics, one value an image.

Every metric carries the definition that its number depends on. The registry is open to other packages.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
