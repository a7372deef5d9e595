"""Whether a mask says where the hole of a measurement is: what cannot be meant is refused before any work.

A mask of a recipe can be the user's own (a file, a box), or one that only simulates (pixels at random, strokes, text,
the gaps of Landsat 7). The second kind fits a measurement that was made with it, which is empty where it hides
something. A shipped recipe's own mask at random is nobody's choice: where the measurement is not empty there, the hole
is what has no value in the file itself (alpha, nodata, NaN), or nobody said where it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from inverse.errors import InputError
from inverse.operators.build import operator_for
from inverse.operators.catalogue import operator_spec
from inverse.operators.measurement import Measurement

__all__ = ["FROM_FILE", "is_mask", "settled_mask"]

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
    own = valid is not None and bool((valid == 0).any())
    simulated = operator["kind"] in _SIMULATED or operator.get("pattern") == "slc-off"
    if operator["kind"] == "gap-mask" and not simulated and operator.get("file") is None:
        if not own:
            raise InputError("nothing says where the gaps are: no mask was given, every pixel has a value", _GIVE)
        return operator, ()
    mask: Tensor = operator_for(operator, tuple(y.shape[1:]))[0].mask.to(y)
    seen = mask.expand(y.shape) if valid is None else mask * valid.expand(y.shape)
    if not bool((seen > 0).any()):
        raise InputError("the mask hides every pixel that has a value", "white (not 0 in .npy) = observed")
    if bool((seen > 0).all()):
        raise InputError(f"{_name(operator)} has no hole: every pixel is observed", _no_hole(operator))
    if not simulated:
        return operator, ()
    hidden = float(((mask == 0) & (y != 0)).float().mean())
    if hidden == 0:
        return operator, ()
    if asked:
        return operator, (
            f"{100 * hidden:.0f} % of the measured values are hidden by {operator['kind']}, and not used",
        )
    if not own:
        raise InputError("nothing says which pixels are missing: no mask was given, every pixel has a value", _GIVE)
    assert valid is not None
    share = 100 * float((valid == 0).float().mean())
    return dict(FROM_FILE), (f"the hole is what has no value in the file: {share:.3g} % of the pixels",)


def _name(operator: Mapping[str, Any]) -> str:
    file = operator.get("file")
    return f"mask {Path(str(file)).name}" if file else f"the mask ({operator['kind']})"


def _no_hole(operator: Mapping[str, Any]) -> str:
    if operator.get("file"):
        return "black = to be filled, white = observed: is it inverted, or of another picture?"
    return _GIVE
