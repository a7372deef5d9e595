r"""Priors learned from 1 to 100 images in under a minute, without training: ``inverse prior fit``.

* ``gaussian``: mean and autocovariance (`inverse.priors.training.spectra`), a stationary Gaussian field
  (`inverse.priors.models.field`);
* ``mixture``: several such fields, by EM on blocks of the images;
* ``patch``: a Gaussian mixture on 8 x 8 patches by EM (`inverse.priors.models.patch`).

Of an image whose side is longer than 1,024 pixels the middle is taken. The same images, settings and versions give the
same prior; no global generator is read.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from inverse.errors import InputError, RecipeError, did_you_mean
from inverse.io.content import require
from inverse.io.read_write import read_pictures, whole
from inverse.io.sources import find
from inverse.io.transfer import to_data
from inverse.numerics.rng import Rng
from inverse.priors.card import Card
from inverse.priors.models.field import spectrum
from inverse.priors.models.fitted import open_weights
from inverse.priors.models.patch import draw_patches, patch_mixture, ranked
from inverse.priors.training.spectra import autocovariance, block_periodograms, channel_means, mixture, periodogram
from inverse.sampling.method_spec import Parameter

__all__ = ["KINDS", "SETTINGS", "fit", "read_images"]

MINIMUM_SIDE = 16
LARGEST_SIDE = 1024
LEVELS = (15, 25, 50)

_WINDOW = Parameter(64, "side of the windows, pixels: the reach of the correlations", low=8, high=512)
_TRANSFER = Parameter("srgb", "as stored, or turned into linear light", choices=("srgb", "linear"))
#: What each kind can be told.
SETTINGS: Mapping[str, Mapping[str, Parameter]] = MappingProxyType(
    {
        "gaussian": {"window": _WINDOW, "transfer": _TRANSFER},
        "mixture": {
            "components": Parameter(4, "kinds of image", low=1, high=32),
            "window": _WINDOW,
            "transfer": _TRANSFER,
        },
        "patch": {
            "components": Parameter(30, "kinds of patch", low=1, high=200),
            "side": Parameter(8, "of a patch, pixels", low=2, high=16),
            "rank": Parameter(48, "directions kept of each covariance", low=1, high=1024),
            "patches": Parameter(20_000, "drawn from all images together", low=100, high=1_000_000),
            "rounds": Parameter(15, "of EM, at most", low=1, high=1000),
            "stride": Parameter(2, "pixels between the patches of the denoiser", low=1, high=16),
            "seed": Parameter(0, "of the places and the start", low=0, high=2**31),
            "transfer": _TRANSFER,
        },
    }
)
KINDS = tuple(SETTINGS)
USES = {
    "patch": "a denoiser: patchwise posterior means averaged, not the posterior mean of a prior on images; "
    "no closed form",
    "field": "images like those it was fitted to; method 'exact' gives its posterior in closed form. "
    "A model of power spectra: no edges, no objects",
}


def read_images(arguments: Iterable[str | Path], *, transfer: str = "srgb") -> list[Tensor]:
    """Images (C, H, W) float32 of files, folders, globs and ``@`` lists; integers on [0, 1].

    Raises:
        InputError: nothing there, unreadable, NaN, smaller than 16 pixels, or different numbers of channels.
    """
    sources = find(arguments)
    pictures = [(source.item, each) for source in sources for each in read_pictures(source.path, name=source.item)]
    images: list[Tensor] = []
    for item, picture in pictures:
        require(picture, minimum=MINIMUM_SIDE)
        if images and picture.channels != len(images[0]):
            raise InputError(
                f"{item}: {picture.channels} channels, the images before it have {len(images[0])}",
                "fit one prior to images of one kind: put grey and colour images into two folders",
            )
        top, left = (max(0, (side - LARGEST_SIDE) // 2) for side in picture.size)
        values = torch.from_numpy(to_data(whole(picture), transfer))
        images.append(values[:, top : top + LARGEST_SIDE, left : left + LARGEST_SIDE].contiguous())
    return images


def _validated(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    if kind not in SETTINGS:
        raise RecipeError(f"unknown kind of prior '{kind}'", did_you_mean(kind, KINDS))
    table = SETTINGS[kind]
    for name, value in settings.items():
        if name not in table:
            raise RecipeError(f"kind '{kind}' has no setting '{name}'", did_you_mean(name, table))
        problem = table[name].problem(value)
        if problem:
            raise RecipeError(f"{name} = {value!r} is not valid for kind '{kind}'", problem)
    return {**{name: parameter.default for name, parameter in table.items()}, **settings}


def _range(images: Sequence[Tensor]) -> tuple[float, float]:
    """[0, 1], or where the values leave it by more than noise does, what they span."""
    low, high = min(float(image.min()) for image in images), max(float(image.max()) for image in images)
    return (0.0, 1.0) if low >= -0.5 and high <= 1.5 else (low, high)


def _exponent(lags: Tensor) -> float:
    """Slope of the mean spectrum of autocovariances (C, C, L, L), from the window's resolution to half of Nyquist."""
    size = 2 * lags.shape[-1]
    power = spectrum(lags.diagonal(dim1=0, dim2=1).mean(-1)[None, None].double(), size, size)[0, 0]
    steps = torch.arange(size, dtype=torch.float64) / (2 * size)
    radius = (steps[:, None].square() + steps.square()).sqrt()
    used = (radius > 2 / size) & (radius < 0.25)
    x, y = radius[used].log(), power[used].log()
    x = x - x.mean()
    return -float((x * y).sum() / x.square().sum())


