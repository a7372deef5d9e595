r"""EDM networks: DDPM++, NCSN++ and ADM as trained by Karras et al. 2022.

The paper is "Elucidating the design space of diffusion-based generative models". U-Nets of blocks that resample
inside their first convolution, with the filters ``[1, 1]`` or ``[1, 3, 3, 1]`` stored among the tensors. Song's
networks (DDPM++, NCSN++; Song et al. 2021) scale every sum by :math:`\sqrt{1/2}`, have one attention head and may
carry the image down beside the features (``aux_``); Dhariwal's (ADM) have heads of 64 channels and a scale and a
shift from the embedding.

The names of the tensors hold the architecture (``enc.32x32_block1.qkv.weight``), so it is read off them: which of the
two families, embedding (sinusoids, or the random frequencies stored in the file), resolutions, widths, attention,
filters. Settings: the preconditioning and the class of a conditional network.

The four preconditionings are rows of the table in ``parametrisation.py``; the cosine one is interpolated between its
steps where the published code snaps to them. Deviations: the augmentation labels are 0, as in sampling. Cost: one F
is one evaluation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from inverse.errors import PriorError
from inverse.priors.adapters.layers import TensorNetwork, attention, check, conv, group_norm, linear, sinusoids
from inverse.priors.adapters.parametrisation import (
    EDM,
    VE,
    AdaptedPrior,
    AdapterSettings,
    Coefficients,
    ContinuousVP,
    Discrete,
    alphas_cumprod,
    noise_levels,
    validated,
)
from inverse.priors.card import Card

__all__ = ["EDMSettings", "describe", "edm_network", "open_weights", "stated"]

Tensors = Mapping[str, Tensor]
Parts = list[tuple[str, str]]  # (role, name) of each
ANCHOR = "map_layer0.weight"
PRECONDITIONS = {"EDMPrecond": "edm", "VEPrecond": "ve", "VPPrecond": "vp", "iDDPMPrecond": "iddpm"}
ENCODER = ("conv", "down", "aux_down", "aux_skip", "aux_residual", "block")
DECODER = ("in", "up", "block", "aux_up", "aux_norm", "aux_conv")


class EDMSettings(AdapterSettings):
    """What the tensors' names do not tell."""

    #: ``edm``, ``ve``, ``vp`` or ``iddpm`` (EDMPrecond, VEPrecond, VPPrecond, iDDPMPrecond)
    precondition: Literal["edm", "ve", "vp", "iddpm"] = "edm"
    #: class of a conditional network; None is the class that was dropped in training
    label: int | None = Field(default=None, ge=0)
    channels_per_head: int = Field(default=64, ge=1)  # of attention in an ADM network
    beta_d: float = 19.9  # of ``vp``
    beta_min: float = 0.1  # of ``vp``
    steps: int = Field(default=1000, ge=2)  # of ``vp`` and ``iddpm``

    def parametrisation(self, sigma_data: float) -> Callable[[Tensor], Coefficients]:
        """Its row of the table."""
        if self.precondition == "edm":
            return EDM(sigma_data)
        if self.precondition == "ve":
            return VE()
        if self.precondition == "vp":
            return ContinuousVP(self.beta_d, self.beta_min, self.steps)
        return Discrete(noise_levels(alphas_cumprod("cosine", steps=self.steps)))

    def span(self) -> tuple[float, float]:
        """Smallest and largest noise level of its training, model units, as the published samplers take them."""
        if self.precondition == "vp":
            ends = torch.tensor([1e-5, 1.0], dtype=torch.float64)
            low, high = torch.expm1(0.5 * self.beta_d * ends**2 + self.beta_min * ends).sqrt().tolist()
            return low, high
        if self.precondition == "iddpm":
            levels = noise_levels(alphas_cumprod("cosine", steps=self.steps))
            return float(levels[0]), float(levels[-1])
        return (0.002, 80.0) if self.precondition == "edm" else (0.02, 100.0)


SETTINGS = EDMSettings


def _parts(tensors: Tensors, side: str, roles: tuple[str, ...]) -> Parts:
    """The parts of the encoder or decoder in the order of their evaluation."""
    parts = {}
    for name in tensors:
        match = re.match(rf"({side}\.(\d+)x\d+_([a-z_]+)(\d*))\.", name)
        if match is None:
            continue
        if match[3] not in roles:
            raise PriorError(f"EDM network with a part '{match[1]}'", f"allowed: {', '.join(roles)}")
        size = int(match[2])
        place = (-size if side == "enc" else size, roles.index(match[3]), int(match[4] or 0))
        parts[place] = (match[3], match[1])
    return [parts[place] for place in sorted(parts)]


