"""Remote sensing: the parameters of every operator, and where its physics is built."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from inverse.operators.spec import File, Operator, OperatorSpec, OptionalFile

__all__ = ["SPECS"]

Sensor = Literal["generic", "sentinel-2", "landsat-8", "landsat-9", "worldview-2", "worldview-3"]
Axis = Literal["columns", "rows"]


def _number(value: object) -> object:
    """A whole number as such, however it is written."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class SensorParams(Operator):
    """A sensor's MTF and sampling."""

    kind: Literal["sensor"] = "sensor"
    factor: Annotated[int | float, BeforeValidator(_number)] = Field(
        default=2,
        ge=1,
        le=16,
        allow_inf_nan=False,
        description="pixels of the unknown in one of the measurement, along each axis; not whole: in memory only",
    )
    gsd: float | None = Field(
        default=None,
        gt=0,
        le=1e5,
        description="side of the unknown's pixels in metres, instead of the factor; the file says its own",
    )
    sensor: Sensor = Field(default="generic", description="whose MTF; generic: 0.3 at Nyquist in every band")
    bands: tuple[str, ...] = Field(
        default=(), description="the channels' bands, such as [B4, B3, B2]; default: red, green, blue, or all in order"
    )
    mtf: float | None = Field(
        default=None, gt=0.01, lt=1, description="MTF at Nyquist of all bands, instead of the sensor's"
    )


class Pansharpen(Operator):
    """Few sharp bands and many soft ones: multispectral at its own resolution, panchromatic at the unknown's."""

    kind: Literal["pansharpen"] = "pansharpen"
    factor: int = Field(default=2, ge=2, le=16, description="panchromatic pixels in one multispectral, along each axis")
    pan: OptionalFile = Field(default=None, description="the panchromatic image of the same ground; a file")
    sensor: Sensor = Field(default="generic", description="whose MTF; generic: 0.3 at Nyquist in every band")
    bands: tuple[str, ...] = Field(default=(), description="the channels' bands, as in operator sensor")
    weights: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        default=(),
        description="share of each band in the panchromatic image; default: fitted, least squares at low resolution",
    )
    noise_ratio: float = Field(
        default=1.0,
        gt=0,
        le=1e4,
        description="noise of the panchromatic image over the multispectral's, where no file is fitted",
    )


class Destripe(Operator):
    """Detectors with offsets of their own: stripes along one axis."""

    kind: Literal["destripe"] = "destripe"
    axis: Axis = Field(default="columns", description="what shares an offset: columns (pushbroom), rows (whiskbroom)")
    level: float | None = Field(
        default=None,
        gt=0,
        description="standard deviation of the offsets in data units; default: estimated, or unlimited",
    )
    width: float = Field(
        default=16.0, ge=0, le=10_000, description="stripes broader than so many lines are the scene's; 0: none are"
    )


class DeadLines(Operator):
    """Detectors without a signal: lines missing."""

    kind: Literal["dead-lines"] = "dead-lines"
    axis: Axis = Field(default="columns", description="what a detector draws")
    lines: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        default=(), description="indices of the dead ones; default: those that are constant in the file"
    )


class ThinCloud(Operator):
    """Haze or thin cloud of known transmission."""

    kind: Literal["thin-cloud"] = "thin-cloud"
    transmission: File = Field(
        description="share of the ground's light that arrives: an image or .npy of the scene's size, 0 to 1"
    )
    airlight: float = Field(default=1.0, ge=0, description="brightness of opaque cloud in data units")


class BandMix(Operator):
    """Other bands than those measured: a spectral response matrix."""

    kind: Literal["band-mix"] = "band-mix"
    matrix: tuple[tuple[float, ...], ...] = Field(
        min_length=1,
        max_length=64,
        description="a row for each measured band: its response to each band of the unknown",
    )


class Shift(Operator):
    """A registration error."""

    kind: Literal["shift"] = "shift"
    down: float = Field(default=0.0, ge=-100, le=100, description="pixels by which the measurement lies lower")
    right: float = Field(default=0.0, ge=-100, le=100, description="pixels by which it lies further right")


