from .pansharpen import PansharpenPhysics as PansharpenPhysics
from .pansharpen import fit_weights as fit_weights
from .pansharpen import result as result
from .radiometry import Attenuation as Attenuation
from .radiometry import BandMixPhysics as BandMixPhysics
from .radiometry import band_mix as band_mix
from .radiometry import fitted_thin_cloud as fitted_thin_cloud
from .radiometry import locate_bands as locate_bands
from .radiometry import mixed_bands as mixed_bands
from .radiometry import shift as shift
from .radiometry import thin_cloud as thin_cloud
from .sensor import MTF as MTF
from .sensor import SensorResponse as SensorResponse
from .sensor import mtf_line as mtf_line
from .sensor import nyquist_gains as nyquist_gains
from .spec import SPECS as SPECS
from .speckle import FLOOR as FLOOR
from .speckle import Levelled as Levelled
from .speckle import LogImage as LogImage
from .speckle import Speckled as Speckled
from .speckle import log_moments as log_moments
from .speckle import moments as moments
from .speckle import pilot as pilot
from .stripes import DestripePhysics as DestripePhysics
from .stripes import GappyDestripe as GappyDestripe
from .stripes import dead_lines as dead_lines
from .stripes import destripe as destripe
from .stripes import fitted_dead_lines as fitted_dead_lines
from .stripes import offset_level as offset_level

__all__ = [
    "FLOOR",
    "MTF",
    "SPECS",
    "Attenuation",
    "BandMixPhysics",
    "DestripePhysics",
    "GappyDestripe",
    "Levelled",
    "LogImage",
    "PansharpenPhysics",
    "SensorResponse",
    "Speckled",
    "band_mix",
    "dead_lines",
    "destripe",
    "fit_weights",
    "fitted_dead_lines",
    "fitted_thin_cloud",
    "locate_bands",
    "log_moments",
    "mixed_bands",
    "moments",
    "mtf_line",
    "nyquist_gains",
    "offset_level",
    "pilot",
    "result",
    "shift",
    "thin_cloud",
]
