"""Magnitudes, coefficients and projections instead of a picture: parameters, and where each physics is built."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from inverse.operators.spec import Operator, OperatorSpec, Side

__all__ = ["SPECS"]


class PhaseRetrieval(Operator):
    """Magnitudes of Fourier transforms, without their phases."""

    kind: Literal["phase-retrieval"] = "phase-retrieval"
    masks: int = Field(
        default=4,
        ge=0,
        le=64,
        description="coded diffraction: random masks of 1, i, -1, -i before the transform; 0: none, and zeros "
        "around the image to twice its sides",
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="seed of the masks")


class CompressedSensing(Operator):
    """A random part of an orthonormal transform of the image."""

    kind: Literal["compressed-sensing"] = "compressed-sensing"
    ratio: float = Field(gt=0, le=1, description="share of the coefficients that is measured")
    seed: int = Field(default=0, ge=0, lt=2**63, description="seed of the signs and of which are measured")


class Tomography(Operator):
    """Projections along parallel rays: a sinogram."""

    kind: Literal["tomography"] = "tomography"
    angles: int = Field(default=60, ge=1, le=10_000, description="number of directions, evenly over 180 degrees")
    size: tuple[Side, Side] | None = Field(
        default=None,
        description="rows and columns of the unknown; default: the largest square whose diagonal the detector holds",
    )


SPECS: tuple[OperatorSpec, ...] = (
    OperatorSpec(
        PhaseRetrieval,
        "inverse.operators.projection.sensing:phase_retrieval",
        "magnitudes of coded diffraction patterns",
        "y_k = |F (d_k x)| + n, F the orthonormal Fourier transform, d_k a random mask of 1, i, -1, -i",
        "nonlinear",
        "inverse.operators.projection.sensing:locate_phase",
        result="inverse.operators.projection.sensing:result_phase",
        source="Candes, Li & Soltanolkotabi 2015",
    ),
    OperatorSpec(
        CompressedSensing,
        "inverse.operators.projection.sensing:compressed_sensing",
        "fewer random measurements than pixels",
        "y = m C (d x) + n, d random signs, C the orthonormal cosine transform, m = 1 for a random share, else 0",
        "linear, spectral",
        example={"ratio": 0.4},
        source="Do et al. 2012, TSP 60:139",
    ),
    OperatorSpec(
        Tomography,
        "inverse.operators.projection.tomography:tomography",
        "a sinogram: projections along parallel rays",
        "y_(s, a) = int x along the ray at s in direction a, lengths in units of the image's longer side, + n",
        "linear",
        "inverse.operators.projection.tomography:locate",
        result="inverse.operators.projection.tomography:result",
        example={"angles": 17},
        source="deepinv's Radon, exact adjoint",
    ),
)