def _field(images: Sequence[Tensor], mean: Tensor, values: Mapping[str, Any], components: int) -> dict[str, Tensor]:
    window = min(int(values["window"]), *(min(image.shape[1:]) for image in images))
    if components == 1:
        powers = torch.stack([periodogram(image, mean, window)[0] for image in images])
        pixels = torch.tensor([float(image[0].numel()) for image in images], dtype=torch.float32).double()
        power = torch.einsum("u,uabhw->abhw", pixels / pixels.sum(), powers)
        weights, spectra = torch.ones(1, dtype=torch.float64), power[None]
    else:
        powers, counts, sizes = block_periodograms(images, mean, window)
        weights, spectra = mixture(powers, counts, sizes, min(components, len(powers)))
    lags = torch.stack([autocovariance(each, window) for each in spectra])
    return {"mean": mean.float(), "weights": weights.float(), "autocovariance": lags.float()}


def _patch(images: Sequence[Tensor], mean: Tensor, values: Mapping[str, Any], span: float) -> dict[str, Tensor]:
    seed, side = int(values["seed"]), int(values["side"])
    flat = draw_patches(images, mean, side=side, count=int(values["patches"]), seed=seed)
    weights, covariances = patch_mixture(
        flat, components=int(values["components"]), rounds=int(values["rounds"]), floor=(span / 512) ** 2, seed=seed
    )
    vectors, variances, rest = ranked(covariances, int(values["rank"]))
    tensors = {"mean": mean, "weights": weights, "vectors": vectors, "values": variances, "rest": rest}
    return {name: value.float() for name, value in tensors.items()}


def fit(
    images: Sequence[Tensor], *, name: str, kind: str = "gaussian", settings: Mapping[str, Any] | None = None
) -> tuple[Card, dict[str, Tensor]]:
    """Learn a prior from images (C, H, W), all of as many channels: its card and tensors, as `open_weights` takes them.

    Raises:
        RecipeError: unknown kind, setting or value.
        InputError: images without contrast.
    """
    values, began = _validated(kind, settings or {}), time.perf_counter()
    mean, span = channel_means(images), _range(images)
    sizes = torch.tensor([float(image[0].numel()) for image in images], dtype=torch.float32).double()
    each = torch.stack([(i.double() - mean[:, None, None]).square().mean() for i in images])
    variance = float((sizes * each).sum() / sizes.sum())
    if not variance > 1e-12 * max(1.0, abs(span[1])) ** 2:
        raise InputError(f"{len(images)} images without contrast: there is nothing to learn", "give other images")
    exponent = None
    if kind == "patch":
        tensors = _patch(images, mean, values, span[1] - span[0])
        largest = float(torch.einsum("k,kr->kr", tensors["weights"], tensors["values"]).sum(0).max())
    else:
        tensors = _field(images, mean, values, int(values.get("components", 1)))
        lags = torch.einsum("k,kabhw->abhw", tensors["weights"], tensors["autocovariance"])
        exponent = round(max(0.0, _exponent(lags)), 2)
        doubled = torch.full((lags.shape[-1],), 2.0, dtype=torch.float32)
        doubled[0] = 1.0
        largest = float(torch.einsum("aahw,h,w->", lags, doubled, doubled))
    low, high = span
    card = Card(
        name=name,
        title=f"{kind.capitalize()} prior fitted to {len(images)} image{'s' * (len(images) != 1)}",
        kind=kind,  # type: ignore[arg-type]
        licence="yours: as far as the images allow it",
        data=f"{len(images)} images, {int(sizes.sum())} pixels, {values['transfer']} values",
        intended_use=USES["patch" if kind == "patch" else "field"],
        images=f"{len(mean)}-channel images like those it was fitted to",
        channels=len(mean),
        data_range=span,
        mean=float(mean.mean()),
        data_var=variance,
        spectrum_exponent=exponent or None,
        sigma_min=1e-4 * math.sqrt(variance),
        sigma_max=10 * math.sqrt(max(largest, variance)),
        minimum_size=int(values.get("side", 1)),
        network={**values, "fitted_range": [low, high]},
    )
    scores = _psnr(images, open_weights(card, tensors), high - low)
    seconds = round(time.perf_counter() - began, 1)
    return card.model_copy(update={"psnr": scores, "training": {"images": len(images), "seconds": seconds}}), tensors


def _psnr(images: Sequence[Tensor], prior: Any, span: float) -> dict[str, Any]:
    """Denoising PSNR on the middles of up to three images: those it was fitted to, so a little high."""
    scores: dict[str, Any] = {"on": "128 x 128 pixels of up to 3 of its own images"}
    for level in LEVELS:
        values = []
        for index, image in enumerate(images[:3]):
            top, left = (max(0, (side - 128) // 2) for side in image.shape[1:])
            clean = image[None, :, top : top + 128, left : left + 128]
            sigma = level / 255 * span
            noisy = clean + sigma * Rng(0, (str(index),), (0,)).normal(clean, step=0, stream="fit")
            error = (prior(noisy, sigma) - clean).double().square().mean()
            values.append(10 * math.log10(span**2 / float(error)))
        scores[str(level)] = round(sum(values) / len(values), 2)
    return scores
