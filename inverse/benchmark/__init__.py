"""Suites that compare methods and peers on images with a known truth.

A suite is a YAML file in `suites/`; a cell is one method on one task on one image. Peers, which need not be
installed, are in `peers/`.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
