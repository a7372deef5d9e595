"""``inverse report``: the page of a run.

One HTML file that loads nothing. Words, pictures, maps and figures of each item.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
