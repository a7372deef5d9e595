"""Whether intervals hold what they say, on arrays.

Coverage, spread against skill, ranks and TARP are measured; a recalibration map corrects them. Nothing here reads a
file.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
