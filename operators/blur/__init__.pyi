from .blind import NONE as NONE
from .blind import blind as blind
from .blind import fit as fit
from .blind import suspected as suspected
from .blur import CircularBlur as CircularBlur
from .blur import FreeBlur as FreeBlur
from .blur import MirrorBlur as MirrorBlur
from .blur import ReflectBlur as ReflectBlur
from .blur import convolution as convolution
from .blur import kernel_of as kernel_of
from .drawn import FARTHEST as FARTHEST
from .drawn import drawn as drawn
from .estimate import AUTO as AUTO
from .estimate import Blind as Blind
from .estimate import estimate_blur as estimate_blur
from .estimate import estimate_blurs as estimate_blurs
from .estimate import on_finer_grid as on_finer_grid
from .kernels import airy_radius as airy_radius
from .kernels import born_wolf as born_wolf
from .kernels import defocus_kernel as defocus_kernel
from .kernels import file_kernel as file_kernel
from .kernels import gaussian_kernel as gaussian_kernel
from .kernels import gibson_lanni as gibson_lanni
from .kernels import is_even as is_even
from .kernels import line_kernel as line_kernel
from .kernels import microscope_kernel as microscope_kernel
from .kernels import tilted_gaussian_kernel as tilted_gaussian_kernel
from .optics import numbers as numbers
from .optics import stated as stated
from .shake import estimate_kernel as estimate_kernel
from .shake import find_shake as find_shake
from .shake import shaken as shaken
from .spec import MICROSCOPE as MICROSCOPE
from .spec import SPECS as SPECS
from .varying import VaryingBlurPhysics as VaryingBlurPhysics
from .varying import varying_blur as varying_blur

__all__ = [
    "AUTO",
    "FARTHEST",
    "MICROSCOPE",
    "NONE",
    "SPECS",
    "Blind",
    "CircularBlur",
    "FreeBlur",
    "MirrorBlur",
    "ReflectBlur",
    "VaryingBlurPhysics",
    "airy_radius",
    "blind",
    "born_wolf",
    "convolution",
    "defocus_kernel",
    "drawn",
    "estimate_blur",
    "estimate_blurs",
    "estimate_kernel",
    "file_kernel",
    "find_shake",
    "fit",
    "gaussian_kernel",
    "gibson_lanni",
    "is_even",
    "kernel_of",
    "line_kernel",
    "microscope_kernel",
    "numbers",
    "on_finer_grid",
    "shaken",
    "stated",
    "suspected",
    "tilted_gaussian_kernel",
    "varying_blur",
]
