r"""Azula's denoisers as priors: any ``azula.denoise.Denoiser`` with its schedule, ``azula:PLUGIN/NAME`` if pretrained.

An Azula denoiser takes :math:`x_t = \alpha_t x_0 + \sigma_t n` and a time. In this package's state
:math:`x = x_0 + \sigma n` the time is where :math:`\sigma_t / \alpha_t = \sigma`, found by bisection of its logarithm
(the ratio rises in time, by Azula's contract) to the last bit of a double, and
:math:`D(x, \sigma) = \mu(\alpha_t x, t)`. Noise levels outside the schedule's are held at its ends; the card's
``sigma_min`` and ``sigma_max`` are those ends.

Rozet et al., https://github.com/probabilists/azula. Deviations: ``clip_mean`` of its ADM plugin is switched off (a
clipped mean is no posterior mean). Its ADM plugin snaps times to discrete steps inside; ``inverse prior convert``
opens the same files without that. Cost: one F is one evaluation.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from inverse.errors import PriorError
from inverse.priors.adapters.parametrisation import AdaptedPrior, Coefficients, ModuleNetwork
from inverse.priors.card import Card
from inverse.priors.download import offline

__all__ = ["Scheduled", "open_spec", "wrap"]

HALVINGS = 64
#: Plugins that read tensors alone, of files whose sha256 they know.
PLUGINS = ("adm", "jit", "vdm")


@dataclass(frozen=True)
class Scheduled:
    """An Azula schedule, inverted."""

    schedule: Callable[[Tensor], tuple[Tensor, Tensor]]  # signal and noise scales at times in [0, 1]

    def level(self, time: Tensor) -> Tensor:
        """Noise over signal at times (B,)."""
        alpha, sigma = self.schedule(time)
        return sigma / alpha

    def __call__(self, sigma: Tensor) -> Coefficients:
        """Coefficients at ``sigma`` (B,)."""
        low, high = torch.zeros_like(sigma), torch.ones_like(sigma)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            below = self.level(middle) < sigma
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        alpha, _ = self.schedule(high)
        return Coefficients(torch.zeros_like(sigma), torch.ones_like(sigma), alpha, high)


def wrap(
    denoiser: Any, card: Card | None = None, *, name: str = "azula", dtype: torch.dtype | None = None
) -> AdaptedPrior:
    """A prior from an Azula denoiser with its ``schedule``, which is not changed.

    The card's ``data_range`` says which data values are its -1 and 1; without a card [0, 1], and the schedule's noise
    range. `dtype` is that of the images it is given; None: that of its parameters.
    """
    inverse = Scheduled(denoiser.schedule)
    if card is None:
        ends = inverse.level(torch.tensor([0.0, 1.0], dtype=torch.float64)) / 2
        card = Card(
            name=name,
            title=f"Azula denoiser '{name}'",
            kind="network",
            adapter="azula",
            licence="not recorded here: see the model's page",
            data_var=0.0625,
            sigma_min=float(ends[0]),
            sigma_max=float(ends[1]),
        )
    own = next((value.dtype for value in denoiser.parameters() if value.is_floating_point()), torch.float32)
    return AdaptedPrior(ModuleNetwork(denoiser, _call), inverse, card, dtype or own)


def _call(denoiser: Any, x: Tensor, time: Tensor) -> Tensor:
    """Means at times that are the same for all, as a number, or an item each."""
    if bool((time == time[:1]).all()):
        time = time[0]
    elif type(denoiser).__name__ == "GaussianDenoiser":  # takes one time only
        return torch.cat([denoiser(x[i : i + 1], time[i]).mean for i in range(len(x))])
    mean: Tensor = denoiser(x, time).mean
    return mean


def open_spec(text: str) -> AdaptedPrior:
    """A prior from ``PLUGIN/NAME``, such as ``adm/ffhq_256x256``: Azula downloads it.

    Raises:
        PriorError: azula is missing, offline, or has no such model.
    """
    plugin, _, name = text.partition("/")
    try:
        importlib.import_module("azula")
    except ImportError as error:
        raise PriorError("priors 'azula:...' need the package azula", "pip install 'inverse-imaging[azula]'") from error
    if not name or not plugin.isidentifier():
        raise PriorError(f"azula:{text}", "allowed: azula:PLUGIN/NAME, such as azula:adm/ffhq_256x256")
    if plugin not in PLUGINS:
        raise PriorError(
            f"azula:{plugin}: allowed: {', '.join(PLUGINS)}; the others open pickles or are no priors of images",
            "a checkpoint becomes a prior without its code: inverse prior convert",
        )
    if offline():
        raise PriorError(
            f"azula:{text} would have to be downloaded, and this is offline",
            "unset INVERSE_OFFLINE; 'check' and --dry-run are offline",
        )
    try:
        denoiser = importlib.import_module(f"azula.plugins.{plugin}").load_model(name)
    except Exception as error:  # whatever the plugin's author, the network or the file gives
        reason = " ".join(str(error).split())[:150]
        raise PriorError(f"azula:{text} cannot be had: {type(error).__name__}: {reason}") from error
    if hasattr(denoiser, "clip_mean"):
        denoiser.clip_mean = False
    return wrap(denoiser.eval().requires_grad_(False), name=name)
