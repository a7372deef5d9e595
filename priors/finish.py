"""From a trained denoiser to a prior that can be used: float16 weights and a card with everything filled in."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from inverse.priors.card import Card
from inverse.priors.corpus import Corpus
from inverse.priors.measure import LEVELS, calibration, denoising_psnr, residual_span, squares
from inverse.priors.settings import TrainConfig
from inverse.priors.unet import EDMDenoiser

__all__ = ["finish", "hardware", "spectrum_exponent"]

SPREAD_LEVELS = (2.0, 5.0, 15.0, 50.0, 150.0, 500.0)
"""Noise levels, in 8-bit units, of a denoiser's calibration and residual."""


def hardware(device: str, threads: int) -> str:
    """The machine in words: no names of people or hosts."""
    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name())
    return f"{threads} CPU thread{'s' if threads > 1 else ''}, {platform.machine()}"


def spectrum_exponent(images: Sequence[Tensor]) -> float:
    """How fast the power spectrum of images falls: the slope of a line through ``log P`` over ``log k``, from 2 cycles an image to a quarter a pixel."""
    slopes = []
    for image in images:
        side = min(image.shape[-2:]) // 2 * 2
        value = image[0, :, :side, :side].double()
        window = torch.hann_window(side, dtype=torch.float64)
        value = (value - value.mean((-2, -1), keepdim=True)) * window[:, None] * window
        power = torch.fft.fft2(value).abs().square().mean(0).flatten()
        index = torch.fft.fftfreq(side, dtype=torch.float64) * side
        k = (index[:, None].square() + index.square()).sqrt().flatten()
        chosen = (k >= 2) & (k <= side / 4) & (power > 0)
        x, y = k[chosen].log(), power[chosen].log()
        weight = 1.0 / k[chosen]
        x, y = x - (weight * x).sum() / weight.sum(), y - (weight * y).sum() / weight.sum()
        slopes.append(float((weight * x * y).sum() / (weight * x * x).sum()))
    return round(min(4.0, max(0.5, -sorted(slopes)[len(slopes) // 2])), 2)


def _half(denoiser: EDMDenoiser) -> dict[str, Tensor]:
    """The weights as they are stored; the denoiser is left with these."""
    tensors = {name: value.half().contiguous() for name, value in denoiser.network.state_dict().items()}
    denoiser.network.load_state_dict({name: value.float() for name, value in tensors.items()})
    return tensors


def finish(
    denoiser: EDMDenoiser,
    corpus: Corpus,
    test: Corpus,
    config: TrainConfig,
    record: dict[str, Any],
    *,
    fields: dict[str, Any],
    measured_on: str,
    machine: str,
) -> tuple[Card, dict[str, Tensor]]:
    """Measure a trained denoiser and fill in its card.

    Args:
        denoiser: With averaged weights, on the CPU.
        corpus: All images that were given to the training.
        test: Images that were not trained on.
        config: The settings.
        record: The last log record.
        fields: What a machine cannot know: name, title, licence, data, intended_use, images.
        measured_on: What ``test`` is, in words.
        machine: What it was trained on, in words.

    Returns:
        The card (without the hash of its file, which its writer fills in) and the float16 weights.
    """
    tensors, network = _half(denoiser), denoiser.network.config
    images = squares(test)
    gain = 2.0 / (denoiser.data_range[1] - denoiser.data_range[0])
    mean = corpus.mean()
    card = Card(
        kind="network",
        channels=network.channels_in,
        complex=corpus.complex,
        data_range=denoiser.data_range,
        mean=round(mean, 4),
        data_var=round(corpus.variance(), 5),
        spectrum_exponent=spectrum_exponent(images),
        symmetry="dihedral",
        sigma_min=config.sigma_min / gain,
        sigma_max=config.sigma_max / gain,
        sigma_start=1.0,
        minimum_size=4 * network.stride,
        stride=network.stride,
        receptive_field=network.receptive_field,
        sigma_data=denoiser.sigma_data,
        network=network.as_dict(),
        psnr={
            **{
                level: round(value, 2)
                for level, value in denoising_psnr(denoiser, images, complex=corpus.complex, levels=LEVELS).items()
            },
            "measured_on": f"{measured_on}, noise in 8-bit units, float32, not clipped"
            + (", magnitude" if corpus.complex else ""),
        },
        calibration=calibration(denoiser, images, levels=SPREAD_LEVELS),
        residual={
            f"{gain * float(k) / 255:.4g}": v for k, v in residual_span(denoiser, images, levels=SPREAD_LEVELS).items()
        },
        training={
            "steps": record["step"],
            "minutes": round(record["seconds"] / 60),
            "images": len(corpus.images),
            "parameters": sum(value.numel() for value in tensors.values()),
            "hardware": machine,
            "settings": config.model_dump(mode="json", exclude_defaults=True),
        },
        **fields,
    )
    return card, tensors
