"""The settings of a training run: ``inverse prior train -s KEY=VALUE``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inverse.errors import RecipeError, did_you_mean
from inverse.priors.models.unet import UNetConfig

__all__ = ["TrainConfig", "parse_settings"]

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class TrainConfig(BaseModel):
    """The settings of a training. Noise levels are in model units, in which the data lie on [-1, 1]."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: what an image is: ``rgb``, ``grey``, ``bands`` (as many channels as the files have), ``complex`` (two channels,
    #: the real and the imaginary part; magnitude images are given a smooth random phase), or ``auto``
    image: Literal["auto", "rgb", "grey", "bands", "complex"] = "auto"
    steps: Count = 20_000  # optimiser steps in all
    #: minutes in all instead: the rate falls by the clock, and the training ends with it, however fast the machine is
    minutes: Positive | None = None
    batch: Count = 16  # crops a step
    crop: Annotated[int, Field(ge=8)] = 64  # height and width of a crop in pixels
    rate: Positive = 1e-3  # peak learning rate
    warmup: Annotated[int, Field(ge=0)] = 1_000  # steps of linear warm-up
    cooldown: Fraction = 0.4  # fraction of the steps, at the end, over which the rate falls to zero
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999  # decay of the moving average of the weights
    clip: Positive = 1.0  # largest gradient norm
    #: mean of the logarithm of the noise level; default 0.7 below that of ``sigma_data``
    log_sigma_mean: float | None = None
    log_sigma_std: Positive = 1.4  # its standard deviation
    spread: Fraction = 0.1  # fraction of the levels that are log-uniform on the whole range of levels instead
    sigma_min: Positive = 0.004  # smallest noise level
    sigma_max: Positive = 8.0  # largest noise level
    #: standard deviation of the data (EDM preconditioning); default 0.5, or measured for complex images
    sigma_data: Positive | None = None
    grey: Fraction = 0.05  # fraction of RGB crops turned grey, so that single-band images are served without a tint
    #: largest factor by which the values of complex images are scaled, up and down
    gain: Annotated[float, Field(ge=1)] = 1.5
    #: largest standard deviation, in data units, of the noise that half of the crops carry themselves: what a
    #: receiver leaves in real images, where the training images have none (averaged volumes, JPEGs). Without it a
    #: denoiser takes it for an error of its own
    grain: Annotated[float, Field(ge=0)] = 0.0
    #: largest factor by which a crop is shrunk (from a larger piece of the image)
    scale: Annotated[float, Field(ge=1)] = 1.5
    scaled: Fraction = 0.2  # fraction of the crops that are
    #: of HDF5 files that name their images' sources, keep those that begin with one of these (commas between them)
    sources: tuple[str, ...] = ()
    held_out: Count = 32  # images kept out of training, to measure on
    channels: tuple[Count, ...] = (96, 160, 256)  # features of each level of the network
    blocks: tuple[Count, ...] = (2, 2, 2)  # residual blocks of each level
    seed: Annotated[int, Field(ge=0)] = 0  # seed of the initial weights and of every draw
    every: Positive = 120.0  # seconds between checkpoints
    threads: Count | None = None  # CPU threads; default all that this process may use

    def network(self, channels: int) -> UNetConfig:
        """The network's shape, for images of so many channels."""
        return UNetConfig(channels_in=channels, channels=self.channels, blocks=self.blocks)


def parse_settings(texts: Iterable[str], **fixed: Any) -> TrainConfig:
    """Settings from ``KEY=VALUE`` texts.

    Raises:
        RecipeError: a key is unknown or its value is not allowed.
    """
    values: dict[str, Any] = dict(fixed)
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise RecipeError(f"-s {text}: expected KEY=VALUE")
        if key not in TrainConfig.model_fields:
            raise RecipeError(f"no training setting '{key}'", did_you_mean(key, TrainConfig.model_fields))
        is_list = key in ("sources", "channels", "blocks")
        values[key] = [part for part in value.split(",") if part] if is_list else value
    try:
        config = TrainConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise RecipeError(f"-s {first['loc'][0]}={values[str(first['loc'][0])]}: {first['msg']}") from error
    if len(config.channels) != len(config.blocks):
        raise RecipeError(f"{len(config.channels)} levels of channels and {len(config.blocks)} of blocks")
    if not config.sigma_min < config.sigma_max:
        raise RecipeError(f"-s sigma_min={config.sigma_min:g} is not below sigma_max={config.sigma_max:g}")
    return config
