"""Metrics of trained networks, where their weights are at hand: LPIPS, DISTS, FID, KID. Nothing is ever downloaded.

* LPIPS (Zhang et al., CVPR 2018): AlexNet of torchvision, the linear layers of torchmetrics.
* DISTS (Ding et al., TPAMI 2020): VGG-16 of torchvision.
* FID (Heusel et al., NeurIPS 2017) and KID (Binkowski et al., ICLR 2018): of two sets of images, Inception v3 by
  torch-fidelity; KID is the unbiased estimate of all images at once, not the mean over random subsets.

The networks take colour in [0, 1]: values are divided by the data range and clipped, one channel is shown three times.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor

__all__ = ["dists", "fid", "kid", "lpips"]


def lpips(prediction: Tensor, truth: Tensor, *, data_range: float = 1.0) -> Tensor:
    """Learned perceptual distance of each image (B, 1 or 3, H, W), at its own size, (B,)."""
    network = _network("LearnedPerceptualImagePatchSimilarity", net_type="alex", normalize=True)
    return _each(network, prediction, truth, data_range)


def dists(prediction: Tensor, truth: Tensor, *, data_range: float = 1.0) -> Tensor:
    """Deep distance of structure and texture of each image, at its own size; arguments as those of `lpips`."""
    return _each(_network("DeepImageStructureAndTextureSimilarity"), prediction, truth, data_range)


def fid(predictions: Sequence[Tensor], truths: Sequence[Tensor]) -> float:
    """Fréchet distance of the features of two sets of images, each (C, H, W) in [0, 1]; NaN for fewer than two."""
    if len(truths) < 2:
        return float("nan")
    return _sets(_network("fid.FrechetInceptionDistance", normalize=True), predictions, truths)


def kid(predictions: Sequence[Tensor], truths: Sequence[Tensor]) -> float:
    """Unbiased squared kernel distance of the features of two sets of images; arguments as those of `fid`."""
    if len(truths) < 2:
        return float("nan")
    network = _network("kid.KernelInceptionDistance", normalize=True, subsets=1, subset_size=len(truths))
    return _sets(network, predictions, truths)


@contextmanager
def _quiet() -> Iterator[None]:
    """The global random state as it was: networks are initialised by it before their weights are read."""
    with torch.random.fork_rng(devices=[]), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def _network(name: str, **settings: Any) -> Any:
    module, _, kind = f"torchmetrics.image.{name}".rpartition(".")
    with _quiet():
        return getattr(importlib.import_module(module), kind)(**settings)


def _unit(image: Tensor, data_range: float) -> Tensor:
    """(B, 3, H, W) in [0, 1]."""
    unit = (image.float() / data_range).clamp(0, 1)
    return unit.expand(-1, 3, -1, -1) if unit.shape[1] == 1 else unit


def _each(network: Any, prediction: Tensor, truth: Tensor, data_range: float) -> Tensor:
    with _quiet():
        values = []
        for image, true in zip(_unit(prediction, data_range), _unit(truth, data_range), strict=True):
            network.reset()
            network.update(image[None], true[None])
            values.append(network.compute().reshape(()))
        network.reset()
    return torch.stack(values).detach()


def _sets(network: Any, predictions: Sequence[Tensor], truths: Sequence[Tensor]) -> float:
    with _quiet():
        network.reset()
        for images, real in ((truths, True), (predictions, False)):
            for image in images:
                network.update(_unit(image[None], 1.0), real=real)
        value = network.compute()
        network.reset()
    return float(value[0] if isinstance(value, tuple) else value)
