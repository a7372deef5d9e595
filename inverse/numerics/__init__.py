"""Arithmetic without pictures.

Keyed random numbers, per-item linear algebra, orthonormal transforms and bootstrap intervals. Everything is per item
of the batch.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
