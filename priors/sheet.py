"""A contact sheet of unconditional samples: what a prior believes in, for eyes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inverse.priors.measure import magnitude

__all__ = ["contact_sheet"]


def contact_sheet(
    prior: Any, *, rows: int = 4, columns: int = 8, side: int = 64, steps: int = 40, seed: int = 0
) -> bytes:
    """PNG of draws of a prior (complex ones as magnitudes; only the first or first three channels of others), with Heun's kernel.

    Args:
        prior: A denoiser with a card.
        rows: Rows of pictures.
        columns: Columns.
        side: Height and width of each.
        steps: Noise levels.
        seed: Seed of the draws.
    """
    from PIL import Image

    from inverse.generation import generate

    card = prior.card
    draws: Tensor = generate(
        prior,
        shape=(card.channels or 1, side, side),
        samples=rows * columns,
        steps=steps,
        seed=seed,
        batch=8,
        dtype="float32",
    )
    low, high = (0.0, 1.0) if card.complex else card.data_range
    draws = magnitude(draws) if card.complex else draws[:, : 3 if draws.shape[1] >= 3 else 1]
    pixels = ((draws - low) / (high - low)).clamp(0, 1).mul(255).round().to(torch.uint8)
    sheet = (
        pixels.reshape(rows, columns, -1, side, side)
        .permute(0, 3, 1, 4, 2)
        .reshape(rows * side, columns * side, -1)
        .numpy()
    )
    found = io.BytesIO()
    Image.fromarray(np.squeeze(sheet, 2) if sheet.shape[2] == 1 else sheet).save(found, "PNG", optimize=True)
    return found.getvalue()