class Speckle(Operator):
    """SAR speckle: multiplicative gamma noise."""

    kind: Literal["speckle"] = "speckle"
    looks: float = Field(default=1.0, ge=0.5, le=1000, description="equivalent number of looks")
    quantity: Literal["amplitude", "intensity"] = Field(default="amplitude", description="what the file holds")
    domain: Literal["linear", "log"] = Field(
        default="linear",
        description="linear: noise of a level proportional to the image, by a pilot estimate; any linear method. "
        "log: additive in the logarithm, nonlinear",
    )


SPECS: tuple[OperatorSpec, ...] = (
    OperatorSpec(
        SensorParams,
        "inverse.operators.satellite.sensor:sensor",
        "a satellite's optics and sampling",
        "y_i = sum_j w_(j - f i) x_j + n, w Gaussian with the sensor's MTF at Nyquist, band by band",
        "linear",
        "inverse.operators.satellite.sensor:locate",
        stated="inverse.operators.satellite.resampled:stated",
        example={"factor": 2},
        local=True,
        source="Aiazzi et al. 2006, PE&RS 72:591",
    ),
    OperatorSpec(
        Pansharpen,
        "inverse.operators.satellite.pansharpen:pansharpen",
        "soft colour bands and one sharp panchromatic",
        "y = (MTF-blurred and decimated bands, r sum_c w_c x_c) + n, r the ratio of their noise levels",
        "linear",
        "inverse.operators.satellite.pansharpen:locate",
        measured="inverse.operators.satellite.pansharpen:fitted",
        result="inverse.operators.satellite.pansharpen:result",
        example={"factor": 2, "noise_ratio": 2.0},
    ),
    OperatorSpec(
        Destripe,
        "inverse.operators.satellite.stripes:destripe",
        "detectors with offsets of their own",
        "y = W (x + s 1^T + n), s ~ N(0, level^2) for each line, W whitens s 1^T + n",
        "linear, spectral",
        measured="inverse.operators.satellite.stripes:fitted",
        example={},
    ),
    OperatorSpec(
        DeadLines,
        "inverse.operators.satellite.stripes:dead_lines",
        "dead detectors: lines missing",
        "y = m (x + n), m = 0 in dead lines",
        "linear, spectral",
        measured="inverse.operators.satellite.stripes:fitted_dead_lines",
        example={"lines": [3, 4, 17]},
    ),
    OperatorSpec(
        ThinCloud,
        "inverse.operators.satellite.radiometry:thin_cloud",
        "haze or thin cloud of known transmission",
        "y = t x + (1 - t) a + n, a the airlight, which is subtracted",
        "linear, spectral",
        measured="inverse.operators.satellite.radiometry:fitted_thin_cloud",
        example={"transmission": "@fraction"},
        source="Koschmieder",
    ),
    OperatorSpec(
        BandMix,
        "inverse.operators.satellite.radiometry:band_mix",
        "other bands than those measured",
        "y_b = sum_c M_bc x_c + n in every pixel",
        "linear, spectral",
        "inverse.operators.satellite.radiometry:locate_bands",
        result="inverse.operators.satellite.radiometry:mixed_bands",
        example={"matrix": [[0.2, 0.5, 0.3], [0.0, 0.4, 0.6]]},
        channels=3,
        local=True,
    ),
    OperatorSpec(
        Shift,
        "inverse.operators.satellite.radiometry:shift",
        "a registration error, to a fraction of a pixel",
        "y = F^* exp(-2 pi i (k d)) F x + n, real at the Nyquist frequency",
        "linear, spectral",
        example={"down": 0.4, "right": -1.3},
        local=True,
    ),
    OperatorSpec(
        Speckle,
        "inverse.operators.satellite.speckle:speckle",
        "SAR speckle: multiplicative gamma noise",
        "y = x s, s gamma of L looks; linear: y = x + n, n of variance c^2 x^2, whitened; log: log y = log x + n",
        "linear, spectral; nonlinear with domain: log",
        measured="inverse.operators.satellite.speckle:fitted",
        example={"looks": 4.0},
        local=True,
        source="Lee 1980, TPAMI 2:165; Oliver & Quegan 2004",
    ),
)
