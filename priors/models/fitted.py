"""Fitted priors from their tensors: `open_weights`."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from inverse.errors import PriorError
from inverse.priors.card import Card
from inverse.priors.models.field import FieldPrior
from inverse.priors.models.patch import PatchPrior

__all__ = ["open_weights"]

#: The tensors of each kind and their number of axes.
TENSORS: Mapping[str, Mapping[str, int]] = {
    "gaussian": {"mean": 1, "weights": 1, "autocovariance": 5},
    "mixture": {"mean": 1, "weights": 1, "autocovariance": 5},
    "patch": {"mean": 1, "weights": 1, "vectors": 3, "values": 2, "rest": 1},
}


def open_weights(card: Card, tensors: Mapping[str, Tensor]) -> FieldPrior | PatchPrior:
    """The prior of a card of kind ``gaussian``, ``mixture`` or ``patch``.

    The tensors are in the units of the card's ``network.fitted_range``; where its ``data_range`` is another, they are
    mapped to it.

    Raises:
        PriorError: tensors missing, or of shapes or values that are no prior.
    """
    table = TENSORS.get(card.kind, {})
    for name, axes in table.items():
        value = tensors.get(name)
        if value is None or value.ndim != axes or not bool(value.isfinite().all()):
            raise PriorError(
                f"prior '{card.name}': its weights do not hold a finite '{name}' of {axes} axes", "fit it again"
            )
    settings = card.network or {}
    low, high = settings.get("fitted_range", card.data_range)
    ratio = (card.data_range[1] - card.data_range[0]) / (float(high) - float(low))
    mean = (card.data_range[0] + (tensors["mean"] - float(low)) * ratio)[:, None, None]
    weights = tensors["weights"]
    count, channels = len(weights), len(mean)
    if not bool((weights > 0).all()) or (card.channels or channels) != channels:
        raise PriorError(f"prior '{card.name}': its weights do not fit its card", "fit it again")
    weights = weights / weights.sum()
    if card.kind == "patch":
        side, stride = int(settings.get("side", 8)), int(settings.get("stride", 2))
        vectors, values, rest = tensors["vectors"], tensors["values"], tensors["rest"]
        expected = (count, channels * side**2, values.shape[1])
        if tuple(vectors.shape) != expected or len(values) != count or rest.shape != (count,) or not stride >= 1:
            raise PriorError(
                f"prior '{card.name}': vectors {tuple(vectors.shape)}, expected {expected}", "fit it again"
            )
        return PatchPrior(card, mean, weights, vectors, values * ratio**2, rest * ratio**2, side, min(stride, side))
    lags = tensors["autocovariance"]
    if tuple(lags.shape[:3]) != (count, channels, channels) or lags.shape[3] != lags.shape[4]:
        raise PriorError(f"prior '{card.name}': autocovariance of shape {tuple(lags.shape)}", "fit it again")
    return FieldPrior(card, mean, weights, lags * ratio**2)
