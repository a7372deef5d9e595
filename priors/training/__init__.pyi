from .corpus import Corpus as Corpus
from .corpus import read_corpus as read_corpus
from .draws import Draws as Draws
from .draws import generator as generator
from .finish import contact_sheet as contact_sheet
from .finish import hardware as hardware
from .finish import spectrum_exponent as spectrum_exponent
from .fitting import KINDS as KINDS
from .fitting import SETTINGS as SETTINGS
from .fitting import fit as fit
from .fitting import read_images as read_images
from .gathered import SIZES as SIZES
from .gathered import Gathered as Gathered
from .measure import LEVELS as LEVELS
from .measure import calibration as calibration
from .measure import denoising_psnr as denoising_psnr
from .measure import magnitude as magnitude
from .measure import residual_span as residual_span
from .measure import squares as squares
from .schedule import TrainingSchedule as TrainingSchedule
from .schedule import learning_rate as learning_rate
from .settings import TrainConfig as TrainConfig
from .settings import parse_settings as parse_settings
from .spectra import FLOOR as FLOOR
from .spectra import autocovariance as autocovariance
from .spectra import block_periodograms as block_periodograms
from .spectra import channel_means as channel_means
from .spectra import mixture as mixture
from .spectra import periodogram as periodogram
from .trainer import blank_denoiser as blank_denoiser
from .trainer import fitted as fitted
from .trainer import train as train

__all__ = [
    "FLOOR",
    "KINDS",
    "LEVELS",
    "SETTINGS",
    "SIZES",
    "Corpus",
    "Draws",
    "Gathered",
    "TrainConfig",
    "TrainingSchedule",
    "autocovariance",
    "blank_denoiser",
    "block_periodograms",
    "calibration",
    "channel_means",
    "contact_sheet",
    "denoising_psnr",
    "fit",
    "fitted",
    "generator",
    "hardware",
    "learning_rate",
    "magnitude",
    "mixture",
    "parse_settings",
    "periodogram",
    "read_corpus",
    "read_images",
    "residual_span",
    "spectrum_exponent",
    "squares",
    "train",
]
