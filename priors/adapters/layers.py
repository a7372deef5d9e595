"""Pieces of convolutional U-Nets as functions of named tensors, and the network that a set of tensors is.

A public checkpoint is a set of named tensors; its architecture is deduced from their names and shapes, and the
network is a function of them. So there is no second description that could disagree with the file, and nothing is
initialised (the global generator stays where it is).

Before a network is used it is run once on tensors without storage (torch's ``meta`` device): a missing, misshapen or
left-over tensor is found there, by name, at no cost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from inverse.errors import PriorError

__all__ = ["TensorNetwork", "attention", "check", "conv", "group_norm", "linear", "sinusoids"]

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class TensorNetwork:
    """A network as a function of its tensors, which are known by their names."""

    tensors: Tensors
    function: Callable[[Tensors, Tensor, Tensor], Tensor]

    def __call__(self, x: Tensor, time: Tensor) -> Tensor:
        """Evaluate: ``x`` (B, C, H, W), ``time`` (B,)."""
        return self.function(self.tensors, x, time)

    def to(self, *, dtype: torch.dtype, device: torch.device | str) -> TensorNetwork:
        """A copy in another precision or on another device."""
        tensors = {name: value.to(dtype=dtype, device=device) for name, value in self.tensors.items()}
        return replace(self, tensors=tensors)


class _Recorder(Mapping[str, Tensor]):
    """Tensors without storage, and which of them were asked for."""

    def __init__(self, tensors: Tensors) -> None:
        self.shapes = {name: torch.empty(value.shape, device="meta") for name, value in tensors.items()}
        self.used: set[str] = set()
        self.last = ""

    def __getitem__(self, name: str) -> Tensor:
        self.used.add(name)
        self.last = name
        return self.shapes[name]

    def __contains__(self, name: object) -> bool:
        return name in self.shapes

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


def check(network: TensorNetwork, *, channels: int, size: int, unused: tuple[str, ...] = ()) -> None:
    """Refuse tensors that do not make a network that takes images of this `size`.

    Names that begin with one of `unused` may be left over.

    Raises:
        PriorError: a tensor is missing, has the wrong shape, or belongs to no part of the network.
    """
    recorder = _Recorder(network.tensors)
    try:
        image, time = torch.empty(1, channels, size, size, device="meta"), torch.empty(1, device="meta")
        answer = network.function(recorder, image, time)
    except KeyError as error:
        raise PriorError(
            f"the network lacks the tensor {str(error.args[0])[:100]!r}", "is the file complete?"
        ) from error
    except (RuntimeError, ValueError, IndexError) as error:
        shape = tuple(recorder.shapes[recorder.last].shape) if recorder.last in recorder.shapes else ()
        raise PriorError(
            f"the network's tensor '{recorder.last[:100]}' {shape} does not fit its neighbours",
            "is it this kind of network? see: inverse prior convert --help",
        ) from error
    if answer.shape[1] < channels or answer.shape[-1] != size:
        raise PriorError(f"the network answers {tuple(answer.shape[1:])} to images of {(channels, size, size)}")
    idle = sorted(name for name in recorder.shapes if name not in recorder.used and not name.startswith(unused))
    if idle:
        raise PriorError(
            f"{len(idle)} tensors belong to no part of the network: {', '.join(idle[:3])[:150]}",
            "is it this kind of network? see: inverse prior convert --help",
        )


def linear(tensors: Tensors, name: str, x: Tensor) -> Tensor:
    """Affine map of vectors (B, C); the bias may be absent."""
    return functional.linear(x, tensors[f"{name}.weight"], tensors.get(f"{name}.bias"))


def conv(tensors: Tensors, name: str, x: Tensor, *, stride: int = 1) -> Tensor:
    """Convolution, zeros outside; an odd kernel keeps the size at stride 1."""
    weight = tensors[f"{name}.weight"]
    bias = tensors.get(f"{name}.bias")
    return functional.conv2d(x, weight, bias, stride=stride, padding=weight.shape[-1] // 2)


def group_norm(tensors: Tensors, name: str, x: Tensor, *, groups: int = 32, eps: float = 1e-5) -> Tensor:
    """Group normalisation with its gain and offset."""
    return functional.group_norm(x, groups, tensors[f"{name}.weight"], tensors[f"{name}.bias"], eps)


def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """``softmax(q^T k / sqrt(c)) v`` over positions: each (B, heads, c, N)."""
    q, k, v = (part.transpose(-1, -2) for part in (query, key, value))
    return functional.scaled_dot_product_attention(q, k, v).transpose(-1, -2)


def sinusoids(time: Tensor, count: int, *, endpoint: bool = False) -> Tensor:
    """``[cos(t f), sin(t f)]`` (B, count) at ``10000^(-i / n)``, float32; ``n`` is their number, less ``endpoint``."""
    half = count // 2
    index = torch.arange(half, dtype=torch.float32, device=time.device)
    frequencies = torch.exp(-math.log(10000.0) / (half - int(endpoint)) * index)
    angles = time[:, None].float() * frequencies
    waves = torch.cat([angles.cos(), angles.sin()], dim=1)
    return functional.pad(waves, (0, count % 2))
