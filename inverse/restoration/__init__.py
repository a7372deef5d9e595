"""One item from its file to its restored files.

A frame of a file and a recipe give a case; `item` solves it and describes the result. Plans, options and simulated
measurements are here too.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
