from .auto import Admits as Admits
from .auto import MeasuredSetting as MeasuredSetting
from .auto import best as best
from .auto import choose as choose
from .auto import cost_of as cost_of
from .auto import evaluations_in as evaluations_in
from .auto import kind_of as kind_of
from .auto import rows as rows
from .denoiser import VJP as VJP
from .denoiser import Denoise as Denoise
from .denoiser import Denoised as Denoised
from .given import as_array as as_array
from .given import from_array as from_array
from .given import measured_shape as measured_shape
from .kernels import KERNELS as KERNELS
from .kernels import Kernel as Kernel
from .kernels import Noise as Noise
from .kernels import corrected as corrected
from .kernels import ddim as ddim
from .kernels import dpmpp as dpmpp
from .kernels import heun as heun
from .kernels import kernel as kernel
from .kernels import stochastic as stochastic
from .kernels import zeta_mix as zeta_mix
from .loop import Context as Context
from .loop import Guidance as Guidance
from .loop import GuidedMethod as GuidedMethod
from .loop import Method as Method
from .loop import Move as Move
from .loop import Sampler as Sampler
from .loop import Step as Step
from .loop import run as run
from .method_spec import COMMON as COMMON
from .method_spec import SECOND_LOOK as SECOND_LOOK
from .method_spec import VJP_SECONDS as VJP_SECONDS
from .method_spec import VJP_WEIGHT as VJP_WEIGHT
from .method_spec import MethodSpec as MethodSpec
from .method_spec import Parameter as Parameter
from .method_spec import evaluations as evaluations
from .method_spec import evaluations_of_step as evaluations_of_step
from .method_spec import recorded_bias as recorded_bias
from .methods import AUTO as AUTO
from .methods import BUDGETS as BUDGETS
from .methods import METHODS as METHODS
from .methods import budget as budget
from .methods import in_words as in_words
from .posterior_samples import sample as sample
from .posterior_samples import simulate as simulate
from .posterior_samples import steps as steps
from .prior_samples import generate as generate
from .problem import Problem as Problem
from .problem import Request as Request
from .problem import bfloat16_is_fast as bfloat16_is_fast
from .problem import open_denoiser as open_denoiser
from .problem import peak_bytes as peak_bytes
from .problem import prepare as prepare
from .start import COARSE as COARSE
from .start import initial_mean as initial_mean
from .start import interpolated as interpolated
from .start import noise_levels as noise_levels

__all__ = [
    "AUTO",
    "BUDGETS",
    "COARSE",
    "COMMON",
    "KERNELS",
    "METHODS",
    "SECOND_LOOK",
    "VJP",
    "VJP_SECONDS",
    "VJP_WEIGHT",
    "Admits",
    "Context",
    "Denoise",
    "Denoised",
    "Guidance",
    "GuidedMethod",
    "Kernel",
    "MeasuredSetting",
    "Method",
    "MethodSpec",
    "Move",
    "Noise",
    "Parameter",
    "Problem",
    "Request",
    "Sampler",
    "Step",
    "as_array",
    "best",
    "bfloat16_is_fast",
    "budget",
    "choose",
    "corrected",
    "cost_of",
    "ddim",
    "dpmpp",
    "evaluations",
    "evaluations_in",
    "evaluations_of_step",
    "from_array",
    "generate",
    "heun",
    "in_words",
    "initial_mean",
    "interpolated",
    "kernel",
    "kind_of",
    "measured_shape",
    "noise_levels",
    "open_denoiser",
    "peak_bytes",
    "prepare",
    "recorded_bias",
    "rows",
    "run",
    "sample",
    "simulate",
    "steps",
    "stochastic",
    "zeta_mix",
]
