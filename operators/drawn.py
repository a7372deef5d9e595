"""Masks that are drawn: strokes of a brush, and text. Missing where drawn; pure functions of the parameters and the image's size.

Pillow draws: strokes as polylines with round ends, letters with the font it carries. Random numbers are numpy's Philox.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from inverse.errors import InputError
from inverse.operators.catalog_photo import StrokeMask, TextMask
from inverse.operators.masks import Mask

__all__ = ["stroke_mask", "text_mask"]

_STROKES = 10_000


def stroke_mask(params: StrokeMask, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> Mask:
    """Strokes until at least ``params.missing`` of the pixels are covered: each a path that turns by up to 60 degrees every few widths.

    Raises:
        InputError: a brush that covers the whole image.
    """
    height, width = shape[-2:]
    canvas = Image.new("L", (width, height))
    draw, brush = ImageDraw.Draw(canvas), params.width
    rng = np.random.Generator(np.random.Philox(key=params.seed))
    for _ in range(_STROKES):
        drawn = np.asarray(canvas) > 0
        if drawn.mean() >= params.missing:
            break
        point, heading = rng.random(2) * (width, height), 2 * math.pi * rng.random()
        path = [tuple(point)]
        for _ in range(int(rng.integers(3, 9))):
            heading += math.radians(120 * rng.random() - 60)
            point = point + (2 + 4 * rng.random()) * max(brush, 4) * np.array([math.cos(heading), math.sin(heading)])
            path.append(tuple(point))
        draw.line(path, fill=255, width=brush, joint="curve")
        for x, y in (path[0], path[-1]):
            draw.ellipse((x - brush / 2, y - brush / 2, x + brush / 2, y + brush / 2), fill=255)
    return _mask(np.asarray(canvas), shape, noise_model, dtype, f"a brush of {brush} pixels")


def text_mask(params: TextMask, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> Mask:
    """Lines of text over the whole image, each from another place in it.

    Raises:
        InputError: letters that cover the whole image.
    """
    height, width = shape[-2:]
    canvas = Image.new("L", (width, height))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=params.size)
    rng = np.random.Generator(np.random.Philox(key=params.seed))
    text = " ".join(params.text.split()) + " "
    step = params.spacing * params.size
    for line in range(math.ceil(height / step)):
        start = int(rng.integers(len(text)))
        begun = text[start:] + text * math.ceil(4 * width / params.size / len(text) + 1)
        draw.text((0, line * step), begun[: 4 * width // params.size + 1], fill=255, font=font)
    return _mask(np.asarray(canvas), shape, noise_model, dtype, f"letters of {params.size} pixels")


def _mask(canvas: Any, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype, what: str) -> Mask:
    observed = canvas < 128
    if not observed.any():
        raise InputError(f"{what} on an image of {shape[-1]} x {shape[-2]} covers all of it", "use a smaller one")
    return Mask(torch.from_numpy(observed)[None, None].to(dtype), shape=shape, noise_model=noise_model)
