"""Photography: noise alone, masks, resampling, colours, single pixels, JPEG and matrices.

The parameters of every operator, and where its physics is built.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from inverse.operators.spec import AUTO, PATH, File, Operator, OperatorSpec, OptionalFile, Side, number_or_auto

__all__ = ["SPECS"]

Fraction = Annotated[float, Field(gt=0, lt=1)]


class DenoiseOperator(Operator):
    """Noise only."""

    kind: Literal["denoise"] = "denoise"


class RandomMask(Operator):
    """Pixels missing at random, the same ones in all channels."""

    kind: Literal["random-mask"] = "random-mask"
    missing: float = Field(ge=0, lt=1, description="probability that a pixel is missing")
    seed: int = Field(default=0, ge=0, lt=2**63, description="seed of the pattern")


class BoxMask(Operator):
    """A rectangle missing."""

    kind: Literal["box-mask"] = "box-mask"
    box: tuple[
        Annotated[int, Field(ge=0)],
        Annotated[int, Field(ge=0)],
        Annotated[int, Field(ge=1)],
        Annotated[int, Field(ge=1)],
    ] = Field(description="top, left, bottom, right of the missing part in pixels; bottom and right are the first kept")


class FileMask(Operator):
    """Pixels missing where a mask file is dark."""

    kind: Literal["file-mask"] = "file-mask"
    file: File = Field(description="mask of the image's size: half of full scale and above (.npy: not 0) is observed")


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


class GapMask(Operator):
    """Gaps of a scene: nodata, clouds, or simulated scan-line corrector gaps."""

    kind: Literal["gap-mask"] = "gap-mask"
    file: OptionalFile = Field(default=None, description="mask or quality band of the scene's size; see codes")
    codes: Literal["clear", "cloud", "landsat-qa", "sentinel2-scl"] = Field(
        default="clear",
        description="what the file's numbers mean: clear or cloud (where not 0), Landsat QA_PIXEL bits, Sentinel-2 "
        "scene classes",
    )
    grow: int = Field(default=0, ge=0, le=100, description="pixels by which clouds of the file are widened")
    pattern: Literal["nodata", "slc-off"] = Field(
        default="nodata", description="nodata: the file's own gaps; slc-off: simulated ones of Landsat 7"
    )
    missing: float = Field(default=0.22, gt=0, lt=1, description="with slc-off: share of the pixels that are missing")
    period: float = Field(default=32.0, ge=4, le=500, description="with slc-off: rows from gap to gap")
    angle: float = Field(default=8.0, ge=-45, le=45, description="with slc-off: slope of the gaps in degrees")
    fill: Literal["gaps", "all"] = Field(
        default="gaps", description="nodata that gets values: gaps inside the scene, or its border too"
    )


class Downsample(Operator):
    """Low-pass filter and keep one sample in ``factor`` along each axis."""

    kind: Literal["downsample"] = "downsample"
    factor: int = Field(
        ge=2, le=64, description="pixels of the unknown in one pixel of the measurement, along each axis"
    )
    filter: Literal["area", "gaussian", "bicubic", "kernel"] = Field(
        default="area",
        description="area: block mean; gaussian: standard deviation (factor - 1) / 2; bicubic: Keys, a = -0.5; "
        "kernel: from a file",
    )
    file: str | None = Field(
        default=None,
        min_length=1,
        json_schema_extra={PATH: True},
        description="with filter kernel: its weights on the unknown's grid, a 2-D .npy array or an image; sides n "
        "with n - factor even",
    )

    @model_validator(mode="after")
    def _a_kernel_has_a_file(self) -> Self:
        if (self.filter == "kernel") != (self.file is not None):
            given = "without" if self.file is None else "with"
            raise PydanticCustomError(
                "not_allowed", "filter: kernel together with file: KERNEL.npy; given: {given} a file", {"given": given}
            )
        return self


class Demosaick(Operator):
    """One colour of three at each pixel of a sensor."""

    kind: Literal["demosaick"] = "demosaick"
    pattern: str = Field(
        default=AUTO,
        description="colours of the first two pixels of the first row, then of the second, such as RGGB; auto: as the "
        "file of a camera says, else RGGB",
    )

    @field_validator("pattern")
    @classmethod
    def _three_colours(cls, value: str) -> str:
        if value != AUTO and (len(value) != 4 or set(value) != set("RGB")):
            raise PydanticCustomError(
                "not_allowed", "auto, or four letters with R, G and B among them: RGGB, BGGR, GRBG, GBRG"
            )
        return value


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
        description="share of the scene's light that arrives, 0 to 1; auto: estimated from the picture by its dark "
        "channel",
    )
    file: str | None = Field(
        default=None,
        min_length=1,
        json_schema_extra={PATH: True},
        description="map of the transmission instead, of the picture's size: a .npy array of 0 to 1, or an image "
        "(full scale is 1)",
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


class MatrixOperator(Operator):
    """Any linear operator, as a matrix."""

    kind: Literal["matrix"] = "matrix"
    file: File = Field(
        description="(m, n) array, .npy or .npz with one array; n values of the unknown in C, H, W order"
    )
    unknown: tuple[Side, ...] | None = Field(
        default=None, min_length=1, max_length=3, description="shape of the unknown, such as [3, 64, 64]"
    )
    measured: tuple[Side, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=3,
        description="shape of the measurement; default (m,), or the unknown's if m = n",
    )


def _mask(model: type[Operator], factory: str, summary: str, where: str, **fields: Any) -> OperatorSpec:
    """An entry of a mask m, observed where it is 1."""
    path, formula = f"inverse.operators.image.masks:{factory}", f"y = m (x + n), {where}"
    return OperatorSpec(model, path, summary, formula, "linear, spectral", mask=True, **fields)


SPECS: tuple[OperatorSpec, ...] = (
    OperatorSpec(
        DenoiseOperator,
        "inverse.operators.image.matrix:denoise",
        "noise only",
        "y = x + n",
        "linear, spectral",
        local=True,
        any_rank=True,
    ),
    _mask(
        RandomMask,
        "random_mask",
        "pixels missing at random",
        "m = 1 (observed) with probability 1 - missing, else 0",
        example={"missing": 0.6},
    ),
    _mask(
        BoxMask,
        "box_mask",
        "a rectangle missing",
        "m = 0 in rows top to bottom - 1 and columns left to right - 1, else 1",
        example={"box": [2, 5, 11, 13]},
    ),
    _mask(
        FileMask,
        "file_mask",
        "pixels missing where a mask file is dark",
        "m = 1 (observed) where the file is bright, else 0",
        example={"file": "@mask"},
    ),
    _mask(
        StrokeMask,
        "stroke_mask",
        "strokes of a brush missing: scratches",
        "m = 0 on random curves, else 1",
        example={"missing": 0.3, "width": 3},
    ),
    _mask(
        TextMask,
        "text_mask",
        "text over the picture missing: captions",
        "m = 0 on lines of text, else 1",
        example={"size": 8},
    ),
    _mask(
        GapMask,
        "gap_mask",
        "gaps of a scene: nodata, clouds, Landsat 7 stripes",
        "m = 0 in gaps",
        example={"pattern": "slc-off"},
        local=True,
        placed=("file", "pattern"),
        source="Scaramuzza et al. 2004, USGS (slc-off)",
    ),
    OperatorSpec(
        Downsample,
        "inverse.operators.image.resample:downsample",
        "an image with too few pixels",
        "y_i = sum_j w_(j - f i) x_j + n, w centred at (f - 1) / 2 input pixels, along each axis",
        "linear; spectral with filter area if both sides are multiples of the factor",
        "inverse.operators.image.resample:locate",
        example={"factor": 2},
        local=True,
        source="Keys 1981 (bicubic)",
    ),
    OperatorSpec(
        Demosaick,
        "inverse.operators.image.channels:demosaick",
        "the raw image of a colour sensor: one colour at each pixel",
        "y_p = x_(c(p), p) + n, c the colour of pixel p in the sensor's pattern",
        "linear, spectral",
        "inverse.operators.image.channels:locate",
        stated="inverse.operators.image.channels:stated",
        level="inverse.operators.image.channels:mosaic_level",
        result="inverse.operators.image.channels:result",
        channels=3,
        local=True,
        source="Bayer 1976",
    ),
    OperatorSpec(
        Colorize,
        "inverse.operators.image.channels:colorize",
        "a grey picture that shall have colours",
        "y = w_r x_r + w_g x_g + w_b x_b + n",
        "linear, spectral",
        "inverse.operators.image.channels:locate",
        result="inverse.operators.image.channels:result",
        channels=3,
        local=True,
        source="Rec. 601",
    ),
    OperatorSpec(
        LowLight,
        "inverse.operators.image.pointwise:low_light",
        "a picture that is too dark, made brighter with the noise that it has",
        "y = exposure x + n, n of photons: noise kind poisson-gaussian",
        "linear, spectral",
        local=True,
    ),
    OperatorSpec(
        Haze,
        "inverse.operators.image.haze:haze",
        "a scene through haze or fog",
        "y = t x + (1 - t) a + n; a and t known or estimated, so y - (1 - t) a is linear in x: what the engine sees",
        "linear, spectral",
        measured="inverse.operators.image.haze:fitted",
        example={"transmission": 0.6, "airlight": [0.8, 0.9, 1.0]},
        channels=3,
        source="Koschmieder; auto: He, Sun & Tang 2009",
    ),
    OperatorSpec(
        Saturation,
        "inverse.operators.image.pointwise:saturation",
        "an overexposed picture: values beyond the range are cut off",
        "y = min(max(gain x, low), high) + n",
        "nonlinear",
        example={"gain": 1.5, "low": 0.1, "high": 0.8},
        local=True,
    ),
    OperatorSpec(
        Jpeg,
        "inverse.operators.image.jpeg:jpeg",
        "blocks and ringing of a JPEG file",
        "y = J(x) + n, J: luma and subsampled chroma, DCT of 8 x 8 blocks rounded to multiples of q, and back "
        "(libjpeg)",
        "nonlinear",
        measured="inverse.operators.image.jpeg:fitted",
        example={"quality": 30},
        local=True,
        source="ITU-T T.81; libjpeg",
    ),
    OperatorSpec(
        MatrixOperator,
        "inverse.operators.image.matrix:matrix",
        "any linear operator of your own, as a matrix",
        "y = M x + n, x flattened in C, H, W order",
        "linear; spectral up to 1024 unknowns",
        "inverse.operators.image.matrix:locate",
        example={"file": "@matrix"},
        sides=((5, 7), (7, 9)),
        any_rank=True,
    ),
)
