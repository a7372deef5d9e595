"""Magnetic resonance imaging: the parameters of every operator, and where its physics is built."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from inverse.operators.spec import File, Operator, OperatorSpec, Side

__all__ = ["SPECS", "Mri", "MriRadial", "ReceiveCoils"]


class ReceiveCoils(Operator):
    """What all MRI operators have: receive coils, and how they are found in a measurement."""

    coils: int = Field(default=1, ge=1, le=256, description="simulated receive coils; 1: none, a map of 1 everywhere")
    maps: File | None = Field(default=None, description="coil maps: a complex .npy array (coils, H, W)")
    calibration: Literal["auto"] | Annotated[int, Field(ge=8)] = Field(
        default="auto",
        description="side in k-space samples of the fully sampled centre that the coil maps are computed from; "
        "auto: at most 24",
    )
    kernel: int = Field(default=6, ge=3, le=12, description="side of the ESPIRiT kernels in k-space samples")
    compress: int | None = Field(
        default=None, ge=1, description="virtual coils kept of a measurement; default: at most 12"
    )


class Mri(ReceiveCoils):
    """Cartesian k-space of one or more receive coils."""

    kind: Literal["mri"] = "mri"
    pattern: Literal["measured", "equispaced", "random", "poisson", "file"] = Field(
        default="measured",
        description="measured: what the file holds, else all of k-space; equispaced, random: columns; poisson: "
        "variable-density disc, 2-D",
    )
    file: File | None = Field(
        default=None, description="the pattern: a .npy array or image (H, W) or (1, W), 0 = not sampled"
    )
    acceleration: float = Field(
        default=4.0, ge=1, le=64, description="one in so many columns (poisson: samples) is taken"
    )
    center_lines: int | None = Field(
        default=None, ge=0, description="columns at the centre that are all taken; poisson: side of the square"
    )
    center_fraction: float = Field(default=0.08, ge=0, le=1, description="the same as a share of the columns")
    seed: int = Field(default=0, ge=0, lt=2**32, description="seed of the pattern")
    name: str | None = Field(
        default=None, min_length=1, description="file name that seeds the pattern instead, as in fastMRI"
    )
    offset: int | None = Field(
        default=None, ge=0, description="first column of equispaced; default: drawn with the seed"
    )
    partial_fourier: float = Field(
        default=1.0, gt=0.5, le=1, description="share of the columns beyond which, from the last, none is taken"
    )

    @model_validator(mode="after")
    def _file_has_a_pattern(self) -> Mri:
        if (self.pattern == "file") != (self.file is not None):
            raise ValueError("pattern file needs file, and file needs pattern file")
        return self


class MriRadial(ReceiveCoils):
    """Non-Cartesian k-space: straight spokes or spiral arms through the centre."""

    kind: Literal["mri-radial"] = "mri-radial"
    trajectory: Literal["radial", "spiral"] = Field(
        default="radial", description="radial: spokes, a golden angle apart; spiral: Archimedean arms"
    )
    image: tuple[Side, Side] | None = Field(
        default=None, description="rows and columns of the image, where neither the file nor the unknown tells"
    )
    spokes: int = Field(default=48, ge=1, le=100_000, description="spokes or arms")
    samples: int | None = Field(
        default=None, ge=2, le=100_000, description="samples of each; default: twice the image's longer side"
    )
    turns: float = Field(default=8.0, gt=0, le=1000, description="turns of a spiral arm")


SPECS: tuple[OperatorSpec, ...] = (
    OperatorSpec(
        Mri,
        "inverse.operators.mri.cartesian:cartesian",
        "MR images from Cartesian k-space, one or more receive coils",
        "y_c = M F (S_c x) + n, F centred and orthonormal, x complex as two channels",
        "linear; spectral with one coil, and with more if whole columns are sampled",
        "inverse.operators.mri.cartesian:locate",
        "inverse.operators.mri.cartesian_fit:fit_cartesian",
        channels=2,
    ),
    OperatorSpec(
        MriRadial,
        "inverse.operators.mri.radial:radial",
        "MR images from radial or spiral k-space, one or more receive coils (extra nufft)",
        "y_c(k) = (H W)^-1/2 sum_q S_c(q) x(q) exp(-2 pi i k q) + n, q from the centre, k in cycles per pixel",
        "linear",
        "inverse.operators.mri.radial:locate",
        "inverse.operators.mri.radial:fit_radial",
        result="inverse.operators.mri.radial:result",
        example={"spokes": 31},
        channels=2,
    ),
)
