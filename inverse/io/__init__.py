"""Image files in and out, and the mapping between stored pixels and data units.

A file is known by its content, never by its suffix. One module a format is in `formats/`.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
