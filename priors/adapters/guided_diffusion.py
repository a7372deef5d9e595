r"""ADM networks: OpenAI's guided-diffusion and improved-diffusion, and the many checkpoints trained with that code.

Among these are those of DPS, P2, ILVR and torchcfm. A U-Net (Dhariwal and Nichol 2021, "Diffusion models beat GANs on
image synthesis") of residual blocks

.. math::
    h = W_1 \ast \mathrm{silu}(\mathrm{norm}(x)), \qquad
    y = S x + W_2 \ast \mathrm{silu}\big((1 + a)\, \mathrm{norm}(h) + b\big), \qquad (a, b) = E\, \mathrm{silu}(e)

with ``e`` a two-layer function of sinusoids of the step (a fraction is as good as an integer), of self-attention over
positions, and of resampling by 2: inside a residual block, or by a convolution, or without weights. Blocks without
scale and shift add ``E silu(e)`` to ``h`` before its norm.

From the tensors' names and shapes come the widths, the depth, where attention is, how it resamples, whether scale and
shift are there, whether variances are learned (channels after the image's) and whether it is conditional. What shapes
cannot tell is a setting (:class:`ADMSettings`): heads, the order of queries, keys and values, the noise schedule.

Deviations from the published code: no snapping of steps and no clipping (see ``parametrisation.py``); the class of a
conditional network is fixed by ``label``. Cost: one F is one evaluation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from inverse.errors import PriorError
from inverse.priors.adapters.layers import TensorNetwork, attention, check, conv, group_norm, linear, sinusoids
from inverse.priors.adapters.parametrisation import (
    AdaptedPrior,
    AdapterSettings,
    Discrete,
    alphas_cumprod,
    noise_levels,
    validated,
)
from inverse.priors.card import Card

__all__ = ["ADMNetwork", "ADMSettings", "adm_network", "describe", "open_weights"]

ANCHOR = "input_blocks.0.0.weight"


class ADMNetwork(AdapterSettings):
    """What the shapes of an ADM network's tensors do not tell."""

    num_head_channels: int = Field(default=64, ge=0)  # channels of an attention head; 0: ``num_heads`` decides
    num_heads: int = Field(default=4, ge=1)  # heads everywhere, with ``num_head_channels=0``
    #: ``legacy``: heads are split before queries, keys and values; ``new``: after
    attention_order: Literal["legacy", "new"] = "legacy"
    label: int | None = Field(default=None, ge=0)  # class of a conditional network


class ADMSettings(ADMNetwork):
    """The same and the discrete diffusion that it was trained with."""

    schedule: Literal["linear", "scaled_linear", "cosine"] = "linear"
    steps: int = Field(default=1000, ge=2)
    beta_start: float | None = None  # of a linear schedule, as beta_end
    beta_end: float | None = None
    prediction: Literal["eps", "v", "sample"] = "eps"
    #: what the network is told is ``time_scale`` times the step; ``rescale_timesteps`` of 4000 steps is 0.25
    time_scale: float = Field(default=1.0, gt=0)

    def discrete(self) -> Discrete:
        """The parametrisation."""
        power = alphas_cumprod(self.schedule, steps=self.steps, beta_start=self.beta_start, beta_end=self.beta_end)
        return Discrete(noise_levels(power), self.prediction, self.time_scale)


SETTINGS = ADMSettings
Block = list[tuple[str, str]]  # (kind, name) of each layer


@dataclass(frozen=True)
class _Layout:
    """Blocks of the network in the order of their evaluation."""

    inputs: list[Block]
    middle: Block
    outputs: list[Block]
    levels: int


