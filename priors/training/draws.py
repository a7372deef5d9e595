r"""The crops, noise levels and noise of a training step, as a function of (seed, step) alone.

Crops are turned, mirrored, some of them shrunk from a larger piece, and where asked given noise of their own. Complex
crops get a gain and a smooth phase

.. math:: \varphi(u) = a_0 + a \cdot u + \sum_{k} b_k \cos(\pi k \cdot u + c_k), \quad |k|_\infty \le 2,

with a uniform offset, a gradient of up to a turn across the crop, and :math:`b_k` normal of standard deviation
:math:`0.6 / |k|`: coil-combined images have the phase of the field's inhomogeneity, of the echo's shift and of the
coils, all of which vary slowly.

Noise levels are log-normal (Karras et al. 2022, section 5); a part is log-uniform on the whole range, because a
denoiser that was never asked at its smallest and largest levels is not calibrated there.

On a CPU crops are made image by image. On another device images stay there, and all crops of a step are gathered at
once (`inverse.priors.training.gathered`), with everything else that is drawn: other numbers, of the same distributions
but that shrunk crops have four sizes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from inverse.priors.training.corpus import Corpus
from inverse.priors.training.gathered import Gathered
from inverse.priors.training.settings import TrainConfig

__all__ = ["Draws", "generator"]


CPU = torch.device("cpu")


def generator(seed: int, step: int, device: torch.device = CPU) -> torch.Generator:
    """The generator of a step."""
    key = np.random.SeedSequence((seed, step)).generate_state(1, dtype=np.uint64)[0]
    return torch.Generator(device).manual_seed(int(key) & (2**63 - 1))


@dataclass(frozen=True)
class Draws:
    """The draws that training steps are made of."""

    corpus: Corpus
    config: TrainConfig
    sigma_data: float  # standard deviation of the data, model units
    device: torch.device = CPU  # where everything is drawn
    gathers: bool | None = None  # whether crops are gathered there; default: on all devices but a CPU

    @cached_property
    def _gathered(self) -> Gathered | None:
        gathers = self.device.type != "cpu" if self.gathers is None else self.gathers
        return Gathered.of(self.corpus, self.device) if gathers else None

    def __call__(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Clean crops (B, C, crop, crop) in model units, noise levels (B,), unit noise (B, C, crop, crop)."""
        config, rng = self.config, generator(self.config.seed, step, self.device)
        if self._gathered is None:
            crops = torch.stack([self._crop(rng) for _ in range(config.batch)])
        else:
            shrunk = {"scale": config.scale, "scaled": config.scaled}
            crops = self._gathered.crops(config.batch, config.crop, rng, **shrunk)
        crops = self._phased(crops, rng) if self.corpus.complex else self._greyed(crops, rng)
        crops = self._grained(crops, rng)
        clean = crops if self.corpus.complex else 2.0 * crops - 1.0
        sigma = self._levels(rng)
        return clean, sigma, torch.randn(clean.shape, generator=rng, dtype=torch.float32, device=rng.device)

    def _crop(self, rng: torch.Generator) -> Tensor:
        config = self.config
        index, turn, flip = (int(torch.randint(n, (1,), generator=rng)) for n in (len(self.corpus.images), 4, 2))
        image = self.corpus.images[index]
        room = min(image.shape[-2:]) / config.crop
        chance, factor = torch.rand(2, generator=rng, dtype=torch.float32).tolist()
        size = config.crop
        if chance < config.scaled:
            size = round(config.crop * (1.0 + factor * (min(config.scale, room) - 1.0)))
        top, left = (int(torch.randint(n - size + 1, (1,), generator=rng)) for n in image.shape[-2:])
        crop = image[:, top : top + size, left : left + size]
        value = crop.float() / 255.0 if crop.dtype == torch.uint8 else crop
        if size > config.crop:
            value = functional.interpolate(value[None], (config.crop, config.crop), mode="bilinear", antialias=True)[0]
        value = torch.rot90(value, turn, (1, 2))
        return value.flip(2) if flip else value

    def _greyed(self, crops: Tensor, rng: torch.Generator) -> Tensor:
        grey = torch.rand(len(crops), generator=rng, dtype=torch.float32, device=rng.device) < self.config.grey
        if crops.shape[1] == 3 and bool(grey.any()):
            crops[grey] = crops[grey].mean(1, keepdim=True).expand(-1, 3, -1, -1)
        return crops

    def _phased(self, crops: Tensor, rng: torch.Generator) -> Tensor:
        count, side = len(crops), crops.shape[-1]
        ramp = torch.linspace(-1, 1, side, dtype=torch.float32, device=rng.device)
        u, v = ramp[None, :, None], ramp[None, None, :]
        offset, slopes = (
            torch.rand(count, generator=rng, dtype=torch.float32, device=rng.device) * 2 * math.pi,
            torch.rand(count, 2, generator=rng, dtype=torch.float32, device=rng.device) * 2 - 1,
        )
        phase = offset[:, None, None] + math.pi * (slopes[:, :1, None] * u + slopes[:, 1:, None] * v)
        for k in [(0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0)]:
            size = (
                0.6
                / math.hypot(*k)
                * torch.randn(count, generator=rng, dtype=torch.float32, device=rng.device)[:, None, None]
            )
            shift = (
                torch.rand(count, generator=rng, dtype=torch.float32, device=rng.device)[:, None, None] * 2 * math.pi
            )
            phase = phase + size * torch.cos(math.pi * (k[0] * u + k[1] * v) + shift)
        gain = self.config.gain ** (2 * torch.rand(count, generator=rng, dtype=torch.float32, device=rng.device) - 1)
        value = torch.complex(crops[:, 0], crops[:, 1] if crops.shape[1] == 2 else torch.zeros_like(crops[:, 0]))
        turned = gain[:, None, None] * value * torch.polar(torch.ones_like(phase), phase)
        return torch.view_as_real(turned).permute(0, 3, 1, 2).contiguous()

    def _grained(self, crops: Tensor, rng: torch.Generator) -> Tensor:
        if not self.config.grain:
            return crops
        which, size = torch.rand(2, len(crops), generator=rng, dtype=torch.float32, device=rng.device)
        size = self.config.grain * size * (which < 0.5)
        noise: Tensor = size[:, None, None, None] * torch.randn(
            crops.shape, generator=rng, dtype=torch.float32, device=rng.device
        )
        return crops + noise

    def _levels(self, rng: torch.Generator) -> Tensor:
        config = self.config
        mean = math.log(self.sigma_data) - 0.7 if config.log_sigma_mean is None else config.log_sigma_mean
        normal = mean + config.log_sigma_std * torch.randn(
            config.batch, generator=rng, dtype=torch.float32, device=rng.device
        )
        low, high = math.log(config.sigma_min), math.log(config.sigma_max)
        uniform = low + (high - low) * torch.rand(config.batch, generator=rng, dtype=torch.float32, device=rng.device)
        chosen = torch.rand(config.batch, generator=rng, dtype=torch.float32, device=rng.device) < config.spread
        return torch.where(chosen, uniform, normal.clamp(low, high)).exp()