def _norm(tensors: Tensors, name: str, x: Tensor, eps: float) -> Tensor:
    return group_norm(tensors, name, x, groups=max(1, min(32, x.shape[1] // 4)), eps=eps)


def _resample(tensors: Tensors, name: str, x: Tensor, direction: str) -> Tensor:
    """Halve or double the size with the filter stored under the name; a pair of constants means or repeats."""
    kernel = tensors[f"{name}.resample_filter"]
    pad, taps = (kernel.shape[-1] - 1) // 2, kernel.to(x.dtype).expand(x.shape[1], 1, -1, -1)
    if direction == "down":
        return functional.conv2d(x, taps, groups=x.shape[1], stride=2, padding=pad)
    return functional.conv_transpose2d(x, 4 * taps, groups=x.shape[1], stride=2, padding=pad)


def _block(
    tensors: Tensors, name: str, x: Tensor, embedding: Tensor, *, direction: str, song: bool, per_head: int
) -> Tensor:
    gain, eps = (0.5**0.5, 1e-6) if song else (1.0, 1e-5)
    h = functional.silu(_norm(tensors, f"{name}.norm0", x, eps))
    if direction:
        h = _resample(tensors, f"{name}.conv0", h, direction)
    h = conv(tensors, f"{name}.conv0", h)
    shift = linear(tensors, f"{name}.affine", embedding)[..., None, None]
    if shift.shape[1] == h.shape[1]:
        h = _norm(tensors, f"{name}.norm1", h + shift, eps)
    else:
        scale, shift = shift.chunk(2, dim=1)
        h = shift + _norm(tensors, f"{name}.norm1", h, eps) * (scale + 1)
    h = conv(tensors, f"{name}.conv1", functional.silu(h))
    if direction:
        x = _resample(tensors, f"{name}.skip", x, direction)
    if f"{name}.skip.weight" in tensors:
        x = conv(tensors, f"{name}.skip", x)
    x = gain * (x + h)
    if f"{name}.qkv.weight" not in tensors:
        return x
    batch, channels, height, width = x.shape
    heads = 1 if song else max(1, channels // per_head)
    qkv = conv(tensors, f"{name}.qkv", _norm(tensors, f"{name}.norm2", x, eps))
    q, k, v = qkv.reshape(batch, heads, channels // heads, 3, height * width).unbind(3)
    return gain * (x + conv(tensors, f"{name}.proj", attention(q, k, v).reshape(x.shape)))


def _embed(tensors: Tensors, time: Tensor, *, dtype: torch.dtype, song: bool, label: int | None) -> Tensor:
    count = tensors["map_layer0.weight"].shape[1]
    if "map_noise.freqs" in tensors:
        angles = time[:, None].float() * (2 * torch.pi * tensors["map_noise.freqs"].float())
        waves = torch.cat([angles.cos(), angles.sin()], dim=1)
    else:
        waves = sinusoids(time, count, endpoint=song)
    if song:
        waves = waves.roll(count // 2, dims=1)
    embedding = waves.to(dtype)
    of_class = None
    if "map_label.weight" in tensors:
        weight = tensors["map_label.weight"]
        of_class = 0 * weight[:, 0] if label is None else weight[:, label] * (weight.shape[1] ** 0.5 if song else 1.0)
        of_class = of_class + tensors["map_label.bias"] if "map_label.bias" in tensors else of_class
    if song and of_class is not None:
        embedding = embedding + of_class
    embedding = functional.silu(linear(tensors, "map_layer0", embedding))
    embedding = linear(tensors, "map_layer1", embedding)
    if not song and of_class is not None:
        embedding = embedding + of_class
    return functional.silu(embedding)


def _forward(
    tensors: Tensors, x: Tensor, time: Tensor, *, encoder: Parts, decoder: Parts, settings: EDMSettings
) -> Tensor:
    song = "out_conv.weight" not in tensors
    embedding = _embed(tensors, time, dtype=x.dtype, song=song, label=settings.label)

    def block(role: str, name: str, h: Tensor) -> Tensor:
        direction = role if role in ("up", "down") else ""
        return _block(tensors, name, h, embedding, direction=direction, song=song, per_head=settings.channels_per_head)

    skips: list[Tensor] = []
    beside = x
    for role, name in encoder:
        if role == "aux_down":
            beside = _resample(tensors, name, beside, "down")
        elif role == "aux_skip":
            x = skips[-1] = x + conv(tensors, name, beside)
        elif role == "aux_residual":
            # convolved first, then filtered: one padding for both
            weight, pad = tensors[f"{name}.weight"], (tensors[f"{name}.resample_filter"].shape[-1] - 1) // 2
            wide = functional.conv2d(beside, weight, padding=weight.shape[-1] // 2 + pad)
            taps = tensors[f"{name}.resample_filter"].to(x.dtype).expand(wide.shape[1], 1, -1, -1)
            beside = functional.conv2d(wide, taps, groups=wide.shape[1], stride=2)
            x = skips[-1] = beside = (x + beside + tensors[f"{name}.bias"][:, None, None]) * 0.5**0.5
        else:
            x = conv(tensors, name, x) if role == "conv" else block(role, name, x)
            skips.append(x)
    answer: Tensor | None = None
    for role, name in decoder:
        if role == "aux_up":
            answer = None if answer is None else _resample(tensors, name, answer, "up")
        elif role == "aux_norm":
            beside = functional.silu(_norm(tensors, name, x, 1e-6))
        elif role == "aux_conv":
            added = conv(tensors, name, beside)
            answer = added if answer is None else answer + added
        else:
            if x.shape[1] != tensors[f"{name}.norm0.weight"].shape[0]:
                x = torch.cat([x, skips.pop()], dim=1)
            x = block(role, name, x)
    if song:
        if answer is None:
            raise KeyError("dec.*_aux_conv.weight")
        return answer
    return conv(tensors, "out_conv", functional.silu(_norm(tensors, "out_norm", x, 1e-5)))


def edm_network(tensors: Tensors, settings: EDMSettings) -> tuple[TensorNetwork, int, int]:
    """The network that tensors are, checked; its stride and image channels.

    Raises:
        PriorError: they are not an EDM network, or not a complete one.
    """
    encoder, decoder = _parts(tensors, "enc", ENCODER), _parts(tensors, "dec", DECODER)
    stem = tensors.get(f"{encoder[0][1]}.weight") if encoder else None
    if stem is None or stem.ndim != 4 or encoder[0][0] != "conv" or not decoder:
        raise PriorError("not an EDM network: no enc.*_conv and dec.*", "other kinds: inverse prior convert --help")
    classes = tensors["map_label.weight"].shape[1] if "map_label.weight" in tensors else 0
    if settings.label is not None and settings.label >= classes:
        raise PriorError(f"label {settings.label} for a network of {classes} classes", "allowed: from 0 up, below that")

    def function(named: Tensors, x: Tensor, time: Tensor) -> Tensor:
        return _forward(named, x, time, encoder=encoder, decoder=decoder, settings=settings)

    network, stride = TensorNetwork(tensors, function), 2 ** sum(role == "down" for role, _ in encoder)
    check(network, channels=stem.shape[1], size=2 * stride, unused=("map_augment.",))
    return network, stride, stem.shape[1]


def describe(tensors: Tensors, settings: EDMSettings) -> dict[str, float | int | None]:
    """What a card says of such a network, in model units: channels, stride, noise range."""
    _, stride, channels = edm_network(tensors, settings)
    low, high = settings.span()
    return {"channels": channels, "stride": stride, "sigma_min": low, "sigma_max": high}


def stated(
    tensors: Tensors, attributes: Mapping[str, Any], settings: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings, completed by what a pickled network states of itself, and fields of its card.

    Raises:
        PriorError: the network is conditional, none of its classes was dropped in training, and none is set.
    """
    said: dict[str, Any] = {}
    if attributes.get("class") in PRECONDITIONS:
        said["precondition"] = PRECONDITIONS[attributes["class"]]
    if said.get("precondition") == "vp":
        said.update({key: attributes[key] for key in ("beta_d", "beta_min") if key in attributes})
    if said.get("precondition") in ("vp", "iddpm") and "M" in attributes:
        said["steps"] = attributes["M"]
    if "map_label.weight" in tensors and settings.get("label") is None and not attributes.get("label_dropout"):
        classes = tensors["map_label.weight"].shape[1]
        raise PriorError(
            f"a network conditional on {classes} classes", f"fix one: -s label=N with N from 0 to {classes - 1}"
        )
    return {**said, **settings}, {key: attributes[key] for key in ("sigma_data",) if key in attributes}


def open_weights(card: Card, tensors: dict[str, Tensor]) -> AdaptedPrior:
    """A prior from its card (``network``: :class:`EDMSettings`) and the tensors of its file.

    Raises:
        PriorError: the settings or the tensors do not fit.
    """
    settings = validated(EDMSettings, card.network)
    network, _, _ = edm_network({name: value.float() for name, value in tensors.items()}, settings)
    return AdaptedPrior(network, settings.parametrisation(card.sigma_data), card)
