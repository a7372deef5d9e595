from .clipped import estimate_clipped_sigma as estimate_clipped_sigma
from .clipped import unclipped_mean as unclipped_mean
from .clipped import unclipped_square as unclipped_square
from .draw import draw_noise as draw_noise
from .fit import NoiseFit as NoiseFit
from .fit import correlated_spectrum as correlated_spectrum
from .fit import fit_noise as fit_noise
from .jpeg import FACTORS as FACTORS
from .jpeg import ROUNDING as ROUNDING
from .jpeg import SIDE as SIDE
from .jpeg import YCC as YCC
from .jpeg import JpegFile as JpegFile
from .jpeg import jpeg_file as jpeg_file
from .jpeg import laplace_scale as laplace_scale
from .jpeg import resolved as resolved
from .jpeg_fit import JpegFit as JpegFit
from .jpeg_fit import fit_jpeg as fit_jpeg
from .jpeg_fit import slopes_of as slopes_of
from .jpeg_fit import stated_quality as stated_quality
from .jpeg_level import UNSEEN as UNSEEN
from .jpeg_level import sensor_sigma as sensor_sigma
from .jpeg_physics import JpegMeasured as JpegMeasured
from .jpeg_physics import JpegMeasuredNonlinear as JpegMeasuredNonlinear
from .models import background_rayleigh as background_rayleigh
from .models import background_sigma as background_sigma
from .models import estimate_sigma as estimate_sigma
from .models import mean_and_variance as mean_and_variance
from .models import noise_model as noise_model
from .models import smallest_step as smallest_step
from .models import wavelet_sigma as wavelet_sigma
from .spec import DEFAULTS as DEFAULTS
from .spec import ESTIMATORS as ESTIMATORS
from .spec import NOISES as NOISES
from .spec import CorrelatedNoise as CorrelatedNoise
from .spec import GaussianNoise as GaussianNoise
from .spec import JpegNoise as JpegNoise
from .spec import Noise as Noise
from .spec import PoissonGaussianNoise as PoissonGaussianNoise
from .spec import PoissonNoise as PoissonNoise
from .spec import RicianNoise as RicianNoise
from .spec import UniformNoise as UniformNoise
from .spec import noise_keys as noise_keys
from .stabilise import COUNTS as COUNTS
from .stabilise import Stabilised as Stabilised
from .stabilise import expected as expected
from .whiten import Filtered as Filtered
from .whiten import WeightedSpectrum as WeightedSpectrum
from .whiten import Whitened as Whitened
from .whiten import WhitenedNonlinear as WhitenedNonlinear
from .whiten import filtered as filtered
from .whiten import whitened as whitened

__all__ = [
    "COUNTS",
    "DEFAULTS",
    "ESTIMATORS",
    "FACTORS",
    "NOISES",
    "ROUNDING",
    "SIDE",
    "UNSEEN",
    "YCC",
    "CorrelatedNoise",
    "Filtered",
    "GaussianNoise",
    "JpegFile",
    "JpegFit",
    "JpegMeasured",
    "JpegMeasuredNonlinear",
    "JpegNoise",
    "Noise",
    "NoiseFit",
    "PoissonGaussianNoise",
    "PoissonNoise",
    "RicianNoise",
    "Stabilised",
    "UniformNoise",
    "WeightedSpectrum",
    "Whitened",
    "WhitenedNonlinear",
    "background_rayleigh",
    "background_sigma",
    "correlated_spectrum",
    "draw_noise",
    "estimate_clipped_sigma",
    "estimate_sigma",
    "expected",
    "filtered",
    "fit_jpeg",
    "fit_noise",
    "jpeg_file",
    "laplace_scale",
    "mean_and_variance",
    "noise_keys",
    "noise_model",
    "resolved",
    "sensor_sigma",
    "slopes_of",
    "smallest_step",
    "stated_quality",
    "wavelet_sigma",
    "whitened",
]
