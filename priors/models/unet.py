r"""A small fully convolutional U-Net and its EDM preconditioning: the network of the embedded priors.

.. math::
    D(x, \sigma) = c_{skip}(\sigma) x + c_{out}(\sigma) F(c_{in}(\sigma) x, \ln(\sigma) / 4)

with :math:`c_{skip} = \sigma_d^2 / (\sigma^2 + \sigma_d^2)`,
:math:`c_{out} = \sigma \sigma_d / \sqrt{\sigma^2 + \sigma_d^2}`, :math:`c_{in} = 1 / \sqrt{\sigma^2 + \sigma_d^2}`
(Karras et al. 2022, "Elucidating the design space of diffusion-based generative models", table 1). ``F`` works on
pixel-unshuffled input (Shi et al. 2016), has no normalisation layer (so an image's result depends neither on its size
nor on a far part of it), SiLU residual blocks with zero-initialised second convolutions, and feature-wise modulation
(FiLM, Perez et al. 2018) by Fourier features of the noise level.

Deviations from EDM: no attention, no group normalisation, additive skip connections as in DRUNet (Zhang et al. 2021).
Cost: one evaluation of ``F`` for each call.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["EDMDenoiser", "UNet", "UNetConfig"]


@dataclass(frozen=True)
class UNetConfig:
    """Shape of a :class:`UNet`."""

    channels_in: int = 3
    channels: tuple[int, ...] = (64, 128, 256)  # feature channels of each resolution level, finest first
    #: residual blocks of each level, on the way down and again on the way up (the coarsest once)
    blocks: tuple[int, ...] = (2, 2, 3)
    unshuffle: int = 2  # factor of the pixel unshuffle before the first level
    embedding: int = 128  # width of the noise-level embedding

    @property
    def stride(self) -> int:
        """Pixels by which an image can be shifted without changing the (shifted) result."""
        return self.unshuffle << (len(self.channels) - 1)

    @property
    def receptive_field(self) -> int:
        """Radius, in pixels, beyond which an input pixel cannot change an output pixel."""
        radius, scale = 2 * self.unshuffle, self.unshuffle
        for level, blocks in enumerate(self.blocks):
            coarsest = level == len(self.blocks) - 1
            radius += 2 * blocks * scale * (1 if coarsest else 2)
            if not coarsest:
                scale *= 2
                radius += scale
        return radius

    def as_dict(self) -> dict[str, object]:
        """The configuration as plain data, as a card stores it."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


class _Block(nn.Module):
    """Residual block with FiLM modulation between its two convolutions."""

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.film = nn.Linear(embedding, 2 * channels)
        for parameter in (self.conv2.weight, self.conv2.bias, self.film.weight, self.film.bias):
            if parameter is not None:
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.film(embedding)[:, :, None, None].chunk(2, dim=1)
        h = self.conv1(functional.silu(x))
        h = torch.addcmul(shift, h, 1 + scale)
        return torch.add(x, self.conv2(functional.silu(h)))


class _Upsample(nn.Module):
    """2x upsampling: a 1x1 convolution followed by a pixel shuffle."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, 4 * channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.pixel_shuffle(self.conv(x), 2)


class UNet(nn.Module):
    """The network ``F``: (B, C, H, W) and the noise input (B,) to (B, C, H, W); H and W are multiples of the stride."""

    frequencies: Tensor

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        width, embedding = config.channels, config.embedding
        folded = config.channels_in * config.unshuffle**2
        self.register_buffer(
            "frequencies", torch.pi * 2.0 ** torch.linspace(-2, 4, 16, dtype=torch.float32), persistent=False
        )
        self.embed = nn.Sequential(nn.Linear(32, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU())
        self.head = nn.Conv2d(folded, width[0], 3, padding=1)
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level in range(len(width) - 1):
            blocks = config.blocks[level]
            self.down_blocks.append(nn.ModuleList(_Block(width[level], embedding) for _ in range(blocks)))
            self.down.append(nn.Conv2d(width[level], width[level + 1], 2, stride=2))
            self.up.append(_Upsample(width[level + 1], width[level]))
            self.up_blocks.append(nn.ModuleList(_Block(width[level], embedding) for _ in range(blocks)))
        self.middle = nn.ModuleList(_Block(width[-1], embedding) for _ in range(config.blocks[-1]))
        self.tail = nn.Conv2d(width[0], folded, 3, padding=1)
        nn.init.zeros_(self.tail.weight)
        if self.tail.bias is not None:
            nn.init.zeros_(self.tail.bias)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """The scaled residual (B, C, H, W) of the scaled input ``x`` (B, C, H, W) at ``noise = ln(sigma) / 4`` (B,)."""
        angles = noise[:, None].float() * self.frequencies
        embedding = self.embed(torch.cat([angles.sin(), angles.cos()], dim=1).to(self.head.weight.dtype))
        h = self.head(functional.pixel_unshuffle(x, self.config.unshuffle))
        skips = []
        for blocks, down in zip(self.down_blocks, self.down, strict=True):
            for block in blocks:  # type: ignore[attr-defined]
                h = block(h, embedding)
            skips.append(h)
            h = down(h)
        for block in self.middle:
            h = block(h, embedding)
        for level in reversed(range(len(self.up))):
            h = self.up[level](h) + skips[level]
            for block in self.up_blocks[level]:  # type: ignore[attr-defined]
                h = block(h, embedding)
        return functional.pixel_shuffle(self.tail(h), self.config.unshuffle)


class EDMDenoiser(nn.Module):
    """A preconditioned network as a denoiser in data units.

    The model sees ``2 (x - low) / (high - low) - 1``; so ``sigma`` is multiplied by ``2 / (high - low)``. Any height
    and width from one stride up: the image is extended by its mirror to a multiple of the stride and cropped again.
    ``sigma_data`` is the standard deviation of the data in model units.
    """

    def __init__(self, network: UNet, *, sigma_data: float = 0.5, data_range: tuple[float, float] = (0.0, 1.0)) -> None:
        super().__init__()
        self.network = network
        self.sigma_data = sigma_data
        self.data_range = data_range

    def model(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Denoise in model units: ``x`` (B, C, H, W) on [-1, 1] plus noise of level ``sigma`` (B,)."""
        variance = sigma**2 + self.sigma_data**2
        c_skip, c_out, c_in = self.sigma_data**2 / variance, sigma * self.sigma_data / variance.sqrt(), variance.rsqrt()
        weight = self.network.head.weight
        scaled = (x * c_in[:, None, None, None]).to(weight.dtype)
        residual = self.network(scaled, sigma.log() / 4).to(x.dtype)
        denoised: Tensor = c_skip[:, None, None, None] * x + c_out[:, None, None, None] * residual
        return denoised

    def forward(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Posterior mean ``E[x0 | x]``: ``x`` (B, C, H, W), ``sigma`` a scalar or (B,), data units; dtype of ``x``."""
        low, high = self.data_range
        gain = 2.0 / (high - low)
        height, width = x.shape[-2:]
        stride = self.network.config.stride
        pad = (-width % stride, -height % stride)
        level = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).expand(x.shape[0]) * gain
        z = (x - low) * gain - 1.0
        if any(pad):
            z = functional.pad(z, (0, pad[0], 0, pad[1]), mode="reflect")
        z = z.contiguous(memory_format=torch.channels_last)
        denoised = self.model(z, level)[..., :height, :width]
        return (denoised + 1.0) / gain + low
