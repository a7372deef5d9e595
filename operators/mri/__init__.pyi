from .cartesian import MultiCoil as MultiCoil
from .cartesian import RowCoils as RowCoils
from .cartesian import SingleCoil as SingleCoil
from .cartesian import build as build
from .cartesian import coil_maps as coil_maps
from .cartesian import fourier as fourier
from .cartesian import to_complex as to_complex
from .cartesian import to_pair as to_pair
from .cartesian_fit import BRIGHT as BRIGHT
from .cartesian_fit import fit_cartesian as fit_cartesian
from .cartesian_fit import hann as hann
from .cartesian_fit import whitened as whitened
from .coils import birdcage as birdcage
from .coils import calibration_size as calibration_size
from .coils import centre as centre
from .coils import compression as compression
from .coils import espirit as espirit
from .coils import whitening as whitening
from .radial import NonCartesian as NonCartesian
from .radial import fit_radial as fit_radial
from .radial import trajectory as trajectory
from .rss import predicted_rss as predicted_rss
from .spec import SPECS as SPECS
from .spec import Mri as Mri
from .spec import MriRadial as MriRadial
from .spec import ReceiveCoils as ReceiveCoils

__all__ = [
    "BRIGHT",
    "SPECS",
    "Mri",
    "MriRadial",
    "MultiCoil",
    "NonCartesian",
    "ReceiveCoils",
    "RowCoils",
    "SingleCoil",
    "birdcage",
    "build",
    "calibration_size",
    "centre",
    "coil_maps",
    "compression",
    "espirit",
    "fit_cartesian",
    "fit_radial",
    "fourier",
    "hann",
    "predicted_rss",
    "to_complex",
    "to_pair",
    "trajectory",
    "whitened",
    "whitening",
]
