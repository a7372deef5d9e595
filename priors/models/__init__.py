"""The models that a prior can be.

Exact Gaussians and mixtures, stationary fields, patch mixtures, flows and the embedded U-Net. Each is a denoiser of
an image and a noise level.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
