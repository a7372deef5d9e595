from .channels import Luminance as Luminance
from .channels import Mosaic as Mosaic
from .channels import colorize as colorize
from .channels import demosaick as demosaick
from .channels import result as result
from .haze import HazePhysics as HazePhysics
from .holes import FROM_FILE as FROM_FILE
from .holes import is_mask as is_mask
from .holes import settled_mask as settled_mask
from .jpeg import JpegPhysics as JpegPhysics
from .jpeg import quantisation_sigma as quantisation_sigma
from .jpeg import tables as tables
from .masks import Mask as Mask
from .masks import Restricted as Restricted
from .masks import box_mask as box_mask
from .masks import file_mask as file_mask
from .masks import gap_mask as gap_mask
from .masks import masked as masked
from .masks import random_mask as random_mask
from .masks import restricted as restricted
from .masks import slc_off as slc_off
from .masks import stroke_mask as stroke_mask
from .masks import text_mask as text_mask
from .matrix import SPECTRAL_LIMIT as SPECTRAL_LIMIT
from .matrix import DenseMatrix as DenseMatrix
from .matrix import Identity as Identity
from .matrix import Matrix as Matrix
from .matrix import denoise as denoise
from .pointwise import Diagonal as Diagonal
from .pointwise import SaturationPhysics as SaturationPhysics
from .pointwise import low_light as low_light
from .pointwise import saturation as saturation
from .resample import BlockMean as BlockMean
from .resample import DownsamplePhysics as DownsamplePhysics
from .resample import KernelDownsample as KernelDownsample
from .resample import downsample as downsample
from .resample import weights as weights
from .spec import SPECS as SPECS

__all__ = [
    "FROM_FILE",
    "SPECS",
    "SPECTRAL_LIMIT",
    "BlockMean",
    "DenseMatrix",
    "Diagonal",
    "DownsamplePhysics",
    "HazePhysics",
    "Identity",
    "JpegPhysics",
    "KernelDownsample",
    "Luminance",
    "Mask",
    "Matrix",
    "Mosaic",
    "Restricted",
    "SaturationPhysics",
    "box_mask",
    "colorize",
    "demosaick",
    "denoise",
    "downsample",
    "file_mask",
    "gap_mask",
    "is_mask",
    "low_light",
    "masked",
    "quantisation_sigma",
    "random_mask",
    "restricted",
    "result",
    "saturation",
    "settled_mask",
    "slc_off",
    "stroke_mask",
    "tables",
    "text_mask",
    "weights",
]
