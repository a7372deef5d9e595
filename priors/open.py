"""Opening a prior: by name, by file, through an adapter, or from anything callable as ``D(x, sigma)``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from inverse.errors import PriorError
from inverse.numerics.defaults import independent
from inverse.priors.adapters import registry
from inverse.priors.card import Card
from inverse.priors.catalogue import Found, find
from inverse.priors.header import digest
from inverse.priors.models import fitted
from inverse.priors.models.callable import CallablePrior, Denoiser, ranged, with_range
from inverse.priors.models.gaussian import GaussianPrior
from inverse.priors.models.unet import EDMDenoiser, UNet, UNetConfig
from inverse.priors.weights import check_state, read_tensors

__all__ = ["NetworkPrior", "open_prior", "open_tensors"]


@dataclass(frozen=True)
class NetworkPrior:
    """An embedded network with its card."""

    denoiser: EDMDenoiser  # the network in data units
    card: Card  # its card, in the data units asked for
    dtype: torch.dtype = torch.float32  # compute precision of the network; states and results stay as they are given

    def __call__(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Posterior mean ``E[x0 | x]``: ``x`` (B, C, H, W), ``sigma`` a scalar or (B,), data units."""
        mean: Tensor = self.denoiser(x, sigma)
        return mean

    def compute(self, *, dtype: torch.dtype, device: torch.device | str) -> NetworkPrior:
        """The same prior with its network in another precision or on another device."""
        first = next(self.denoiser.parameters())
        if (dtype, torch.empty(0, device=device, dtype=torch.float32).device) == (
            first.dtype,
            first.device,
        ):  # "cuda" is the current one
            return self
        network = _blank(self.denoiser.network.config)
        network.load_state_dict(self.denoiser.network.state_dict())
        return replace(self, denoiser=_denoiser(network, self.card, dtype=dtype, device=device), dtype=dtype)


def _blank(config: UNetConfig) -> UNet:
    """A network whose weights are about to be loaded; making it leaves the global generator where it was."""
    with torch.random.fork_rng(devices=[]):
        return UNet(config).float()


def _denoiser(network: UNet, card: Card, *, dtype: torch.dtype, device: torch.device | str) -> EDMDenoiser:
    frequencies = network.frequencies
    network = network.to(dtype=dtype, device=device)
    network.frequencies = frequencies.to(device=device, dtype=torch.float32)
    network.to(memory_format=torch.channels_last)
    denoiser = EDMDenoiser(network, sigma_data=card.sigma_data, data_range=card.data_range)
    return denoiser.eval().requires_grad_(False)


def _network_config(card: Card) -> UNetConfig:
    """The network's shape on a card, refused before it is built where it cannot be a network's."""
    try:
        shape: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in (card.network or {}).items()
        }
        config = UNetConfig(**shape)
        levels = len(config.channels)
        numbers = (config.channels_in, *config.channels, *config.blocks, config.unshuffle, config.embedding)
        limits = (256, *[4096] * levels, *[64] * len(config.blocks), 16, 4096)
        fits = 0 < levels == len(config.blocks) <= 8 and all(
            type(number) is int and 0 < number <= limit for number, limit in zip(numbers, limits, strict=True)
        )
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise PriorError(f"prior '{card.name}': 'network' on its card is not a network of this package")
    return config


def _load_network(card: Card, tensors: dict[str, Tensor], data_range: tuple[float, float] | None) -> NetworkPrior:
    config = _network_config(card)
    try:
        with torch.device("meta"):
            expected = _blank(config).state_dict()
    except (RuntimeError, ValueError) as error:
        raise PriorError(f"prior '{card.name}': 'network' on its card is not a network of this package") from error
    check_state(expected, tensors, name=f"prior '{card.name}': {card.weights or 'its file'}")
    network = _blank(config)
    network.load_state_dict({name: value.float() for name, value in tensors.items()})
    card = ranged(card, data_range)
    return NetworkPrior(_denoiser(network, card, dtype=torch.float32, device="cpu"), card)


def _missing(found: Found) -> PriorError:
    card = found.card
    if found.where == "remote":
        size = f" ({card.bytes / 1e9:.2f} GB)" if card.bytes else ""
        return PriorError(
            f"prior '{card.name}' is not on this machine; nothing is downloaded unasked",
            f"get it{size}: inverse prior add {card.name}",
        )
    where = {"embedded": "reinstall the package", "store": f"add it again: inverse prior add FILE --name {card.name}"}
    return PriorError(
        f"prior '{card.name}': weights {card.weights} are missing",
        where.get(found.where, f"put the file beside its card {found.path.name}"),
    )


def _open_found(found: Found, data_range: tuple[float, float] | None) -> Any:
    card = found.card
    if found.where == "remote":
        raise _missing(found)
    if found.weights is None:
        if card.kind == "gaussian" and card.adapter is None:
            card = ranged(card, data_range)
            return GaussianPrior(card.mean, card.data_var, name=card.name)
        raise PriorError(f"prior '{card.name}': the card names no weights", "add the fields weights and sha256 to it")
    if not found.weights.exists() and not found.weights.is_symlink():
        raise _missing(found)
    tensors = read_tensors(found.weights, sha256=card.sha256)
    if card.sha256 is None:
        # a file that holds its own card cannot hold its own hash: it is recorded as it is found
        card = card.model_copy(update={"sha256": digest(found.weights), "bytes": found.weights.stat().st_size})
    return open_tensors(card, tensors, data_range=data_range)


def open_tensors(card: Card, tensors: dict[str, Tensor], *, data_range: tuple[float, float] | None = None) -> Any:
    """A prior from its card and the tensors of its file.

    Raises:
        PriorError: they do not fit each other.
    """
    if card.adapter is not None:
        return registry.open_weights(ranged(card, data_range), tensors)
    if card.kind == "network":
        return _load_network(card, tensors, data_range)
    if card.kind == "callable":
        raise PriorError(f"prior '{card.name}': kind 'callable' cannot be opened from a file")
    units = {"fitted_range": list(card.data_range), **(card.network or {})}
    return fitted.open_weights(ranged(card.model_copy(update={"network": units}), data_range), tensors)


@independent
def open_prior(
    prior: str | Path | Denoiser, *, data_range: tuple[float, float] | None = None
) -> NetworkPrior | CallablePrior | GaussianPrior | Any:
    """Open a prior.

    Nothing is downloaded, but what is asked for by its address on a hub (``diffusers:OWNER/NAME``), unless offline.

    Args:
        prior: Name of a prior that is embedded or in the user's store (``inverse prior list``), path of a card
            (``.yaml``) with its weights beside it or of a ``.safetensors`` file that holds its card, ``ADAPTER:WHAT``
            (``diffusers:FOLDER``), or anything callable as ``D(x, sigma) = E[x0 | x0 + sigma n = x]``,
            ``x`` (B, C, *S), ``sigma`` (B,).
        data_range: Data values that map to the ends of the prior's range, e.g. (0, 10000) for reflectance; default as
            on its card.

    Returns:
        A denoiser in data units with its ``card`` (None for a bare callable).

    Raises:
        PriorError: unknown name, missing weights, weights that do not match the card, a pickle.
    """
    if callable(prior) and not isinstance(prior, str | Path):
        return with_range(prior, data_range)
    name = str(prior)
    if isinstance(prior, str) and name.partition(":")[0] in registry.adapters() and ":" in name:
        return with_range(registry.open_spec(name), data_range)
    return _open_found(find(name), data_range)
