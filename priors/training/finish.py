"""The end of a training: float16 weights and a card with everything filled in, and a contact sheet for eyes."""

from __future__ import annotations

import io
import platform
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from inverse.priors.card import Card
from inverse.priors.models.unet import EDMDenoiser
from inverse.priors.training.corpus import Corpus
from inverse.priors.training.measure import LEVELS, calibration, denoising_psnr, magnitude, residual_span, squares
from inverse.priors.training.settings import TrainConfig
from inverse.sampling.prior_samples import generate

__all__ = ["contact_sheet", "finish", "hardware", "spectrum_exponent"]

#: Noise levels, in 8-bit units, of a denoiser's calibration and residual.
SPREAD_LEVELS = (2.0, 5.0, 15.0, 50.0, 150.0, 500.0)


def hardware(device: str, threads: int) -> str:
    """The machine in words: no names of people or hosts."""
    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name())
    return f"{threads} CPU thread{'s' if threads > 1 else ''}, {platform.machine()}"


def spectrum_exponent(images: Sequence[Tensor]) -> float:
    """How fast power spectra fall: median slope of ``log P`` over ``log k``, 2 cycles an image to a quarter a pixel."""
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


def _measured(
    denoiser: EDMDenoiser, images: Sequence[Tensor], gain: float, measured_on: str, *, magnitudes: bool
) -> dict[str, Any]:
    """The fields of a card that are measured on images; ``gain`` is model units in one data unit."""
    scores = denoising_psnr(denoiser, images, complex=magnitudes, levels=LEVELS)
    how = "noise in 8-bit units, float32, not clipped" + (", magnitude" if magnitudes else "")
    spans = residual_span(denoiser, images, levels=SPREAD_LEVELS)
    return {
        "psnr": {**{level: round(value, 2) for level, value in scores.items()}, "measured_on": f"{measured_on}, {how}"},
        "calibration": calibration(denoiser, images, levels=SPREAD_LEVELS),
        "residual": {f"{gain * float(level) / 255:.4g}": span for level, span in spans.items()},
    }


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
    """The card of a trained denoiser, with all that is measured, and its weights as they are stored.

    The denoiser has averaged weights, on the CPU; they are rounded to float16 in it. ``corpus`` is all images that were
    given to the training, ``test`` (in words ``measured_on``) those that were not trained on, ``record`` the last of
    the log, ``fields`` what a machine cannot know: name, title, licence, data, intended_use, images. The hash of its
    file is left to the card's writer.
    """
    tensors = {name: value.half().contiguous() for name, value in denoiser.network.state_dict().items()}
    denoiser.network.load_state_dict({name: value.float() for name, value in tensors.items()})
    network, images = denoiser.network.config, squares(test)
    gain = 2.0 / (denoiser.data_range[1] - denoiser.data_range[0])
    card = Card(
        kind="network",
        channels=network.channels_in,
        complex=corpus.complex,
        data_range=denoiser.data_range,
        mean=round(corpus.mean(), 4),
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
        training={
            "steps": record["step"],
            "minutes": round(record["seconds"] / 60),
            "images": len(corpus.images),
            "parameters": sum(value.numel() for value in tensors.values()),
            "hardware": machine,
            "settings": config.model_dump(mode="json", exclude_defaults=True),
        },
        **_measured(denoiser, images, gain, measured_on, magnitudes=corpus.complex),
        **fields,
    )
    return card, tensors


def contact_sheet(
    prior: Any, *, rows: int = 4, columns: int = 8, side: int = 64, steps: int = 40, seed: int = 0
) -> bytes:
    """The contact sheet of a prior, a PNG of unconditional draws with Heun's kernel: what it believes in.

    Complex draws are shown as magnitudes; of others, only the first or the first three channels.
    """
    card = prior.card
    shape = (card.channels or 1, side, side)
    draws: Tensor = generate(
        prior, shape=shape, samples=rows * columns, steps=steps, seed=seed, batch=8, dtype="float32"
    )
    low, high = (0.0, 1.0) if card.complex else card.data_range
    draws = magnitude(draws) if card.complex else draws[:, : 3 if draws.shape[1] >= 3 else 1]
    pixels = ((draws - low) / (high - low)).clamp(0, 1).mul(255).round().to(torch.uint8)
    pixels = pixels.reshape(rows, columns, -1, side, side).permute(0, 3, 1, 4, 2)
    sheet = pixels.reshape(rows * side, columns * side, -1).numpy()
    content = io.BytesIO()
    Image.fromarray(np.squeeze(sheet, 2) if sheet.shape[2] == 1 else sheet).save(content, "PNG", optimize=True)
    return content.getvalue()
