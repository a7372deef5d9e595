"""Files that are either whole or absent.

Atomic writes, content hashes and HDF5 as bytes. Locks give a run folder one writer.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
