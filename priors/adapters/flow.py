"""Flow-matching networks from their tensors: the ADM U-Net trained on velocities, as torchcfm and flow_matching do.

``v(x_t, t)`` on the straight path, time from noise to data as in those code bases, or from data to noise (``towards:
noise``). The formula is :mod:`inverse.priors.models.flow`'s; a velocity field that is already a Python function is a
:class:`inverse.priors.models.flow.FlowPrior`. Paper: Lipman et al. 2023, "Flow matching for generative modeling". Cost:
one F is one evaluation.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from inverse.priors.adapters.guided_diffusion import ANCHOR, ADMNetwork, adm_network
from inverse.priors.adapters.parametrisation import AdaptedPrior, Flow, validated
from inverse.priors.card import Card

__all__ = ["FlowSettings", "describe", "open_weights"]


class FlowSettings(ADMNetwork):
    """Settings of a flow."""

    towards: Literal["data", "noise"] = "data"  # what is at time 1
    #: what the network is told is ``time_scale`` times the time; 1 for torchcfm, 1000 for many others
    time_scale: float = Field(default=1.0, gt=0)


SETTINGS = FlowSettings


def describe(tensors: dict[str, Tensor], settings: FlowSettings) -> dict[str, float | int | None]:
    """What a card says of such a network, in model units: channels, stride, noise range (times from 0.01 to 0.999)."""
    _, stride = adm_network(tensors, settings)
    return {"channels": tensors[ANCHOR].shape[1], "stride": stride, "sigma_min": 0.001, "sigma_max": 100.0}


def open_weights(card: Card, tensors: dict[str, Tensor]) -> AdaptedPrior:
    """A prior from its card (``network``: :class:`FlowSettings`) and the tensors of its file.

    Raises:
        PriorError: the settings or the tensors do not fit.
    """
    settings = validated(FlowSettings, card.network)
    network, _ = adm_network({name: value.float() for name, value in tensors.items()}, settings)
    return AdaptedPrior(network, Flow(settings.towards, settings.time_scale), card)