def _layout(names: Mapping[str, object]) -> _Layout:
    """Deduce the parts from the tensors' names."""
    parts: dict[str, dict[int, dict[int, set[str]]]] = {"input_blocks": {}, "output_blocks": {}, "middle_block": {}}
    for name in names:
        match = re.match(r"(input_blocks|output_blocks)\.(\d+)\.(\d+)\.(\w+)|(middle_block)\.(\d+)\.(\w+)", name)
        if match and match[1]:
            parts[match[1]].setdefault(int(match[2]), {}).setdefault(int(match[3]), set()).add(match[4])
        elif match:
            parts["middle_block"].setdefault(0, {}).setdefault(int(match[6]), set()).add(match[7])
    last_input, last_output = max(parts["input_blocks"], default=-1), max(parts["output_blocks"], default=-1)
    if last_input < 1 or last_output < 1:
        raise PriorError(
            "not a guided-diffusion network: no input_blocks and output_blocks",
            "other kinds: inverse prior convert --help",
        )

    def kinds(block: dict[int, set[str]], prefix: str) -> Block:
        return [(_kind(inside), f"{prefix}.{index}") for index, inside in sorted(block.items())]

    outputs = [kinds(parts["output_blocks"].get(i, {}), f"output_blocks.{i}") for i in range(last_output + 1)]
    inputs = [kinds(parts["input_blocks"].get(i, {}), f"input_blocks.{i}") for i in range(last_input + 1)]
    # n blocks a level going down, one resampling between levels: 1 + L n + L - 1 input blocks, and L (n + 1) output
    # blocks, which are as many
    ends = [i for i, block in enumerate(outputs) if [kind for kind, _ in block].count("res") > 1 or _has(block, "conv")]
    gaps = [i for i, block in enumerate(inputs) if not block]
    per_level = ends[0] + 1 if ends else (gaps[0] if gaps else len(outputs))
    if len(outputs) % per_level or len(inputs) != len(outputs):
        raise PriorError(
            f"guided-diffusion network with {len(inputs)} input and {len(outputs)} output blocks: incomplete"
        )
    levels = len(outputs) // per_level
    for level in range(levels - 1):
        down, up = (level + 1) * per_level, (level + 1) * per_level - 1
        name = inputs[down][0][1] if inputs[down] else ""
        inputs[down] = [({"res": "down"}.get(kind, kind), part) for kind, part in inputs[down]] or [("pool", name)]
        if [kind for kind, _ in outputs[up]].count("res") > 1:
            outputs[up][-1] = ("up", outputs[up][-1][1])
        elif not _has(outputs[up], "conv"):
            outputs[up].append(("nearest", ""))
    return _Layout(inputs, kinds(parts["middle_block"].get(0, {}), "middle_block"), outputs, levels)


def _has(block: Block, kind: str) -> bool:
    return any(each == kind for each, _ in block)


def _kind(names: set[str]) -> str:
    """Kind of a layer from the names in it."""
    if "in_layers" in names:
        return "res"
    if "qkv" in names:
        return "attention"
    return "stride" if "op" in names else ("conv" if "conv" in names else "stem")


def _residual(tensors: Mapping[str, Tensor], name: str, x: Tensor, embedding: Tensor, resample: str) -> Tensor:
    h = functional.silu(group_norm(tensors, f"{name}.in_layers.0", x))
    if resample == "down":
        h, x = functional.avg_pool2d(h, 2), functional.avg_pool2d(x, 2)
    elif resample == "up":
        h, x = (functional.interpolate(part, scale_factor=2.0, mode="nearest") for part in (h, x))
    h = conv(tensors, f"{name}.in_layers.2", h)
    shift = linear(tensors, f"{name}.emb_layers.1", functional.silu(embedding))[..., None, None]
    if shift.shape[1] == h.shape[1]:
        h = group_norm(tensors, f"{name}.out_layers.0", h + shift)
    else:
        scale, shift = shift.chunk(2, dim=1)
        h = group_norm(tensors, f"{name}.out_layers.0", h) * (1 + scale) + shift
    h = conv(tensors, f"{name}.out_layers.3", functional.silu(h))
    if f"{name}.skip_connection.weight" in tensors:
        x = conv(tensors, f"{name}.skip_connection", x)
    return x + h


