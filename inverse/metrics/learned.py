"""Metrics of trained networks, where their weights are at hand: LPIPS, DISTS, FID, KID. Nothing is ever downloaded.

* LPIPS (Zhang et al., CVPR 2018): AlexNet of torchvision, the linear layers of torchmetrics.
* DISTS (Ding et al., TPAMI 2020): VGG-16 of torchvision.
* FID (Heusel et al., NeurIPS 2017) and KID (Binkowski et al., ICLR 2018): of two sets of images, Inception v3 by
  torch-fidelity; KID is the unbiased estimate of all images at once, not the mean over random subsets.

The networks take colour in [0, 1]: values are divided by the data range and clipped, one channel is shown three times.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["dists", "fid", "kid", "lpips", "missing"]

ALEXNET = "alexnet-owt-7be5be79.pth"
VGG = "vgg16-397923af.pth"
INCEPTION = "weights-inception-2015-12-05-6726825d.pth"
_NEEDS = {
    "lpips": ("torchvision", ALEXNET, f"https://download.pytorch.org/models/{ALEXNET}"),
    "dists": ("torchvision", VGG, f"https://download.pytorch.org/models/{VGG}"),
    "fid": ("torch_fidelity", INCEPTION, f"https://github.com/toshas/torch-fidelity/releases, {INCEPTION}"),
    "kid": ("torch_fidelity", INCEPTION, f"https://github.com/toshas/torch-fidelity/releases, {INCEPTION}"),
}


def missing(name: str) -> tuple[str, str]:
    """Why a metric cannot be computed here and what to do about it; two empty strings where it can. Imports no torch."""
    package, file, source = _NEEDS[name]
    if find_spec(package) is None:
        return f"{name} needs the package {package.replace('_', '-')}, which is not installed", (
            f"pip install {package.replace('_', '-')}, and put {file} into torch's folder of weights"
        )
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "torch"
    if not (Path(home) / "hub" / "checkpoints" / file).is_file():
        return (
            f"{name} needs {file}, which is not in TORCH_HOME/hub/checkpoints; nothing is downloaded here",
            f"fetch it once ({source})",
        )
    return "", ""


def lpips(prediction: Tensor, truth: Tensor, *, data_range: float = 1.0) -> Tensor:
    """Learned perceptual distance of each image, at its own size.

    Args:
        prediction: (B, 1 or 3, H, W).
        truth: (B, 1 or 3, H, W).
        data_range: White, in the images' units.

    Returns:
        (B,).
    """
    return _each(
        _network("LearnedPerceptualImagePatchSimilarity", net_type="alex", normalize=True),
        prediction,
        truth,
        data_range,
    )


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
    import warnings

    import torch

    with torch.random.fork_rng(devices=[]), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def _network(name: str, **settings: Any) -> Any:
    import importlib

    module, _, own = name.rpartition(".")
    with _quiet():
        return getattr(
            importlib.import_module(f"torchmetrics.image.{module}" if module else "torchmetrics.image"), own
        )(**settings)


def _unit(image: Tensor, data_range: float) -> Tensor:
    """(B, 3, H, W) in [0, 1]."""
    unit = (image.float() / data_range).clamp(0, 1)
    return unit.expand(-1, 3, -1, -1) if unit.shape[1] == 1 else unit


def _each(network: Any, prediction: Tensor, truth: Tensor, data_range: float) -> Tensor:
    import torch

    with _quiet():
        found = []
        for one, other in zip(_unit(prediction, data_range), _unit(truth, data_range), strict=True):
            network.reset()
            network.update(one[None], other[None])
            found.append(network.compute().reshape(()))
        network.reset()
    return torch.stack(found).detach()


def _sets(network: Any, predictions: Sequence[Tensor], truths: Sequence[Tensor]) -> float:
    with _quiet():
        network.reset()
        for images, real in ((truths, True), (predictions, False)):
            for image in images:
                network.update(_unit(image[None], 1.0), real=real)
        found = network.compute()
        network.reset()
    return float(found[0] if isinstance(found, tuple) else found)
