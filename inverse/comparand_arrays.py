"""Arrays and tensors as comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inverse.comparand_files import Group, Pairing
from inverse.comparands import Comparand, Comparison
from inverse.errors import InputError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["batch_of", "pairs_of_arrays"]


def batch_of(value: Any) -> NDArray[Any]:
    """An array (H, W), (H, W, C) or (B, H, W, C), or a tensor (C, H, W) or (B, C, H, W), as (B, C, H, W).

    Raises:
        UsageError: Another number of axes.
    """
    import torch

    if isinstance(value, torch.Tensor):
        array, first = value.detach().cpu().numpy(), True
    else:
        array, first = np.asarray(value), False
    if array.ndim not in ((3, 4) if first else (2, 3, 4)):
        raise UsageError(
            f"an {'tensor' if first else 'array'} of shape {array.shape} is no image",
            "allowed: arrays (H, W), (H, W, C), (B, H, W, C); tensors (C, H, W), (B, C, H, W)",
        )
    if not first:
        array = np.moveaxis(array[..., None] if array.ndim == 2 else array, -1, 0 if array.ndim <= 3 else 1)
    return array[None] if array.ndim == 3 else array


def pairs_of_arrays(
    prediction: Any,
    truth: Any,
    beside: Mapping[str, Any],
    samples: Any = None,
    items: Sequence[str] | None = None,
) -> Pairing:
    """Pair the images of two batches in their order.

    Raises:
        InputError: Not as many of each.
        UsageError: No image.
    """
    one, other = batch_of(prediction), batch_of(truth)
    if len(one) != len(other):
        raise InputError(f"{len(one)} predictions, {len(other)} truths", "give as many of each")
    names = [str(index) for index in range(len(one))] if items is None else [str(item) for item in items]
    if len(names) != len(one):
        raise InputError(f"{len(names)} items, {len(one)} images", "give as many of each")
    further = {role: batch_of(value) for role, value in beside.items()}
    for role, values in further.items():
        if len(values) not in (1, len(one)):
            raise InputError(f"{len(one)} images, {role} {len(values)}", "give one, or as many")
    if samples is not None and tuple(samples.shape[1:]) != other.shape:
        raise InputError(
            f"samples of shape {tuple(samples.shape)}", f"expected (K, {', '.join(map(str, other.shape))})"
        )

    def group(index: int) -> Group:
        return Group(names[index], lambda: [_pair(names[index], one[index], other[index], own(index), draws(index))])

    def own(index: int) -> dict[str, NDArray[Any]]:
        return {role: values[index if len(values) > 1 else 0] for role, values in further.items()}

    def draws(index: int) -> Tensor | None:
        return None if samples is None else samples[:, index].detach().cpu()

    return Pairing(
        tuple(group(index) for index in range(len(one))), no_samples="give samples=" if samples is None else ""
    )


def _pair(
    name: str, prediction: NDArray[Any], truth: NDArray[Any], beside: Mapping[str, NDArray[Any]], draws: Tensor | None
) -> Comparison:
    mask = beside.get("mask")
    return Comparison(
        item=name,
        prediction=Comparand(prediction),
        truth=Comparand(truth),
        peak=float(truth.max()),
        mask=None if mask is None else (mask != 0).all(0, keepdims=True),
        ms=Comparand(beside["ms"]) if "ms" in beside else None,
        pan=Comparand(beside["pan"]) if "pan" in beside else None,
        samples=None if draws is None else lambda: draws,
    )
