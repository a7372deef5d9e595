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
    """The settings of a training. Noise levels are in model units, in which the data lie on [-1, 1].

    Attributes:
        image: What an image is: ``rgb``, ``grey``, ``bands`` (as many channels as the files have), ``complex`` (two
            channels, the real and the imaginary part; magnitude images are given a smooth random phase), or ``auto``.
        steps: Optimiser steps in all.
        batch: Crops a step.
        crop: Height and width of a crop in pixels.
        rate: Peak learning rate.
        warmup: Steps of linear warm-up.
        cooldown: Fraction of the steps, at the end, over which the rate falls to zero.
        ema: Decay of the moving average of the weights.
        clip: Largest gradient norm.
        log_sigma_mean: Mean of the logarithm of the noise level; default 0.7 below that of ``sigma_data``.
        log_sigma_std: Its standard deviation.
        spread: Fraction of the levels that are log-uniform on the whole range of levels instead.
        sigma_min: Smallest noise level.
        sigma_max: Largest noise level.
        sigma_data: Standard deviation of the data (EDM preconditioning); default 0.5, or measured for complex images.
        grey: Fraction of RGB crops turned grey, so that single-band images are served without a tint.
        gain: Largest factor by which the values of complex images are scaled, up and down.
        grain: Largest standard deviation, in data units, of the noise that half of the crops carry themselves: what a
            receiver leaves in real images, where the training images have none (averaged volumes, JPEGs). Without it a
            denoiser takes it for an error of its own.
        scale: Largest factor by which a crop is shrunk (from a larger piece of the image).
        scaled: Fraction of the crops that are.
        sources: Of HDF5 files that name their images' sources, keep those that begin with one of these (commas between
            them).
        held_out: Images kept out of training, to measure on.
        channels: Features of each level of the network.
        blocks: Residual blocks of each level.
        seed: Seed of the initial weights and of every draw.
        every: Seconds between checkpoints.
        threads: CPU threads; default all that this process may use.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: Literal["auto", "rgb", "grey", "bands", "complex"] = "auto"
    steps: Count = 20_000
    batch: Count = 16
    crop: Annotated[int, Field(ge=8)] = 64
    rate: Positive = 1e-3
    warmup: Annotated[int, Field(ge=0)] = 1_000
    cooldown: Fraction = 0.4
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999
    clip: Positive = 1.0
    log_sigma_mean: float | None = None
    log_sigma_std: Positive = 1.4
    spread: Fraction = 0.1
    sigma_min: Positive = 0.004
    sigma_max: Positive = 8.0
    sigma_data: Positive | None = None
    grey: Fraction = 0.05
    gain: Annotated[float, Field(ge=1)] = 1.5
    grain: Annotated[float, Field(ge=0)] = 0.0
    scale: Annotated[float, Field(ge=1)] = 1.5
    scaled: Fraction = 0.2
    sources: tuple[str, ...] = ()
    held_out: Count = 32
    channels: tuple[Count, ...] = (96, 160, 256)
    blocks: tuple[Count, ...] = (2, 2, 2)
    seed: Annotated[int, Field(ge=0)] = 0
    every: Positive = 120.0
    threads: Count | None = None

    def network(self, channels: int) -> UNetConfig:
        """The network's shape, for images of so many channels."""
        return UNetConfig(channels_in=channels, channels=self.channels, blocks=self.blocks)


LISTS = ("sources", "channels", "blocks")


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
        values[key] = [part for part in value.split(",") if part] if key in LISTS else value
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
