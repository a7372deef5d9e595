from .learned import dists as dists
from .learned import fid as fid
from .learned import kid as kid
from .learned import lpips as lpips
from .learned import missing as missing
from .pixels import each as each
from .pixels import mae as mae
from .pixels import mse as mse
from .pixels import nmse as nmse
from .pixels import nrmse as nrmse
from .pixels import pairs as pairs
from .pixels import rmse as rmse
from .registry import METRICS as METRICS
from .registry import Metric as Metric
from .registry import measure as measure
from .registry import measure_samples as measure_samples
from .registry import metric as metric
from .registry import metrics as metrics
from .registry import size as size
from .samples import crps as crps
from .samples import energy as energy
from .spectral import d_lambda as d_lambda
from .spectral import ergas as ergas
from .spectral import qnr as qnr
from .spectral import rase as rase
from .spectral import sam as sam
from .windows import MS_SSIM_SIDE as MS_SSIM_SIDE
from .windows import SCC_WINDOW as SCC_WINDOW
from .windows import SSIM_WINDOW as SSIM_WINDOW
from .windows import VIF_SIDE as VIF_SIDE
from .windows import unspoilt as unspoilt
from .windows import uqi as uqi

__all__ = [
    "METRICS",
    "MS_SSIM_SIDE",
    "SCC_WINDOW",
    "SSIM_WINDOW",
    "VIF_SIDE",
    "Metric",
    "crps",
    "d_lambda",
    "dists",
    "each",
    "energy",
    "ergas",
    "fid",
    "kid",
    "lpips",
    "mae",
    "measure",
    "measure_samples",
    "metric",
    "metrics",
    "missing",
    "mse",
    "nmse",
    "nrmse",
    "pairs",
    "qnr",
    "rase",
    "rmse",
    "sam",
    "size",
    "unspoilt",
    "uqi",
]
