"""Blur: the parameters of every kernel, and where its physics is built."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from inverse.operators.spec import Boundary, File, Operator, OperatorSpec, number_or_auto

__all__ = ["MICROSCOPE", "SPECS"]

#: The optics that are taken where neither the recipe nor the file says them: nanometres, and the aperture.
MICROSCOPE = {"pixel": 65.0, "wavelength": 520.0, "numerical_aperture": 1.2}


class GaussianBlur(Operator):
    """Convolution with a Gaussian cut off at 4 standard deviations."""

    kind: Literal["gaussian-blur"] = "gaussian-blur"
    sigma: Annotated[float | Literal["auto"], number_or_auto(above=0, most=100)] = Field(
        description="standard deviation of the kernel in pixels; auto estimates it from the image"
    )
    boundary: Boundary = "reflect"


class BlindBlur(Operator):
    """Convolution with whatever the image shows: a Gaussian, a disc, a line, or nothing."""

    kind: Literal["blind-blur"] = "blind-blur"
    boundary: Boundary = "free"


class MotionBlur(Operator):
    """Convolution with a straight line."""

    kind: Literal["motion-blur"] = "motion-blur"
    length: Annotated[float | Literal["auto"], number_or_auto(least=1, most=500)] = Field(
        description="length of the path in pixels; auto estimates it from the image"
    )
    angle: Annotated[float | Literal["auto"], number_or_auto()] = Field(
        default=0.0, description="direction of the path in degrees, counter-clockwise from the rows; auto estimates it"
    )
    boundary: Boundary = "reflect"


class CameraShake(Operator):
    """Convolution with the path of a camera that shook, of whatever shape: estimated from the photograph."""

    kind: Literal["camera-shake"] = "camera-shake"
    size: int = Field(
        default=21, ge=3, le=101, description="side of the kernel in pixels, odd: more than the shake is long"
    )
    agreement: float = Field(
        default=0.75, ge=0, le=1, description="correlation of three estimates below which none is believed; 0: take any"
    )
    seed: int = Field(default=0, ge=0, description="of the random path that a simulation draws")

    @field_validator("size")
    @classmethod
    def _odd(cls, size: int) -> int:
        if size % 2 == 0:
            raise PydanticCustomError("not_allowed", "an odd number")
        return size


class KernelBlur(Operator):
    """Convolution with a kernel from a file."""

    kind: Literal["kernel-blur"] = "kernel-blur"
    file: File = Field(description="kernel: a 2-D .npy array or an image; scaled to sum 1, its origin at size // 2")
    boundary: Boundary = "reflect"


class AnisotropicBlur(Operator):
    """Convolution with a Gaussian of two widths."""

    kind: Literal["anisotropic-blur"] = "anisotropic-blur"
    sigma_x: float = Field(gt=0, le=100, description="standard deviation along its first axis in pixels")
    sigma_y: float = Field(gt=0, le=100, description="standard deviation along its second axis in pixels")
    angle: float = Field(
        default=0.0, description="from the rows to its first axis in degrees, counter-clockwise as displayed"
    )
    boundary: Boundary = "reflect"


class Defocus(Operator):
    """Convolution with a disc."""

    kind: Literal["defocus"] = "defocus"
    radius: Annotated[float | Literal["auto"], number_or_auto(above=0, most=200)] = Field(
        description="radius of the disc in pixels; auto estimates it from the image"
    )
    boundary: Boundary = "reflect"


class _Microscope(Operator):
    wavelength: Annotated[float | Literal["auto"], number_or_auto(least=1, most=100_000)] = Field(
        default="auto", description="of the emitted light in vacuum, nanometres; auto: the file's, else 520"
    )
    numerical_aperture: Annotated[float | Literal["auto"], number_or_auto(above=0, most=1.7)] = Field(
        default="auto", description="of the objective; auto: the file's, else 1.2"
    )
    pixel: Annotated[float | Literal["auto"], number_or_auto(above=0, most=100_000)] = Field(
        default="auto", description="side of a pixel in the specimen, nanometres; auto: the file's, else 65"
    )
    extent: float = Field(
        default=4.0, ge=0.5, le=40, description="where the kernel ends, in Airy radii 0.61 wavelength / NA"
    )
    boundary: Boundary = "reflect"


class Airy(_Microscope):
    """Convolution with a microscope's pattern of a point in focus."""

    kind: Literal["airy"] = "airy"


class BornWolf(_Microscope):
    """Convolution with a microscope's pattern of a point out of focus."""

    kind: Literal["born-wolf"] = "born-wolf"
    index: float = Field(default=1.518, ge=1, le=3, description="refractive index of the immersion medium")
    defocus: float = Field(default=0.0, ge=-100, le=100, description="distance from focus in micrometres")


class GibsonLanni(_Microscope):
    """Convolution with the pattern of a point inside a specimen of another index than the immersion's."""

    kind: Literal["gibson-lanni"] = "gibson-lanni"
    immersion: float = Field(default=1.518, ge=1, le=3, description="refractive index of the immersion medium")
    specimen: float = Field(default=1.33, ge=1, le=3, description="refractive index of the specimen")
    depth: float = Field(default=0.0, ge=0, le=1000, description="of the point under the coverslip in micrometres")
    defocus: float = Field(default=0.0, ge=-100, le=100, description="of the stage from paraxial focus in micrometres")


