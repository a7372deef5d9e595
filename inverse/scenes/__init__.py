"""Scenes larger than memory.

One state of the scene on disk is advanced tile by tile, or tiles are solved on their own and blended. Results are
written by windows.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
