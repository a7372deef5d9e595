"""Images of a corpus on a device, and crops of all of a batch by one gather.

The crops of `inverse.priors.training.draws`, for a GPU that a loop over images would leave idle: images lie behind each
other in one tensor, and a crop's values are found by their places in it, turned and mirrored on the way. Crops that are
shrunk come from larger pieces, of `SIZES` sizes a step, each size in one antialiased interpolation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from inverse.priors.training.corpus import Corpus

__all__ = ["SIZES", "Gathered"]

#: Sizes of the larger pieces that a step's shrunk crops come from.
SIZES = 4


@dataclass(frozen=True)
class Gathered:
    """A corpus as one tensor."""

    values: Tensor  # of all images, one behind the other, uint8 or float32
    starts: Tensor  # place of each image's first value (N,)
    heights: Tensor  # rows of each (N,)
    widths: Tensor  # columns of each (N,)
    channels: int  # of the images

    @classmethod
    def of(cls, corpus: Corpus, device: torch.device) -> Gathered:
        """Put a corpus on a device; where images differ in type, all are float32."""
        images = corpus.images
        if len({image.dtype for image in images}) > 1:
            images = tuple(corpus.value(index) for index in range(len(images)))
        sizes = torch.tensor([image.numel() for image in images])
        shapes = torch.tensor([image.shape[-2:] for image in images])
        values = torch.cat([image.contiguous().flatten() for image in images]).to(device)
        starts, shapes = (sizes.cumsum(0) - sizes).to(device), shapes.to(device)
        return cls(values, starts, shapes[:, 0], shapes[:, 1], images[0].shape[0])

    def crops(self, count: int, side: int, rng: torch.Generator, *, scale: float, scaled: float) -> Tensor:
        """Crops (count, C, side, side) on 0 to 1, of images, places and turns drawn.

        A fraction ``scaled`` is shrunk from pieces up to ``scale`` times as large, or as the image.
        """
        there: Any = {"generator": rng, "device": rng.device}
        index = torch.randint(len(self.starts), (count,), **there)
        turn, flip = (torch.randint(sides, (count,), **there) for sides in (4, 2))
        chance, factor, top, left = torch.rand(4, count, dtype=torch.float32, **there)
        heights, widths = self.heights[index], self.widths[index]
        room = torch.minimum(heights, widths) / side
        steps = (factor * SIZES).floor() / max(1, SIZES - 1)  # evenly from the crop's own size to the largest
        sizes = (side * (1 + steps * (room.clamp(max=scale) - 1))).round().long()
        sizes = torch.where(chance < scaled, sizes, side)
        rows, columns = (
            torch.minimum((place * (length - sizes + 1)).long(), length - sizes)  # a product may be rounded up
            for place, length in ((top, heights), (left, widths))
        )
        crops = torch.empty(count, self.channels, side, side, dtype=torch.float32, device=rng.device)
        for size in sorted(set(sizes.tolist())):
            chosen = (sizes == size).nonzero()[:, 0]
            places = (part[chosen] for part in (index, rows, columns, turn, flip))
            pieces = self._pieces(int(size), *places)
            if size > side:
                pieces = functional.interpolate(pieces, (side, side), mode="bilinear", antialias=True)
            crops[chosen] = pieces
        return crops

    def _pieces(self, size: int, index: Tensor, rows: Tensor, columns: Tensor, turn: Tensor, flip: Tensor) -> Tensor:
        """Squares (n, C, size, size) of images at these places, turned by quarters and mirrored."""
        line = torch.arange(size, device=index.device)
        down, across = line[:, None].expand(size, size), line[None, :].expand(size, size)
        down, across = (part.expand(len(index), size, size) for part in (down, across))
        across = torch.where(flip[:, None, None] > 0, size - 1 - across, across)
        for quarter in (1, 2, 3):
            turned = (turn >= quarter)[:, None, None]
            down, across = torch.where(turned, across, down), torch.where(turned, size - 1 - down, across)
        height, width = self.heights[index], self.widths[index]
        place = (rows[:, None, None] + down) * width[:, None, None] + columns[:, None, None] + across
        planes = torch.arange(self.channels, device=index.device) * (height * width)[:, None]
        found = self.values[self.starts[index][:, None, None, None] + planes[:, :, None, None] + place[:, None]]
        return found.float() / 255.0 if found.dtype == torch.uint8 else found
