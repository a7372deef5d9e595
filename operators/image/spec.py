"""Operators of photography and microscopy: the models of their parameters, and where they are built."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from inverse.operators.spec import AUTO, PATH, Boundary, File, Operator, OperatorSpec, number_or_auto

__all__ = ["SPECS"]

Pattern = Literal["RGGB", "BGGR", "GRBG", "GBRG"]
Fraction = Annotated[float, Field(gt=0, lt=1)]


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
    wavelength: float = Field(default=520.0, ge=1, le=100_000, description="of the emitted light in vacuum, nanometres")
    numerical_aperture: float = Field(default=1.2, gt=0, le=1.7, description="of the objective")
    pixel: float = Field(default=65.0, gt=0, le=100_000, description="side of a pixel in the specimen, nanometres")
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
        description="(rows, columns, h, w) array, .npy: kernels at the middles of a grid over the image, each scaled to sum 1, origin at size // 2"
    )
    boundary: Boundary = "reflect"


class StrokeMask(Operator):
    """Free strokes missing, as of a brush."""

    kind: Literal["stroke-mask"] = "stroke-mask"
    missing: Fraction = Field(default=0.2, description="at least this share of the pixels is missing")
    width: int = Field(default=8, ge=1, le=500, description="of the brush in pixels")
    seed: int = Field(default=0, ge=0, lt=2**63, description="seed of the strokes")


class TextMask(Operator):
    """Lines of text missing."""

    kind: Literal["text-mask"] = "text-mask"
    text: str = Field(
        default="The quick brown fox jumps over the lazy dog. ",
        min_length=1,
        max_length=10_000,
        description="repeated line by line",
    )
    size: int = Field(default=14, ge=4, le=500, description="height of the letters in pixels")
    spacing: float = Field(default=1.5, ge=1, le=20, description="distance of the lines over the letters' height")
    seed: int = Field(default=0, ge=0, lt=2**63, description="seed of where in the text each line begins")


class Demosaick(Operator):
    """One colour of three at each pixel of a sensor."""

    kind: Literal["demosaick"] = "demosaick"
    pattern: Pattern = Field(
        default="RGGB", description="colours of the first two pixels of the first row, then of the second"
    )


class Colorize(Operator):
    """A grey image of a colour scene."""

    kind: Literal["colorize"] = "colorize"
    weights: tuple[float, float, float] = Field(
        default=(0.299, 0.587, 0.114), description="of red, green and blue in the grey value; default: luma of Rec. 601"
    )

    @field_validator("weights")
    @classmethod
    def _something_is_seen(cls, weights: tuple[float, float, float]) -> tuple[float, float, float]:
        if not any(weights):
            raise PydanticCustomError("not_allowed", "three numbers that are not all 0")
        return weights


class LowLight(Operator):
    """A dark picture: the light times a factor, for measurements with noise of photons."""

    kind: Literal["low-light"] = "low-light"
    exposure: float = Field(
        default=0.1, gt=0, le=1000, description="brightness of the measurement over that of the result"
    )


class Haze(Operator):
    """A scene through haze of one colour."""

    kind: Literal["haze"] = "haze"
    transmission: float | Literal["auto"] = Field(
        default="auto",
        description="share of the scene's light that arrives, 0 to 1; auto: estimated from the picture by its dark channel",
    )
    file: str | None = Field(
        default=None,
        min_length=1,
        json_schema_extra={PATH: True},
        description="map of the transmission instead, of the picture's size: a .npy array of 0 to 1, or an image (full scale is 1)",
    )
    airlight: tuple[float, ...] | Literal["auto"] = Field(
        default="auto", description="colour of the haze, a number for each channel; auto: estimated from the picture"
    )
    strength: float = Field(default=0.9, gt=0, le=1, description="of the haze that auto finds, the share taken away")

    @field_validator("transmission")
    @classmethod
    def _some_light(cls, value: float | str) -> float | str:
        if isinstance(value, float) and not 0 < value <= 1:
            raise PydanticCustomError("not_allowed", "auto, or a number above 0 and at most 1")
        return value


class Saturation(Operator):
    """Values beyond a sensor's range are its ends."""

    kind: Literal["saturation"] = "saturation"
    gain: float = Field(default=1.0, gt=0, le=1000, description="factor before clipping: overexposure above 1")
    low: float = Field(default=0.0, ge=-1e6, le=1e6, description="smallest value, data units")
    high: float = Field(default=1.0, ge=-1e6, le=1e6, description="largest value, data units")

    @model_validator(mode="after")
    def _a_range(self) -> Self:
        if not self.low < self.high:
            raise PydanticCustomError("not_allowed", "low below high")
        return self


class Jpeg(Operator):
    """A JPEG file, opened again."""

    kind: Literal["jpeg"] = "jpeg"
    quality: Annotated[int | Literal["auto"], number_or_auto(least=1, most=100, whole=True)] = Field(
        default=AUTO,
        description="as libjpeg, Pillow and most programs count it; auto: the tables of the JPEG file itself",
    )
    subsampling: Literal["auto", "4:4:4", "4:2:2", "4:2:0"] = Field(
        default=AUTO, description="of the colour planes; auto: as the JPEG file says, else 4:2:0"
    )


_MICROSCOPE = (
    "y = k * x + n, k = |2 int_0^1 J0(2 pi NA r p / wavelength) exp(2 pi i W(p) / wavelength) p dp|^2, sum 1, "
)
_EVEN = "linear; spectral unless boundary is free"

