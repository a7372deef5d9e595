"""Opening a prior: by embedded name, by card file, or from anything callable as ``D(x, sigma)``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from inverse.errors import PriorError, UsageError
from inverse.priors.card import Card, read_card
from inverse.priors.catalog import card_path
from inverse.priors.gaussian import GaussianPrior
from inverse.priors.unet import EDMDenoiser, UNet, UNetConfig

__all__ = ["CallablePrior", "NetworkPrior", "open_prior"]

Denoiser = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class NetworkPrior:
    """An embedded network with its card.

    Attributes:
        denoiser: The network in data units.
        card: Its card, in the data units asked for.
        dtype: Compute precision of the network; states and results stay as they are given.
    """

    denoiser: EDMDenoiser
    card: Card
    dtype: torch.dtype = torch.float32

    def __call__(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Posterior mean ``E[x0 | x]``: ``x`` (B, C, H, W), ``sigma`` a scalar or (B,), data units."""
        mean: Tensor = self.denoiser(x, sigma)
        return mean

    def compute(self, *, dtype: torch.dtype, device: torch.device | str) -> NetworkPrior:
        """The same prior with its network in another precision or on another device."""
        first = next(self.denoiser.parameters())
        if (dtype, torch.device(device)) == (first.dtype, first.device):
            return self
        network = _blank(self.denoiser.network.config)
        network.load_state_dict(self.denoiser.network.state_dict())
        return replace(self, denoiser=_denoiser(network, self.card, dtype=dtype, device=device), dtype=dtype)


@dataclass(frozen=True)
class CallablePrior:
    """Any denoiser, with another data range laid over it.

    Attributes:
        denoiser: ``D(x, sigma)`` in its own units.
        card: Its card in data units, or None where it has none.
        scale: Own units in one data unit.
        offset: Data value at which its own units are 0.
    """

    denoiser: Denoiser
    card: Card | None
    scale: float = 1.0
    offset: float = 0.0

    def __call__(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Posterior mean in data units: ``decode(D(encode(x), scale * sigma))``."""
        level = torch.as_tensor(sigma, dtype=x.dtype, device=x.device) * self.scale
        return self.denoiser((x - self.offset) * self.scale, level) / self.scale + self.offset


def _blank(config: UNetConfig) -> UNet:
    """A network whose weights are about to be loaded; making it leaves the global generator where it was."""
    with torch.random.fork_rng(devices=[]):
        return UNet(config)


def _denoiser(network: UNet, card: Card, *, dtype: torch.dtype, device: torch.device | str) -> EDMDenoiser:
    frequencies = network.frequencies
    network = network.to(dtype=dtype, device=device)
    network.frequencies = frequencies.to(device=device, dtype=torch.float32)
    network.to(memory_format=torch.channels_last)
    denoiser = EDMDenoiser(network, sigma_data=card.sigma_data, data_range=card.data_range)
    return denoiser.eval().requires_grad_(False)


def _ranged(card: Card, data_range: tuple[float, float] | None) -> Card:
    """The card of the same prior for data on another range."""
    if data_range is None or tuple(data_range) == card.data_range:
        return card
    (low, high), (old_low, old_high) = data_range, card.data_range
    if not high > low:
        raise UsageError(f"data range [{low:g}, {high:g}]", "allowed: [low, high] with low < high")
    ratio = (high - low) / (old_high - old_low)
    return card.model_copy(
        update={
            "data_range": (float(low), float(high)),
            "mean": low + (card.mean - old_low) * ratio,
            "data_var": card.data_var * ratio**2,
            "sigma_min": card.sigma_min * ratio,
            "sigma_max": card.sigma_max * ratio,
            "sigma_start": None if card.sigma_start is None else card.sigma_start * ratio,
        }
    )


def _load_network(card: Card, folder: Path, data_range: tuple[float, float] | None) -> NetworkPrior:
    from safetensors.torch import load

    if card.weights is None or card.network is None:
        raise PriorError(f"prior '{card.name}': the card names no weights")
    candidates = [folder / card.weights, folder.parent / "weights" / card.weights]
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        raise PriorError(f"prior '{card.name}': weights {card.weights} are missing", "reinstall the package")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != card.sha256:
        raise PriorError(
            f"prior '{card.name}': {card.weights} has sha256 {digest[:16]}..., its card says {str(card.sha256)[:16]}...",
            "the file was changed or damaged: reinstall the package, or correct the card if the change is yours",
        )
    shape: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in card.network.items()
    }
    network = _blank(UNetConfig(**shape))
    try:
        network.load_state_dict({name: value.float() for name, value in load(content).items()})
    except (RuntimeError, ValueError) as error:
        raise PriorError(f"prior '{card.name}': {card.weights} does not fit the network on its card") from error
    card = _ranged(card, data_range)
    return NetworkPrior(_denoiser(network, card, dtype=torch.float32, device="cpu"), card)


def open_prior(
    prior: str | Path | Denoiser, *, data_range: tuple[float, float] | None = None
) -> NetworkPrior | CallablePrior | GaussianPrior | Any:
    """Open a prior.

    Args:
        prior: Name of an embedded prior (``inverse list priors``), path of a card (``.yaml``) with its weights beside it, or anything
            callable as ``D(x, sigma) = E[x0 | x0 + sigma n = x]``, ``x`` (B, C, *S), ``sigma`` (B,).
        data_range: Data values that map to the ends of the prior's range, e.g. (0, 10000) for reflectance; default as on its card.

    Returns:
        A denoiser in data units with its ``card`` (None for a bare callable).

    Raises:
        PriorError: unknown name, missing weights, or weights that do not match the card's hash.
    """
    if callable(prior) and not isinstance(prior, str | Path):
        card = getattr(prior, "card", None)
        if data_range is None:
            return prior if card is not None else CallablePrior(prior, None)
        (low, high), (own_low, own_high) = data_range, card.data_range if card is not None else (0.0, 1.0)
        scale = (own_high - own_low) / (high - low)
        return CallablePrior(prior, _ranged(card, data_range) if card else None, scale, low - own_low / scale)
    path = card_path(str(prior))
    card = read_card(path)
    if card.kind == "network":
        return _load_network(card, path.parent, data_range)
    card = _ranged(card, data_range)
    return GaussianPrior(card.mean, card.data_var, name=card.name)
