"""Judging results where the truth is known.

Pairs of prediction and truth come from arrays, files or run folders and are compared by a protocol. Runs are compared
with each other, and calibrations are fitted and reported.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
