"""Samples of a posterior and what they say.

Mean, spread, intervals, misfit, data share and the mixing of chains. Doubts about a result are typed and written in
words here.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
