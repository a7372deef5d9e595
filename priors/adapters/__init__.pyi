from .parametrisation import EDM as EDM
from .parametrisation import START as START
from .parametrisation import VE as VE
from .parametrisation import AdaptedPrior as AdaptedPrior
from .parametrisation import AdapterSettings as AdapterSettings
from .parametrisation import Coefficients as Coefficients
from .parametrisation import ContinuousVP as ContinuousVP
from .parametrisation import Denoising as Denoising
from .parametrisation import Discrete as Discrete
from .parametrisation import Flow as Flow
from .parametrisation import ModuleNetwork as ModuleNetwork
from .parametrisation import alphas_cumprod as alphas_cumprod
from .parametrisation import noise_levels as noise_levels
from .parametrisation import validated as validated
from .registry import ADAPTERS as ADAPTERS
from .registry import KINDS as KINDS
from .registry import adapter as adapter
from .registry import adapters as adapters
from .registry import open_spec as open_spec
from .registry import open_weights as open_weights

__all__ = [
    "ADAPTERS",
    "EDM",
    "KINDS",
    "START",
    "VE",
    "AdaptedPrior",
    "AdapterSettings",
    "Coefficients",
    "ContinuousVP",
    "Denoising",
    "Discrete",
    "Flow",
    "ModuleNetwork",
    "adapter",
    "adapters",
    "alphas_cumprod",
    "noise_levels",
    "open_spec",
    "open_weights",
    "validated",
]
