"""Noise, blur, masks, downsampling and matrices: the models of their parameters, and where they are built."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from inverse.operators.spec import PATH, Boundary, File, Operator, OperatorSpec, Side, number_or_auto

__all__ = ["SPECS"]


class Denoise(Operator):
    """Noise only."""

    kind: Literal["denoise"] = "denoise"


class GaussianBlur(Operator):
    """Convolution with a Gaussian cut off at 4 standard deviations."""

    kind: Literal["gaussian-blur"] = "gaussian-blur"
    sigma: Annotated[float | Literal["auto"], number_or_auto(above=0, most=100)] = Field(
        description="standard deviation of the kernel in pixels; auto estimates it from the image"
    )
    boundary: Boundary = "reflect"


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


class KernelBlur(Operator):
    """Convolution with a kernel from a file."""

    kind: Literal["kernel-blur"] = "kernel-blur"
    file: File = Field(description="kernel: a 2-D .npy array or an image; scaled to sum 1, its origin at size // 2")
    boundary: Boundary = "reflect"


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


class Downsample(Operator):
    """Low-pass filter and keep one sample in ``factor`` along each axis."""

    kind: Literal["downsample"] = "downsample"
    factor: int = Field(
        ge=2, le=64, description="pixels of the unknown in one pixel of the measurement, along each axis"
    )
    filter: Literal["area", "gaussian", "bicubic", "kernel"] = Field(
        default="area",
        description="area: block mean; gaussian: standard deviation (factor - 1) / 2; bicubic: Keys, a = -0.5; kernel: from a file",
    )
    file: str | None = Field(
        default=None,
        min_length=1,
        json_schema_extra={PATH: True},
        description="with filter kernel: its weights on the unknown's grid, a 2-D .npy array or an image; sides n with n - factor even",
    )

    @model_validator(mode="after")
    def _a_kernel_has_a_file(self) -> Self:
        if (self.filter == "kernel") != (self.file is not None):
            given = "without" if self.file is None else "with"
            raise PydanticCustomError(
                "not_allowed", "filter: kernel together with file: KERNEL.npy; given: {given} a file", {"given": given}
            )
        return self


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


_BLUR = "linear; spectral with boundary circular, and with reflect if the kernel is even-symmetric along both axes"

SPECS = (
    OperatorSpec(
        "denoise", Denoise, "inverse.operators.image.matrix:denoise", "noise only", "y = x + n", "linear, spectral"
    ),
    OperatorSpec(
        "gaussian-blur",
        GaussianBlur,
        "inverse.operators.blur.blur:convolution",
        "out of focus or soft: convolution with a Gaussian",
        "y = k * x + n, k ~ exp(-r^2 / (2 sigma^2)), r <= 4 sigma along each axis, sum 1",
        "linear; spectral unless boundary is free",
        "inverse.operators.blur.blur:locate",
        example={"sigma": 1.3},
        estimate="inverse.operators.blur.estimate:fill_in",
    ),
    OperatorSpec(
        "motion-blur",
        MotionBlur,
        "inverse.operators.blur.blur:convolution",
        "camera shake along a line",
        "y = k * x + n, k of a pixel ~ the length of the path inside it, sum 1",
        _BLUR,
        "inverse.operators.blur.blur:locate",
        example={"length": 9.0, "angle": 30.0},
        estimate="inverse.operators.blur.estimate:fill_in",
    ),
    OperatorSpec(
        "kernel-blur",
        KernelBlur,
        "inverse.operators.blur.blur:convolution",
        "convolution with a measured kernel",
        "y = k * x + n, k from a file, sum 1, origin at size // 2 (as in scipy.ndimage.convolve)",
        _BLUR,
        "inverse.operators.blur.blur:locate",
        example={"file": "@kernel"},
    ),
    OperatorSpec(
        "random-mask",
        RandomMask,
        "inverse.operators.image.masks:random_mask",
        "pixels missing at random",
        "y = m (x + n), m = 1 (observed) with probability 1 - missing, else 0",
        "linear, spectral",
        example={"missing": 0.6},
    ),
    OperatorSpec(
        "box-mask",
        BoxMask,
        "inverse.operators.image.masks:box_mask",
        "a rectangle missing",
        "y = m (x + n), m = 0 in rows top to bottom - 1 and columns left to right - 1, else 1",
        "linear, spectral",
        example={"box": [2, 5, 11, 13]},
    ),
    OperatorSpec(
        "file-mask",
        FileMask,
        "inverse.operators.image.masks:file_mask",
        "pixels missing where a mask file is dark",
        "y = m (x + n), m = 1 (observed) where the file is bright, else 0",
        "linear, spectral",
        example={"file": "@mask"},
    ),
    OperatorSpec(
        "downsample",
        Downsample,
        "inverse.operators.image.resample:downsample",
        "an image with too few pixels",
        "y_i = sum_j w_(j - f i) x_j + n, w centred at (f - 1) / 2 input pixels, along each axis",
        "linear; spectral with filter area if both sides are multiples of the factor",
        "inverse.operators.image.resample:locate",
        example={"factor": 2},
    ),
    OperatorSpec(
        "matrix",
        MatrixOperator,
        "inverse.operators.image.matrix:matrix",
        "any linear operator of your own, as a matrix",
        "y = M x + n, x flattened in C, H, W order",
        "linear; spectral up to 1024 unknowns",
        "inverse.operators.image.matrix:locate",
        example={"file": "@matrix"},
    ),
)