SPECS: tuple[OperatorSpec, ...] = (
    OperatorSpec(
        "anisotropic-blur",
        AnisotropicBlur,
        "inverse.operators.blur.blur:convolution",
        "soft along one direction more than along the other",
        "y = k * x + n, k ~ exp(-r' S^-1 r / 2), S = R(angle) diag(sigma_x^2, sigma_y^2) R(angle)', cut at 4 sigma, sum 1",
        "linear; spectral with boundary circular, and with reflect if angle is a multiple of 90",
        "inverse.operators.blur.blur:locate",
        example={"sigma_x": 2.0, "sigma_y": 0.8, "angle": 30.0},
    ),
    OperatorSpec(
        "defocus",
        Defocus,
        "inverse.operators.blur.blur:convolution",
        "out of focus with an open aperture: convolution with a disc",
        "y = k * x + n, k of a pixel ~ the area of a disc inside it, sum 1",
        _EVEN,
        "inverse.operators.blur.blur:locate",
        example={"radius": 2.7},
        estimate="inverse.operators.blur.estimate:fill_in",
    ),
    OperatorSpec(
        "airy",
        Airy,
        "inverse.operators.blur.blur:convolution",
        "a microscope in focus: Airy pattern",
        _MICROSCOPE + "W = 0: (2 J1(v) / v)^2",
        _EVEN,
        "inverse.operators.blur.blur:locate",
        example={"pixel": 100.0},
    ),
    OperatorSpec(
        "born-wolf",
        BornWolf,
        "inverse.operators.blur.blur:convolution",
        "a microscope out of focus (Born & Wolf, paraxial), one plane",
        _MICROSCOPE + "W = -NA^2 defocus p^2 / (2 index)",
        _EVEN,
        "inverse.operators.blur.blur:locate",
        example={"pixel": 100.0, "defocus": 0.4},
    ),
    OperatorSpec(
        "gibson-lanni",
        GibsonLanni,
        "inverse.operators.blur.blur:convolution",
        "a microscope looking into a specimen (Gibson & Lanni 1992), one plane",
        _MICROSCOPE + "W from specimen, immersion, depth and defocus",
        _EVEN,
        "inverse.operators.blur.blur:locate",
        example={"pixel": 100.0, "depth": 2.0},
    ),
    OperatorSpec(
        "varying-blur",
        VaryingBlur,
        "inverse.operators.blur.varying:varying_blur",
        "a blur that changes over the image",
        "y = sum_k h_k * (w_k x) + n, w_k >= 0 piecewise bilinear between the middles of a grid, sum_k w_k = 1",
        "linear",
        "inverse.operators.blur.varying:locate",
        example={"file": "@kernels"},
    ),
    OperatorSpec(
        "stroke-mask",
        StrokeMask,
        "inverse.operators.image.masks:stroke_mask",
        "strokes of a brush missing: scratches",
        "y = m (x + n), m = 0 on random curves, else 1",
        "linear, spectral",
        example={"missing": 0.3, "width": 3},
    ),
    OperatorSpec(
        "text-mask",
        TextMask,
        "inverse.operators.image.masks:text_mask",
        "text over the picture missing: captions",
        "y = m (x + n), m = 0 on lines of text, else 1",
        "linear, spectral",
        example={"size": 8},
    ),
    OperatorSpec(
        "demosaick",
        Demosaick,
        "inverse.operators.image.channels:demosaick",
        "the raw image of a colour sensor: one colour at each pixel",
        "y_p = x_(c(p), p) + n, c the colour of pixel p in the sensor's pattern",
        "linear, spectral",
        "inverse.operators.image.channels:locate",
        result="inverse.operators.image.channels:result",
        channels=3,
    ),
    OperatorSpec(
        "colorize",
        Colorize,
        "inverse.operators.image.channels:colorize",
        "a grey picture that shall have colours",
        "y = w_r x_r + w_g x_g + w_b x_b + n",
        "linear, spectral",
        "inverse.operators.image.channels:locate",
        result="inverse.operators.image.channels:result",
        channels=3,
    ),
    OperatorSpec(
        "low-light",
        LowLight,
        "inverse.operators.image.pointwise:low_light",
        "a picture that is too dark, made brighter with the noise that it has",
        "y = exposure x + n, n of photons: noise kind poisson-gaussian",
        "linear, spectral",
    ),
    OperatorSpec(
        "haze",
        Haze,
        "inverse.operators.image.haze:haze",
        "a scene through haze or fog",
        "y = t x + (1 - t) a + n; a and t known or estimated, so y - (1 - t) a is linear in x: what the engine sees",
        "linear, spectral",
        measured="inverse.operators.image.haze:fitted",
        example={"transmission": 0.6, "airlight": [0.8, 0.9, 1.0]},
        channels=3,
    ),
    OperatorSpec(
        "saturation",
        Saturation,
        "inverse.operators.image.pointwise:saturation",
        "an overexposed picture: values beyond the range are cut off",
        "y = min(max(gain x, low), high) + n",
        "nonlinear",
        example={"gain": 1.5, "low": 0.1, "high": 0.8},
    ),
    OperatorSpec(
        "jpeg",
        Jpeg,
        "inverse.operators.image.jpeg:jpeg",
        "blocks and ringing of a JPEG file",
        "y = J(x) + n, J: luma and subsampled chroma, DCT of 8 x 8 blocks rounded to multiples of q, and back (libjpeg)",
        "nonlinear",
        measured="inverse.operators.image.jpeg:fitted",
        example={"quality": 30},
    ),
)
