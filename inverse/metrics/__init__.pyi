from .learned import dists as dists
from .learned import fid as fid
from .learned import kid as kid
from .learned import lpips as lpips
from .pixels import each as each
from .pixels import mae as mae
from .pixels import mse as mse
from .pixels import nmse as nmse
from .pixels import nrmse as nrmse
from .pixels import pairs as pairs
from .pixels import psnr as psnr
from .pixels import rmse as rmse
from .registry import METRICS as METRICS
from .registry import RATIO as RATIO
from .registry import Metric as Metric
from .registry import Network as Network
from .registry import measure as measure
from .registry import measure_samples as measure_samples
from .registry import metric as metric
from .registry import metrics as metrics
from .registry import size as size
from .samples import coverage as coverage
from .samples import crps as crps
from .samples import energy as energy
from .spectral import d_lambda as d_lambda
from .spectral import ergas as ergas
from .spectral import qnr as qnr
from .spectral import rase as rase
from .spectral import sam as sam
from .windows import masked_ms_ssim as masked_ms_ssim
from .windows import masked_scc as masked_scc
from .windows import masked_vif as masked_vif
from .windows import ms_ssim as ms_ssim
from .windows import scc as scc
from .windows import ssim as ssim
from .windows import unspoilt as unspoilt
from .windows import uqi as uqi
from .windows import vif as vif

__all__ = [
    "METRICS",
    "RATIO",
    "Metric",
    "Network",
    "coverage",
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
    "masked_ms_ssim",
    "masked_scc",
    "masked_vif",
    "measure",
    "measure_samples",
    "metric",
    "metrics",
    "ms_ssim",
    "mse",
    "nmse",
    "nrmse",
    "pairs",
    "psnr",
    "qnr",
    "rase",
    "rmse",
    "sam",
    "scc",
    "size",
    "ssim",
    "unspoilt",
    "uqi",
    "vif",
]