class VaryingBlur(Operator):
    """Convolution with a kernel that changes over the image."""

    kind: Literal["varying-blur"] = "varying-blur"
    file: File = Field(
        description="(rows, columns, h, w) array, .npy: kernels at the middles of a grid over the image, each "
        "scaled to sum 1, origin at size // 2"
    )
    boundary: Boundary = "reflect"


_EVEN = "linear; spectral unless boundary is free"
_ANY = "linear; spectral with boundary circular, and with reflect if the kernel is even-symmetric along both axes"
_MICROSCOPE = (
    "y = k * x + n, k = |2 int_0^1 J0(2 pi NA r p / wavelength) exp(2 pi i W(p) / wavelength) p dp|^2, sum 1, "
)


def _one_kernel(
    model: type[Operator], summary: str, formula: str, capabilities: str = _EVEN, **fields: Any
) -> OperatorSpec:
    """An entry of a convolution with one kernel."""
    factory, locate = "inverse.operators.blur.blur:convolution", "inverse.operators.blur.blur:locate"
    return OperatorSpec(model, factory, summary, formula, capabilities, locate, local=True, **fields)


SPECS: tuple[OperatorSpec, ...] = (
    OperatorSpec(
        BlindBlur,
        "inverse.operators.blur.blind:blind",
        "the blur that the image itself shows: a Gaussian, a disc, a line, or none",
        "y = k * x + n, k of the kind and size that are most likely given y, or k = 1",
        "linear",
        measured="inverse.operators.blur.blind:fit",
        blind=True,
    ),
    OperatorSpec(
        CameraShake,
        "inverse.operators.blur.shake:shaken",
        "camera shake of whatever shape, the kernel estimated from the photograph itself",
        "y = k * x + n, k of strong edges alone (Xu, Zheng & Jia 2013), k >= 0, sum 1",
        "linear",
        locate="inverse.operators.blur.shake:locate",
        measured="inverse.operators.blur.shake:find_shake",
        blind=True,
        example={"size": 9},
        source="Xu, Zheng & Jia 2013, CVPR 1107",
    ),
    _one_kernel(
        GaussianBlur,
        "out of focus or soft: convolution with a Gaussian",
        "y = k * x + n, k ~ exp(-r^2 / (2 sigma^2)), r <= 4 sigma along each axis, sum 1",
        example={"sigma": 1.3},
        estimate="inverse.operators.blur.estimate:fill_in",
        drawn="inverse.operators.blur.drawn:drawn",
    ),
    _one_kernel(
        AnisotropicBlur,
        "soft along one direction more than along the other",
        "y = k * x + n, k ~ exp(-r' S^-1 r / 2), S = R(angle) diag(sigma_x^2, sigma_y^2) R(angle)', cut at 4 sigma, "
        "sum 1",
        "linear; spectral with boundary circular, and with reflect if angle is a multiple of 90",
        example={"sigma_x": 2.0, "sigma_y": 0.8, "angle": 30.0},
    ),
    _one_kernel(
        MotionBlur,
        "camera shake along a line",
        "y = k * x + n, k of a pixel ~ the length of the path inside it, sum 1",
        _ANY,
        example={"length": 9.0, "angle": 30.0},
        estimate="inverse.operators.blur.estimate:fill_in",
        drawn="inverse.operators.blur.drawn:drawn",
    ),
    _one_kernel(
        Defocus,
        "out of focus with an open aperture: convolution with a disc",
        "y = k * x + n, k of a pixel ~ the area of a disc inside it, sum 1",
        example={"radius": 2.7},
        estimate="inverse.operators.blur.estimate:fill_in",
        drawn="inverse.operators.blur.drawn:drawn",
        source="geometric optics",
    ),
    _one_kernel(
        Airy,
        "a microscope in focus: Airy pattern",
        _MICROSCOPE + "W = 0: (2 J1(v) / v)^2",
        example={"pixel": 100.0},
        stated="inverse.operators.blur.optics:stated",
        source="Airy",
    ),
    _one_kernel(
        BornWolf,
        "a microscope out of focus (Born & Wolf, paraxial), one plane",
        _MICROSCOPE + "W = -NA^2 defocus p^2 / (2 index)",
        example={"pixel": 100.0, "defocus": 0.4},
        stated="inverse.operators.blur.optics:stated",
        source="Born & Wolf, 8.8",
    ),
    _one_kernel(
        GibsonLanni,
        "a microscope looking into a specimen (Gibson & Lanni 1992), one plane",
        _MICROSCOPE + "W from specimen, immersion, depth and defocus",
        example={"pixel": 100.0, "depth": 2.0},
        stated="inverse.operators.blur.optics:stated",
        source="Gibson & Lanni 1992, JOSA A 9:154",
    ),
    _one_kernel(
        KernelBlur,
        "convolution with a measured kernel",
        "y = k * x + n, k from a file, sum 1, origin at size // 2 (as in scipy.ndimage.convolve)",
        _ANY,
        example={"file": "@kernel"},
    ),
    OperatorSpec(
        VaryingBlur,
        "inverse.operators.blur.varying:varying_blur",
        "a blur that changes over the image",
        "y = sum_k h_k * (w_k x) + n, w_k >= 0 piecewise bilinear between the middles of a grid, sum_k w_k = 1",
        "linear",
        "inverse.operators.blur.varying:locate",
        example={"file": "@kernels"},
        source="Nagy & O'Leary 1998, SISC 19:1063",
    ),
)
