from .callable import CallablePrior as CallablePrior
from .callable import Denoiser as Denoiser
from .callable import computed as computed
from .callable import is_network as is_network
from .callable import ranged as ranged
from .callable import with_range as with_range
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
    "CallablePrior",
    "Denoiser",
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
    "computed",
    "draw_patches",
    "is_network",
    "open_weights",
    "patch_mixture",
    "power_law",
    "ranged",
    "spectrum",
    "with_range",
]
