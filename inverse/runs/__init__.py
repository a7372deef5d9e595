"""Run folders: many items, resumed, sharded and on any executor.

A unit is one item's block of samples. Markers say what is done, and a summary is rebuilt from them.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
