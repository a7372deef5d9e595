"""Shipped recipes, and what reads them.

A recipe is a YAML file, data and never code. Its calibration file says how its intervals did on images it has not
seen.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
