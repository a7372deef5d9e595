from .closed_form import Gaussian as Gaussian
from .closed_form import Weighted as Weighted
from .field import FieldPrior as FieldPrior
from .field import spectrum as spectrum
from .fitted import open_weights as open_weights
from .flow import FlowPrior as FlowPrior
from .gaussian import GaussianPrior as GaussianPrior
from .gaussian import power_law as power_law
from .mixture import MixturePrior as MixturePrior
from .patch import PatchPrior as PatchPrior
from .patch import draw_patches as draw_patches
from .patch import patch_mixture as patch_mixture
from .unet import EDMDenoiser as EDMDenoiser
from .unet import UNet as UNet
from .unet import UNetConfig as UNetConfig

__all__ = [
    "EDMDenoiser",
    "FieldPrior",
    "FlowPrior",
    "Gaussian",
    "GaussianPrior",
    "MixturePrior",
    "PatchPrior",
    "UNet",
    "UNetConfig",
    "Weighted",
    "draw_patches",
    "open_weights",
    "patch_mixture",
    "power_law",
    "spectrum",
]