def _attend(tensors: Mapping[str, Tensor], name: str, x: Tensor, settings: ADMNetwork) -> Tensor:
    batch, channels, height, width = x.shape
    heads = channels // settings.num_head_channels if settings.num_head_channels else settings.num_heads
    if heads == 0 or channels % heads or (settings.num_head_channels and channels % settings.num_head_channels):
        raise PriorError(
            f"attention over {channels} channels cannot have heads of {settings.num_head_channels} channels",
            "give -s num_head_channels=N, or -s num_head_channels=0 -s num_heads=N",
        )
    # 1 x 1 convolutions are stored with no, one or two trailing axes
    flat = group_norm(tensors, f"{name}.norm", x).flatten(2)
    weight = tensors[f"{name}.qkv.weight"].flatten(1)
    qkv = weight @ flat + tensors[f"{name}.qkv.bias"][:, None]
    if settings.attention_order == "legacy":
        q, k, v = qkv.reshape(batch, heads, 3, channels // heads, height * width).unbind(2)
    else:
        q, k, v = qkv.reshape(batch, 3, heads, channels // heads, height * width).unbind(1)
    mixed = attention(q, k, v).reshape(batch, channels, height * width)
    out = tensors[f"{name}.proj_out.weight"].flatten(1) @ mixed + tensors[f"{name}.proj_out.bias"][:, None]
    return x + out.reshape(x.shape)


def _forward(
    tensors: Mapping[str, Tensor], x: Tensor, time: Tensor, *, layout: _Layout, settings: ADMNetwork
) -> Tensor:
    waves = sinusoids(time, tensors["time_embed.0.weight"].shape[1]).to(x.dtype)
    embedding = linear(tensors, "time_embed.2", functional.silu(linear(tensors, "time_embed.0", waves)))
    if settings.label is not None:
        embedding = embedding + tensors["label_emb.weight"][settings.label]

    def run(block: Block, h: Tensor) -> Tensor:
        for kind, name in block:
            if kind in ("res", "down", "up"):
                h = _residual(tensors, name, h, embedding, kind)
            elif kind == "attention":
                h = _attend(tensors, name, h, settings)
            elif kind == "stem":
                h = conv(tensors, name, h)
            elif kind == "stride":
                h = conv(tensors, f"{name}.op", h, stride=2)
            elif kind == "pool":
                h = functional.avg_pool2d(h, 2)
            else:
                h = functional.interpolate(h, scale_factor=2.0, mode="nearest")
                h = conv(tensors, f"{name}.conv", h) if kind == "conv" else h
        return h

    skips, h = [], x
    for block in layout.inputs:
        h = run(block, h)
        skips.append(h)
    h = run(layout.middle, h)
    for block in layout.outputs:
        h = run(block, torch.cat([h, skips.pop()], dim=1))
    return conv(tensors, "out.2", functional.silu(group_norm(tensors, "out.0", h)))


def adm_network(tensors: Mapping[str, Tensor], settings: ADMNetwork) -> tuple[TensorNetwork, int]:
    """The network that tensors are, checked, and its stride.

    Raises:
        PriorError: they are not an ADM network, or not a complete one.
    """
    classes = tensors["label_emb.weight"].shape[0] if "label_emb.weight" in tensors else 0
    if classes and (settings.label is None or settings.label >= classes):
        raise PriorError(
            f"a network conditional on {classes} classes, label {settings.label}",
            f"fix a class: -s label=N with N from 0 to {classes - 1}",
        )
    if settings.label is not None and not classes:
        raise PriorError(f"label {settings.label} for a network without classes", "leave -s label out")
    layout = _layout(tensors)

    def function(named: Mapping[str, Tensor], x: Tensor, time: Tensor) -> Tensor:
        return _forward(named, x, time, layout=layout, settings=settings)

    stem = tensors.get(ANCHOR)
    if stem is None or stem.ndim != 4:
        raise PriorError(f"the network lacks the tensor '{ANCHOR}'", "is the file complete?")
    network, stride = TensorNetwork(tensors, function), 2 ** (layout.levels - 1)
    check(network, channels=stem.shape[1], size=2 * stride)
    return network, stride


def describe(tensors: Mapping[str, Tensor], settings: ADMSettings) -> dict[str, float | int | None]:
    """What a card says of such a network, in model units: channels, stride, noise range."""
    _, stride = adm_network(tensors, settings)
    levels = settings.discrete().levels
    return {
        "channels": tensors[ANCHOR].shape[1],
        "stride": stride,
        "sigma_min": float(levels[0]),
        "sigma_max": float(levels[-1]),
    }


def open_weights(card: Card, tensors: dict[str, Tensor]) -> AdaptedPrior:
    """A prior from its card (``network``: :class:`ADMSettings`) and the tensors of its file.

    Raises:
        PriorError: the settings or the tensors do not fit.
    """
    settings = validated(ADMSettings, card.network)
    network, _ = adm_network({name: value.float() for name, value in tensors.items()}, settings)
    return AdaptedPrior(network, settings.discrete(), card)
