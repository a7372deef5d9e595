"""Whether a mask says where the hole of a measurement is: what cannot be meant is refused before any work.

A mask of a recipe can be the user's own (a file, a box), or one that only simulates (pixels at random, strokes, text,
the gaps of Landsat 7). The second kind fits a measurement that was made with it, which is empty where it hides
something. A shipped recipe's own mask at random is nobody's choice: where the measurement is not empty there, the hole
is what has no value in the file itself (alpha, nodata, NaN), or nobody said where it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from inverse.errors import InputError
from inverse.operators.build import operator_for
from inverse.operators.catalogue import operator_spec
from inverse.operators.measurement import Measurement

__all__ = ["FROM_FILE", "Shares", "is_mask", "of_file", "settled_mask", "settled_shares"]

#: The operator whose hole is what has no value in the file, all of which gets one.
FROM_FILE: Mapping[str, Any] = {"kind": "gap-mask", "fill": "all"}
_SIMULATED = ("random-mask", "stroke-mask", "text-mask")
_GIVE = (
    "give one, white = observed: --mask MASK.png, in Python mask=array; or leave those pixels without a value "
    "(alpha, nodata, NaN)"
)


def is_mask(operator: Mapping[str, Any]) -> bool:
    """Whether an operator of a recipe only leaves pixels out."""
    return operator_spec(str(operator["kind"])).mask


def settled_mask(
    operator: Mapping[str, Any], measurement: Measurement, *, asked: bool
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The mask operator that a measurement is solved by, and what is to be said of it.

    Args:
        operator: Of the recipe, complete.
        measurement: The whole of what was measured.
        asked: Whether a person chose the operator, rather than the shipped recipe's own.

    Raises:
        InputError: nobody said where the hole is, there is none, or nothing was observed.
    """
    y, valid = measurement.y, measurement.valid
    missing = 0.0 if valid is None else float((valid == 0).float().mean())
    if of_file(operator):
        return settled_shares(operator, Shares(missing=missing), asked=asked)
    mask: Tensor = operator_for(operator, tuple(y.shape[1:]))[0].mask.to(y)
    seen = mask.expand(y.shape) if valid is None else mask * valid.expand(y.shape)
    shares = Shares(missing, float((seen > 0).double().mean()), float(((mask == 0) & (y != 0)).float().mean()))
    return settled_shares(operator, shares, asked=asked)


@dataclass(frozen=True)
class Shares:
    """What of a measurement's values is there, 0 to 1."""

    missing: float  # without a value in the file
    seen: float = 1.0  # with one, and not hidden by the mask
    hidden: float = 0.0  # with one that is not 0, and hidden by the mask


def settled_shares(
    operator: Mapping[str, Any], shares: Shares, *, asked: bool
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """As `settled_mask`, of a measurement that is known by what of it is there."""
    simulated = _simulated(operator)
    if of_file(operator):
        if shares.missing == 0:
            raise InputError("nothing says where the gaps are: no mask was given, every pixel has a value", _GIVE)
        return operator, ()
    if shares.seen == 0:
        raise InputError("the mask hides every pixel that has a value", "white (not 0 in .npy) = observed")
    if shares.seen == 1:
        raise InputError(f"{_name(operator)} has no hole: every pixel is observed", _no_hole(operator))
    if not simulated or shares.hidden == 0:
        return operator, ()
    if asked:
        return operator, (
            f"{100 * shares.hidden:.0f} % of the measured values are hidden by {operator['kind']}, and not used",
        )
    if shares.missing == 0:
        raise InputError("nothing says which pixels are missing: no mask was given, every pixel has a value", _GIVE)
    said = f"the hole is what has no value in the file: {100 * shares.missing:.3g} % of the pixels"
    return dict(FROM_FILE), (said,)


def _simulated(operator: Mapping[str, Any]) -> bool:
    return operator["kind"] in _SIMULATED or operator.get("pattern") == "slc-off"


def of_file(operator: Mapping[str, Any]) -> bool:
    """Whether the hole is what the file has no value for, and nothing else."""
    return operator["kind"] == "gap-mask" and not _simulated(operator) and operator.get("file") is None


def _name(operator: Mapping[str, Any]) -> str:
    file = operator.get("file")
    return f"mask {Path(str(file)).name}" if file else f"the mask ({operator['kind']})"


def _no_hole(operator: Mapping[str, Any]) -> str:
    if operator.get("file"):
        return "black = to be filled, white = observed: is it inverted, or of another picture?"
    return _GIVE
